// Lines between pool and server that break, stall or go mute, while connections are idle, lent, in a transaction or in the middle of a
// reply. The sockets are counted at the proxy in every test (through-proxy.ts). Closes, connects and cancels that hang: hung-lines.test.ts.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectionLostError, type Pool, type PoolOptions } from '../../src/doors/index.ts';
import type { FaultProxy } from '../../src/testing/fault-proxy.ts';
import { eventually, rejection, withClient, withServer } from './harness.ts';
import { type Proxied, sessionsAt, throughProxy, timed } from './through-proxy.ts';

const server = await withServer(test, { url: false });
const admin = await withClient(test, server.config);
await admin.query('CREATE TABLE kept (n int)');

function proxied(t: TestContext, options: PoolOptions & { max: number }): Promise<Proxied> {
  return throughProxy(t, { config: server.config }, options);
}

/** Every connection used at least once, so that its line is known to be good. */
async function warm(pool: Pool, count: number): Promise<void> {
  const leases = await Promise.all(Array.from({ length: count }, () => pool.acquire()));
  await Promise.all(leases.map((lease) => lease.query('SELECT 1')));
  for (const lease of leases) lease.release();
}

function active(pool: Pool, like: string): Promise<void> {
  return eventually(`it runs ${like}`, async () => {
    const { rowCount } = await admin.query(
      `SELECT FROM pg_stat_activity WHERE application_name = $1 AND state = 'active' AND query LIKE $2`,
      [pool.name, like],
    );
    return (rowCount ?? 0) > 0;
  }).then(() => {});
}

for (const checkTimeoutMs of [100, 1_000]) {
  test(`a stall of 500 ms with idle, lent, in a transaction and waiting, checks of ${checkTimeoutMs} ms: nothing fails or is opened anew`, async (t) => {
    const { proxy, pool } = await proxied(t, { min: 4, max: 4, checkAfterIdleMs: 0, checkTimeoutMs });
    await pool.open();
    await admin.query('TRUNCATE kept');
    const lease = await pool.acquire();
    const running = pool.query('SELECT 1 AS n FROM pg_sleep(0.3)');
    let enter = (): void => {};
    const inside = new Promise<void>((resolve) => {
      enter = resolve;
    });
    let goOn = (): void => {};
    const stalled = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const committed = pool.transaction(async (tx) => {
      await tx.query('INSERT INTO kept VALUES (1)');
      enter();
      await stalled;
      await tx.query('INSERT INTO kept VALUES (2)');
    });
    await inside;
    await proxy.stall();
    goOn();
    const waiting = Array.from({ length: 8 }, (_, n) => pool.query('SELECT $1::int AS n', [n]));
    const asked = lease.query('SELECT 2 AS n');
    await sleep(500); // the stall itself
    assert.ok(pool.waitingCount > 0);
    await proxy.resume();
    assert.deepEqual((await asked).rows, [{ n: 2 }]);
    lease.release();
    await committed;
    assert.deepEqual((await running).rows, [{ n: 1 }]);
    assert.deepEqual(
      (await Promise.all(waiting)).map(({ rows }) => rows),
      Array.from({ length: 8 }, (_, n) => [{ n }]),
    );
    assert.equal((await admin.query('SELECT FROM kept')).rowCount, 2);
    await eventually('all are idle', () => pool.idleCount === 4);
    const { connects, connectionsLost, retired, requestsFailed } = pool.stats();
    assert.deepEqual([connects, connectionsLost, retired, requestsFailed], [4, 0, {}, {}]);
    assert.deepEqual([proxy.accepted, proxy.cancels], [4, 0]);
  });
}

const BREAKS: Record<string, (proxy: FaultProxy) => Promise<void>> = {
  'cut (FIN)': (proxy) => proxy.cut(),
  'reset (RST)': (proxy) => proxy.reset(),
  "half closed from the server's side": (proxy) => proxy.halfClose('toClient'),
};

for (const [how, sever] of Object.entries(BREAKS)) {
  test(`lines ${how} under idle, lent, running, in a transaction and waiting: holders are told, waiters are served`, async (t) => {
    const { proxy, pool } = await proxied(t, { min: 4, max: 4 });
    await pool.open();
    const lease = await pool.acquire();
    const client = await pool.connect();
    const running = rejection(pool.query('SELECT pg_sleep(60)'), ConnectionLostError);
    const transacting = rejection(
      pool.transaction(async (tx) => {
        await tx.query('INSERT INTO kept VALUES (3)');
        await tx.query('SELECT pg_sleep(60)');
      }),
      ConnectionLostError,
    );
    await eventually('all are lent', () => pool.snapshot().lent === 4);
    await active(pool, '%pg_sleep%');
    const waiting = Array.from({ length: 6 }, (_, n) => pool.query('SELECT $1::int AS n', [n]));
    assert.equal(pool.waitingCount, 6);
    await sever(proxy);
    assert.deepEqual(
      (await Promise.all(waiting)).map(({ rows }) => rows),
      Array.from({ length: 6 }, (_, n) => [{ n }]),
    );
    for (const error of await Promise.all([running, transacting])) assert.equal(error.mayHaveExecuted, true);
    assert.equal(lease.signal.aborted, true);
    await rejection(lease.query('SELECT 1'), ConnectionLostError);
    await rejection(client.query('SELECT 1'), Error);
    lease.release();
    client.release();
    assert.equal((await admin.query('SELECT FROM kept WHERE n = 3')).rowCount, 0);
    await eventually('min is idle again', () => pool.idleCount === 4);
    assert.deepEqual([pool.stats().connectionsLost, pool.snapshot().size], [4, 4]);
  });
}

test('a line that breaks in the middle of a row fails that query, and the next ones are served', async (t) => {
  const { proxy, pool } = await proxied(t, { max: 1 });
  const ROWS = "SELECT n, repeat('x', 1000) AS filling FROM generate_series(1, 1000) AS n";
  const ends: Record<string, () => Promise<void>> = { FIN: () => proxy.cut(), RST: () => proxy.reset() };
  for (const [how, end] of Object.entries(ends)) {
    await warm(pool, 1);
    const [connection] = sessionsAt(proxy);
    assert.ok(connection !== undefined);
    const before = connection.toClient.passed;
    const reached = connection.stallAfter(100_500);
    const query = rejection(pool.query(ROWS), ConnectionLostError);
    const next = pool.query('SELECT 1 AS one');
    await reached;
    assert.equal(connection.toClient.passed - before, 100_500, how);
    await end();
    assert.equal((await query).mayHaveExecuted, true, how);
    assert.deepEqual((await next).rows, [{ one: 1 }], how);
    const { rows } = await pool.query<{ n: number }>(ROWS);
    assert.equal(rows.length, 1000);
  }
  assert.equal(pool.stats().connectionsLost, 2);
});

test('a COMMIT whose answer is lost was executed: the error says that it may have been, and it is not repeated', async (t) => {
  const { proxy, pool } = await proxied(t, { max: 2 });
  let tries = 0;
  const error = rejection(
    pool.transaction(
      async (tx) => {
        tries += 1;
        await tx.query('INSERT INTO kept VALUES (4)');
        await sessionsAt(proxy)[0]?.stall('toClient');
      },
      { retries: 3 },
    ),
    ConnectionLostError,
  );
  await eventually('it is there', async () => {
    const { rowCount } = await admin.query('SELECT FROM kept WHERE n = 4');
    return rowCount === 1;
  });
  await proxy.reset();
  assert.equal((await error).mayHaveExecuted, true);
  assert.equal(tries, 1);
  assert.deepEqual((await pool.query('SELECT n FROM kept WHERE n = 4')).rows, [{ n: 4 }]);
});

for (const way of ['toServer', 'toClient', 'both'] as const) {
  test(`all idle lines go mute (${way}): the next borrowers are served by new ones within the bound of a check`, async (t) => {
    const { proxy, pool } = await proxied(t, { max: 6, checkAfterIdleMs: 0 });
    await warm(pool, 3);
    const mute = sessionsAt(proxy);
    assert.equal(mute.length, 3);
    for (const connection of mute) await connection.drop(way);
    const asked = Array.from({ length: 6 }, (_, n) => pool.query('SELECT $1::int AS n', [n]));
    const { value, ms } = await timed(Promise.all(asked));
    assert.deepEqual(
      value.map(({ rows }) => rows),
      Array.from({ length: 6 }, (_, n) => [{ n }]),
    );
    // One second for an answer that does not come, and a connect.
    assert.ok(ms < 3_000, `served after ${Math.round(ms)} ms`);
    assert.deepEqual(pool.stats().requestsFailed, {});
  });
}

test('all lines go mute and there is no room for new ones: borrowers are served when those put aside are given up', async (t) => {
  const { proxy, pool } = await proxied(t, { max: 3, checkAfterIdleMs: 0 });
  await warm(pool, 3);
  for (const connection of sessionsAt(proxy)) await connection.drop();
  const asked = Array.from({ length: 6 }, (_, n) => pool.query('SELECT $1::int AS n', [n]));
  const { value, ms } = await timed(Promise.all(asked));
  assert.equal(value.length, 6);
  // One second for the answer, two aside because somebody waits, and a connect.
  assert.ok(ms < 6_000, `served after ${Math.round(ms)} ms`);
  // Those that nobody needs may still answer.
  assert.ok(pool.snapshot().size <= 3);
});

test('one of three idle lines goes mute: the others serve at once', async (t) => {
  const { proxy, pool } = await proxied(t, { min: 3, max: 3, checkAfterIdleMs: 0, checkTimeoutMs: 5_000 });
  await pool.open();
  const lease = await pool.acquire();
  const localPort: unknown = Reflect.get(lease.client.connection.stream, 'localPort');
  const connection = sessionsAt(proxy).find(({ clientPort }) => clientPort === localPort);
  lease.release();
  assert.ok(connection !== undefined);
  // The warmest: it is the first to be asked.
  await connection.drop();
  const { ms } = await timed(Promise.all(Array.from({ length: 12 }, () => pool.query('SELECT 1'))));
  assert.ok(ms < 4_000, `served after ${Math.round(ms)} ms, though two lines are good`);
  assert.equal(proxy.accepted, 3);
});

test('half open: the server has ended a session and its end is hidden; its borrower is served by another', async (t) => {
  const { proxy, pool } = await proxied(t, { min: 2, max: 2, checkAfterIdleMs: 0 });
  await pool.open();
  const old = sessionsAt(proxy);
  // Neither the server's last words nor its FIN arrive.
  for (const connection of old) await connection.drop('toClient');
  await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [pool.name]);
  assert.equal(pool.idleCount, 2);
  const { value, ms } = await timed(Promise.all([1, 2, 3].map((n) => pool.query('SELECT $1::int AS n', [n]))));
  assert.deepEqual(
    value.map(({ rows }) => rows),
    [[{ n: 1 }], [{ n: 2 }], [{ n: 3 }]],
  );
  assert.ok(ms < 6_000, `served after ${Math.round(ms)} ms`);
});

test('a line that goes mute under a lease: its query ends at its deadline, and the place is free within returnTimeoutMs', async (t) => {
  const { proxy, pool } = await proxied(t, { max: 1, returnTimeoutMs: 400 });
  const lease = await pool.acquire();
  await lease.query('SELECT 1');
  await proxy.connections[0]?.drop();
  const { value: error, ms } = await timed(rejection(lease.query({ text: 'SELECT 1', timeoutMs: 200 }), Error));
  assert.equal(Reflect.get(error, 'kind'), 'QUERY_TIMEOUT');
  assert.ok(ms < 3_000, `rejected after ${Math.round(ms)} ms`);
  lease.release();
  const next = await timed(pool.query('SELECT 1 AS one'));
  assert.deepEqual(next.value.rows, [{ one: 1 }]);
  assert.ok(next.ms < 2_500, `served after ${Math.round(next.ms)} ms`);
});
