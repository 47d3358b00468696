// A cancel request on a slow way to a real server: its statement is over before it arrives. It must hit nothing that comes later, so the
// connection is not lent while the request's own socket is open, and none is sent once the statement has ended.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import Cursor from 'pg-cursor';
import type { Pool } from '../../src/doors/index.ts';
import { type FaultProxy, faultProxy } from '../../src/testing/fault-proxy.ts';
import { eventually, pidOf, withClient, withPool, withServer } from './harness.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);

/** So long a cancel request is on its way; what comes after it runs longer, and would be hit. */
const WAY_MS = 400;
const LATER = 'SELECT pg_sleep(1)';

interface Fixture {
  readonly pool: Pool;
  readonly proxy: FaultProxy;
  /** The statement of the pool's only connection has ended, as the server says. */
  over(): Promise<void>;
  /** Two statements in a row that would be hit, on the same connection. */
  goesOn(): Promise<void>;
}

async function fixture(t: TestContext): Promise<Fixture> {
  const proxy = await faultProxy({ target: server.config });
  t.after(() => proxy.close());
  const pool = withPool(t, { ...server.config, host: proxy.host, port: proxy.port, max: 1 });
  const pid = await pidOf(pool);
  return {
    pool,
    proxy,
    over: async () => {
      await eventually('the statement is over', async () => {
        const { rowCount } = await admin.query(
          "SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'idle' AND query LIKE '%pg_sleep%'",
          [pid],
        );
        return rowCount === 1;
      });
    },
    goesOn: async () => {
      await pool.query(LATER);
      await pool.query(LATER);
      assert.equal(await pidOf(pool), pid, 'the connection was worth keeping');
      assert.equal(proxy.cancels, 1, 'it was sent once');
    },
  };
}

test('one for a statement that was given back running hits nothing that comes later', async (t) => {
  const { pool, proxy, goesOn } = await fixture(t);
  await proxy.lateCancel(WAY_MS);
  const lease = await pool.acquire();
  lease.query('SELECT pg_sleep(0.1)').catch(() => {}); // whether it ends or is cancelled does not matter here
  lease.release();
  await goesOn();
});

test('one for a query that was aborted hits nothing that comes later', async (t) => {
  const { pool, proxy, goesOn } = await fixture(t);
  await proxy.lateCancel(WAY_MS);
  const abort = new AbortController();
  const asked = pool.query({ text: 'SELECT pg_sleep(0.1)', signal: abort.signal });
  const refused = assert.rejects(asked);
  await eventually('it runs', async () => pool.snapshot().lent === 1);
  abort.abort();
  await refused;
  await goesOn();
});

test('one for a query of a lease hits nothing that its client, or a cursor, begins meanwhile', async (t) => {
  const { pool, proxy } = await fixture(t);
  const lease = await pool.acquire();
  for (const later of [() => lease.client.query(LATER), () => lease.query(new Cursor(LATER)).read(1)]) {
    await proxy.lateCancel(WAY_MS);
    const abort = new AbortController();
    const refused = assert.rejects(lease.query({ text: 'SELECT pg_sleep(0.1)', signal: abort.signal }));
    abort.abort();
    await refused;
    await later();
  }
  lease.release();
  assert.deepEqual([proxy.cancels, pool.stats().connects], [2, 1]);
});

test('a connection whose statement has ended is not lent while the request is on its way', async (t) => {
  const { pool, proxy, over, goesOn } = await fixture(t);
  await proxy.lateCancel(Infinity);
  const lease = await pool.acquire();
  const abort = new AbortController();
  const refused = assert.rejects(lease.query({ text: 'SELECT pg_sleep(0.1)', signal: abort.signal }));
  abort.abort();
  await refused;
  await over();
  // A round trip elsewhere: by then the pool, too, has read the end of the reply.
  await admin.query('SELECT 1');
  lease.release();
  assert.equal(pool.snapshot().returning, 1);
  const next = pool.query(LATER);
  await admin.query('SELECT pg_sleep(0.2)');
  assert.equal(pool.snapshot().lent, 0);
  await proxy.heal();
  await next;
  await goesOn();
});
