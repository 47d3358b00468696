// B15: what an operator may do to a running pool.

import assert from 'node:assert/strict';
import test from 'node:test';
import { errorOf, Rig, watch } from '../kit/rig.ts';

// resize

test('resize upwards dials for the waiters at once', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  await rig.get();
  const asks = [rig.ask(), rig.ask(), rig.ask()];
  await rig.clock.advance(100);
  assert.equal(rig.engine.snapshot().size, 1);
  rig.engine.resize(0, 3);
  await rig.clock.settle();
  assert.deepEqual(
    asks.map((ask) => ask.lease !== undefined),
    [true, true, false],
  );
  assert.equal(rig.engine.snapshot().size, 3);
  assert.equal(rig.driver.peakSockets, 3);
});

test('a raised min is filled exactly, whatever is open already (psycopg made ten of six)', async () => {
  const rig = new Rig({ settings: { min: 2, max: 6 } });
  await rig.engine.open();
  await rig.fill(6);
  rig.engine.resize(6, 6);
  await rig.clock.advance(1_000);
  assert.equal(rig.engine.snapshot().size, 6);
  rig.engine.resize(1, 1);
  await rig.clock.settle();
  assert.equal(rig.engine.snapshot().size, 1);
  assert.equal(rig.engine.stats().retired.resized, 5);
  rig.engine.resize(4, 8);
  await rig.clock.settle();
  assert.equal(rig.engine.snapshot().size, 4);
  const { min, max } = rig.engine.snapshot();
  assert.deepEqual([min, max], [4, 8]);
  assert.equal(rig.driver.peakSockets, 6);
});

test('resize downwards closes the oldest idle ones now and lent ones as they come back, and not one too many', async () => {
  const rig = new Rig({ settings: { max: 6 } });
  const [oldest, second] = await rig.fill(6);
  const leases = [await rig.get(), await rig.get(), await rig.get(), await rig.get()];
  rig.engine.resize(0, 3);
  await rig.clock.settle();
  assert.deepEqual([oldest?.alive, second?.alive], [false, false]);
  assert.deepEqual([rig.engine.snapshot().lent, rig.engine.snapshot().size], [4, 4], 'no lease is touched');
  for (const lease of leases) lease.release();
  await rig.clock.settle();
  const s = rig.engine.snapshot();
  assert.deepEqual([s.idle, s.size], [3, 3]);
  assert.equal(rig.engine.stats().retired.resized, 3);
});

test('after resize downwards a waiter does not get the surplus connection', async () => {
  const rig = new Rig({ settings: { max: 2 } });
  const first = await rig.get();
  await rig.get(30);
  const waiter = rig.ask();
  rig.engine.resize(0, 1);
  first.release();
  await rig.clock.settle();
  assert.equal(waiter.settled, false);
  assert.equal(rig.engine.snapshot().size, 1);
});

test('resize downwards while connects are under way still ends at max', async () => {
  const rig = new Rig({
    settings: { max: 6, connectConcurrency: 6 },
    script: (call) => (call === 'open' ? { afterMs: 100 } : undefined),
  });
  const asks = Array.from({ length: 6 }, () => rig.ask());
  await rig.clock.advance(10);
  rig.engine.resize(0, 2);
  await rig.clock.advance(500);
  const s = rig.engine.snapshot();
  assert.deepEqual([s.lent, s.size], [2, 2]);
  assert.equal(asks.filter((ask) => ask.lease).length, 2);
});

test('a lowered min lets idle ones be trimmed again', async () => {
  const rig = new Rig({ settings: { min: 3, max: 3, idleTimeoutMs: 1_000 } });
  await rig.engine.open();
  await rig.clock.advance(10_000);
  assert.equal(rig.engine.snapshot().idle, 3);
  rig.engine.resize(1, 3);
  await rig.clock.advance(10_000);
  assert.equal(rig.engine.snapshot().idle, 1);
});

test('what is being closed counts towards max after a resize too', async () => {
  const rig = new Rig({
    settings: { max: 3 },
    script: (call) => (call === 'end' ? { afterMs: 500 } : undefined),
  });
  await rig.fill(3);
  rig.engine.resize(0, 1);
  rig.engine.resize(3, 3);
  await rig.clock.advance(400);
  assert.ok(rig.driver.peakSockets <= 3);
  await rig.clock.advance(200);
  assert.equal(rig.engine.snapshot().size, 3);
});

// replaceAll

test('replaceAll makes every connection anew and resolves when every old session is gone', async () => {
  const rig = new Rig({
    settings: { min: 2, max: 4 },
    script: (call) => (call === 'end' ? { afterMs: 300 } : undefined),
  });
  const old = await rig.fill(3);
  const lease = await rig.get();
  const done = watch(rig.engine.replaceAll(0));
  await rig.clock.advance(400);
  assert.deepEqual(
    old.map((session) => session.alive),
    [false, false, true],
    'the lent one lives',
  );
  assert.equal(done.settled, false);
  lease.release();
  await rig.clock.advance(299);
  assert.equal(done.settled, false);
  await rig.clock.advance(1);
  assert.equal(done.settled, true);
  assert.equal(rig.engine.stats().retired.replaced, 3);
  await rig.clock.settle();
  assert.equal(rig.engine.snapshot().idle, 2, 'min is there again');
  assert.ok(rig.driver.alive.every((session) => !old.includes(session)));
});

test('replaceAll catches what was being opened or cleaned at that moment', async () => {
  const rig = new Rig({
    settings: { max: 2 },
    script: (call) => (call === 'open' || call === 'rollback' ? { afterMs: 200 } : undefined),
  });
  const lease = await rig.get(200);
  const ask = rig.ask();
  await rig.clock.advance(50);
  lease.session.status = 'transaction';
  lease.release();
  assert.deepEqual([rig.engine.snapshot().opening, rig.engine.snapshot().returning], [1, 1]);
  const done = watch(rig.engine.replaceAll(0));
  await rig.clock.advance(600);
  assert.equal(done.settled, true);
  assert.ok((ask.lease?.session.pid ?? 0) > 2, 'the waiter has one of the new generation');
});

test('a waiter is served by the new generation when an old one comes back', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  const lease = await rig.get();
  const waiter = rig.ask();
  const done = watch(rig.engine.replaceAll(0));
  lease.release();
  await rig.clock.settle();
  assert.ok(waiter.lease);
  assert.notEqual(waiter.lease.session, lease.session);
  assert.equal(done.settled, true);
});

test('replaceAll over a time spreads the idle ones over it', async () => {
  const rig = new Rig({ settings: { min: 5, max: 5, idleTimeoutMs: Infinity } });
  await rig.engine.open();
  const old = rig.driver.alive;
  const done = watch(rig.engine.replaceAll(8_000));
  const left = (): number => old.filter((session) => session.alive).length;
  const seen: number[] = [];
  for (let n = 0; n <= 8; n += 1) {
    await rig.clock.advance(n === 0 ? 10 : 1_000);
    seen.push(left());
    assert.ok(rig.engine.snapshot().idle >= 4, 'at most one is missing at a time');
  }
  assert.equal(done.settled, true);
  for (let n = 1; n < seen.length; n += 1) {
    assert.ok((seen[n - 1] as number) - (seen[n] as number) <= 1, `${seen}`);
  }
  assert.equal(rig.engine.snapshot().idle, 5);
});

test('replaceAll of an empty pool, and of one never opened, is done at once', async () => {
  const rig = new Rig();
  await rig.engine.replaceAll(0);
  assert.equal(rig.driver.count('open'), 0);
  await rig.fill(1);
  rig.driver.alive[0]?.kill();
  await rig.clock.settle();
  await rig.engine.replaceAll(1_000);
});

test('replaceAll twice: each resolves when its own old ones are gone', async () => {
  const rig = new Rig({ settings: { max: 2 } });
  const first = await rig.get();
  const one = watch(rig.engine.replaceAll(0));
  const second = await rig.get(30);
  const two = watch(rig.engine.replaceAll(0));
  first.release();
  await rig.clock.settle();
  assert.deepEqual([one.settled, two.settled], [true, false]);
  second.release();
  await rig.clock.settle();
  assert.equal(two.settled, true);
  assert.equal(rig.engine.stats().retired.replaced, 2);
});

test('replaceAll over a time and a close in between: both end', async () => {
  const rig = new Rig();
  await rig.fill(3);
  const done = watch(rig.engine.replaceAll(60_000));
  await rig.clock.advance(1_000);
  await rig.shut();
  assert.equal(done.settled, true);
});

// pause

test('pause stops lending and resolves when nothing is lent; those who wait are served after resume, in order', async () => {
  const rig = new Rig({ settings: { max: 2 } });
  await rig.fill(2);
  const held = await rig.get();
  const paused = watch(rig.engine.pause('wait'));
  assert.equal(rig.engine.phase, 'paused');
  const first = rig.ask();
  const second = rig.ask();
  await rig.clock.advance(100);
  assert.deepEqual([paused.settled, first.settled], [false, false], 'although one is idle');
  held.session.status = 'transaction';
  rig.driver.script = (call) => (call === 'rollback' ? { afterMs: 50 } : undefined);
  held.release();
  await rig.clock.advance(49);
  assert.equal(paused.settled, false, 'what is being cleaned is not quiet yet');
  await rig.clock.advance(1);
  assert.equal(paused.settled, true);
  assert.equal(rig.engine.snapshot().idle, 2);
  rig.engine.resume();
  await rig.clock.settle();
  assert.ok(first.lease);
  assert.ok(second.lease);
  assert.equal(rig.engine.phase, 'open');
});

test('deadlines go on while the pool is paused, and the error says that it is', async () => {
  const rig = new Rig();
  await rig.fill(1);
  await rig.engine.pause('wait');
  const ask = rig.ask({ acquireTimeoutMs: 500 });
  await rig.clock.advance(500);
  assert.equal(errorOf(ask).kind, 'POOL_TIMEOUT');
  assert.match(errorOf(ask).message, /paused/);
});

test("pause({ borrowers: 'reject' }) refuses newcomers and those who wait already", async () => {
  const rig = new Rig({ settings: { max: 1 } });
  const held = await rig.get();
  const waiting = rig.ask();
  void rig.engine.pause('reject');
  await rig.clock.advance(250);
  const newcomer = rig.ask();
  await rig.clock.settle();
  for (const ask of [waiting, newcomer]) {
    assert.equal(errorOf(ask).name, 'PoolPausedError');
    assert.equal(errorOf(ask).kind, 'POOL_PAUSED');
  }
  assert.equal(errorOf(newcomer).pausedForMs, 250);
  assert.equal(rig.engine.stats().requestsFailed.paused, 2);
  rig.engine.resume();
  held.release();
  await rig.clock.settle();
  assert.ok(await rig.get());
});

test('a connect that ends in a pause becomes idle, min is kept, and nothing is lent', async () => {
  const rig = new Rig({
    settings: { min: 1, max: 2 },
    script: (call) => (call === 'open' ? { afterMs: 100 } : undefined),
  });
  const ask = rig.ask();
  await rig.clock.advance(50);
  await rig.engine.pause('wait');
  await rig.clock.advance(100);
  assert.equal(ask.settled, false);
  assert.equal(rig.engine.snapshot().idle, 1);
  rig.driver.alive[0]?.kill();
  await rig.clock.advance(200);
  assert.equal(rig.engine.snapshot().idle, 1);
  rig.engine.resume();
  await rig.clock.settle();
  assert.ok(ask.lease);
});

test('a stale connection that was being checked for a waiter is not lent into a pause', async () => {
  const rig = new Rig({ script: (call) => (call === 'ping' ? { afterMs: 100 } : undefined) });
  await rig.fill(1);
  await rig.clock.advance(5_000);
  const ask = rig.ask();
  await rig.clock.advance(50);
  const paused = watch(rig.engine.pause('wait'));
  await rig.clock.advance(100);
  assert.equal(ask.settled, false);
  assert.equal(paused.settled, true);
  assert.equal(rig.engine.snapshot().idle, 1);
});

test('pausing twice is one pause; resuming what is not paused is nothing; a close ends a pause', async () => {
  const rig = new Rig();
  const held = await rig.get();
  const one = watch(rig.engine.pause('wait'));
  const two = watch(rig.engine.pause('wait'));
  held.release();
  await rig.clock.settle();
  assert.deepEqual([one.settled, two.settled], [true, true]);
  rig.engine.resume();
  rig.engine.resume();
  assert.equal(rig.engine.phase, 'open');
  await rig.get();
  const third = watch(rig.engine.pause('wait'));
  const waiter = rig.ask();
  await rig.shut({ drainMs: 10, cancelMs: 10 });
  assert.equal(third.settled, true);
  assert.equal(errorOf(waiter).kind, 'POOL_CLOSED');
});

test('pause on a pool that is not open does not say what is not so', async () => {
  const rig = new Rig({ script: (call) => (call === 'open' ? { never: true } : undefined) });
  const created = watch(rig.engine.pause('wait'));
  await rig.clock.settle();
  if (created.error !== undefined) assert.doesNotMatch(errorOf(created).message, /autoOpen is false/);
  void rig.engine.open({ timeoutMs: 100_000 }).catch(() => {});
  await rig.clock.settle();
  assert.equal(rig.engine.phase, 'opening');
  const opening = watch(rig.engine.pause('wait'));
  await rig.clock.settle();
  if (opening.error !== undefined) assert.doesNotMatch(errorOf(opening).message, /closed/);
  await rig.shut({ drainMs: 0, cancelMs: 0 });
});

// check

test('check() tests the idle ones one at a time; the others can be lent meanwhile', async () => {
  const rig = new Rig({
    settings: { max: 4 },
    script: (call) => (call === 'ping' ? { afterMs: 50 } : undefined),
  });
  await rig.fill(4);
  const report = watch(rig.engine.check(Infinity));
  for (let n = 0; n < 3; n += 1) {
    await rig.clock.advance(20);
    assert.equal(rig.engine.snapshot().returning, 1, 'one at a time');
  }
  assert.ok(rig.engine.tryAcquire(), 'the pool is no hostage');
  await rig.clock.advance(200);
  assert.ok(report.value);
  assert.equal(report.value.kept, report.value.tested);
  assert.ok(report.value.tested >= 3);
  assert.deepEqual([report.value.replaced, report.value.late], [0, 0]);
});

test('check() reports what it found, is bounded, and what it discards is replaced up to min', async () => {
  const rig = new Rig({ settings: { min: 4, max: 4, checkTimeoutMs: 200, idleTimeoutMs: Infinity } });
  await rig.engine.open();
  rig.driver.script = (call, session) => {
    if (call !== 'ping') return undefined;
    if (session?.pid === 1) return { fail: new Error('ECONNRESET') };
    if (session?.pid === 2) return { never: true };
    return undefined;
  };
  const began = rig.clock.now();
  let took = 0;
  const report = watch(rig.engine.check(Infinity).finally(() => (took = rig.clock.now() - began)));
  await rig.clock.advance(5_000);
  assert.ok(report.value);
  const { tested, kept, replaced, late } = report.value;
  assert.equal(tested, kept + replaced + late);
  assert.ok(replaced >= 1);
  assert.ok(took <= 4 * 250, `${took} ms`);
  await rig.clock.advance(20_000);
  assert.equal(rig.engine.snapshot().idle, 4);
});

test('check() of a pool without idle connections tests nothing', async () => {
  const rig = new Rig();
  assert.deepEqual(await rig.engine.check(Infinity), { tested: 0, kept: 0, replaced: 0, late: 0 });
});

test('a close during check() ends it', async () => {
  const rig = new Rig({ script: (call) => (call === 'ping' ? { never: true } : undefined) });
  await rig.fill(3);
  const report = watch(rig.engine.check(Infinity));
  await rig.clock.advance(10);
  await rig.shut({ drainMs: 100, cancelMs: 10 });
  assert.ok(report.settled);
});

// trim

test('trim closes idle ones, below min too, oldest first, and resolves with how many when their sockets are gone', async () => {
  const rig = new Rig({
    settings: { min: 2, max: 5 },
    script: (call) => (call === 'end' ? { afterMs: 200 } : undefined),
  });
  const sessions = await rig.fill(5);
  const some = watch(rig.engine.trim(2));
  await rig.clock.advance(199);
  assert.equal(some.settled, false);
  await rig.clock.advance(1);
  assert.equal(some.value, 3);
  assert.deepEqual(
    sessions.map((session) => session.alive),
    [false, false, false, true, true],
  );
  const rest = watch(rig.engine.trim(0));
  await rig.clock.advance(200);
  assert.equal(rest.value, 2);
  await rig.clock.advance(100_000);
  assert.equal(rig.engine.snapshot().size, 0, 'min is not restored by itself');
  assert.equal(rig.engine.stats().retired.trimmed, 5);
});

test('the next use restores min', async () => {
  for (const how of ['acquire', 'tryAcquire', 'ready'] as const) {
    const rig = new Rig({ settings: { min: 3, max: 5 } });
    await rig.engine.open();
    await rig.engine.trim(1);
    assert.equal(rig.engine.snapshot().size, 1);
    if (how === 'acquire') await rig.get();
    else if (how === 'tryAcquire') assert.ok(rig.engine.tryAcquire());
    else {
      const ready = watch(rig.engine.ready({ timeoutMs: 5_000 }));
      await rig.clock.advance(6_000);
      assert.equal(ready.error, undefined, 'ready() resolves when min exist');
    }
    await rig.clock.settle();
    assert.equal(rig.engine.snapshot().size, 3, how);
  }
});

test('trim gives up a connect that nobody waits for any more, and one that is waited for it leaves', async () => {
  const rig = new Rig({
    settings: { max: 3, connectConcurrency: 3 },
    script: (call) => (call === 'open' ? { afterMs: 100 } : undefined),
  });
  const held = rig.ask();
  await rig.clock.advance(100);
  const next = rig.ask();
  await rig.clock.advance(50);
  assert.equal(rig.engine.snapshot().opening, 1);
  const wanted = watch(rig.engine.trim(0));
  await rig.clock.advance(20);
  assert.deepEqual([wanted.value, rig.engine.snapshot().opening], [0, 1]);
  // Whoever it was dialled for has the other one.
  held.lease?.release();
  await rig.clock.settle();
  assert.ok(next.lease !== undefined);
  next.lease.release();
  const trimmed = watch(rig.engine.trim(0));
  await rig.clock.advance(500);
  assert.equal(trimmed.value, 1);
  assert.deepEqual([rig.engine.snapshot().size, rig.driver.sockets], [0, 0]);
});

test('trim takes no lent one', async () => {
  const rig = new Rig({ settings: { max: 2 } });
  await rig.fill(2);
  const lease = await rig.get();
  assert.equal(await rig.engine.trim(0), 1);
  assert.ok(lease.session.alive);
  lease.release();
  await rig.clock.settle();
  assert.equal(rig.engine.snapshot().idle, 1);
});

test('trim before open() does nothing, and the pool opens as ever', async () => {
  const rig = new Rig({ settings: { min: 2, max: 3 } });
  assert.equal(await rig.engine.trim(0), 0);
  const open = watch(rig.engine.open({ timeoutMs: 5_000 }));
  await rig.clock.advance(6_000);
  assert.equal(open.error, undefined);
  assert.equal(rig.engine.snapshot().idle, 2);
});
