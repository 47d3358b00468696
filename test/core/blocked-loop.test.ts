// B14: a deadline that a blocked loop cannot trip, and what a frozen process does on waking up.

import assert from 'node:assert/strict';
import test from 'node:test';
import { CountingClock } from '../kit/ports.ts';
import { errorOf, Rig, watch } from '../kit/rig.ts';

test('A: a connect that completed while the loop was blocked serves its waiter', async () => {
  const rig = new Rig({
    settings: { acquireTimeoutMs: 300, connectTimeoutMs: 300 },
    script: (call) => (call === 'open' ? { afterMs: 400 } : undefined),
  });
  const ask = rig.ask();
  await rig.clock.advance(1);
  rig.clock.block(600);
  await rig.clock.advance(0);
  assert.ok(ask.lease);
});

test('B: a query that ended while the loop was blocked gives its connection to the waiter', async () => {
  const rig = new Rig({ settings: { max: 1, acquireTimeoutMs: 300 } });
  const held = await rig.get();
  rig.clock.timer(350, () => held.release());
  const ask = rig.ask();
  await rig.clock.advance(1);
  rig.clock.block(600);
  await rig.clock.advance(0);
  assert.ok(ask.lease);
});

test('a reply that needs several more turns after the block is waited for: the lost time is given back', async () => {
  const rig = new Rig({ settings: { max: 1, acquireTimeoutMs: 300 } });
  const held = await rig.get();
  const ask = rig.ask();
  await rig.clock.advance(10);
  rig.clock.block(600);
  rig.clock.timer(250, () => held.release());
  await rig.clock.advance(240);
  assert.equal(ask.settled, false);
  await rig.clock.advance(20);
  assert.ok(ask.lease);
});

test('given back is what was lost, at most the timeout, and the error says so', async () => {
  for (const [block, back] of [
    [400, 110],
    [2_000, 300],
  ] as const) {
    const rig = new Rig({ settings: { max: 1, acquireTimeoutMs: 300 } });
    await rig.get();
    const ask = rig.ask();
    await rig.clock.advance(10);
    rig.clock.block(block);
    const woke = rig.clock.now();
    await rig.clock.advance(back - 1);
    assert.equal(ask.settled, false, `blocked for ${block}`);
    await rig.clock.advance(2);
    const error = errorOf(ask);
    assert.equal(error.kind, 'POOL_TIMEOUT');
    assert.equal(error.givenBackMs, back);
    assert.equal(error.waitedMs as number, rig.clock.now() - woke + 10 + block - (rig.clock.now() - woke - back));
    assert.match(error.message, /blocked/);
  }
});

test('time is given back at most three times', async () => {
  const rig = new Rig({ settings: { max: 1, acquireTimeoutMs: 300 } });
  await rig.get();
  const began = rig.clock.now();
  const ask = rig.ask();
  for (let n = 0; n < 50 && !ask.settled; n += 1) {
    await rig.clock.advance(10);
    rig.clock.block(600);
    await rig.clock.advance(1);
  }
  const error = errorOf(ask);
  assert.ok((error.givenBackMs as number) > 0 && (error.givenBackMs as number) <= 900, `${error.givenBackMs}`);
  const waited = rig.clock.now() - began;
  assert.ok(waited >= 3 * 600 && waited <= 4 * 600 + 4 * 300 + 100, `waited ${waited}`);
});

test('on a free loop an exhausted pool fails at its timeout, with nothing given back', async () => {
  const rig = new Rig({ settings: { max: 1, acquireTimeoutMs: 300 } });
  await rig.get();
  const ask = rig.ask();
  await rig.clock.advance(300);
  assert.equal(errorOf(ask).givenBackMs, 0);
  assert.equal(errorOf(ask).waitedMs, 300);
  assert.doesNotMatch(errorOf(ask).message, /blocked/);
});

test('a timer that is late by 50 ms or less was only inaccurate', async () => {
  const rig = new Rig({ settings: { max: 1, acquireTimeoutMs: 300 } });
  await rig.get();
  const ask = rig.ask();
  await rig.clock.advance(299);
  rig.clock.block(40);
  await rig.clock.advance(0);
  assert.equal(errorOf(ask).givenBackMs, 0);
});

test('C: connect, check and rollback are not failed by a block either', async () => {
  const rig = new Rig({
    settings: { max: 1, checkTimeoutMs: 300, returnTimeoutMs: 300, connectTimeoutMs: 300 },
    script: (call) => (call === 'open' || call === 'ping' || call === 'rollback' ? { afterMs: 250 } : undefined),
  });
  const block = async (): Promise<void> => {
    await rig.clock.advance(1);
    rig.clock.block(600);
    await rig.clock.advance(300);
  };
  const ask = rig.ask();
  await block();
  assert.ok(ask.lease);
  ask.lease.session.status = 'transaction';
  ask.lease.release();
  await block();
  assert.equal(rig.engine.snapshot().idle, 1);
  await rig.clock.advance(5_000);
  const again = rig.ask();
  await block();
  assert.equal(again.lease?.session, ask.lease.session);
  assert.equal(rig.driver.count('open'), 1);
});

for (const [when, connectMs] of [
  ['was complete', 400],
  ['needs more turns', 700],
] as const) {
  test(`configure has what a block took from a connect that ${when} after it`, async () => {
    const rig = new Rig({
      settings: { max: 1, connectTimeoutMs: 300 },
      script: (call) => (call === 'open' ? { afterMs: connectMs } : undefined),
      hooks: { configure: () => new Promise<void>((done) => void rig.clock.timer(100, done)) },
    });
    const ask = rig.ask();
    await rig.clock.advance(1);
    rig.clock.block(600);
    await rig.clock.advance(300);
    assert.ok(ask.lease);
    assert.deepEqual([rig.driver.count('open'), rig.engine.stats().connectsFailed], [1, 0]);
  });
}

test('an abort is never put off by a block', async () => {
  const rig = new Rig({ settings: { max: 1, acquireTimeoutMs: 300 } });
  await rig.get();
  const aborter = new AbortController();
  const ask = rig.ask({ signal: aborter.signal });
  await rig.clock.advance(10);
  rig.clock.block(600);
  aborter.abort(new Error('now'));
  await Promise.resolve();
  await Promise.resolve();
  assert.ok(ask.settled);
});

test('open() and ready() are given lost time back as well', async () => {
  const rig = new Rig({
    settings: { min: 1 },
    script: (call) => (call === 'open' ? { afterMs: 500 } : undefined),
  });
  const open = watch(rig.engine.open({ timeoutMs: 300 }));
  await rig.clock.advance(1);
  rig.clock.block(450);
  await rig.clock.advance(100);
  assert.ok(open.settled);
  assert.equal(open.error, undefined);
});

test('after a freeze every idle connection is suspect, in one pass, and the dead ones cost nobody a failure', async () => {
  const rig = new Rig({ settings: { max: 8, min: 8, connectConcurrency: 8, idlePingMs: 2_000 } });
  await rig.engine.open();
  const old = rig.driver.alive;
  assert.equal(old.length, 8);
  // Half of them were dropped in silence while the process stood still.
  rig.driver.script = (call, session) =>
    call === 'ping' && session !== undefined && session.pid <= 4 ? { never: true } : undefined;
  await rig.clock.advance(500);
  rig.clock.block(60_000);
  const asks = Array.from({ length: 8 }, () => rig.ask());
  await rig.clock.advance(1_000);
  assert.ok(
    asks.every((ask) => ask.lease?.session.alive),
    'all are served within a second',
  );
  assert.ok(asks.every((ask) => (ask.lease?.session.pid ?? 0) > 4));
});

test('a freeze is seen by any late deadline, and then nothing at rest is lent without a proof of life', async () => {
  const rig = new Rig({ settings: { max: 3, checkAfterIdleMs: Infinity, acquireTimeoutMs: 60_000 } });
  await rig.fill(2);
  const [first, second] = [await rig.get(), await rig.get()];
  await rig.get(30);
  const waiter = rig.ask({ acquireTimeoutMs: 1_000 });
  first.release();
  await rig.clock.settle();
  waiter.lease?.release();
  second.release();
  const late = watch(rig.engine.acquire({ acquireTimeoutMs: 500 }).then((lease) => lease.release()));
  await rig.clock.settle();
  assert.ok(late.settled);
  assert.equal(rig.driver.count('ping'), 0);
});

test('a jump of the wall clock is noticed at the next acquire: nothing is lent without a proof of life', async () => {
  const rig = new Rig({ settings: { max: 3, idleTimeoutMs: Infinity } });
  const sessions = await rig.fill(3);
  // A lend in between, so that the pool has seen both clocks.
  await rig.clock.advance(500);
  (await rig.get()).release();
  await rig.clock.advance(500);
  rig.clock.sleep(3_600_000);
  const ask = rig.ask();
  assert.equal(rig.engine.tryAcquire(), undefined, 'all are suspect');
  await rig.clock.settle();
  assert.ok(ask.lease);
  assert.ok(
    sessions.every((session) => session.calls.includes('ping')),
    'one pass over all',
  );
});

test('a jump of the wall clock is noticed although it came before the first lend from rest', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  await rig.fill(1);
  await rig.clock.advance(500);
  rig.clock.sleep(3_600_000);
  await rig.get();
  assert.equal(rig.driver.count('ping'), 1);
});

test('a jump of the wall clock is noticed by tryAcquire', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  await rig.fill(1);
  await rig.clock.advance(500);
  rig.engine.tryAcquire()?.release();
  await rig.clock.advance(500);
  rig.clock.sleep(3_600_000);
  assert.equal(rig.engine.tryAcquire(), undefined);
});

test('a jump of the wall clock on a busy pool is noticed although every connection was used just now', async () => {
  const rig = new Rig({ settings: { max: 2 } });
  await rig.fill(2);
  for (let n = 0; n < 100; n += 1) {
    const lease = await rig.get();
    await rig.clock.advance(2);
    lease.release();
    await rig.clock.advance(2);
  }
  rig.clock.sleep(3_600_000);
  await rig.get();
  assert.ok(rig.driver.count('ping') >= 1);
});

test('after a wall-clock jump with every old connection dead, the borrower is served by a new one', async () => {
  const rig = new Rig({ settings: { max: 3 } });
  const old = await rig.fill(3);
  await rig.clock.advance(300);
  (await rig.get()).release();
  rig.driver.script = (call, session) =>
    call === 'ping' && session !== undefined && old.includes(session) ? { never: true } : undefined;
  await rig.clock.advance(300);
  rig.clock.sleep(60_000);
  const ask = rig.ask();
  await rig.clock.advance(999);
  assert.ok(ask.lease, 'within a second');
  assert.equal(old.includes(ask.lease.session), false);
});

test('a small correction of the wall clock is no sleep', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  await rig.fill(1);
  for (let n = 0; n < 5; n += 1) {
    await rig.clock.advance(100);
    rig.clock.sleep(200);
    (await rig.get()).release();
  }
  assert.equal(rig.driver.count('ping'), 0);
});

test('thousands who are given lost time back do not keep the loop for longer than others either', async () => {
  let counting: CountingClock | undefined;
  const rig = new Rig({
    settings: { max: 1, acquireTimeoutMs: 1_000 },
    // Each look at the clock takes its time.
    wrapClock: (clock) => {
      counting = new CountingClock(clock);
      counting.now = () => {
        clock.block(0.01);
        return clock.now();
      };
      return counting;
    },
  });
  await rig.get();
  const asks = Array.from({ length: 5_000 }, () => rig.ask());
  rig.clock.block(1_600);
  await rig.clock.advance(100);
  assert.ok(counting !== undefined && counting.polls >= 4, `in ${counting?.polls} slices`);
  assert.ok(asks.every(({ settled }) => !settled));
  await rig.clock.advance(2_000);
  assert.ok(asks.every((ask) => (errorOf(ask).givenBackMs as number) > 500));
});

test('a block that falls between the ring of a timer and its work is given back to those who fell due in it', async () => {
  let block = 0;
  const rig = new Rig({
    settings: { max: 1, acquireTimeoutMs: 300 },
    wrapClock: (clock) => {
      const counting = new CountingClock(clock);
      const { pollPhase } = counting;
      counting.pollPhase = (then) => {
        pollPhase(then);
        clock.block(block);
        block = 0;
      };
      return counting;
    },
  });
  const held = await rig.get();
  const other = rig.ask({ acquireTimeoutMs: 200 });
  const ask = rig.ask();
  block = 600;
  await rig.clock.advance(200);
  assert.equal(errorOf(other).givenBackMs, 0, 'it was due before');
  await rig.clock.advance(200);
  assert.equal(ask.settled, false);
  held.release();
  await rig.clock.settle();
  assert.ok(ask.lease);
});
