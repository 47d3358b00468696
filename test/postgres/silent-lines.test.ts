// A line that goes mute while a statement runs on it (`silentAfterMs`): it is found out by asking the server through another session,
// and what only takes long is left alone. The sockets are counted at the proxy in every test, one probe beside `max` allowed.

import assert from 'node:assert/strict';
import * as nodeTest from 'node:test';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { ConnectionLostError, type Pool, type PoolOptions, QueryTimeoutError } from '../../src/doors/index.ts';
import type { FaultProxy } from '../../src/testing/fault-proxy.ts';
import type { ProxiedConnection } from '../../src/testing/fault-proxy-connection.ts';
import { eventually, rejection, withServer } from './harness.ts';
import { type Proxied, sessionsAt, throughProxy, timed } from './through-proxy.ts';

const SILENT_MS = 500;
/** The limit, about four seconds for the question, and as much for a slow machine. */
const BOUND_MS = 8_000;

const server = await withServer(nodeTest, { url: false });
/** Several tests ask at the same time. */
const admin = new pg.Pool({ ...server.config, max: 4 });
// The server goes first, and pg's pool would end the process with it.
admin.on('error', () => {});
nodeTest.after(() => admin.end());

function proxied(t: TestContext, options: PoolOptions & { max: number }): Promise<Proxied> {
  return throughProxy(t, { config: server.config, probes: 1 }, { silentAfterMs: SILENT_MS, ...options });
}

/** The promise, or a failure after `ms`: what waits for ever must not hang the test. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  const ended = new AbortController();
  const late = sleep(ms, undefined, { signal: ended.signal }).then(
    () => assert.fail(`not within ${ms} ms`),
    () => promise,
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    ended.abort();
  }
}

/** The proxy's end of the line of a client. */
function lineOf(proxy: FaultProxy, client: pg.Client): ProxiedConnection {
  const localPort: unknown = Reflect.get(client.connection.stream, 'localPort');
  const line = sessionsAt(proxy).find(({ clientPort }) => clientPort === localPort);
  assert.ok(line !== undefined);
  return line;
}

function runs(pool: Pool, like: string, count = 1): Promise<unknown> {
  return eventually(`it runs ${like}`, async () => {
    const { rowCount } = await admin.query(
      `SELECT FROM pg_stat_activity WHERE application_name = $1 AND state = 'active' AND query LIKE $2`,
      [pool.name, like],
    );
    return rowCount === count;
  });
}

async function lost(query: Promise<unknown>): Promise<void> {
  const { value: error, ms } = await timed(within(BOUND_MS, rejection(query, ConnectionLostError)));
  assert.equal(error.mayHaveExecuted, true);
  assert.ok(ms >= SILENT_MS / 2, `rejected after ${Math.round(ms)} ms`);
}

/** Lends the connection whose line is to go mute, so that the test knows which it is. */
async function mutable(proxy: FaultProxy, pool: Pool): Promise<ProxiedConnection> {
  const lease = await pool.acquire();
  const line = lineOf(proxy, lease.client);
  lease.release();
  // The one that was used last is lent first.
  return line;
}

const MUTE: Record<string, { text: string; way: 'toServer' | 'toClient' | 'both'; before: boolean }> = {
  'both ways while a statement runs': { text: 'SELECT pg_sleep(0.5)', way: 'both', before: false },
  'towards the client, so that only the answer is lost': { text: 'SELECT 1', way: 'toClient', before: true },
  'towards the server, so that the statement never arrives': { text: 'SELECT 1', way: 'toServer', before: true },
};

// Most of the time is spent in waiting: they do not disturb each other.
describe('a silent running statement', { concurrency: 4 }, () => {
  for (const [how, { text, way, before }] of Object.entries(MUTE)) {
    it(`a line goes mute ${how}: the query is rejected, the place refilled and the next served`, async (t) => {
      const { proxy, pool } = await proxied(t, { min: 2, max: 2, check: 'never' });
      await pool.open();
      const line = await mutable(proxy, pool);
      if (before) await line.drop(way);
      const running = pool.query(text);
      running.catch(() => {});
      if (!before) {
        await runs(pool, text);
        await line.drop(way);
      }
      await lost(running);
      assert.deepEqual((await within(BOUND_MS, pool.query('SELECT 1 AS one'))).rows, [{ one: 1 }]);
      await eventually('two are idle', () => pool.idleCount === 2);
      assert.deepEqual([pool.stats().connectionsLost, pool.snapshot().size], [1, 2]);
    });
  }

  it('a session that is gone from the server, without a word of it coming through, is found out', async (t) => {
    const { proxy, pool } = await proxied(t, { min: 2, max: 2 });
    await pool.open();
    const line = await mutable(proxy, pool);
    const running = pool.query('SELECT pg_sleep(60)');
    running.catch(() => {});
    await runs(pool, '%pg_sleep%');
    await line.drop();
    await admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND state = 'active'`,
      [pool.name],
    );
    await lost(running);
  });

  it('a statement that takes long on a good line is left alone and resolves', async (t) => {
    const { proxy, pool } = await proxied(t, { max: 2 });
    const long = pool.query('SELECT 4 AS n FROM pg_sleep(4)');
    const inside = pool.transaction(async (tx) => (await tx.query('SELECT 3 AS n FROM pg_sleep(3)')).rows);
    assert.deepEqual(await inside, [{ n: 3 }]);
    assert.deepEqual((await long).rows, [{ n: 4 }]);
    const { connectionsLost, retired, size } = pool.stats();
    assert.deepEqual([connectionsLost, retired], [0, {}]);
    assert.ok(size <= 2);
    assert.equal(proxy.cancels, 0);
  });

  it('all connections are busy: what went mute is found out by one probe beside max, what works is left alone', async (t) => {
    const { proxy, pool } = await proxied(t, { min: 2, max: 2 });
    await pool.open();
    const line = await mutable(proxy, pool);
    const mute = pool.query('SELECT pg_sleep(0.5)');
    mute.catch(() => {});
    await runs(pool, 'SELECT pg_sleep(0.5)');
    const working = pool.query('SELECT 5 AS n FROM pg_sleep(5)');
    await runs(pool, '%pg_sleep(5)');
    assert.equal(pool.snapshot().lent, 2);
    const waiting = pool.query('SELECT 1 AS one');
    await line.drop();
    await lost(mute);
    // The place of the lost one serves who waited.
    assert.deepEqual((await within(BOUND_MS, waiting)).rows, [{ one: 1 }]);
    assert.deepEqual((await working).rows, [{ n: 5 }]);
    assert.equal(proxy.peak, 3);
    // The probe is gone as soon as it has its answer.
    await within(
      BOUND_MS,
      proxy.until(() => proxy.open <= 2),
    );
    assert.equal(pool.stats().connectionsLost, 1);
  });

  it('all lines go mute at once, and all of them are found out', async (t) => {
    const { proxy, pool } = await proxied(t, { min: 3, max: 3 });
    await pool.open();
    const running = [1, 2, 3].map(() => pool.query('SELECT pg_sleep(0.5)'));
    for (const one of running) one.catch(() => {});
    await runs(pool, '%pg_sleep%', 3);
    for (const line of sessionsAt(proxy)) await line.drop();
    await Promise.all(running.map(lost));
    assert.deepEqual((await within(BOUND_MS, pool.query('SELECT 1 AS one'))).rows, [{ one: 1 }]);
    assert.equal(pool.stats().connectionsLost, 3);
  });

  it('a lease that runs nothing, in or outside a transaction, is not touched, however silent it is', async (t) => {
    const { proxy, pool } = await proxied(t, { max: 2 });
    const lease = await pool.acquire();
    const rows = await pool.transaction(async (tx) => {
      await tx.query('SELECT 1');
      await sleep(4 * SILENT_MS); // the silence itself
      return (await tx.query('SELECT 2 AS n')).rows;
    });
    assert.deepEqual(rows, [{ n: 2 }]);
    assert.deepEqual((await lease.query('SELECT 3 AS n')).rows, [{ n: 3 }]);
    lease.release();
    const { connects, connectionsLost, retired } = pool.stats();
    assert.deepEqual([connects, connectionsLost, retired], [2, 0, {}]);
    assert.equal(proxy.accepted, 2);
  });

  it('a COPY that waits for rows is not touched', async (t) => {
    const { pool } = await proxied(t, { min: 2, max: 2 });
    await pool.open();
    const lease = await pool.acquire();
    await lease.query('CREATE TEMP TABLE filled (n int)');
    let wire: pg.Connection | undefined;
    const copied = new Promise<void>((resolve) => {
      const copying: pg.Submittable & { [handler: string]: unknown } = {
        submit: (connection: pg.Connection) => {
          wire = connection;
          connection.query('COPY filled FROM STDIN');
        },
        handleCopyInResponse() {},
        handleError() {},
        handleReadyForQuery: () => resolve(),
        handleCommandComplete() {},
      };
      lease.query(copying);
    });
    await runs(pool, 'COPY%');
    await sleep(4 * SILENT_MS); // the silence itself
    assert.ok(wire !== undefined);
    // CopyData with two rows, CopyDone.
    wire.stream.write(Buffer.from('d\0\0\0\x081\n2\nc\0\0\0\x04', 'latin1'));
    await within(BOUND_MS, copied);
    assert.equal((await lease.query('SELECT FROM filled')).rowCount, 2);
    lease.release();
    assert.deepEqual([pool.stats().connectionsLost, pool.stats().retired], [0, {}]);
  });

  it('a reply that its reader has stopped reading is not lost: it comes when he goes on', async (t) => {
    const { pool } = await proxied(t, { min: 2, max: 2 });
    await pool.open();
    const lease = await pool.acquire();
    const { stream } = lease.client.connection;
    const running = lease.query('SELECT 7 AS n FROM pg_sleep(0.1)');
    running.catch(() => {});
    stream.pause(); // as pipe() does for a slow consumer
    await sleep(4 * SILENT_MS); // the silence itself
    stream.resume();
    assert.deepEqual((await within(BOUND_MS, running)).rows, [{ n: 7 }]);
    lease.release();
    assert.deepEqual([pool.stats().connectionsLost, pool.stats().retired], [0, {}]);
  });

  it('nobody can be asked, since new connections hang too: a deadline holds all the same, and later it is found out', async (t) => {
    const { proxy, pool } = await proxied(t, { min: 2, max: 2, connectTimeoutMs: 500, returnTimeoutMs: 500 });
    await pool.open();
    const running = [1, 2].map((n) =>
      pool.query({ text: 'SELECT pg_sleep(0.5)', ...(n === 1 ? { timeoutMs: 1_500 } : {}) }),
    );
    for (const one of running) one.catch(() => {});
    await runs(pool, '%pg_sleep%', 2);
    for (const line of sessionsAt(proxy)) await line.drop();
    await proxy.deaf();
    const [limited, unlimited] = running;
    assert.ok(limited !== undefined && unlimited !== undefined);
    await within(3_000, rejection(limited, QueryTimeoutError));
    await proxy.serve();
    await lost(unlimited);
    assert.deepEqual((await within(BOUND_MS, pool.query('SELECT 1 AS one'))).rows, [{ one: 1 }]);
  });
});
