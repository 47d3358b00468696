// B1: who gets which connection, and what the uncontended path costs.

import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import test from 'node:test';
import { CountingClock } from '../kit/ports.ts';
import { errorOf, Rig } from '../kit/rig.ts';

test('idle connections are a stack: the one returned last is lent first', async () => {
  const rig = new Rig();
  const [first, second, third] = await rig.fill(3);
  assert.equal((await rig.get()).session, third);
  assert.equal((await rig.get()).session, second);
  assert.equal((await rig.get()).session, first);
});

test('waiters are a queue: the one who came first is served first', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  let lease = await rig.get();
  const order: string[] = [];
  for (const name of ['a', 'b', 'c']) {
    rig.engine.acquire().then((got) => {
      order.push(name);
      lease = got;
    });
  }
  for (let n = 0; n < 3; n += 1) {
    lease.release();
    await rig.clock.settle();
  }
  assert.deepEqual(order, ['a', 'b', 'c']);
});

test('a newcomer in the same turn as a return does not overtake the waiter', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  const lease = await rig.get();
  const waiter = rig.ask();
  await rig.clock.settle();
  lease.release();
  const newcomer = rig.ask();
  await rig.clock.settle();
  assert.ok(waiter.lease);
  assert.equal(newcomer.settled, false);
});

test('a newcomer does not overtake a waiter for whom a stale connection is being checked', async () => {
  const rig = new Rig({
    settings: { max: 2 },
    script: (call) => (call === 'ping' ? { afterMs: 50 } : undefined),
  });
  await rig.fill(1);
  await rig.clock.advance(2_000);
  const waiter = rig.ask();
  await rig.clock.advance(10);
  assert.equal(rig.driver.count('ping'), 1);
  assert.equal(rig.engine.tryAcquire(), undefined, 'tryAcquire is a newcomer too');
  const newcomer = rig.ask();
  const order: string[] = [];
  const poll = async (): Promise<void> => {
    await rig.clock.advance(5);
    if (waiter.lease && !order.includes('waiter')) order.push('waiter');
    if (newcomer.lease && !order.includes('newcomer')) order.push('newcomer');
  };
  for (let n = 0; n < 20; n += 1) {
    await poll();
    assert.notEqual(order[0], 'newcomer');
  }
  assert.equal(order[0], 'waiter');
});

test('a waiter whose connection is still being checked takes the one that is returned before', async () => {
  const rig = new Rig({
    settings: { max: 2 },
    script: (call) => (call === 'ping' ? { afterMs: 500 } : undefined),
  });
  await rig.fill(2);
  const held = await rig.get();
  await rig.clock.advance(2_000);
  const waiter = rig.ask();
  await rig.clock.advance(10);
  assert.equal(waiter.settled, false);
  held.release();
  await rig.clock.settle();
  assert.equal(waiter.lease?.session, held.session);
  await rig.clock.advance(500);
  assert.equal(rig.engine.snapshot().idle, 1, 'the checked one is idle afterwards');
});

test('an idle, fresh connection is lent without a timer, a poll phase or a place in the queue', async () => {
  let counting: CountingClock | undefined;
  const rig = new Rig({
    wrapClock: (clock) => {
      counting = new CountingClock(clock);
      return counting;
    },
  });
  assert.ok(counting);
  // One lease is out, so that the one timer which keeps the process alive is there already.
  await rig.fill(2);
  await rig.get();
  const queued = rig.engine.stats().requestsQueued;
  const { timers, polls } = counting;
  for (let n = 0; n < 1_000; n += 1) (await rig.engine.acquire()).release();
  assert.equal(counting.timers, timers);
  assert.equal(counting.polls, polls);
  assert.equal(rig.engine.stats().requestsQueued, queued);
  assert.equal(rig.driver.count('ping'), 0);
});

test('a burst on a pool at rest makes one timer, however many are lent', async () => {
  let counting: CountingClock | undefined;
  const rig = new Rig({
    wrapClock: (clock) => {
      counting = new CountingClock(clock);
      return counting;
    },
  });
  assert.ok(counting);
  await rig.fill(1);
  await rig.clock.advance(500);
  const { timers } = counting;
  for (let n = 0; n < 1_000; n += 1) (await rig.engine.acquire()).release();
  assert.ok(counting.timers - timers <= 1, `${counting.timers - timers} timers`);
});

test('an idle, fresh connection is there after promise callbacks alone', async () => {
  const rig = new Rig();
  await rig.fill(1);
  const ask = rig.ask();
  let ticked = false;
  process.nextTick(() => {
    ticked = true;
  });
  await Promise.resolve();
  await Promise.resolve();
  assert.ok(ask.lease);
  assert.equal(ticked, false, 'a nextTick queued at the same time had not run');
});

test('tryAcquire lends what is idle and fresh, and never opens, dials, checks or waits', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  assert.equal(rig.engine.tryAcquire(), undefined);
  assert.equal(rig.engine.phase, 'created');
  assert.equal(rig.driver.count('open'), 0);
  const [session] = await rig.fill(1);
  const lease = rig.engine.tryAcquire('tried');
  assert.equal(lease?.session, session);
  assert.equal(rig.engine.holders()[0]?.label, 'tried');
  assert.equal(rig.engine.tryAcquire(), undefined, 'none idle');
  assert.equal(rig.driver.count('open'), 1, 'dials nothing');
  lease?.release();
  await rig.clock.advance(1_500);
  assert.equal(rig.engine.tryAcquire(), undefined, 'the idle one needs a check');
  assert.equal(rig.driver.count('ping'), 0);
  const { requests, requestsFailed, waitMs } = rig.engine.stats();
  assert.deepEqual({ requests, requestsFailed, served: waitMs.count }, { requests: 2, requestsFailed: {}, served: 2 });
});

test('tryAcquire lends nothing that needs a check by option, and everything with check: never', async () => {
  const always = new Rig({ settings: { check: 'always' } });
  await always.fill(1);
  assert.equal(always.engine.tryAcquire(), undefined);
  const custom = new Rig({ settings: { check: 'custom' }, hooks: { check: () => {} } });
  await custom.fill(1);
  assert.equal(custom.engine.tryAcquire(), undefined);
  const never = new Rig({ settings: { check: 'never' } });
  await never.fill(1);
  await never.clock.advance(30_000);
  assert.ok(never.engine.tryAcquire());
});

test('tryAcquire lends nothing from a pool that is paused, closing or closed', async () => {
  const rig = new Rig();
  await rig.fill(2);
  const held = await rig.get();
  const paused = rig.engine.pause('wait');
  assert.equal(rig.engine.tryAcquire(), undefined);
  held.release();
  await paused;
  rig.engine.resume();
  const again = rig.engine.tryAcquire();
  assert.ok(again);
  void rig.engine.close({ drainMs: 1_000, cancelMs: 10, waiting: 'reject' });
  assert.equal(rig.engine.tryAcquire(), undefined);
  again.release();
  await rig.clock.advance(10);
  assert.equal(rig.engine.phase, 'closed');
  assert.equal(rig.engine.tryAcquire(), undefined);
});

test('maxWaiting refuses the newcomer and leaves those who wait alone', async () => {
  const rig = new Rig({ settings: { max: 1, maxWaiting: 2 } });
  const held = await rig.get();
  const first = rig.ask();
  const second = rig.ask();
  const third = rig.ask();
  await rig.clock.settle();
  const error = errorOf(third);
  assert.equal(error.name, 'QueueFullError');
  assert.equal(error.kind, 'POOL_QUEUE_FULL');
  assert.equal(error.code, 'POOL_QUEUE_FULL');
  assert.equal((error.snapshot as { waiting: number }).waiting, 2);
  assert.equal(rig.engine.stats().requestsFailed['queue-full'], 1);
  held.release();
  await rig.clock.settle();
  assert.ok(first.lease);
  assert.equal(second.settled, false);
});

test('maxWaiting counts live waiters only: those who timed out or were aborted leave room', async () => {
  const rig = new Rig({ settings: { max: 1, maxWaiting: 2 } });
  await rig.get();
  const aborter = new AbortController();
  const late = rig.ask({ acquireTimeoutMs: 100 });
  const aborted = rig.ask({ signal: aborter.signal });
  aborter.abort();
  const afterAbort = rig.ask();
  await rig.clock.advance(150);
  const afterTimeout = rig.ask();
  await rig.clock.settle();
  assert.equal(errorOf(late).kind, 'POOL_TIMEOUT');
  assert.ok(aborted.error);
  assert.equal(afterAbort.settled, false);
  assert.equal(afterTimeout.settled, false);
  assert.equal(rig.engine.snapshot().waiting, 2);
});

test('acquireTimeoutMs 0 takes a fresh one and refuses at once if there is none or only a stale one', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  await rig.fill(1);
  const lease = await rig.get(0, { acquireTimeoutMs: 0 });
  const none = rig.ask({ acquireTimeoutMs: 0 });
  await Promise.resolve();
  await Promise.resolve();
  assert.equal(errorOf(none).name, 'PoolTimeoutError');
  assert.match(errorOf(none).message, /timeout exceeded when trying to connect/);
  lease.release();
  await rig.clock.advance(5_000);
  const stale = rig.ask({ acquireTimeoutMs: 0 });
  await rig.clock.settle();
  assert.equal(errorOf(stale).kind, 'POOL_TIMEOUT');
  assert.equal(rig.engine.snapshot().waiting, 0);
  assert.equal(rig.engine.stats().requestsFailed.timeout, 2);
});

test('a request with an aborted signal is refused with its reason and asks for nothing', async () => {
  const rig = new Rig();
  const reason = new Error('changed my mind');
  const ask = rig.ask({ signal: AbortSignal.abort(reason) });
  await rig.clock.settle();
  assert.equal(ask.error, reason);
  assert.equal(rig.driver.count('open'), 0);
  assert.equal(rig.engine.stats().requestsFailed.aborted, 1);
  const odd = rig.ask({ signal: AbortSignal.abort('not an error') });
  await rig.clock.settle();
  assert.equal(odd.error, 'not an error');
});

test('an abort while waiting takes the waiter out in that turn, and the next connection goes to another', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  const held = await rig.get();
  const aborter = new AbortController();
  const ask = rig.ask({ signal: aborter.signal });
  const next = rig.ask();
  assert.equal(rig.engine.snapshot().waiting, 2);
  const reason = new Error('enough');
  aborter.abort(reason);
  assert.equal(rig.engine.snapshot().waiting, 1, 'it left in the turn of the abort');
  held.release();
  await rig.clock.settle();
  assert.equal(ask.error, reason);
  assert.ok(next.lease);
  assert.equal(getEventListeners(aborter.signal, 'abort').length, 0, 'nothing is left on the signal');
  rig.audit();
});

test('an abort in the turn of the hand-over comes too late, and nothing is lost', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  const held = await rig.get();
  const aborter = new AbortController();
  const ask = rig.ask({ signal: aborter.signal });
  const next = rig.ask();
  held.release();
  aborter.abort();
  await rig.clock.settle();
  assert.ok(ask.lease, 'it had been served');
  assert.equal(ask.error, undefined);
  assert.equal(next.settled, false);
  ask.lease.release();
  await rig.clock.settle();
  assert.ok(next.lease);
  rig.audit();
});

test('an abort in the turn before the return lets the connection go to the next one', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  const held = await rig.get();
  const aborter = new AbortController();
  const ask = rig.ask({ signal: aborter.signal });
  const next = rig.ask();
  aborter.abort();
  held.release();
  await rig.clock.settle();
  assert.ok(ask.error);
  assert.ok(next.lease);
});

test('a signal is let go of when its request is served', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  const { signal } = new AbortController();
  const lease = await rig.get(0, { signal });
  assert.equal(getEventListeners(signal, 'abort').length, 0);
  const waiting = rig.ask({ signal });
  lease.release();
  await rig.clock.settle();
  assert.ok(waiting.lease);
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

test('a label is with the holder and in the events', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  const lease = await rig.get(0, { label: 'report' });
  assert.equal(lease.label, 'report');
  assert.equal(rig.engine.holders()[0]?.label, 'report');
  const waiting = rig.ask({ label: 'invoice' });
  assert.equal(rig.events.of('waiting').at(-1)?.[1], 'invoice');
  lease.release();
  await rig.clock.settle();
  assert.equal(waiting.lease?.label, 'invoice');
  assert.deepEqual(
    rig.events.of('lent').map((args) => args[3]),
    ['report', 'invoice'],
  );
});

test('a bad acquireTimeoutMs is named, whether or not one would have had to wait', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  for (const bad of [-1, Number.NaN]) {
    const ask = rig.ask({ acquireTimeoutMs: bad });
    await rig.clock.settle();
    assert.equal(errorOf(ask).kind, 'INVALID_OPTION');
    assert.match(errorOf(ask).message, /acquireTimeoutMs/);
  }
  const { requests, requestsFailed, waitMs } = rig.engine.stats();
  const failed = Object.values(requestsFailed).reduce((sum, n) => sum + n, 0);
  assert.equal(requests, waitMs.count + failed, 'requests = served + failed');
});
