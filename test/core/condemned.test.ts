// B11: a connection on which an error came after which it must not be used again. What becomes of it when it is given back, and what
// of the others.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Condemnation } from '../../src/contracts/driver.ts';
import type { Script, ScriptedSession } from '../../src/testing/scripted-driver.ts';
import { Rig, type ScriptedLease } from '../kit/rig.ts';

function condemn(session: ScriptedSession, others: Condemnation['others']): void {
  session.status = 'condemned';
  session.condemned = { why: 'the server became a standby', others };
}

const outcomes = (rig: Rig): unknown[] => rig.events.of('returned').map((args) => args[3]);

/** All of a pool of `count` are lent. */
async function lendAll(rig: Rig, count: number): Promise<ScriptedLease[]> {
  await rig.fill(count);
  const leases: ScriptedLease[] = [];
  for (let n = 0; n < count; n += 1) leases.push(await rig.get());
  return leases;
}

for (const others of ['keep', 'suspect', 'replace'] as const) {
  for (const [name, reason] of [
    ['as good', undefined],
    ['with an error', new Error('the query failed')],
    ['with true', true],
  ] as const) {
    test(`one condemned (${others}) and given back ${name} says goodbye, is counted and never lent again`, async () => {
      const rig = new Rig({ settings: { max: 1 } });
      const lease = await rig.get();
      const waiter = rig.ask();
      condemn(lease.session, others);
      lease.release(reason);
      await rig.clock.settle();
      assert.deepEqual(lease.session.calls, ['end'], 'goodbye, and not cut; nothing else is asked of it');
      assert.deepEqual(outcomes(rig), ['condemned']);
      const stats = rig.engine.stats();
      assert.equal(stats.returnsBad, 1);
      assert.deepEqual(stats.retired, { condemned: 1 });
      assert.equal(stats.connectionsLost, 0, 'it was no accident');
      assert.equal(rig.events.of('closed')[0]?.[1], false);
      assert.ok(waiter.lease);
      assert.notEqual(waiter.lease.session, lease.session);
      rig.audit();
    });
  }
}

test('one that the driver condemned without a reason is replaced, and the others are kept', async () => {
  const rig = new Rig();
  const [lease] = await lendAll(rig, 3);
  assert.ok(lease);
  lease.session.status = 'condemned';
  lease.release();
  await rig.clock.settle();
  assert.equal(lease.session.alive, false);
  assert.equal(rig.driver.count('ping'), 0);
  assert.deepEqual(rig.reports.codes(), []);
});

test('a goodbye that is not answered is followed by the cut, and the waiter is served then', async () => {
  const rig = new Rig({ settings: { max: 1 }, script: (call) => (call === 'end' ? { never: true } : undefined) });
  const lease = await rig.get();
  const waiter = rig.ask();
  condemn(lease.session, 'keep');
  lease.release();
  await rig.clock.advance(999);
  assert.equal(waiter.settled, false);
  await rig.clock.advance(1);
  assert.ok(waiter.lease);
  assert.deepEqual(lease.session.calls, ['end', 'destroy']);
});

/** Whatever `call` is asked of the first session leaves it condemned. */
const condemning =
  (call: 'settle' | 'rollback'): Script =>
  (asked, session) => {
    if (asked !== call || session === undefined || session.pid !== 1) return undefined;
    session.condemned = { why: 'the server became a standby', others: 'suspect' };
    return { afterMs: 20, status: 'condemned' };
  };

test('one that turns out to be condemned after its statement was cancelled is no more reset, but sees the same end', async () => {
  const rig = new Rig({ settings: { max: 2, reset: 'discard' }, script: condemning('settle') });
  await rig.fill(2);
  const [lease, other] = [await rig.get(), await rig.get()];
  const first = lease.session.pid === 1 ? lease : other;
  const second = first === lease ? other : lease;
  second.release();
  await rig.clock.settle();
  const pings = rig.driver.count('ping');
  first.session.status = 'busy';
  first.release();
  await rig.clock.advance(19);
  assert.equal(rig.driver.count('ping'), pings);
  await rig.clock.advance(1);
  assert.deepEqual(first.session.calls.slice(-2), ['settle', 'end']);
  assert.equal(rig.driver.count('ping'), pings + 1, 'the other one is suspect');
  assert.equal(rig.engine.stats().returnsBad, 1);
  assert.deepEqual(rig.engine.stats().retired, { condemned: 1 });
});

test('one whose rollback leaves it condemned is replaced within its bound, and a waiter is served', async () => {
  const rig = new Rig({ settings: { max: 1 }, script: condemning('rollback') });
  const lease = await rig.get();
  const waiter = rig.ask();
  lease.session.status = 'transaction';
  lease.release();
  await rig.clock.advance(20);
  assert.equal(lease.session.alive, false);
  assert.ok(waiter.lease);
  assert.equal(rig.engine.stats().returnsBad, 1);
  assert.deepEqual(rig.engine.stats().retired, { condemned: 1 });
});

test('a borrower whose connection is condemned may go on with it: nothing happens before it is given back', async () => {
  const rig = new Rig();
  const [lease] = await lendAll(rig, 2);
  assert.ok(lease);
  condemn(lease.session, 'replace');
  await rig.clock.advance(10_000);
  assert.equal(lease.fault, undefined);
  assert.deepEqual(lease.session.calls, []);
  assert.deepEqual(rig.reports.codes(), []);
});

test("'keep' leaves the others alone", async () => {
  const rig = new Rig();
  const [lease, ...rest] = await lendAll(rig, 3);
  for (const other of rest) other.release();
  assert.ok(lease);
  condemn(lease.session, 'keep');
  lease.release();
  await rig.clock.advance(500);
  assert.deepEqual(
    rest.map((other) => other.session.calls),
    [[], []],
  );
  assert.equal(rig.engine.snapshot().idle, 2);
  assert.ok(rig.engine.tryAcquire(), 'and they are lent unasked');
});

test("'suspect' has those at rest asked at once; who does not answer within 250 ms is dead", async () => {
  const rig = new Rig();
  const [lease, alive, dead] = await lendAll(rig, 3);
  assert.ok(lease && alive && dead);
  alive.release();
  dead.release();
  rig.driver.script = (call, session) =>
    call === 'ping' ? (session === dead.session ? { never: true } : { afterMs: 5 }) : undefined;
  condemn(lease.session, 'suspect');
  lease.release();
  await rig.clock.settle();
  assert.equal(rig.engine.tryAcquire(), undefined, 'no suspect is lent');
  assert.equal(rig.driver.count('ping'), 2, 'in one pass');
  await rig.clock.advance(10);
  assert.equal(rig.engine.snapshot().idle, 1);
  await rig.clock.advance(239);
  assert.ok(dead.session.alive);
  await rig.clock.advance(2);
  assert.equal(dead.session.alive, false);
  assert.ok(alive.session.alive);
  assert.deepEqual(rig.reports.codes(), [], 'a suspicion is no failover');
});

test("'replace' makes those at rest anew at once and those that are lent when they come back, and says so", async () => {
  const rig = new Rig({ settings: { max: 4, min: 4, name: 'orders', connectConcurrency: 4 } });
  const [lease, lent, idle, idleToo] = await lendAll(rig, 4);
  assert.ok(lease && lent && idle && idleToo);
  idle.release();
  idleToo.release();
  condemn(lease.session, 'replace');
  lease.release();
  await rig.clock.settle();
  assert.deepEqual([idle.session.alive, idleToo.session.alive], [false, false]);
  assert.ok(lent.session.alive, 'nobody is interrupted');
  assert.equal(lent.fault, undefined);
  assert.equal(rig.driver.count('ping'), 0, 'they would answer, and be of no use');
  assert.deepEqual(rig.engine.stats().retired, { condemned: 1, replaced: 2 });
  assert.deepEqual(rig.reports.codes(), ['OXBOW_FAILOVER']);
  assert.match(rig.reports.all[0]?.message ?? '', /^orders: the server became a standby; .*all its connections/);
  lent.release();
  await rig.clock.settle();
  assert.equal(lent.session.alive, false);
  assert.deepEqual(rig.engine.stats().retired, { condemned: 1, replaced: 3 });
  await rig.clock.advance(1_000);
  assert.equal(rig.engine.snapshot().idle, 4, 'min is there again');
  rig.audit();
});

test("'replace' catches what is being opened at that moment too", async () => {
  const rig = new Rig({ settings: { max: 2 } });
  const lease = await rig.get();
  rig.driver.script = (call) => (call === 'open' ? { afterMs: 100 } : undefined);
  const waiter = rig.ask();
  await rig.clock.advance(50);
  const other = rig.driver.count('open');
  condemn(lease.session, 'replace');
  lease.release();
  await rig.clock.advance(500);
  assert.ok(waiter.lease);
  assert.ok(waiter.lease.session.pid > other, 'not the one that was dialled before');
});

test('one event is told once, and costs each connection once, however many come back condemned by it', async () => {
  const rig = new Rig({ settings: { max: 5, min: 5, connectConcurrency: 5 } });
  const leases = await lendAll(rig, 5);
  for (const lease of leases) condemn(lease.session, 'replace');
  for (const lease of leases) {
    lease.release();
    await rig.clock.advance(200);
  }
  assert.deepEqual(rig.reports.codes(), ['OXBOW_FAILOVER']);
  assert.equal(rig.engine.snapshot().idle, 5);
  assert.equal(rig.driver.count('open'), 10, 'the new ones are not made anew again');
  assert.deepEqual(rig.engine.stats().retired, { condemned: 5 });
});

test('the next event is told again', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  for (let n = 1; n <= 3; n += 1) {
    const lease = await rig.get();
    condemn(lease.session, 'replace');
    lease.release();
    await rig.clock.settle();
    assert.equal(rig.reports.codes().length, n);
  }
});

test('one whose end the observer of its return brings about is lost, and its condemnation still counts for the others', async () => {
  let killed: ScriptedSession | undefined;
  const rig = new Rig({
    settings: { max: 3 },
    ports: {
      events: {
        ...new Rig().events.port,
        returned: () => killed?.kill(),
      },
    },
  });
  const [lease, other] = await lendAll(rig, 2);
  assert.ok(lease && other);
  const pings = rig.driver.count('ping');
  other.release();
  killed = lease.session;
  condemn(lease.session, 'replace');
  lease.release();
  await rig.clock.settle();
  assert.equal(rig.engine.stats().connectionsLost, 1);
  assert.equal(other.session.alive, false);
  assert.ok(rig.driver.count('ping') >= pings);
  rig.audit();
});
