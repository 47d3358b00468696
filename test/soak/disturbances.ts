// What is done to a pool while it is used: backends killed, connects refused, every verb of the operator. Owns that each of these
// measures ends; one that does not is a finding.

import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Pool } from '../../src/doors/index.ts';
import type { Door } from './door.ts';

/** Longer than every bound of the pool taken together. */
const ENDS_WITHIN_MS = 20_000;

export interface Scene {
  readonly pool: Pool;
  readonly door: Door;
  readonly admin: pg.Client;
  readonly applicationName: string;
  readonly max: number;
}

type Disturbance = (scene: Scene) => Promise<unknown>;

const upTo = (n: number): number => Math.floor(Math.random() * n);

async function kill({ admin, applicationName }: Scene, which: string): Promise<void> {
  await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 ${which}`, [
    applicationName,
  ]);
}

export const DISTURBANCES: Readonly<Record<string, Disturbance>> = {
  'kill a lent backend': async ({ pool, admin }) => {
    const holders = pool.holders();
    const pid = holders[upTo(holders.length)]?.pid;
    if (pid !== undefined) await admin.query('select pg_terminate_backend($1)', [pid]);
  },
  'kill a backend at rest': (scene) => kill(scene, "and state = 'idle' limit 1"),
  'kill every backend': (scene) => kill(scene, ''),
  'refuse connects': async ({ door }) => {
    door.shut = true;
    await sleep(100 + upTo(700));
    door.shut = false;
  },
  'refuse connects and kill every backend': async (scene) => {
    scene.door.shut = true;
    await kill(scene, '');
    await sleep(100 + upTo(700));
    scene.door.shut = false;
  },
  resize: async ({ pool, max }) => {
    const now = 1 + upTo(max);
    pool.resize({ min: upTo(Math.min(3, now)), max: now });
    await sleep(upTo(300));
    pool.resize({ min: 1, max });
  },
  'replace all': ({ pool }) => pool.replaceAll({ overMs: upTo(2) * 200 }),
  check: ({ pool }) => pool.check(),
  trim: ({ pool }) => pool.trim({ to: upTo(3) }),
  'pause, borrowers wait': async ({ pool }) => {
    const quiet = pool.pause();
    await Promise.race([quiet, sleep(upTo(400))]);
    pool.resume();
    await quiet;
  },
  'pause, borrowers are refused': async ({ pool }) => {
    const quiet = pool.pause({ borrowers: 'reject' });
    await sleep(upTo(50));
    pool.resume();
    await quiet;
  },
};

export class Disturber {
  readonly done: Record<string, number> = {};
  readonly faults: string[] = [];
  readonly #scene: Scene;
  readonly #underWay = new Set<Promise<void>>();

  constructor(scene: Scene) {
    this.#scene = scene;
  }

  /** One after the other until `until` (monotonic); resolves when all of them have ended. */
  async run(until: number): Promise<void> {
    const names = Object.keys(DISTURBANCES);
    while (performance.now() < until) {
      const name = names[upTo(names.length)] as string;
      const bounded = this.#bounded(name);
      this.#underWay.add(bounded);
      bounded.finally(() => this.#underWay.delete(bounded));
      await sleep(50 + upTo(350));
    }
    await Promise.all(this.#underWay);
  }

  async #bounded(name: string): Promise<void> {
    const late = new AbortController();
    const work = DISTURBANCES[name]?.(this.#scene) ?? Promise.resolve();
    const bound = sleep(ENDS_WITHIN_MS, 'late', { signal: late.signal }).catch(() => 'in time');
    try {
      if ((await Promise.race([work.then(() => 'done'), bound])) === 'late') {
        this.faults.push(`"${name}" did not end within ${ENDS_WITHIN_MS} ms`);
      }
    } catch (error) {
      this.faults.push(`"${name}" failed: ${String(error)}`);
    } finally {
      late.abort();
      this.done[name] = (this.done[name] ?? 0) + 1;
    }
  }
}
