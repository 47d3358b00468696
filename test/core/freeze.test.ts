// B14: a pool at rest in a process that was stopped, by SIGSTOP or by the pause of its container: both clocks run on, and only a timer
// that fires too late tells. What is at rest is suspect then, and costs nobody more than the short bound.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Settings } from '../../src/core/household.ts';
import type { ScriptedSession } from '../../src/testing/scripted-driver.ts';
import { type Ask, Rig } from '../kit/rig.ts';

/** A pool with five idle connections, used a moment ago. */
async function idlePool(settings: Partial<Settings> = {}): Promise<{ rig: Rig; old: ScriptedSession[] }> {
  const rig = new Rig({
    settings: { max: 8, connectConcurrency: 8, checkAfterIdleMs: 30_000, idleTimeoutMs: Infinity, ...settings },
  });
  const old = await rig.fill(5);
  return { rig, old };
}

/** The network forgot these while the process stood still: they never answer again, and nobody says so. */
function silentlyDead(rig: Rig, dead: readonly ScriptedSession[], openMs = 20): void {
  rig.driver.script = (call, session) => {
    if (call === 'open') return { afterMs: openMs };
    if (call !== 'ping') return undefined;
    return session !== undefined && dead.includes(session) ? { never: true } : { afterMs: 5 };
  };
}

function borrowers(rig: Rig, count: number): Ask[] {
  return Array.from({ length: count }, () => rig.ask());
}

for (const restedMs of [1, 400, 999, 1_500, 7_300]) {
  for (const frozenMs of [2_500, 60_000]) {
    test(`after ${restedMs} ms of rest and ${frozenMs} ms of freeze, eight borrowers on five silently dead ones are served within a second`, async () => {
      const { rig, old } = await idlePool();
      silentlyDead(rig, old);
      await rig.clock.advance(restedMs);
      rig.clock.block(frozenMs);
      // What a thawed process does first is to run its timers: requests come in after that.
      await rig.clock.settle();
      const asks = borrowers(rig, 8);
      await rig.clock.advance(1_000);
      assert.ok(
        asks.every((ask) => ask.lease?.session.alive && !old.includes(ask.lease.session)),
        `${asks.filter((ask) => ask.lease !== undefined).length} of 8 were served`,
      );
      assert.ok(
        old.every((session) => !session.alive),
        'and the dead ones are gone',
      );
      rig.audit();
    });
  }
}

test('on a pool of five, too, eight borrowers who hold for 100 ms are all served within a second', async () => {
  const { rig, old } = await idlePool({ max: 5 });
  silentlyDead(rig, old);
  await rig.clock.advance(3_300);
  rig.clock.block(2_500);
  await rig.clock.settle();
  const asks = borrowers(rig, 8);
  let released = 0;
  for (let ms = 0; ms < 1_000; ms += 50) {
    await rig.clock.advance(50);
    for (const ask of asks) {
      if (ask.lease === undefined || ask.lease.released || ask.lease.heldMs < 100) continue;
      ask.lease.release();
      released += 1;
    }
  }
  assert.equal(asks.filter((ask) => ask.lease !== undefined).length, 8);
  assert.ok(released >= 3);
  rig.audit();
});

test('all that are idle are suspect at the thaw, in one pass, and have 250 ms', async () => {
  const { rig, old } = await idlePool();
  silentlyDead(rig, old.slice(0, 2));
  await rig.clock.advance(500);
  rig.clock.block(2_500);
  await rig.clock.settle();
  assert.equal(rig.driver.count('ping'), 5);
  assert.equal(rig.engine.tryAcquire(), undefined, 'none is lent unasked');
  await rig.clock.advance(249);
  assert.equal(rig.driver.alive.length, 5);
  assert.equal(rig.engine.snapshot().idle, 3, 'who answers is back');
  await rig.clock.advance(1);
  assert.equal(rig.driver.alive.length, 3);
  assert.deepEqual(rig.engine.stats().retired, { check: 2 });
});

test('a freeze of a pool whose connections have all survived costs one round trip each and no reconnect', async () => {
  const { rig, old } = await idlePool();
  silentlyDead(rig, []);
  await rig.clock.advance(500);
  rig.clock.block(2_500);
  await rig.clock.settle();
  const asks = borrowers(rig, 5);
  await rig.clock.advance(5);
  assert.ok(asks.every((ask) => ask.lease !== undefined && old.includes(ask.lease.session)));
  assert.equal(rig.driver.count('open'), 5);
  assert.equal(rig.driver.count('ping'), 5);
});

test('a request that comes before the timers of the thaw is served as well', async () => {
  const { rig, old } = await idlePool();
  await rig.clock.advance(500);
  silentlyDead(rig, old);
  rig.clock.block(40_000);
  const asks = borrowers(rig, 8);
  await rig.clock.advance(1_000);
  assert.ok(asks.every((ask) => ask.lease?.session.alive && !old.includes(ask.lease.session)));
});

for (const blockMs of [500, 900]) {
  test(`a stall of ${blockMs} ms is no freeze: nobody is asked and nothing is opened anew`, async () => {
    const { rig } = await idlePool();
    for (let n = 0; n < 10; n += 1) {
      await rig.clock.advance(330);
      rig.clock.block(blockMs);
      await rig.clock.settle();
    }
    const asks = borrowers(rig, 5);
    await rig.clock.settle();
    assert.ok(asks.every((ask) => ask.lease));
    assert.equal(rig.driver.count('ping'), 0);
    assert.equal(rig.driver.count('open'), 5);
  });
}

test('a server that stalls for 500 ms while stale ones are asked costs no reconnect', async () => {
  const { rig } = await idlePool({ checkAfterIdleMs: 1_000 });
  await rig.clock.advance(5_000);
  rig.driver.script = (call) => (call === 'ping' ? { afterMs: 500 } : undefined);
  const asks = borrowers(rig, 5);
  await rig.clock.advance(500);
  assert.ok(asks.every((ask) => ask.lease));
  assert.equal(rig.driver.count('open'), 5);
});

test('a busy pool notices too: what is at rest is suspect, what is lent is left alone', async () => {
  const { rig, old } = await idlePool();
  const leases = [await rig.get(), await rig.get()];
  await rig.clock.advance(300);
  rig.clock.block(2_500);
  await rig.clock.advance(100);
  assert.equal(rig.driver.count('ping'), 3);
  assert.ok(leases.every((lease) => lease.fault === undefined && lease.session.calls.length === 0));
  assert.ok(old.every((session) => session.alive));
});

test("with check 'never' a freeze asks nobody", async () => {
  const { rig } = await idlePool({ check: 'never' });
  await rig.clock.advance(300);
  rig.clock.block(2_500);
  await rig.clock.advance(1_000);
  assert.equal(rig.driver.count('ping'), 0);
});

test('an empty pool has no beat: nothing wakes a process for connections that are not there', async () => {
  const rig = new Rig({ settings: { idleTimeoutMs: 2_000 } });
  await rig.fill(2);
  await rig.clock.advance(60_000);
  assert.equal(rig.engine.snapshot().size, 0);
  assert.equal(rig.clock.pendingTimers, 0);
});

test('the first beat comes within a second of rest, however far away everything else is', async () => {
  const { rig } = await idlePool({ maxLifetimeMs: 3_600_000, idlePingMs: 120_000 });
  assert.ok((rig.clock.nextInMs ?? Infinity) <= 1_000);
  for (let n = 0; n < 20; n += 1) {
    await rig.clock.advance(700);
    assert.ok((rig.clock.nextInMs ?? Infinity) <= 1_000, `after ${n} looks`);
  }
});
