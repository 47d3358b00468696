// A fleet for tests: processes of their own with a pool each, and what the server sees of them.

import { type ChildProcess, fork } from 'node:child_process';
import type pg from 'pg';
import type { PoolOptions } from '../../src/doors/index.ts';
import { lockClass } from '../../src/sharing/fleet-sql.ts';
import type { PostgresBudgetOptions } from '../../src/sharing/postgres-budget.ts';
import type { Scope } from './harness.ts';

interface Told {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

export interface FleetProcess {
  readonly child: ChildProcess;
  ask<T>(op: 'hungry' | 'ops' | 'one' | 'fill' | 'close' | 'state', more?: { tasks?: number; ms?: number }): Promise<T>;
  kill(): void;
}

/** Resolves when it is ready to be asked. */
async function launch(scope: Scope, options: PoolOptions, budget: PostgresBudgetOptions): Promise<FleetProcess> {
  const child = fork(new URL('../fleet-member/main.js', import.meta.url), [], {
    env: { ...process.env, OXBOW_MEMBER: JSON.stringify({ options, budget }) },
    execArgv: [],
  });
  const calls = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
  });
  scope.after(() => {
    if (child.connected) child.disconnect();
    return ended;
  });
  let last = 0;
  child.on('message', ({ id, value, error }: Told) => {
    const call = calls.get(id);
    if (error !== undefined) call?.reject(new Error(error));
    else call?.resolve(value as never);
    calls.delete(id);
  });
  await new Promise<void>((resolve, reject) => {
    calls.set(0, { resolve, reject });
    child.once('exit', (code, signal) => reject(new Error(`a process of the fleet ended at once: ${code ?? signal}`)));
  });
  return {
    child,
    ask: (op, more = {}) =>
      new Promise((resolve, reject) => {
        last += 1;
        calls.set(last, { resolve, reject });
        child.send({ id: last, op, ...more });
      }),
    kill: () => child.kill('SIGKILL'),
  };
}

export function processes(
  scope: Scope,
  count: number,
  options: PoolOptions,
  budget: PostgresBudgetOptions,
): Promise<FleetProcess[]> {
  return Promise.all(Array.from({ length: count }, () => launch(scope, options, budget)));
}

export interface Sight {
  /** Permits taken: locks that are granted. */
  readonly slots: number;
  /** The server's sessions of that application. */
  readonly sessions: number;
  /** Sessions that have more than one permit. */
  readonly doubles: number;
}

const PERMITS = `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND objid::bigint < 16384
  AND classid::bigint = $1`;

export async function look(client: pg.Client, key: string, application: string): Promise<Sight> {
  const { rows } = await client.query<Sight>(
    `WITH permits AS MATERIALIZED (${PERMITS})
     SELECT (SELECT count(*)::int FROM permits) AS slots,
       (SELECT count(*)::int FROM pg_stat_activity WHERE application_name = $2) AS sessions,
       (SELECT count(*)::int FROM (SELECT FROM permits GROUP BY pid HAVING count(*) > 1) AS d) AS doubles`,
    [lockClass(key) >>> 0, application],
  );
  const [sight] = rows;
  if (sight === undefined) throw new Error('no row');
  return sight;
}

/** The processes of the server that have a permit. */
export async function holdersOf(client: pg.Client, key: string): Promise<number[]> {
  const { rows } = await client.query<{ pid: number }>(PERMITS, [lockClass(key) >>> 0]);
  return rows.map(({ pid }) => pid);
}

/** The most of each that was seen while `work` went on, looked at every 10 ms. */
export async function peaks(
  client: pg.Client,
  key: string,
  application: string,
  work: Promise<unknown>,
): Promise<Sight & { samples: number }> {
  let over = false;
  const end = (): void => {
    over = true;
  };
  work.then(end, end);
  let [slots, sessions, doubles, samples] = [0, 0, 0, 0];
  while (!over) {
    const now = await look(client, key, application);
    slots = Math.max(slots, now.slots);
    sessions = Math.max(sessions, now.sessions);
    doubles = Math.max(doubles, now.doubles);
    samples += 1;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return { slots, sessions, doubles, samples };
}
