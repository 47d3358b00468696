// `attachDatabasePool` of @vercel/functions on the pool as it is, on a real server: it keeps a function awake until its idle connections are
// closed, and no longer.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { attachDatabasePool } from '@vercel/functions/db-connections';
import { Pool, type PoolOptions } from '../../src/doors/index.ts';
import { Pool as PgPool } from '../../src/doors/pg.ts';
import { backends, eventually, freshName, reports, withClient, withServer } from '../postgres/harness.ts';

const server = await withServer(test, { url: false });
const admin = await withClient(test, server.config);

// As on Vercel: elsewhere the helper does nothing.
process.env.VERCEL_URL = 'example.vercel.app';
process.env.VERCEL_REGION = 'fra1';

const IDLE_MS = 600;

/** A request as the platform sees it: what it must wait for before it freezes the function. */
function request(t: TestContext): { readonly promises: Promise<unknown>[]; settled(): Promise<void> } {
  const promises: Promise<unknown>[] = [];
  const context = { waitUntil: (promise: Promise<unknown>) => void promises.push(promise) };
  const place = Symbol.for('@vercel/request-context');
  Reflect.set(globalThis, place, { get: () => context });
  t.after(() => Reflect.deleteProperty(globalThis, place));
  return { promises, settled: async () => void (await Promise.all(promises)) };
}

const POOLS: Record<string, (options: PoolOptions) => Pool> = {
  oxbow: (options) => new Pool({ ...options, idleTimeoutMs: IDLE_MS }),
  'oxbow/pg': (options) => new PgPool({ ...options, idleTimeoutMillis: IDLE_MS }),
};

for (const [door, make] of Object.entries(POOLS)) {
  test(`a pool of ${door}: the function stays awake until its idle connections are closed`, async (t) => {
    const name = freshName();
    const pool = make({ ...server.config, name, max: 3, logger: reports().logger });
    t.after(() => pool.close({ drainMs: 0 }));
    attachDatabasePool(pool);
    const { promises, settled } = request(t);

    // What each way to use a pool tells the helper: one release.
    const ways: [string, () => Promise<unknown>][] = [
      ['query', () => pool.query('SELECT 1')],
      ['use', () => pool.use((lease) => lease.query('SELECT 1'))],
      ['transaction', () => pool.transaction((tx) => tx.query('SELECT 1'))],
      ['connect', async () => (await pool.connect()).release()],
    ];
    for (const [way, go] of ways) {
      const before = promises.length;
      await go();
      await eventually(`${way} is told as a release`, async () => promises.length > before);
    }
    const leases = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
    for (const lease of leases) lease.release();
    assert.equal(pool.idleCount, 3);

    const began = performance.now();
    const happened: string[] = [];
    pool.observe({ retired: ({ reason }) => happened.push(reason) });
    await settled();
    happened.push('asleep');
    const ms = performance.now() - began;
    assert.deepEqual(happened, ['idle', 'idle', 'idle', 'asleep'], 'they are closed before the function is let go');
    assert.ok(ms >= IDLE_MS - 1 && ms < IDLE_MS + 2_000, `it was kept awake for ${Math.round(ms)} ms`);
    await eventually('no session is left', async () => (await backends(admin, name)) === 0);
  });
}
