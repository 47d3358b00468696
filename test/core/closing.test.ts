// B16: refuse, reject or serve, drain, cancel, cut, and done when the last socket is gone.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Closure } from '../../src/core/closing.ts';
import type { Script } from '../../src/testing/scripted-driver.ts';
import { ScriptedPermits } from '../kit/ports.ts';
import { errorOf, Rig, watch } from '../kit/rig.ts';

const CLOSURE: Closure = { drainMs: 1_000, cancelMs: 200, waiting: 'reject' };

test('closing refuses newcomers, rejects waiters at once, and waits for what is lent', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  const held = await rig.get();
  const waiter = rig.ask();
  const closing = watch(rig.engine.close(CLOSURE));
  assert.equal(rig.engine.phase, 'closing');
  const newcomer = rig.ask();
  await rig.clock.settle();
  for (const ask of [waiter, newcomer]) {
    assert.equal(errorOf(ask).name, 'PoolClosedError');
    assert.equal(errorOf(ask).phase, 'closing');
  }
  assert.equal(rig.engine.stats().requestsFailed.closed, 2);
  await rig.clock.advance(500);
  assert.equal(closing.settled, false);
  held.release();
  await rig.clock.settle();
  assert.deepEqual(closing.value, { closed: 1, cancelled: 0, destroyed: 0, rejected: 1, stillHeld: [] });
  assert.equal(rig.engine.phase, 'closed');
  await rig.shut();
});

test('close() resolves when the sockets are gone, not before', async () => {
  const rig = new Rig({ script: (call) => (call === 'end' ? { afterMs: 300 } : undefined) });
  await rig.fill(3);
  const closing = watch(rig.engine.close(CLOSURE));
  await rig.clock.advance(299);
  assert.equal(closing.settled, false);
  await rig.clock.advance(1);
  assert.equal(closing.value?.closed, 3);
  assert.equal(rig.driver.sockets, 0);
});

test("waiting: 'serve' serves those who wait already, and nobody else", async () => {
  const rig = new Rig({ settings: { max: 1 } });
  const held = await rig.get();
  const [first, second] = [rig.ask(), rig.ask()];
  const closing = watch(rig.engine.close({ ...CLOSURE, waiting: 'serve' }));
  const newcomer = rig.ask();
  held.release();
  await rig.clock.settle();
  assert.ok(first.lease);
  assert.equal(errorOf(newcomer).kind, 'POOL_CLOSED');
  first.lease.release();
  await rig.clock.settle();
  assert.ok(second.lease);
  second.lease.release();
  await rig.clock.settle();
  assert.deepEqual(closing.value, { closed: 1, cancelled: 0, destroyed: 0, rejected: 0, stillHeld: [] });
});

test("waiting: 'serve' serves through connects too, and rejects who is left when the drain is over", async () => {
  const rig = new Rig({ settings: { max: 1 }, script: (call) => (call === 'open' ? { afterMs: 400 } : undefined) });
  const [first, second] = [rig.ask(), rig.ask()];
  const closing = watch(rig.engine.close({ ...CLOSURE, waiting: 'serve' }));
  await rig.clock.advance(400);
  assert.ok(first.lease);
  await rig.clock.advance(600);
  assert.equal(errorOf(second).kind, 'POOL_CLOSED');
  await rig.clock.advance(200);
  assert.equal(closing.value?.rejected, 1);
  assert.equal(closing.value?.stillHeld.length, 1);
});

test('a task that is known to hold a lease may still take another while the pool closes', async () => {
  let holds = false;
  const rig = new Rig({
    ports: {
      tasks: { detached: (work) => work(), current: () => undefined, holdsLease: () => holds, matters: () => {} },
    },
  });
  await rig.fill(2);
  const held = await rig.get();
  const closing = watch(rig.engine.close(CLOSURE));
  const stranger = rig.ask();
  holds = true;
  const child = rig.ask();
  await rig.clock.settle();
  assert.equal(errorOf(stranger).kind, 'POOL_CLOSED');
  assert.ok(child.lease);
  child.lease.release();
  held.release();
  await rig.clock.advance(10);
  assert.equal(closing.settled, true);
});

test('after drainMs running statements are cancelled; who then gives back in time is counted as cancelled', async () => {
  const rig = new Rig({ script: (call) => (call === 'settle' ? { afterMs: 50 } : undefined) });
  const busy = await rig.get();
  busy.session.status = 'busy';
  const closing = watch(rig.engine.close(CLOSURE));
  await rig.clock.advance(999);
  assert.deepEqual(busy.session.calls, []);
  await rig.clock.advance(51);
  assert.deepEqual(busy.session.calls, ['settle']);
  assert.equal(closing.settled, false);
  busy.release();
  await rig.clock.settle();
  assert.deepEqual(closing.value, { closed: 0, cancelled: 1, destroyed: 0, rejected: 0, stillHeld: [] });
});

test('after cancelMs what is still held is cut: counted, named, revoked', async () => {
  const rig = new Rig({ script: (call) => (call === 'settle' ? { never: true } : undefined) });
  const busy = await rig.get(0, { label: 'report' });
  busy.session.status = 'busy';
  busy.session.lastStatement = 'select pg_sleep(600)';
  const idle = await rig.get(30, { label: 'forgotten' });
  const closing = watch(rig.engine.close(CLOSURE));
  const { signal } = busy;
  await rig.clock.advance(1_199);
  assert.equal(closing.settled, false);
  assert.equal(signal.aborted, false);
  await rig.clock.advance(1);
  assert.ok(closing.value);
  const { closed, cancelled, destroyed, stillHeld } = closing.value;
  assert.deepEqual([closed, cancelled, destroyed], [0, 0, 2]);
  assert.deepEqual(
    stillHeld.map((holder) => [holder.label, holder.busy, holder.lastStatement]),
    [
      ['report', true, 'select pg_sleep(600)'],
      ['forgotten', false, undefined],
    ],
  );
  assert.equal(errorOf({ error: busy.fault }).kind, 'LEASE_REVOKED');
  assert.equal(signal.aborted, true);
  busy.release();
  assert.throws(() => busy.release(), { code: 'LEASE_RELEASED' });
  idle.release();
  await rig.clock.settle();
  assert.equal(rig.driver.sockets, 0);
});

test('each connection is counted once, by the worst that happened to it', async () => {
  const rig = new Rig({
    settings: { max: 5, connectConcurrency: 5 },
    script: (call, session) => (call === 'end' && session?.pid === 1 ? { never: true } : undefined),
  });
  const sessions = await rig.fill(5);
  const leases = [await rig.get(), await rig.get(), await rig.get()];
  const [back, slow, never] = leases;
  if (slow) slow.session.status = 'busy';
  if (never) never.session.status = 'busy';
  assert.equal(sessions[0]?.pid, 1, 'idle, its goodbye is never answered');
  const closing = watch(rig.engine.close(CLOSURE));
  back?.release();
  await rig.clock.advance(1_010);
  slow?.release();
  await rig.clock.advance(2_000);
  assert.ok(closing.value);
  const { closed, cancelled, destroyed } = closing.value;
  assert.deepEqual([closed, cancelled, destroyed], [2, 1, 2]);
});

test('a statement that was cancelled but whose borrower keeps the lease is cut in the end, and counted as that', async () => {
  const rig = new Rig();
  const busy = await rig.get();
  busy.session.status = 'busy';
  const closing = watch(rig.engine.close(CLOSURE));
  await rig.clock.advance(1_200);
  assert.deepEqual([closing.value?.cancelled, closing.value?.destroyed], [0, 1]);
});

test('a connect that hangs does not delay it', async () => {
  const rig = new Rig({ settings: { min: 2 }, script: (call) => (call === 'open' ? { never: true } : undefined) });
  await rig.engine.open({ wait: false });
  const ask = rig.ask();
  await rig.clock.advance(10);
  const closing = watch(rig.engine.close(CLOSURE));
  await rig.clock.settle();
  assert.ok(closing.settled, 'at once');
  assert.equal(errorOf(ask).kind, 'POOL_CLOSED');
  assert.equal(rig.driver.sockets, 0);
  assert.equal(rig.clock.pendingTimers, 0);
});

test('a connect that hangs for a driver that is deaf, too, is bounded', async () => {
  const rig = new Rig({
    settings: { min: 1, returnTimeoutMs: 500 },
    script: (call) => (call === 'open' ? { never: true, deaf: true } : undefined),
  });
  await rig.engine.open({ wait: false });
  await rig.clock.advance(10);
  const closing = watch(rig.engine.close({ ...CLOSURE, drainMs: 0, cancelMs: 0 }));
  await rig.clock.advance(600);
  assert.ok(closing.settled);
});

test('a configure that hangs does not delay it either', async () => {
  const rig = new Rig({ settings: { min: 1 }, hooks: { configure: () => new Promise(() => {}) } });
  await rig.engine.open({ wait: false });
  await rig.clock.advance(10);
  const closing = watch(rig.engine.close(CLOSURE));
  await rig.clock.settle();
  assert.ok(closing.settled);
  assert.equal(rig.driver.sockets, 0);
});

test('a back-off does not delay it, and ends', async () => {
  const rig = new Rig({
    settings: { min: 1 },
    script: (call) => (call === 'open' ? { fail: new Error('refused') } : undefined),
  });
  await rig.engine.open({ wait: false });
  await rig.clock.advance(3_000);
  const closing = watch(rig.engine.close(CLOSURE));
  await rig.clock.settle();
  assert.ok(closing.settled);
  assert.equal(rig.clock.pendingTimers, 0);
});

test('connections that are put aside do not delay it', async () => {
  const rig = new Rig({ settings: { max: 2 }, script: (call) => (call === 'ping' ? { never: true } : undefined) });
  await rig.fill(2);
  await rig.clock.advance(5_000);
  rig.ask({ acquireTimeoutMs: 1_000 });
  await rig.clock.advance(1_500);
  assert.ok(rig.engine.snapshot().returning >= 1);
  const closing = watch(rig.engine.close(CLOSURE));
  await rig.clock.advance(1_250);
  assert.ok(closing.settled);
  assert.equal(rig.driver.sockets, 0);
});

test('returns and checks under way are waited for within their bounds', async () => {
  const script: Script = (call) => (call === 'rollback' || call === 'ping' ? { afterMs: 300 } : undefined);
  const rig = new Rig({ settings: { max: 2 }, script });
  await rig.fill(2);
  const lease = await rig.get();
  lease.session.status = 'transaction';
  lease.release();
  const check = watch(rig.engine.check(Infinity));
  const closing = watch(rig.engine.close(CLOSURE));
  await rig.clock.advance(299);
  assert.equal(closing.settled, false);
  await rig.clock.advance(1);
  assert.deepEqual(closing.value, { closed: 2, cancelled: 0, destroyed: 0, rejected: 0, stillHeld: [] });
  assert.ok(check.settled);
});

test('a goodbye without an answer costs a second, a driver that never destroys is reported and costs its bound', async () => {
  const silent = new Rig({ script: (call) => (call === 'end' ? { never: true } : undefined) });
  await silent.fill(2);
  const one = watch(silent.engine.close(CLOSURE));
  await silent.clock.advance(999);
  assert.equal(one.settled, false);
  await silent.clock.advance(1);
  assert.equal(one.value?.destroyed, 2);

  const stuck = new Rig({ script: (call) => (call === 'end' || call === 'destroy' ? { never: true } : undefined) });
  await stuck.fill(1);
  const two = watch(stuck.engine.close(CLOSURE));
  await stuck.clock.advance(10_000);
  assert.ok(two.settled);
  assert.deepEqual(stuck.reports.codes(), ['OXBOW_SOCKET_STUCK']);
});

test('twice, concurrently or later: the same promise', async () => {
  const rig = new Rig();
  const lease = await rig.get();
  const first = rig.engine.close(CLOSURE);
  assert.equal(rig.engine.close(CLOSURE), first);
  lease.release();
  await rig.clock.settle();
  const report = await first;
  assert.equal(rig.engine.close(CLOSURE), first);
  assert.equal(await rig.engine.close({ ...CLOSURE, drainMs: 0 }), report);
});

test('a pool that was never opened closes at once, for good', async () => {
  const rig = new Rig({ settings: { min: 3 } });
  assert.deepEqual(await rig.engine.close(CLOSURE), {
    closed: 0,
    cancelled: 0,
    destroyed: 0,
    rejected: 0,
    stillHeld: [],
  });
  assert.equal(rig.engine.phase, 'closed');
  await assert.rejects(rig.engine.open(), { kind: 'POOL_CLOSED' });
  assert.equal(rig.clock.pendingTimers, 0);
});

test('closing while opening rejects open() and ready()', async () => {
  const rig = new Rig({ settings: { min: 2 }, script: (call) => (call === 'open' ? { afterMs: 500 } : undefined) });
  const open = watch(rig.engine.open());
  const ready = watch(rig.engine.ready());
  await rig.clock.advance(100);
  const closing = watch(rig.engine.close(CLOSURE));
  await rig.clock.settle();
  assert.equal(errorOf(open).kind, 'POOL_CLOSED');
  assert.equal(errorOf(ready).kind, 'POOL_CLOSED');
  assert.ok(closing.settled);
  assert.equal(rig.driver.sockets, 0);
});

test('an endless drain (as end() asks for) waits until the last lease is back', async () => {
  const rig = new Rig();
  const lease = await rig.get();
  const closing = watch(rig.engine.close({ ...CLOSURE, drainMs: Infinity }));
  await rig.clock.advance(10_000_000);
  assert.equal(closing.settled, false);
  lease.release();
  await rig.clock.settle();
  assert.equal(closing.value?.closed, 1);
});

test('drainMs 0 and cancelMs 0 cut at once', async () => {
  const rig = new Rig();
  await rig.get();
  const closing = watch(rig.engine.close({ drainMs: 0, cancelMs: 0, waiting: 'reject' }));
  await rig.clock.advance(1);
  assert.equal(closing.value?.destroyed, 1);
  assert.equal(closing.value?.stillHeld.length, 1);
});

test('every permit is given back', async () => {
  const permits = new ScriptedPermits(10);
  const rig = new Rig({ ports: { permits }, settings: { max: 5, connectConcurrency: 5 } });
  await rig.fill(4);
  await rig.get();
  await rig.shut({ drainMs: 10, cancelMs: 10 });
  assert.equal(permits.taken, 0);
  assert.equal(permits.takes, permits.gives);
});

test('a paused pool closes', async () => {
  const rig = new Rig();
  const held = await rig.get();
  void rig.engine.pause('wait');
  const waiter = rig.ask();
  const closing = watch(rig.engine.close(CLOSURE));
  await rig.clock.settle();
  assert.equal(errorOf(waiter).kind, 'POOL_CLOSED');
  held.release();
  await rig.clock.settle();
  assert.ok(closing.settled);
});

test("a paused pool closes with waiting: 'serve'", async () => {
  const rig = new Rig();
  await rig.fill(1);
  await rig.engine.pause('wait');
  const waiter = rig.ask();
  await rig.clock.settle();
  const closing = watch(rig.engine.close({ ...CLOSURE, waiting: 'serve' }));
  await rig.clock.advance(100);
  assert.ok(waiter.lease, 'it is served');
  waiter.lease.release();
  await rig.clock.settle();
  assert.ok(closing.settled);
});

test('a lent connection that dies while the pool drains is counted as destroyed, and the close goes on', async () => {
  const rig = new Rig();
  const lease = await rig.get();
  const closing = watch(rig.engine.close(CLOSURE));
  await rig.clock.advance(10);
  lease.session.kill();
  await rig.clock.settle();
  assert.equal(closing.value?.destroyed, 1);
  lease.release();
});

test('what died or was retired before the close is not in its report', async () => {
  const rig = new Rig();
  await rig.fill(2);
  rig.driver.alive[0]?.kill();
  (await rig.get()).release(true);
  await rig.clock.settle();
  const report = await rig.shut();
  assert.deepEqual([report.closed, report.cancelled, report.destroyed], [0, 0, 0]);
});
