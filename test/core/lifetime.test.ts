// B7: how old a connection gets.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Rig } from '../kit/rig.ts';

const LIFETIME = 300_000;

/** When each connection of a full, unused pool is retired for its age, from its birth on. */
async function ages(seed: number, count: number): Promise<number[]> {
  const rig = new Rig({
    seed,
    settings: { max: count, connectConcurrency: count, maxLifetimeMs: LIFETIME, idleTimeoutMs: Infinity },
  });
  const born = rig.clock.now();
  const ended: number[] = [];
  await rig.fill(count);
  let last = 0;
  while (rig.engine.snapshot().size > 0 && rig.clock.now() - born < 2 * LIFETIME) {
    await rig.clock.advance(rig.clock.nextInMs ?? 1);
    const retired = rig.engine.stats().retired.lifetime ?? 0;
    for (; last < retired; last += 1) ended.push(rig.clock.now() - born);
  }
  return ended;
}

test('the age is drawn between 75 % and 100 % of maxLifetimeMs, and spread over that range', async () => {
  const all: number[] = [];
  for (let seed = 1; seed <= 10; seed += 1) all.push(...(await ages(seed, 8)));
  assert.equal(all.length, 80);
  for (const age of all) assert.ok(age >= 0.75 * LIFETIME && age <= LIFETIME + 10, `${age / LIFETIME} of the lifetime`);
  assert.ok(all.some((age) => age < 0.8 * LIFETIME) && all.some((age) => age > 0.95 * LIFETIME));
});

test('connections born together do not die together: expiries are spaced', async () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const ended = (await ages(seed, 5)).sort((x, y) => x - y);
    const gaps = ended.slice(1).map((age, n) => age - (ended[n] as number));
    assert.ok(Math.min(...gaps) > 0.005 * LIFETIME, `seed ${seed}: gaps ${gaps}`);
  }
});

test('an expired connection is never lent, even if no sweep has come by since', async () => {
  const rig = new Rig({ settings: { max: 1, maxLifetimeMs: 1_000, checkAfterIdleMs: Infinity, check: 'never' } });
  const [old] = await rig.fill(1);
  rig.clock.block(1_000);
  assert.equal(rig.engine.tryAcquire(), undefined);
  const ask = rig.ask();
  await rig.clock.advance(100);
  assert.ok(ask.lease);
  assert.notEqual(ask.lease.session, old);
  assert.deepEqual(rig.engine.stats().retired, { lifetime: 1 });
});

test('an expired connection that was already being checked is not lent either', async () => {
  const rig = new Rig({
    settings: { max: 1, maxLifetimeMs: 10_000 },
    script: (call) => (call === 'ping' ? { afterMs: 900 } : undefined),
  });
  const [old] = await rig.fill(1);
  for (let n = 0; n < 12 && rig.driver.alive.length > 0; n += 1) {
    await rig.clock.advance(1_100);
    const lease = rig.ask();
    await rig.clock.advance(1_000);
    if (lease.lease?.session === old) {
      const age = rig.clock.now() - 1_000;
      assert.ok(age <= 10_000 + 1_000, `lent at ${age} ms`);
    }
    lease.lease?.release();
    await rig.clock.settle();
  }
  assert.equal(old?.alive, false);
});

test('a lent one lives on past its age and is retired when it comes back; the waiter gets the successor', async () => {
  const rig = new Rig({ settings: { max: 1, maxLifetimeMs: 1_000 } });
  const held = await rig.get();
  await rig.clock.advance(20_000);
  assert.ok(held.session.alive);
  const waiter = rig.ask();
  held.release();
  await rig.clock.settle();
  assert.ok(waiter.lease);
  assert.notEqual(waiter.lease.session, held.session);
  assert.equal(rig.engine.stats().retired.lifetime, 1);
});

test('an idle one is retired at its age without any traffic', async () => {
  const rig = new Rig({ settings: { max: 1, maxLifetimeMs: 10_000, idleTimeoutMs: Infinity } });
  await rig.fill(1);
  await rig.clock.advance(7_400);
  assert.equal(rig.engine.snapshot().idle, 1);
  await rig.clock.advance(2_700);
  assert.equal(rig.engine.snapshot().size, 0);
  assert.deepEqual(rig.engine.stats().retired, { lifetime: 1 });
});

test('at min and with room the replacement is opened first: there is never a moment without one', async () => {
  const rig = new Rig({
    settings: { min: 2, max: 4, maxLifetimeMs: 60_000, idleTimeoutMs: Infinity },
    script: (call) => (call === 'open' ? { afterMs: 300 } : undefined),
  });
  const open = rig.engine.open();
  await rig.clock.advance(1_000);
  await open;
  for (let n = 0; n < 3_000; n += 1) {
    await rig.clock.advance(100);
    const { idle, size } = rig.engine.snapshot();
    assert.ok(idle >= 2, `${idle} idle after ${n * 100} ms`);
    assert.ok(size <= 4);
  }
  const { retired } = rig.engine.stats();
  assert.ok((retired.lifetime ?? 0) >= 8, `${retired.lifetime} retired for their age`);
  assert.ok((retired.idle ?? 0) === 0 && rig.engine.snapshot().idle <= 3);
});

test('at min without room the old one goes first and is replaced at once', async () => {
  const rig = new Rig({ settings: { min: 2, max: 2, maxLifetimeMs: 60_000 } });
  await rig.engine.open();
  await rig.clock.advance(300_000);
  const { retired } = rig.engine.stats();
  assert.ok((retired.lifetime ?? 0) >= 8);
  assert.equal(rig.engine.snapshot().idle, 2);
  assert.ok(rig.driver.peakSockets <= 2);
});

test('who keeps nothing keeps nothing for its last second either: no successor is made for it', async () => {
  const rig = new Rig({ settings: { min: 0, max: 2, idleTimeoutMs: 0, maxLifetimeMs: 1_500 } });
  const lease = await rig.get();
  await rig.clock.advance(600);
  lease.release();
  await rig.clock.advance(20);
  const { idle, size } = rig.engine.snapshot();
  assert.deepEqual({ idle, size, connects: rig.engine.stats().connects }, { idle: 0, size: 0, connects: 1 });
});
