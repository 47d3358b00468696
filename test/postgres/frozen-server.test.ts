// Server processes that stop for a while and go on: one backend, with a statement or at rest, and all of them. Owns its server: it is
// stopped under the pools of these tests. A freeze of the pool's own process: frozen-process.test.ts.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { QueryTimeoutError } from '../../src/doors/index.ts';
import { backends, eventually, pidOf, rejection, withClient, withPool, withServer } from './harness.ts';

const server = await withServer(test, { url: false });
const admin = await withClient(test, server.config);

/** Stops one backend; it goes on with what is returned, at the latest at the end of the test. */
function stopped(t: TestContext, pid: number): () => void {
  let done = false;
  const goOn = (): void => {
    if (done) return;
    done = true;
    process.kill(pid, 'SIGCONT');
  };
  process.kill(pid, 'SIGSTOP');
  t.after(goOn);
  return goOn;
}

async function state(pid: number): Promise<string | undefined> {
  const { rows } = await admin.query<{ query: string }>(
    `SELECT query FROM pg_stat_activity WHERE pid = $1 AND state = 'active'`,
    [pid],
  );
  return rows[0]?.query;
}

test('a backend stops under a statement: that one waits and ends well, all others are served meanwhile', async (t) => {
  const pool = await withPool(t, { ...server.config, min: 3, max: 3 }).open();
  const lease = await pool.acquire();
  const pid = await pidOf(lease);
  let over = false;
  const slow = lease.query('SELECT 7 AS n FROM pg_sleep(0.2)').finally(() => {
    over = true;
  });
  await eventually('it runs', async () => (await state(pid))?.includes('pg_sleep'));
  const goOn = stopped(t, pid);
  const began = performance.now();
  for (let n = 0; n < 20; n += 1) {
    const served = await Promise.all([1, 2, 3, 4].map((one) => pool.query('SELECT $1::int AS n', [one])));
    assert.deepEqual(
      served.map(({ rows }) => rows),
      [[{ n: 1 }], [{ n: 2 }], [{ n: 3 }], [{ n: 4 }]],
    );
  }
  // Longer than the statement would have taken.
  await eventually('the time of the statement is over', () => performance.now() > began + 400);
  assert.equal(over, false);
  goOn();
  assert.deepEqual((await slow).rows, [{ n: 7 }]);
  lease.release();
  const { connects, connectionsLost, retired } = pool.stats();
  assert.deepEqual([connects, connectionsLost, retired], [3, 0, {}]);
});

test('a statement on a backend that stopped is given up at once, and its connection is replaced within returnTimeoutMs', async (t) => {
  const pool = await withPool(t, { ...server.config, max: 1, returnTimeoutMs: 500 }).open();
  const pid = await pidOf(pool);
  const running = pool.query({ text: 'SELECT pg_sleep(60)', timeoutMs: 600 });
  await eventually('it runs', async () => (await state(pid))?.includes('pg_sleep'));
  const goOn = stopped(t, pid);
  const waiting = pool.query('SELECT pg_backend_pid() AS pid');
  await rejection(running, QueryTimeoutError);
  const gaveUp = performance.now();
  const { rows } = await waiting;
  const waitedMs = performance.now() - gaveUp;
  assert.notDeepEqual(rows, [{ pid }]);
  assert.ok(waitedMs < 3_000, `served after ${Math.round(waitedMs)} ms`);
  assert.equal(pool.snapshot().size, 1);
  goOn();
  // The cancel reached it, and then the end of its socket.
  await eventually('its session is gone', async () => (await backends(admin, pool.name)) === 1);
});

test('an idle backend stops: it is put aside, others are served by others, and it is kept when it goes on', async (t) => {
  const pool = await withPool(t, { ...server.config, min: 3, max: 3, checkAfterIdleMs: 0, checkTimeoutMs: 100 }).open();
  // The warmest is lent first: it is the one that stops.
  const pid = await pidOf(pool);
  const goOn = stopped(t, pid);
  const began = performance.now();
  const served = await Promise.all(Array.from({ length: 20 }, () => pidOf(pool)));
  assert.ok(!served.includes(pid));
  const ms = performance.now() - began;
  assert.ok(ms < 2_000, `twenty were served after ${Math.round(ms)} ms`);
  await sleep(500); // its answer is late by now
  assert.equal(pool.snapshot().returning, 1);
  goOn();
  await eventually('three are idle', () => pool.idleCount === 3);
  const { connects, connectionsLost, retired } = pool.stats();
  assert.deepEqual([connects, connectionsLost, retired], [3, 0, {}]);
  const pids = new Set(await Promise.all([1, 2, 3].map(() => pool.use(async (lease) => held(pidOf(lease))))));
  assert.ok(pids.has(pid), 'it is lent again');
});

/** Long enough that three at a time are on three connections. */
async function held(pid: Promise<number>): Promise<number> {
  const found = await pid;
  await sleep(50);
  return found;
}

test('the only backend stops while idle: its borrower is served by a replacement within the bound of one put aside', async (t) => {
  const pool = await withPool(t, { ...server.config, max: 1, checkAfterIdleMs: 0 }).open();
  const pid = await pidOf(pool);
  const goOn = stopped(t, pid);
  const began = performance.now();
  assert.notEqual(await pidOf(pool), pid);
  const ms = performance.now() - began;
  // One second for the answer, two aside, and a connect.
  assert.ok(ms < 6_000, `served after ${Math.round(ms)} ms`);
  assert.deepEqual([pool.snapshot().size, pool.stats().retired], [1, { check: 1 }]);
  goOn();
  await eventually('its session is gone', async () => (await backends(admin, pool.name)) === 1);
});

test('the whole server stops, with idle, lent, running, in a transaction and waiting: when it goes on all end well', async (t) => {
  const pool = await withPool(t, { ...server.config, min: 4, max: 4, checkAfterIdleMs: 0, checkTimeoutMs: 200 }).open();
  await admin.query('CREATE TABLE outlasted (n int)');
  const lease = await pool.acquire();
  const running = pool.query('SELECT 2 AS n FROM pg_sleep(0.1)');
  let enter = (): void => {};
  const inside = new Promise<void>((resolve) => {
    enter = resolve;
  });
  let goOn = (): void => {};
  const frozen = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const committed = pool.transaction(async (tx) => {
    await tx.query('INSERT INTO outlasted VALUES (1)');
    enter();
    await frozen;
    await tx.query('INSERT INTO outlasted VALUES (2)');
  });
  await inside;
  server.pause();
  try {
    const waiting = Array.from({ length: 6 }, (_, n) => pool.query('SELECT $1::int AS n', [n]));
    goOn();
    const asked = lease.query('SELECT 1 AS n');
    await sleep(700); // the freeze itself
    server.resume();
    assert.deepEqual((await asked).rows, [{ n: 1 }]);
    lease.release();
    assert.deepEqual((await running).rows, [{ n: 2 }]);
    await committed;
    assert.deepEqual(
      (await Promise.all(waiting)).map(({ rows }) => rows),
      Array.from({ length: 6 }, (_, n) => [{ n }]),
    );
  } finally {
    server.resume();
  }
  assert.equal((await admin.query('SELECT FROM outlasted')).rowCount, 2);
  await eventually('four are idle', () => pool.idleCount === 4);
  const { connects, connectionsLost, retired, requestsFailed } = pool.stats();
  assert.deepEqual([connects, connectionsLost, retired, requestsFailed], [4, 0, {}, {}]);
});
