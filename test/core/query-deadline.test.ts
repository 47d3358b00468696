// `engine.deadline()`: a deadline of whatever a borrower does, by the rules of the pool's own (B14). When it rings, when it does not,
// and that time lost to a blocked loop is given back.

import assert from 'node:assert/strict';
import test from 'node:test';
import { CountingClock } from '../kit/ports.ts';
import { Rig } from '../kit/rig.ts';

/** A deadline and the times at which it rang. */
function deadline(rig: Rig, ms: number): { readonly rang: number[]; readonly cancel: () => void } {
  const began = rig.clock.now();
  const rang: number[] = [];
  const cancel = rig.engine.deadline(ms, () => rang.push(rig.clock.now() - began));
  return { rang, cancel };
}

test('it rings once, when its time has passed', async () => {
  const rig = new Rig();
  const { rang } = deadline(rig, 300);
  await rig.clock.advance(299);
  assert.deepEqual(rang, []);
  await rig.clock.advance(10_000);
  assert.deepEqual(rang, [300]);
});

test('one that was taken back does not ring', async () => {
  const rig = new Rig();
  const { rang, cancel } = deadline(rig, 300);
  await rig.clock.advance(299);
  cancel();
  await rig.clock.advance(10_000);
  assert.deepEqual(rang, []);
});

test('taking it back twice, or after it rang, harms nothing', async () => {
  const rig = new Rig();
  const first = deadline(rig, 100);
  const second = deadline(rig, 200);
  await rig.clock.advance(100);
  first.cancel();
  first.cancel();
  await rig.clock.advance(100);
  assert.deepEqual([first.rang, second.rang], [[100], [200]]);
});

test('a deadline that has passed already rings at once, but not within the call', async () => {
  for (const ms of [0, -5]) {
    const rig = new Rig();
    const { rang } = deadline(rig, ms);
    assert.deepEqual(rang, []);
    await rig.clock.settle();
    assert.deepEqual(rang, [0]);
  }
});

test('an infinite one never rings and needs no timer', async () => {
  const rig = new Rig();
  const { rang, cancel } = deadline(rig, Infinity);
  assert.equal(rig.clock.pendingTimers, 0);
  await rig.clock.advance(1e9);
  assert.deepEqual(rang, []);
  cancel();
});

test('several ring in the order in which they fall due, each on its own', async () => {
  const rig = new Rig();
  const all = [500, 100, 300].map((ms) => deadline(rig, ms));
  all[2]?.cancel();
  await rig.clock.advance(1_000);
  assert.deepEqual(
    all.map(({ rang }) => rang),
    [[500], [100], []],
  );
});

test('thousands share one timer', async () => {
  const rig = new Rig();
  const all = Array.from({ length: 5_000 }, () => deadline(rig, 300));
  assert.ok(rig.clock.pendingTimers <= 1);
  await rig.clock.advance(300);
  assert.ok(all.every(({ rang }) => rang.length === 1));
});

test('a reply that came in while the loop was blocked comes first: the deadline is taken back in time', async () => {
  const rig = new Rig();
  const { rang, cancel } = deadline(rig, 300);
  // Complete at 250 ms, but read only when the loop turns again.
  rig.clock.timer(350, cancel);
  await rig.clock.advance(1);
  rig.clock.block(600);
  await rig.clock.advance(10_000);
  assert.deepEqual(rang, []);
});

test('on a loop that was free, too, what is complete already is read before it rings', async () => {
  let cancel = (): void => {};
  const rig = new Rig({
    wrapClock: (clock) => {
      const counting = new CountingClock(clock);
      const { pollPhase } = counting;
      counting.pollPhase = (then) =>
        pollPhase(() => {
          cancel();
          then();
        });
      return counting;
    },
  });
  const set = deadline(rig, 300);
  cancel = set.cancel;
  await rig.clock.advance(1_000);
  assert.deepEqual(set.rang, []);
});

for (const [blockMs, rangAt] of [
  [400, 410 + 110],
  [2_000, 2_010 + 300],
] as const) {
  test(`a block of ${blockMs} ms is given back as far as it was lost, at most the deadline once more`, async () => {
    const rig = new Rig();
    const { rang } = deadline(rig, 300);
    await rig.clock.advance(10);
    rig.clock.block(blockMs);
    await rig.clock.advance(10_000);
    assert.deepEqual(rang, [rangAt]);
  });
}

test('time is given back three times and no more', async () => {
  const rig = new Rig();
  const { rang } = deadline(rig, 300);
  let blocks = 0;
  for (; blocks < 20 && rang.length === 0; blocks += 1) {
    await rig.clock.advance(10);
    rig.clock.block(600);
    await rig.clock.advance(1);
  }
  assert.equal(blocks, 4);
});

test('a timer that is late by 50 ms or less was only inaccurate', async () => {
  const rig = new Rig();
  const { rang } = deadline(rig, 300);
  await rig.clock.advance(299);
  rig.clock.block(40);
  await rig.clock.advance(1_000);
  assert.deepEqual(rang, [339]);
});

test('a ring that throws away its own connection, or sets the next deadline, is served as well', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  const lease = await rig.get();
  const began = rig.clock.now();
  const rang: number[] = [];
  rig.engine.deadline(100, () => {
    lease.release(true);
    rig.engine.deadline(100, () => rang.push(rig.clock.now() - began));
  });
  await rig.clock.advance(250);
  assert.deepEqual(rang, [200]);
  assert.equal(lease.session.alive, false);
});

test('deadlines of borrowers, waiters and the pool itself do not disturb each other', async () => {
  const rig = new Rig({ settings: { max: 1, acquireTimeoutMs: 300 } });
  await rig.get();
  const query = deadline(rig, 300);
  const ask = rig.ask();
  const taken = deadline(rig, 300);
  taken.cancel();
  await rig.clock.advance(300);
  assert.deepEqual(query.rang, [300]);
  assert.ok(ask.error);
  assert.deepEqual(taken.rang, []);
});

test('none is left behind when the pool has closed', async () => {
  const rig = new Rig();
  await rig.fill(1);
  const { rang } = deadline(rig, 100_000);
  await rig.shut();
  assert.deepEqual(rang, []);
});
