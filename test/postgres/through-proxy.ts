// A pool behind a fault proxy, and the count that must hold whatever is done to its lines: never more sockets at the proxy than `max`,
// and never more sessions on the server that still have one. Owns that count; which faults there are is the tests' business.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Pool, type PoolOptions } from '../../src/doors/index.ts';
import { type FaultProxy, faultProxy } from '../../src/testing/fault-proxy.ts';
import { freshName, reports, type Scope } from './harness.ts';

const SAMPLE_MS = 25;
/** `close()` cuts what is still there after this; and how long it may take altogether, the cutting included. */
const CLOSE = { drainMs: 0, cancelMs: 200 };
const CLOSE_BOUND_MS = 6_000;

export interface Behind {
  readonly config: pg.ClientConfig & { host: string; port: number };
  /** Short sessions that the pool may have beside `max`, each alone. Default 0. */
  readonly probes?: 0 | 1;
}

export interface Proxied {
  readonly proxy: FaultProxy;
  readonly pool: Pool;
}

/** Looks at the server, again and again, for sessions of the pool whose sockets it has not given up. */
class Census {
  most = 0;
  readonly #gaveUp = new Set<number>();
  readonly #over: Promise<void>;
  #stopped = false;

  constructor(pool: Pool, watcher: pg.Client) {
    const pids = new Map<number, number>();
    const gaveUp = (id: number): void => {
      const pid = pids.get(id);
      if (pid !== undefined) this.#gaveUp.add(pid);
    };
    pool.observe({
      opened: ({ id, pid }) => pids.set(id, pid),
      lost: ({ id }) => gaveUp(id),
      closed: ({ id, bySocketDestroyed }) => {
        // One that said goodbye is gone from the server before its socket is.
        if (bySocketDestroyed) gaveUp(id);
      },
    });
    this.#over = this.#look(pool.name, watcher);
  }

  async stop(): Promise<number> {
    this.#stopped = true;
    await this.#over;
    return this.most;
  }

  async #look(name: string, watcher: pg.Client): Promise<void> {
    while (!this.#stopped) {
      const { rows } = await watcher.query<{ pid: number }>(
        'SELECT pid FROM pg_stat_activity WHERE application_name = $1',
        [name],
      );
      this.most = Math.max(this.most, rows.filter(({ pid }) => !this.#gaveUp.has(pid)).length);
      await sleep(SAMPLE_MS);
    }
  }
}

/** A proxy of its own and a pool behind it; at the scope's end the pool is closed, whatever its lines are like, and the count judged. */
export async function throughProxy(
  scope: Scope,
  { config, probes = 0 }: Behind,
  options: PoolOptions & { max: number },
): Promise<Proxied> {
  const proxy = await faultProxy({ target: config });
  const where = { host: proxy.host, port: proxy.port };
  const pool = new Pool({ name: freshName(), logger: reports().logger, ...config, ...where, ...options });
  const watcher = new pg.Client(config);
  await watcher.connect();
  const census = new Census(pool, watcher);
  scope.after(async () => {
    const began = performance.now();
    const here = setTimeout(() => {}, 30_000);
    await pool.close(CLOSE);
    clearTimeout(here);
    const closeMs = performance.now() - began;
    const sessions = await census.stop();
    await watcher.end();
    await proxy.close();
    const limit = options.max + probes;
    assert.ok(proxy.peak <= limit, `${proxy.peak} sockets at once, cancel requests left out; allowed are ${limit}`);
    assert.ok(sessions <= limit, `${sessions} sessions at once on the server; allowed are ${limit}`);
    assert.ok(closeMs < CLOSE_BOUND_MS, `close() took ${Math.round(closeMs)} ms`);
  });
  return { proxy, pool };
}

/** What came of it, and after how many milliseconds. */
export async function timed<T>(promise: Promise<T>): Promise<{ value: T; ms: number }> {
  const began = performance.now();
  const value = await promise;
  return { value, ms: performance.now() - began };
}

/** One that is open at the proxy and speaks as a session. */
export function sessionsAt(proxy: FaultProxy): FaultProxy['connections'] {
  return proxy.connections.filter((one) => one.open && one.kind === 'session');
}
