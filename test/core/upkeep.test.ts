// B13: idle trim, keep-alive and refill, on one timer.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Rig } from '../kit/rig.ts';

test('an idle connection above min is closed after idleTimeoutMs, counted from its last return', async () => {
  const rig = new Rig({ settings: { idleTimeoutMs: 10_000 } });
  await rig.fill(1);
  await rig.clock.advance(9_000);
  (await rig.get()).release();
  await rig.clock.advance(9_990);
  assert.equal(rig.engine.snapshot().idle, 1);
  await rig.clock.advance(20);
  assert.equal(rig.engine.snapshot().size, 0);
  assert.deepEqual(rig.engine.stats().retired, { idle: 1 });
});

test('the oldest go first, and never below min', async () => {
  const rig = new Rig({ settings: { min: 1, max: 3, idleTimeoutMs: 10_000 } });
  const [a, b, c] = await rig.fill(3);
  await rig.clock.advance(5_000);
  // Warm the top of the stack: c, then b are used again.
  const leaseC = await rig.get();
  const leaseB = await rig.get();
  leaseB.release();
  leaseC.release();
  assert.deepEqual([leaseC.session, leaseB.session], [c, b]);
  await rig.clock.advance(5_010);
  assert.deepEqual([a?.alive, b?.alive, c?.alive], [false, true, true]);
  await rig.clock.advance(5_000);
  assert.deepEqual([a?.alive, b?.alive, c?.alive], [false, false, true]);
  await rig.clock.advance(600_000);
  assert.equal(c?.alive, true, 'min stays');
  assert.equal(rig.engine.stats().retired.idle, 2);
});

test('lent ones count towards min: with min lent, an idle one more is surplus', async () => {
  const rig = new Rig({ settings: { min: 1, max: 2, idleTimeoutMs: 1_000 } });
  await rig.fill(2);
  await rig.get();
  await rig.clock.advance(1_020);
  assert.deepEqual([rig.engine.snapshot().lent, rig.engine.snapshot().idle], [1, 0]);
});

test('idleTimeoutMs 0 closes a connection at its return, unless somebody waits or it belongs to min', async () => {
  const rig = new Rig({ settings: { max: 1, idleTimeoutMs: 0 } });
  const lease = await rig.get();
  const waiter = rig.ask();
  lease.release();
  await rig.clock.settle();
  assert.equal(waiter.lease?.session, lease.session, 'to the waiter');
  waiter.lease?.release();
  await rig.clock.settle();
  assert.equal(rig.engine.snapshot().size, 0);
  assert.deepEqual(rig.engine.stats().retired, { idle: 1 });

  const kept = new Rig({ settings: { min: 1, max: 2, idleTimeoutMs: 0 } });
  await kept.fill(1);
  assert.equal(kept.engine.snapshot().idle, 1);
});

test('idleTimeoutMs Infinity never closes one', async () => {
  const rig = new Rig({ settings: { idleTimeoutMs: Infinity } });
  await rig.fill(3);
  await rig.clock.advance(100_000_000);
  assert.equal(rig.engine.snapshot().idle, 3);
});

test('what died unused is replaced up to min without a borrower', async () => {
  const rig = new Rig({ settings: { min: 2, max: 3 } });
  await rig.engine.open();
  for (const session of rig.driver.alive) session.kill();
  await rig.clock.settle();
  assert.equal(rig.engine.snapshot().idle, 2);
  assert.equal(rig.driver.count('open'), 4);
});

test('a connection replaced on its return is made up for up to min', async () => {
  const rig = new Rig({ settings: { min: 2, max: 3 } });
  await rig.engine.open();
  (await rig.get()).release(true);
  await rig.clock.settle();
  assert.equal(rig.engine.snapshot().idle, 2);
});

test('each idle connection that counts towards min is pinged within idlePingMs of its last proof of life, with jitter', async () => {
  const at: number[] = [];
  const rig = new Rig({
    settings: { min: 3, max: 3, idlePingMs: 120_000, idleTimeoutMs: Infinity },
    script: (call) => {
      if (call === 'ping') at.push(rig.clock.now());
      return undefined;
    },
  });
  await rig.engine.open();
  const began = rig.clock.now();
  await rig.clock.advance(125_000);
  assert.equal(at.length, 3);
  for (const when of at) {
    assert.ok(when - began >= 100_000 && when - began <= 120_010, `pinged after ${when - began} ms`);
  }
  await rig.clock.advance(120_000 * 9);
  for (const session of rig.driver.alive) {
    const pings = session.calls.length;
    assert.ok(pings >= 9 && pings <= 12, `${pings} pings in twenty minutes`);
  }
  const moments = new Set(at.map((when) => Math.round(when)));
  assert.ok(moments.size > 10, 'jitter spreads them');
});

test('only those that count towards min are pinged, from the cold end', async () => {
  const rig = new Rig({ settings: { min: 1, max: 3, idlePingMs: 1_000, idleTimeoutMs: Infinity } });
  const sessions = await rig.fill(3);
  await rig.clock.advance(10_000);
  const pinged = sessions.map((session) => session.calls.length > 0);
  assert.ok(pinged.filter(Boolean).length >= 1, 'somebody is');
  assert.ok(rig.driver.count('ping') <= 12, `${rig.driver.count('ping')} pings for one connection in ten periods`);
});

test('a ping holds one connection at a time out of the idle ones that could be lent', async () => {
  let most = 0;
  const rig = new Rig({
    settings: { min: 4, max: 4, idlePingMs: 10_000, idleTimeoutMs: Infinity, checkAfterIdleMs: Infinity },
    script: (call) => (call === 'ping' ? { afterMs: 30 } : undefined),
  });
  await rig.engine.open();
  for (let n = 0; n < 4_000; n += 1) {
    await rig.clock.advance(10);
    most = Math.max(most, rig.engine.snapshot().returning);
  }
  assert.ok(rig.driver.count('ping') >= 12);
  assert.ok(most < 4, `${most} of 4 were out at once`);
});

test('a keep-alive ping that finds a dead one has it replaced', async () => {
  const rig = new Rig({ settings: { min: 2, max: 2, idlePingMs: 1_000, idleTimeoutMs: Infinity } });
  await rig.engine.open();
  const dead = rig.driver.alive[0];
  rig.driver.script = (call, session) =>
    call === 'ping' && session === dead ? { fail: new Error('ECONNRESET') } : undefined;
  await rig.clock.advance(1_500);
  assert.equal(dead?.alive, false);
  assert.equal(rig.engine.snapshot().idle, 2);
  assert.equal(rig.engine.stats().connectionsLost, 1);
});

test('a ping is no use: idle time goes on', async () => {
  const rig = new Rig({ settings: { min: 1, max: 2, idlePingMs: 300, idleTimeoutMs: 1_000 } });
  await rig.fill(2);
  await rig.clock.advance(1_100);
  assert.equal(rig.engine.snapshot().size, 1);
});

test('a pool at rest has one timer for deadlines at most and one for upkeep, whatever its size', async () => {
  const rig = new Rig({
    settings: { min: 20, max: 40, connectConcurrency: 40, maxLifetimeMs: 3_600_000, idlePingMs: 120_000 },
  });
  await rig.fill(40);
  await rig.clock.advance(100);
  assert.ok(rig.clock.pendingTimers <= 2, `${rig.clock.pendingTimers} timers`);
});

test('an idle pool wakes once a second, to notice a freeze, and not for each connection', async () => {
  const rig = new Rig({ settings: { min: 2, max: 5, maxLifetimeMs: 3_600_000, idlePingMs: 120_000 } });
  await rig.fill(5);
  let wakeUps = 0;
  const until = rig.clock.now() + 600_000;
  while (rig.clock.now() < until) {
    await rig.clock.advance(Math.max(rig.clock.nextInMs ?? 600_000, 1));
    wakeUps += 1;
  }
  assert.ok(wakeUps > 590 && wakeUps < 720, `${wakeUps} wake-ups in ten minutes`);
});
