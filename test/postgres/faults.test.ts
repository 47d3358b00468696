// What befalls a pool from outside: sessions that are ended while idle, lent or in a transaction, and servers that restart.
// Owns its server: it is restarted under the pools of these tests, one test after the other.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import type pg from 'pg';
import { ConnectionLostError, type Pool, type PoolOptions } from '../../src/doors/index.ts';
import {
  backends,
  eventually,
  killBackend,
  pidOf,
  rejection,
  reports,
  withClient,
  withPool,
  withServer,
} from './harness.ts';

const server = await withServer(test, { url: false });

function pool(t: TestContext, options: PoolOptions = {}): Pool {
  return withPool(t, { ...server.config, ...options });
}

/** Somebody else's session, made anew for each test: restarts end it too. */
function outsider(t: TestContext): Promise<pg.Client> {
  return withClient(t, server.config);
}

test('idle connections that are killed are noticed by themselves, and nobody hears an error', async (t) => {
  const one = pool(t, { max: 3 });
  const admin = await outsider(t);
  const leases = await Promise.all([one.acquire(), one.acquire(), one.acquire()]);
  const pids = await Promise.all(leases.map(pidOf));
  for (const lease of leases) lease.release();
  for (const pid of pids) await killBackend(admin, pid);
  await eventually('the pool has let them go', () => one.snapshot().size === 0);
  assert.equal(one.stats().connectionsLost, 3);
  assert.deepEqual((await one.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
});

test('min is restored by itself after idle connections were killed', async (t) => {
  const one = await pool(t, { min: 2, max: 4 }).open();
  const admin = await outsider(t);
  const pids = await one.use(async (a) => [await pidOf(a), await one.use(pidOf)]);
  for (const pid of pids) await killBackend(admin, pid);
  await eventually('two new ones are idle', () => one.stats().connectionsLost === 2 && one.idleCount === 2);
  const { size } = one.snapshot();
  assert.equal(size, 2);
});

test('a killed connection is never lent, not even in the turn in which it dies', async (t) => {
  const one = pool(t, { max: 2 });
  const admin = await outsider(t);
  for (let n = 0; n < 10; n += 1) {
    const pid = await pidOf(one);
    await admin.query('SELECT pg_terminate_backend($1)', [pid]);
    // Its death may not have come in yet: the query either finds out in time or was never given that connection.
    const outcome: unknown = await one.query('SELECT 1').catch((error: unknown) => error);
    if (outcome instanceof Error) assert.ok(outcome instanceof ConnectionLostError, String(outcome));
    assert.deepEqual((await one.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  }
});

test('a raw client that is lent when it dies crashes nothing, though nobody listens, and its release is quiet', async (t) => {
  const one = pool(t, { max: 1 });
  const admin = await outsider(t);
  const client = await one.connect();
  await killBackend(admin, await pidOf(client));
  await eventually('the pool knows', () => one.stats().connectionsLost === 1);
  await rejection(client.query('SELECT 1'), Error);
  client.release();
  assert.deepEqual((await one.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
});

test('a waiter is served by a replacement when the only connection dies while it is lent', async (t) => {
  const one = pool(t, { max: 1 });
  const admin = await outsider(t);
  const lease = await one.acquire();
  const waiting = one.query('SELECT 1 AS one');
  await killBackend(admin, await pidOf(lease));
  assert.deepEqual((await waiting).rows, [{ one: 1 }]);
  lease.release();
});

test('a backend killed in a transaction loses the transaction and nothing else', async (t) => {
  const one = pool(t, { max: 1 });
  const admin = await outsider(t);
  await admin.query('CREATE TABLE survivors (n int)');
  const lease = await one.acquire();
  await lease.query('BEGIN; INSERT INTO survivors VALUES (1)');
  await killBackend(admin, await pidOf(lease));
  await rejection(lease.query('COMMIT'), ConnectionLostError);
  lease.release();
  assert.deepEqual((await one.query('SELECT * FROM survivors')).rows, []);
});

test("a user's own error listener on the client hears the death, and the pool's stays", async (t) => {
  const one = pool(t, { max: 1 });
  const admin = await outsider(t);
  const client = await one.connect();
  const heard = new Promise<Error>((resolve) => client.once('error', resolve));
  await killBackend(admin, await pidOf(client));
  assert.equal(Reflect.get(await heard, 'code'), '57P01');
  assert.ok(client.listenerCount('error') > 0);
  client.release();
});

test('an error event on a client, idle or lent, crashes nothing', async (t) => {
  const one = pool(t, { max: 1 });
  const client = await one.connect();
  client.removeAllListeners('notice');
  client.emit('error', new Error('made up'));
  client.release();
  await eventually('it is given up', () => one.stats().connectionsLost === 1);
  const next = await one.connect();
  assert.notEqual(next, client);
  next.release();
  next.emit('error', new Error('made up'));
  assert.deepEqual((await one.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
});

const SEVERED: Record<string, (client: pg.PoolClient) => void> = {
  'ended the client': (client) => void client.end(),
  "ended the client's connection": (client) => client.connection.end(),
  'ended the stream': (client) => void client.connection.stream.end(),
  'destroyed the stream': (client) => void client.connection.stream.destroy(),
};

for (const [how, sever] of Object.entries(SEVERED)) {
  test(`a client whose borrower ${how} is not lent again, though given back in the same turn`, async (t) => {
    const one = pool(t, { max: 1 });
    const client = await one.connect();
    sever(client);
    client.release();
    assert.equal(one.idleCount, 0);
    const next = await one.connect();
    assert.notEqual(next, client);
    assert.deepEqual((await next.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
    next.release();
    assert.equal(one.snapshot().size, 1);
  });
}

test('a frozen server is a timeout with figures, and the pool serves when it thaws', async (t) => {
  const one = pool(t, { max: 1, check: 'always', checkTimeoutMs: 100 });
  await one.query('SELECT 1');
  server.pause();
  try {
    await rejection(one.query({ text: 'SELECT 1', timeoutMs: 400 }), Error);
  } finally {
    server.resume();
  }
  assert.deepEqual((await one.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
});

for (const mode of ['fast', 'immediate'] as const) {
  test(`a ${mode} restart: idle, lent and waiting; the pool recovers by itself and restores min`, async (t) => {
    const heard = reports();
    const one = await pool(t, { min: 2, max: 4, logger: heard.logger }).open();
    const lease = await one.acquire();
    const [client, inside] = await Promise.all([one.connect(), one.acquire()]);
    await inside.query('BEGIN');
    const running = one.query('SELECT pg_sleep(60)').catch((error: unknown) => error);
    await eventually('all four are lent', () => one.snapshot().lent === 4);
    const waiting = one.query('SELECT 1 AS one');
    await server.restart(mode);
    assert.deepEqual((await waiting).rows, [{ one: 1 }]);
    assert.ok((await running) instanceof ConnectionLostError);
    for (const dead of [lease, inside]) await rejection(dead.query('SELECT 1'), ConnectionLostError);
    await rejection(client.query('SELECT 1'), Error);
    for (const dead of [lease, inside, client]) dead.release();
    await eventually('min is idle again', () => one.idleCount >= 2);
    const admin = await outsider(t);
    assert.equal(await backends(admin, one.name), one.snapshot().size);
    const { connects, connectsFailed, connectionsLost, size, retired } = one.stats();
    const ended = Object.values(retired).reduce((sum, n) => sum + n, 0);
    assert.equal(connects, connectsFailed + connectionsLost + ended + size);
  });
}

test('a restart under load loses no request without a cause, and none hangs', async (t) => {
  const one = await pool(t, { min: 1, max: 4 }).open();
  const seen = { lent: 0, returned: 0, lostWhileLent: 0 };
  one.observe({
    lent: () => (seen.lent += 1),
    returned: () => (seen.returned += 1),
    lost: ({ state }) => (seen.lostWhileLent += state === 'lent' ? 1 : 0),
  });
  let stop = false;
  let served = 0;
  const failures: unknown[] = [];
  const borrowers = Array.from({ length: 8 }, async () => {
    while (!stop) {
      await one.query('SELECT pg_sleep(0.002)').then(
        () => (served += 1),
        (error: unknown) => failures.push(error),
      );
    }
  });
  await eventually('a hundred are served', () => served >= 100);
  await server.restart('fast');
  const before = served;
  await eventually('a hundred more are served', () => served >= before + 100);
  stop = true;
  await Promise.all(borrowers);
  for (const error of failures) assert.ok(error instanceof ConnectionLostError, String(error));
  assert.ok(failures.length <= 8, `${failures.length} failed`);
  const { connectionsLost, requests, requestsFailed, returns } = one.stats();
  assert.deepEqual(requestsFailed, {});
  assert.equal(requests, seen.lent);
  assert.equal(seen.lent, seen.returned + seen.lostWhileLent);
  assert.equal(returns, seen.returned);
  // Whoever finds his connection gone before anything was sent asks for another one: once more for a connection that was lost, at most.
  const askedAgain = requests - served - failures.length;
  assert.ok(askedAgain >= 0 && askedAgain <= connectionsLost, `${askedAgain} of ${connectionsLost}`);
});
