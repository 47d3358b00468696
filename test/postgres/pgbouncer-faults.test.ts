// What goes wrong behind PgBouncer: it is restarted, killed, frozen, paused or full, it refuses what the server would take, and the
// server behind it goes away. No borrower hangs, and every error says why.

import assert from 'node:assert/strict';
import nodeTest, { type TestContext } from 'node:test';
import {
  ConnectError,
  ConnectionLostError,
  type Pool,
  type PoolOptions,
  PoolTimeoutError,
  QueryTimeoutError,
} from '../../src/doors/index.ts';
import { eventually, rejection, withPool } from './harness.ts';
import { behindPgBouncer, type PgBouncer, type PgBouncerOptions, test, withPgBouncer } from './pgbouncer.ts';

const { server, admin, restartServer } = await behindPgBouncer(nodeTest);

interface Fixture {
  readonly bouncer: PgBouncer;
  readonly pool: Pool;
}

type Settings = PgBouncerOptions['settings'];

async function fixture(
  t: TestContext,
  mode: PgBouncerOptions['mode'],
  options: PoolOptions = {},
  settings: Settings = {},
): Promise<Fixture> {
  const bouncer = await withPgBouncer(t, { server: server(), mode, settings });
  return { bouncer, pool: withPool(t, { ...bouncer.config, pooler: mode, ...options }) };
}

/** How many sessions of the server run a sleep of this many seconds. */
async function sleepers(seconds: number): Promise<number> {
  const text = "SELECT FROM pg_stat_activity WHERE state = 'active' AND query = $1";
  return (await admin().query(text, [`SELECT pg_sleep(${seconds})`])).rowCount ?? 0;
}

const one = [{ one: 1 }];

/** Runs `work` while borrowers query without a pause, before it and after it; resolves with how many failed, and how. */
async function underLoad(pool: Pool, work: () => Promise<void>): Promise<unknown[]> {
  let stop = false;
  let served = 0;
  const failures: unknown[] = [];
  const borrowers = Array.from({ length: 8 }, async () => {
    while (!stop) {
      await pool.query('SELECT pg_sleep(0.002)').then(
        () => (served += 1),
        (error: unknown) => failures.push(error),
      );
    }
  });
  await eventually('a hundred are served', () => served >= 100);
  await work();
  const before = served;
  await eventually('a hundred more are served', () => served >= before + 100);
  stop = true;
  await Promise.all(borrowers);
  // What was refused without having been executed asked for another connection.
  assert.ok(pool.stats().requests >= served + failures.length);
  assert.deepEqual(pool.stats().requestsFailed, {});
  return failures;
}

for (const mode of ['session', 'transaction'] as const) {
  test(`a statement given up by timeout or signal ends on the server (${mode} mode)`, async (t) => {
    const { pool } = await fixture(t, mode, { max: 1 });
    const late = await rejection(pool.query({ text: 'SELECT pg_sleep(61)', timeoutMs: 200 }), QueryTimeoutError);
    assert.match(late.message, /did not end within 200 ms/);
    await eventually('it has ended', async () => (await sleepers(61)) === 0);
    const stop = new AbortController();
    const aborted = pool.query({ text: 'SELECT pg_sleep(62)', signal: stop.signal }).catch((error: unknown) => error);
    await eventually('it runs', async () => (await sleepers(62)) === 1);
    stop.abort(new Error('no longer wanted'));
    assert.equal(Reflect.get(Object(await aborted), 'message'), 'no longer wanted');
    assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, one);
    assert.equal(await sleepers(62), 0);
    assert.equal(pool.stats().connects, 1, 'the same connection all the time');
  });

  test(`a cancel hits nobody else: neither the next borrower nor another client on the same session (${mode} mode)`, async (t) => {
    const { bouncer, pool } = await fixture(t, mode, { max: 2 }, { default_pool_size: mode === 'session' ? 5 : 2 });
    const others = withPool(t, { ...bouncer.config, pooler: mode, max: 3 });
    let stop = false;
    let served = 0;
    const victims = Array.from({ length: 3 }, async () => {
      while (!stop) {
        await others.query('SELECT pg_sleep(0.01)');
        served += 1;
      }
    });
    for (let n = 0; n < 15; n += 1) {
      const leases = await Promise.all([pool.acquire(), pool.acquire()]);
      const sleeping = leases.map((lease) => lease.query({ text: 'SELECT pg_sleep(63)', timeoutMs: 10 + n }));
      await Promise.all(sleeping.map((asleep) => rejection(asleep, QueryTimeoutError)));
      for (const lease of leases) lease.release();
      const next = await Promise.all([1, 2].map(() => pool.query('SELECT 1 AS one FROM pg_sleep(0.01)')));
      for (const { rows } of next) assert.deepEqual(rows, one);
    }
    stop = true;
    await Promise.all(victims);
    assert.ok(served > 0);
    assert.equal(await sleepers(63), 0);
  });

  for (const how of ['stop', 'kill'] as const) {
    test(`a restart of PgBouncer under load loses what ran, and nothing hangs (${mode} mode, ${how})`, async (t) => {
      const { bouncer, pool } = await fixture(t, mode, { min: 1, max: 4 });
      const failures = await underLoad(pool, () => bouncer.restart(how));
      for (const error of failures) assert.ok(error instanceof ConnectionLostError, String(error));
      assert.ok(failures.length <= 8, `${failures.length} failed`);
    });
  }

  test(`a restart of the server behind it under load: the pool recovers by itself (${mode} mode)`, async (t) => {
    const { pool } = await fixture(t, mode, { min: 1, max: 4 });
    const failures = await underLoad(pool, restartServer);
    // What ran then is lost; what PgBouncer refused afterwards, while it went on accepting clients, was not sent to anybody.
    for (const error of failures) assert.ok(error instanceof ConnectionLostError, String(error));
    assert.ok(failures.length <= 8, `${failures.length} failed`);
  });

  test(`a PgBouncer that is frozen is a timeout which says that the connect had no answer (${mode} mode)`, async (t) => {
    const { bouncer, pool } = await fixture(t, mode, {
      max: 2,
      check: 'always',
      checkTimeoutMs: 100,
      connectTimeoutMs: 300,
    });
    await pool.query('SELECT 1');
    bouncer.freeze();
    try {
      const waited = await rejection(pool.query({ text: 'SELECT 1', timeoutMs: 1_000 }), PoolTimeoutError);
      assert.match(waited.message, /the last connect failed .*no answer within connectTimeoutMs \(300 ms\)/);
      assert.match(waited.message, /1 returning or being checked/);
    } finally {
      bouncer.thaw();
    }
    assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, one);
  });

  test(`a query that runs when PgBouncer freezes ends by its deadline, and the pool serves after the thaw (${mode} mode)`, async (t) => {
    const { bouncer, pool } = await fixture(t, mode, { max: 1, returnTimeoutMs: 300 });
    const running = rejection(pool.query({ text: 'SELECT pg_sleep(64)', timeoutMs: 700 }), QueryTimeoutError);
    await eventually('it runs', async () => (await sleepers(64)) === 1);
    bouncer.freeze();
    try {
      await running;
    } finally {
      bouncer.thaw();
    }
    assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, one);
    await eventually('the statement has ended', async () => (await sleepers(64)) === 0);
  });

  test(`while its console says PAUSE each wait ends by its deadline, and after RESUME all are served (${mode} mode)`, async (t) => {
    const { bouncer, pool } = await fixture(t, mode, { max: 2, returnTimeoutMs: 500 });
    // PAUSE waits for clients to leave their sessions, and a login while it lasts waits unless there was one before.
    const earlier = withPool(t, { ...bouncer.config, pooler: mode });
    await earlier.query('SELECT 1');
    await earlier.close();
    await bouncer.ask('PAUSE');
    // A new connection has to prove that a server can be reached through it, and that waits.
    await rejection(pool.query({ text: 'SELECT 1', timeoutMs: 200 }), PoolTimeoutError);
    const patient = pool.query('SELECT 1 AS one');
    await eventually('it waits there', async () => {
      const pools = await bouncer.ask('SHOW POOLS');
      return pools.some(({ cl_waiting }) => Number(cl_waiting) > 0);
    });
    await bouncer.ask('RESUME');
    assert.deepEqual((await patient).rows, one);
    assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, one);
  });

  test(`max_client_conn is a full server: waiters are kept and served by returns (${mode} mode)`, async (t) => {
    const gaveUp: unknown[] = [];
    const { pool } = await fixture(
      t,
      mode,
      { max: 5, reconnectTimeoutMs: 50, onReconnectFailed: (_, error) => gaveUp.push(error) },
      { max_client_conn: 2 },
    );
    const leases = await Promise.all([pool.acquire(), pool.acquire()]);
    const waiting = Array.from({ length: 10 }, () => pool.query('SELECT 1 AS one'));
    const impatient = await rejection(pool.acquire({ acquireTimeoutMs: 300 }), PoolTimeoutError);
    assert.match(impatient.message, /no more connections allowed/);
    assert.equal(Reflect.get(Object(impatient.cause), 'code'), '08P01');
    for (const lease of leases) lease.release();
    for (const { rows } of await Promise.all(waiting)) assert.deepEqual(rows, one);
    assert.deepEqual(gaveUp, [], 'a full pooler is no outage');
    assert.ok(pool.stats().connectsFailed < 20, `${pool.stats().connectsFailed} attempts`);
  });

  test(`a full PgBouncer still takes a cancel (${mode} mode)`, async (t) => {
    const { pool } = await fixture(t, mode, { max: 2 }, { max_client_conn: 2 });
    const [lease] = await Promise.all([pool.acquire(), pool.query('SELECT 1')]);
    await rejection(lease.query({ text: 'SELECT pg_sleep(65)', timeoutMs: 100 }), QueryTimeoutError);
    assert.deepEqual((await lease.query('SELECT 1 AS one')).rows, one);
    assert.equal(await sleepers(65), 0);
    lease.release();
    assert.equal(pool.stats().connectionsLost, 0);
  });

  test(`query_wait_timeout costs whoever waited, names itself, and the pool goes on (${mode} mode)`, async (t) => {
    const options = { max: 1, acquireTimeoutMs: 2_500 };
    const { bouncer, pool } = await fixture(t, mode, options, { default_pool_size: 1, query_wait_timeout: 1 });
    const hog = withPool(t, { ...bouncer.config, pooler: mode, max: 1 });
    const lease = await hog.acquire();
    await lease.query('BEGIN');
    // The connection itself has to wait for a server: that failed connect is absorbed until the deadline.
    const lost = await rejection(pool.query('SELECT 1'), PoolTimeoutError);
    assert.match(lost.message, /query_wait_timeout/);
    assert.equal(Reflect.get(Object(lost.cause), 'code'), '08P01');
    await lease.query('COMMIT');
    lease.release(true);
    assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, one);
  });
}

for (const refused of [
  { statement_timeout: 1_000 },
  { lock_timeout: 1_000 },
  { idle_in_transaction_session_timeout: 1_000 },
  { options: '-c search_path=elsewhere' },
]) {
  const [name = ''] = Object.keys(refused);
  test(`${name} as a parameter of the start is refused by PgBouncer, and the error says at once what to do`, async (t) => {
    const { bouncer, pool } = await fixture(t, 'transaction', refused);
    const began = performance.now();
    const error = await rejection(pool.query('SELECT 1'), ConnectError);
    assert.ok(performance.now() - began < 5_000, 'nobody waits for what cannot come');
    assert.equal(error.transient, false);
    assert.equal(error.code, '08P01');
    assert.match(error.message, new RegExp(`unsupported startup parameter: ${name}`));
    assert.match(error.message, /PgBouncer/);
    assert.match(error.message, /ALTER ROLE/);
    assert.match(error.message, /ignore_startup_parameters/);
    const opening = withPool(t, { ...bouncer.config, ...refused });
    await rejection(opening.open(), ConnectError);
    assert.equal(opening.phase, 'created');
  });

  test(`${name} in ignore_startup_parameters is dropped on the way`, async (t) => {
    const { pool } = await fixture(t, 'transaction', refused, { ignore_startup_parameters: name });
    assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, one);
  });
}
