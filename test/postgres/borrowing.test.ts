// Borrowing on a real server: acquire, tryAcquire, use, leases, waiting and its ends. Transactions and what a return costs have
// files of their own.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import pg from 'pg';
import {
  ConnectionLostError,
  LeaseError,
  OptionError,
  type Pool,
  type PoolOptions,
  PoolTimeoutError,
} from '../../src/doors/index.ts';
import { eventually, killBackend, pidOf, rejection, withClient, withPool, withServer } from './harness.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);

function pool(t: TestContext, options: PoolOptions = {}): Pool {
  return withPool(t, { ...server.config, ...options });
}

/** Resolves when `signal` aborts, with its reason. */
function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    signal.addEventListener('abort', () => resolve(signal.reason));
  });
}

test('a lease queries, tells who it is, and gives its connection back', async (t) => {
  const one = pool(t, { max: 1 });
  const lease = await one.acquire({ label: 'report' });
  assert.deepEqual((await lease.query('SELECT $1::int AS n', [3])).rows, [{ n: 3 }]);
  assert.ok(lease.client instanceof pg.Client);
  assert.ok(lease.heldMs >= 0);
  assert.ok(Number.isInteger(lease.id));
  const [holder, ...others] = one.holders();
  assert.deepEqual(others, []);
  assert.equal(holder?.label, 'report');
  assert.equal(holder?.id, lease.id);
  assert.equal(holder?.busy, false);
  assert.equal(holder?.pid, await pidOf(lease));
  assert.equal(one.holders()[0]?.lastStatement, 'SELECT pg_backend_pid() AS pid');
  lease.release();
  assert.deepEqual(one.holders(), []);
  assert.equal(one.idleCount, 1);
});

test('holders shows a running statement as busy, and the longest held first', async (t) => {
  const one = pool(t, { max: 2 });
  const first = await one.acquire({ label: 'first' });
  const second = await one.acquire({ label: 'second' });
  const running = second.query('SELECT pg_sleep(0.2)');
  const seen = one.holders();
  assert.deepEqual(
    seen.map(({ label, busy, idleMs }) => [label, busy, busy && idleMs === 0]),
    [
      ['first', false, false],
      ['second', true, true],
    ],
  );
  await running;
  first.release();
  second.release();
});

test('each use of a released lease is refused, and harms nobody who has the connection by then', async (t) => {
  const one = pool(t, { max: 1 });
  const old = await one.acquire();
  old.release();
  const present = await one.acquire();
  assert.equal(present.client, old.client);
  for (const use of [
    () => old.query('SELECT 1'),
    () => old.query({ text: 'SELECT 1' }),
    () => old.transaction(() => 1),
  ]) {
    const error = await rejection(use(), LeaseError);
    assert.equal(error.kind, 'LEASE_RELEASED');
    assert.match(error.message, new RegExp(`lease ${old.id} was released \\d+ ms ago`));
  }
  assert.throws(() => old.query(new pg.Query('SELECT 1')), LeaseError);
  assert.throws(() => old.release(), { kind: 'LEASE_RELEASED', message: /already released/ });
  assert.throws(() => old.release(true), { kind: 'LEASE_RELEASED' });
  assert.deepEqual((await present.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  present.release();
  assert.equal(one.stats().returns, 2);
});

test('a release with a reason replaces the connection; undefined, null and false keep it', async (t) => {
  const one = pool(t, { max: 1 });
  const kept: number[] = [];
  for (const reason of [undefined, null, false] as const) {
    const lease = await one.acquire();
    kept.push(await pidOf(lease));
    lease.release(reason);
  }
  assert.equal(new Set(kept).size, 1);
  const replaced: number[] = [];
  for (const reason of [true, new Error('I do not trust it')]) {
    const lease = await one.acquire();
    replaced.push(await pidOf(lease));
    lease.release(reason);
  }
  assert.equal(new Set([...replaced, await pidOf(one)]).size, 3);
  assert.equal(one.stats().retired.released, 2);
});

test('a waiter is served when a connection is given up, with max 1', async (t) => {
  const one = pool(t, { max: 1 });
  const lease = await one.acquire();
  const waiting = one.acquire();
  lease.release(new Error('broken'));
  const next = await waiting;
  assert.notEqual(next.client, lease.client);
  next.release();
});

test('asyncDispose releases, resolves when the connection is at rest, and leaves a released lease alone', async (t) => {
  const one = pool(t, { max: 1 });
  const lease = await one.acquire();
  await lease.query('BEGIN');
  const disposed = lease[Symbol.asyncDispose]();
  assert.equal(one.snapshot().returning, 1);
  await disposed;
  assert.equal(one.idleCount, 1);
  await lease[Symbol.asyncDispose]();
  const { rows } = await one.query(
    'SELECT count(*)::int AS n FROM pg_stat_activity WHERE state LIKE $1 AND application_name = $2',
    ['idle in%', one.name],
  );
  assert.deepEqual(rows, [{ n: 0 }]);
});

test('tryAcquire lends only what is idle and fresh, and opens nothing', async (t) => {
  const one = pool(t, { max: 2 });
  assert.equal(one.tryAcquire(), undefined);
  assert.equal(one.phase, 'created');
  await one.query('SELECT 1');
  const lease = one.tryAcquire();
  assert.ok(lease !== undefined);
  assert.deepEqual((await lease.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  assert.equal(one.tryAcquire(), undefined);
  assert.equal(one.snapshot().size, 1);
  lease.release();
  await one.close();
  assert.equal(one.tryAcquire(), undefined);
});

test('use lends for as long as its function takes, whatever that does', async (t) => {
  const one = pool(t, { max: 1 });
  assert.equal(await one.use(() => 'plain'), 'plain');
  assert.deepEqual(await one.use(async (lease) => (await lease.query('SELECT 1 AS one')).rows), [{ one: 1 }]);
  const failure = new Error('mine');
  const thrown: unknown = await one
    .use(() => {
      throw failure;
    })
    .catch((error: unknown) => error);
  assert.equal(thrown, failure);
  const rejected: unknown = await one.use(() => Promise.reject(failure)).catch((error: unknown) => error);
  assert.equal(rejected, failure);
  assert.equal(one.idleCount, 1);
  assert.equal(one.stats().connects, 1);
});

test('inside use one release is allowed, and a second one throws', async (t) => {
  const one = pool(t, { max: 1 });
  await one.use((lease) => lease.release());
  assert.equal(one.idleCount, 1);
  await rejection(
    one.use((lease) => {
      lease.release();
      lease.release();
    }),
    LeaseError,
  );
  assert.equal(one.idleCount, 1);
  assert.equal(one.stats().returns, 2);
});

test('a lease that escapes from use is of no use', async (t) => {
  const one = pool(t, { max: 1 });
  const escaped = await one.use((lease) => [lease]);
  await rejection(escaped[0]?.query('SELECT 1') ?? Promise.resolve(), LeaseError);
});

test('acquireTimeoutMs of a call bounds that call alone, and the error says what the pool was doing', async (t) => {
  const one = pool(t, { max: 1, acquireTimeoutMs: 10_000 });
  const lease = await one.acquire();
  const patient = one.acquire();
  const error = await rejection(one.acquire({ acquireTimeoutMs: 50 }), PoolTimeoutError);
  assert.equal(error.kind, 'POOL_TIMEOUT');
  assert.equal(error.code, 'POOL_TIMEOUT');
  assert.ok(error.waitedMs >= 49 && error.waitedMs < 5_000, String(error.waitedMs));
  assert.equal(error.snapshot.lent, 1);
  assert.equal(error.snapshot.waiting, 1);
  assert.match(error.message, /1\/1 lent.*timeout exceeded when trying to connect$/);
  await rejection(one.acquire({ acquireTimeoutMs: 0 }), PoolTimeoutError);
  await rejection(
    one.use(() => 1, { acquireTimeoutMs: 20 }),
    PoolTimeoutError,
  );
  await rejection(
    one.transaction(() => 1, { acquireTimeoutMs: 20 }),
    PoolTimeoutError,
  );
  for (const bad of [-1, Number.NaN]) await rejection(one.acquire({ acquireTimeoutMs: bad }), OptionError);
  lease.release();
  (await patient).release();
  assert.deepEqual(one.stats().requestsFailed, { timeout: 4 });
});

test('a query that only waits fails with PoolTimeoutError, whichever of both bounds comes first', async (t) => {
  const one = pool(t, { max: 1, acquireTimeoutMs: 10_000 });
  const lease = await one.acquire();
  const error = await rejection(one.query({ text: 'SELECT 1', timeoutMs: 40 }), PoolTimeoutError);
  assert.ok(error.waitedMs < 5_000, String(error.waitedMs));
  lease.release();
});

test('an abort while waiting ends the wait with its own reason, and the connection goes to the next', async (t) => {
  const one = pool(t, { max: 1 });
  const lease = await one.acquire();
  const abort = new AbortController();
  const { signal } = abort;
  const all = [one.acquire({ signal }), one.use(() => 1, { signal }), one.transaction(() => 1, { signal })];
  const queried = one.query({ text: 'SELECT 1', signal });
  const settled = Promise.allSettled([...all, queried]);
  const patient = one.acquire();
  assert.equal(one.waitingCount, 5);
  const reason = new Error('the request was cancelled');
  abort.abort(reason);
  assert.equal(one.waitingCount, 1);
  for (const outcome of await settled) assert.deepEqual(outcome, { status: 'rejected', reason });
  lease.release();
  (await patient).release();
  assert.equal(one.stats().requestsFailed.aborted, 4);
  const late: unknown = await one.acquire({ signal }).catch((error: unknown) => error);
  assert.equal(late, reason);
});

test('lease.signal aborts when the connection dies, queries reject, and the release is quiet once', async (t) => {
  const one = pool(t, { max: 1 });
  const lease = await one.acquire();
  const gone = aborted(lease.signal);
  assert.equal(lease.signal.aborted, false);
  await killBackend(admin, await pidOf(lease));
  const reason = await gone;
  assert.ok(reason instanceof ConnectionLostError);
  assert.equal(reason.kind, 'CONNECTION_LOST');
  assert.equal(reason.code, '57P01');
  await rejection(lease.query('SELECT 1'), ConnectionLostError);
  lease.release();
  assert.throws(() => lease.release(), { kind: 'LEASE_RELEASED' });
  assert.deepEqual((await one.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  assert.equal(one.stats().connectionsLost, 1);
});

test('a signal asked for only after the death is aborted already', async (t) => {
  const one = pool(t, { max: 1 });
  const lease = await one.acquire();
  await killBackend(admin, await pidOf(lease));
  await eventually('the pool knows', () => one.stats().connectionsLost === 1);
  assert.equal(lease.signal.aborted, true);
  lease.release();
});

test('a statement that runs when its connection dies rejects with ConnectionLostError and the driver’s code', async (t) => {
  const one = pool(t, { max: 1 });
  for (const how of ['lease', 'pool'] as const) {
    const running =
      how === 'pool' ? one.query('SELECT pg_sleep(30)') : one.use((lease) => lease.query('SELECT pg_sleep(30)'));
    const settled = running.catch((error: unknown) => error);
    const pid = await eventually('it runs', async () => {
      const { rows } = await admin.query<{ pid: number }>(
        `SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND state = 'active' AND query LIKE '%pg_sleep%'`,
        [one.name],
      );
      return rows[0]?.pid;
    });
    await killBackend(admin, pid);
    const error = await settled;
    assert.ok(error instanceof ConnectionLostError, String(error));
    assert.equal(error.mayHaveExecuted, true);
    assert.equal(error.code, '57P01');
    assert.match(error.message, /^the connection was lost while a query ran: .*; the query may have been executed$/);
  }
  assert.deepEqual((await one.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
});

test('waiters are served in the order in which they came', async (t) => {
  const one = pool(t, { max: 1 });
  const lease = await one.acquire();
  const order: number[] = [];
  const waiting = [1, 2, 3, 4, 5].map(async (n) => {
    const next = await one.acquire();
    order.push(n);
    next.release();
  });
  lease.release();
  await Promise.all(waiting);
  assert.deepEqual(order, [1, 2, 3, 4, 5]);
});
