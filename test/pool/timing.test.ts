// The public Pool on the virtual clock: every deadline that its verbs and options promise, to the millisecond.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Pool, PoolClosedError, type PoolOptions, PoolTimeoutError, QueryTimeoutError } from '../../src/doors/index.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { TalkingDriver } from './talking-driver.ts';

interface Rig {
  readonly pool: Pool;
  readonly clock: VirtualClock;
  readonly driver: TalkingDriver;
}

function rig(options: PoolOptions = {}): Rig {
  const clock = new VirtualClock();
  const queryTimeoutMs = options.queryTimeoutMs === undefined ? Infinity : Number(options.queryTimeoutMs);
  const driver = new TalkingDriver(clock, queryTimeoutMs);
  const silent = { debug() {}, info() {}, warn() {}, error() {} };
  return { clock, driver, pool: new Pool({ max: 1, clock, driver, logger: silent, ...options }) };
}

interface Watched<T> {
  value: T | undefined;
  error: unknown;
  /** Virtual time at which it settled. */
  at: number | undefined;
}

function watch<T>(clock: VirtualClock, promise: Promise<T>): Watched<T> {
  const watched: Watched<T> = { value: undefined, error: undefined, at: undefined };
  promise.then(
    (value) => {
      watched.value = value;
      watched.at = clock.now();
    },
    (error: unknown) => {
      watched.error = error;
      watched.at = clock.now();
    },
  );
  return watched;
}

test('making a pool sets no timer and dials nothing', () => {
  const { clock, driver, pool } = rig({ min: 1 });
  pool.observe({});
  pool.snapshot();
  pool.stats();
  assert.equal(clock.pendingTimers, 0);
  assert.equal(driver.scripted.count('open'), 0);
});

test('a closed pool leaves no timer behind', async () => {
  const { clock, pool } = rig({ min: 1, max: 3 });
  const opened = watch(clock, pool.open());
  await clock.settle();
  assert.equal(opened.value, pool);
  const closed = watch(clock, pool.close());
  await clock.advance(100);
  assert.deepEqual(closed.value, { closed: 1, cancelled: 0, destroyed: 0, rejected: 0, stillHeld: [] });
  assert.equal(clock.pendingTimers, 0);
});

test('acquireTimeoutMs is the deadline of each form of borrowing', async () => {
  const { clock, pool } = rig({ acquireTimeoutMs: 700 });
  const lease = watch(clock, pool.acquire());
  await clock.settle();
  const from = clock.now();
  const asked = [pool.acquire(), pool.connect(), pool.query('x'), pool.use(() => 1), pool.transaction(() => 1)].map(
    (promise) => watch<unknown>(clock, promise),
  );
  const shorter = watch(clock, pool.acquire({ acquireTimeoutMs: 200 }));
  await clock.advance(1_000);
  for (const { error, at } of asked) {
    assert.ok(error instanceof PoolTimeoutError);
    assert.equal(at, from + 700);
    assert.equal(error.waitedMs, 700);
  }
  assert.equal(shorter.at, from + 200);
  lease.value?.release();
});

test('timeoutMs of a query is one deadline over waiting and running, and says how much was which', async () => {
  const { clock, driver, pool } = rig();
  const lease = watch(clock, pool.acquire());
  await clock.settle();
  const from = clock.now();
  const query = watch(clock, pool.query({ text: 'sleep 5000', timeoutMs: 300 }));
  await clock.advance(120);
  lease.value?.release();
  await clock.advance(179);
  assert.equal(query.at, undefined);
  await clock.advance(1);
  assert.ok(query.error instanceof QueryTimeoutError);
  assert.deepEqual(
    [query.at, query.error.timeoutMs, query.error.waitedMs, query.error.ranMs],
    [from + 300, 300, 120, 180],
  );
  assert.equal(driver.scripted.count('settle'), 1);
  const onlyWaiting = watch(clock, pool.query({ text: 'x', timeoutMs: 1 }));
  await clock.settle();
  assert.deepEqual(onlyWaiting.value?.rows, [{ text: 'x' }]);
});

test('a query that only waits ends by timeoutMs or acquireTimeoutMs, whichever comes first', async () => {
  const { clock, pool } = rig({ acquireTimeoutMs: 500 });
  watch(clock, pool.acquire());
  await clock.settle();
  const from = clock.now();
  const own = watch(clock, pool.query({ text: 'x', timeoutMs: 300 }));
  const pools = watch(clock, pool.query({ text: 'x', timeoutMs: 900 }));
  await clock.advance(1_000);
  assert.ok(own.error instanceof PoolTimeoutError);
  assert.ok(pools.error instanceof PoolTimeoutError);
  assert.deepEqual([own.at, pools.at], [from + 300, from + 500]);
});

test('a query that was given up is not waited for, but nobody is lent its connection before its reply was read', async () => {
  const { clock, driver, pool } = rig();
  driver.scripted.script = (call) => (call === 'settle' ? { afterMs: 400 } : undefined);
  const query = watch(clock, pool.query({ text: 'sleep 9000', timeoutMs: 100 }));
  await clock.settle();
  const from = clock.now();
  const next = watch(clock, pool.query('next'));
  await clock.advance(100);
  assert.ok(query.error instanceof QueryTimeoutError);
  await clock.advance(399);
  assert.deepEqual(driver.statements, ['sleep 9000']);
  await clock.advance(1);
  assert.equal(next.at, from + 500);
  assert.equal(driver.scripted.count('open'), 1);
});

test('a cancel that does not succeed within returnTimeoutMs costs the connection, and the next one is served then', async () => {
  const { clock, driver, pool } = rig({ returnTimeoutMs: 250 });
  driver.scripted.script = (call) => (call === 'settle' ? { never: true } : undefined);
  watch(clock, pool.query({ text: 'sleep 9000', timeoutMs: 100 }));
  await clock.settle();
  const from = clock.now();
  const next = watch(clock, pool.query('next'));
  await clock.advance(1_000);
  assert.equal(next.at, from + 350);
  assert.equal(driver.scripted.count('open'), 2);
});

test('queryTimeoutMs is the default of pool and lease, and a query may ask for more', async () => {
  const { clock, pool } = rig({ queryTimeoutMs: 50 });
  const from = clock.now();
  const query = watch(clock, pool.query('sleep 400'));
  await clock.advance(60);
  assert.ok(query.error instanceof QueryTimeoutError);
  assert.equal(query.at, from + 50);
  const patient = watch(clock, pool.query({ text: 'sleep 400', timeoutMs: 1_000 }));
  await clock.advance(500);
  assert.deepEqual(patient.value?.rows, [{ text: 'sleep 400' }]);
  const leased = watch(
    clock,
    pool.use((lease) => lease.query('sleep 400')),
  );
  await clock.advance(60);
  assert.ok(leased.error instanceof QueryTimeoutError);
});

test('timeouts out of range are refused, and nothing is asked of the driver', async () => {
  const { clock, driver, pool } = rig();
  for (const timeoutMs of [0, -1, Number.NaN]) {
    const query = watch(clock, pool.query({ text: 'x', timeoutMs }));
    await clock.settle();
    assert.equal(Reflect.get(Object(query.error), 'kind'), 'INVALID_OPTION');
  }
  assert.equal(driver.scripted.count('open'), 0);
});

test('close drains for 30 s, cancels, and cuts a second later', async () => {
  const { clock, driver, pool } = rig();
  driver.scripted.script = (call) => (call === 'settle' ? { never: true } : undefined);
  const lease = watch(clock, pool.acquire());
  await clock.settle();
  const running = lease.value?.query('sleep 900000');
  running?.catch(() => {});
  const from = clock.now();
  const closed = watch(clock, pool.close());
  await clock.advance(29_999);
  assert.equal(driver.scripted.count('settle'), 0);
  await clock.advance(1);
  assert.equal(driver.scripted.count('settle'), 1);
  await clock.advance(60_000);
  assert.equal(closed.at, from + 31_000);
  assert.equal(closed.value?.destroyed, 1);
  assert.equal(closed.value?.stillHeld.length, 1);
});

test('end waits for lent connections without limit, and turns waiters away at once', async () => {
  const { clock, pool } = rig();
  const lease = watch(clock, pool.acquire());
  await clock.settle();
  const waiting = watch(clock, pool.acquire());
  const ended = watch(clock, pool.end());
  await clock.settle();
  assert.ok(waiting.error instanceof PoolClosedError);
  await clock.advance(300_000);
  assert.equal(ended.at, undefined);
  lease.value?.release();
  await clock.settle();
  assert.notEqual(ended.at, undefined);
});

test('close after end shortens the wait', async () => {
  const { clock, pool } = rig();
  watch(clock, pool.acquire());
  await clock.settle();
  const ended = watch(clock, pool.end());
  const from = clock.now();
  watch(clock, pool.close({ drainMs: 500, cancelMs: 100 }));
  await clock.advance(10_000);
  assert.equal(ended.at, from + 600);
});

test('use resolves only when the connection is at rest again', async () => {
  const { clock, driver, pool } = rig();
  driver.scripted.script = (call) => (call === 'rollback' ? { afterMs: 80 } : undefined);
  const from = clock.now();
  const used = watch(
    clock,
    pool.use(() => {
      for (const session of driver.scripted.sessions) session.status = 'transaction';
      return 'value';
    }),
  );
  await clock.advance(200);
  assert.equal(used.value, 'value');
  assert.equal(used.at, from + 80);
});
