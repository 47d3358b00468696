// Leases that nobody uses, that are held for too long, or that nobody has any more: when that is said, how often, and what is done about
// it; and that a lease which is old enough to be kept by its borrower alone is still a lease in every way.

import assert from 'node:assert/strict';
import test from 'node:test';
import { LeaseError } from '../../src/contracts/errors.ts';
import type { Report } from '../../src/contracts/reporter.ts';
import { CallSites } from '../../src/diagnosis/call-sites.ts';
import { collected } from '../kit/gc.ts';
import { Rig, type RigOptions, type ScriptedLease, watch } from '../kit/rig.ts';

const LEAK_MS = 5_000;
const LIMIT_MS = 4_000;
/** How often it is looked, on the whole. */
const LOOK_MS = 50;
/** From then on a lease is held by its borrower alone. */
const OLD_MS = 1_100;

function leakRig({ settings, ...rest }: RigOptions = {}): Rig {
  return new Rig({
    settings: { max: 1, leakAfterMs: LEAK_MS, acquireTimeoutMs: 3_600_000, ...settings },
    ports: { ledger: new CallSites('always') },
    ...rest,
  });
}

/** What was reported but that development wants pools to be opened. */
function reported(rig: Rig): Report[] {
  return rig.reports.all.filter(({ code }) => code !== 'OXBOW_IMPLICIT_OPEN');
}

function codes(rig: Rig): string[] {
  return reported(rig).map(({ code }) => code);
}

function said(rig: Rig): string[] {
  return reported(rig).map(({ message }) => message);
}

function kindOf(error: unknown): unknown {
  return error instanceof Error ? Reflect.get(error, 'kind') : error;
}

/** Borrows and drops what came. */
async function forget(rig: Rig, label?: string): Promise<void> {
  await rig.engine.acquire(label === undefined ? undefined : { label }).then(() => {});
}

test('a lease that nobody uses is reported once, when leakAfterMs has passed and somebody starves', async () => {
  const rig = leakRig();
  await rig.get();
  const waiter = rig.ask();
  await rig.clock.advance(LEAK_MS - 1);
  assert.deepEqual(codes(rig), []);
  await rig.clock.advance(LOOK_MS);
  assert.deepEqual(codes(rig), ['OXBOW_LEASE_HELD']);
  await rig.clock.advance(4 * LEAK_MS);
  assert.deepEqual(codes(rig), ['OXBOW_LEASE_HELD']);
  assert.equal(rig.engine.stats().leaksReported, 1);
  assert.equal(waiter.settled, false, 'a report takes nothing away');
  rig.audit();
});

test('one that is unused for long already is reported as soon as somebody has waited for a second', async () => {
  const rig = leakRig();
  await rig.get();
  await rig.clock.advance(3 * LEAK_MS);
  rig.ask();
  await rig.clock.advance(949);
  assert.deepEqual(codes(rig), []);
  await rig.clock.advance(51 + LOOK_MS);
  assert.deepEqual(codes(rig), ['OXBOW_LEASE_HELD']);
});

test('where leakAfterMs is shorter than a second a waiter starves after as long', async () => {
  const rig = leakRig({ settings: { leakAfterMs: 300 } });
  await rig.get();
  await rig.clock.advance(10_000);
  rig.ask();
  await rig.clock.advance(249);
  assert.deepEqual(codes(rig), []);
  await rig.clock.advance(51 + LOOK_MS);
  assert.deepEqual(codes(rig), ['OXBOW_LEASE_HELD']);
});

test('whoever is turned away sooner than that has starved as well', async () => {
  const rig = leakRig();
  await rig.get();
  await rig.clock.advance(2 * LEAK_MS);
  const refused = rig.ask({ acquireTimeoutMs: 20 });
  await rig.clock.advance(20);
  assert.equal(kindOf(refused.error), 'POOL_TIMEOUT');
  assert.deepEqual(codes(rig), ['OXBOW_LEASE_HELD']);
});

test('while nobody waits nothing is said, however long one is held', async () => {
  const rig = leakRig({ settings: { max: 2 } });
  await rig.fill(2);
  await rig.get();
  const busy = await rig.get();
  await rig.clock.advance(4 * LEAK_MS);
  busy.release();
  await rig.clock.advance(4 * LEAK_MS);
  assert.deepEqual(codes(rig), []);
  assert.equal(rig.engine.stats().leaksReported, 0);
});

test('in development it is reported though nobody waits, once, and then it is not said that somebody does', async () => {
  const rig = leakRig({ settings: { dev: true, max: 3 } });
  await rig.get();
  await rig.clock.advance(LEAK_MS - 1);
  assert.deepEqual(codes(rig), []);
  await rig.clock.advance(LOOK_MS);
  await rig.clock.advance(4 * LEAK_MS);
  assert.deepEqual(codes(rig), ['OXBOW_LEASE_HELD']);
  assert.doesNotMatch(said(rig)[0] ?? '', /wait/);
});

test('one with a statement running is never reported, and after it the time counts anew', async () => {
  const rig = leakRig({ settings: { dev: true } });
  const lease = await rig.get();
  rig.ask();
  lease.session.status = 'busy';
  await rig.clock.advance(4 * LEAK_MS);
  assert.deepEqual(codes(rig), []);
  lease.session.status = 'idle';
  lease.session.quietSince = rig.clock.now();
  await rig.clock.advance(LEAK_MS - 1);
  assert.deepEqual(codes(rig), []);
  await rig.clock.advance(LOOK_MS);
  assert.deepEqual(codes(rig), ['OXBOW_LEASE_HELD']);
});

test('one that is used again and again is never reported', async () => {
  const rig = leakRig({ settings: { dev: true } });
  const lease = await rig.get();
  rig.ask();
  for (let n = 0; n < 6; n += 1) {
    await rig.clock.advance(LEAK_MS - LOOK_MS);
    lease.session.quietSince = rig.clock.now();
  }
  assert.deepEqual(codes(rig), []);
});

test('a report names label, place, last statement, how long, and how many wait', async () => {
  const rig = leakRig({ settings: { name: 'orders' } });
  const lease = await rig.get(0, { label: 'import' });
  lease.session.lastStatement = 'SELECT 1';
  lease.session.quietSince = rig.clock.now();
  rig.ask();
  rig.ask();
  await rig.clock.advance(LEAK_MS + LOOK_MS);
  const [text = ''] = said(rig);
  assert.match(text, /^orders: lease 1 \(import\) taken at \S*rig\.[jt]s:\d+ has been held for 5\.\d+ s, /);
  assert.match(text, /without a running query for 5\.\d+ s while 2 wait; it last ran: SELECT 1$/);
  assert.match(reported(rig)[0]?.site ?? '', /rig\.[jt]s:\d+$/);
});

test('what ran before for another borrower is not held against this one', async () => {
  const rig = leakRig();
  const lease = await rig.get();
  lease.session.lastStatement = 'DROP TABLE secrets';
  lease.session.quietSince = rig.clock.now();
  await rig.clock.advance(10);
  lease.release();
  await rig.get();
  rig.ask();
  await rig.clock.advance(LEAK_MS + LOOK_MS);
  assert.match(said(rig)[0] ?? '', /; it ran nothing$/);
});

test('when it comes back that is said, once; the next lease of that connection is another matter', async () => {
  const rig = leakRig({ settings: { dev: true } });
  const lease = await rig.get();
  await rig.clock.advance(LEAK_MS + LOOK_MS);
  await rig.clock.advance(2_000);
  lease.release();
  assert.deepEqual(codes(rig), ['OXBOW_LEASE_HELD', 'OXBOW_LEASE_HELD']);
  assert.match(said(rig)[1] ?? '', /^pool-1: lease 1 taken at \S+ came back after 7\.\d+ s$/);
  const next = await rig.get();
  assert.equal(next.session, lease.session);
  next.release();
  assert.equal(codes(rig).length, 2, 'who was not reported came back without a word');
  await rig.get();
  await rig.clock.advance(LEAK_MS + LOOK_MS);
  assert.match(said(rig)[2] ?? '', /lease 3 .* has been held/);
  assert.equal(rig.engine.stats().leaksReported, 2);
});

test('counters that are zeroed make no report come twice, and what was said is still taken back', async () => {
  const rig = leakRig({ settings: { dev: true } });
  const lease = await rig.get();
  await rig.clock.advance(LEAK_MS + LOOK_MS);
  assert.equal(rig.engine.popStats().leaksReported, 1);
  await rig.clock.advance(5 * LEAK_MS);
  assert.equal(rig.engine.popStats().leaksReported, 0);
  assert.equal(codes(rig).length, 1);
  lease.release();
  assert.match(said(rig)[1] ?? '', /came back after/);
});

test('of several each is reported for itself', async () => {
  const rig = leakRig({ settings: { max: 3 } });
  await rig.fill(3);
  const leases = [await rig.get(), await rig.get(), await rig.get()];
  rig.ask();
  await rig.clock.advance(LEAK_MS + LOOK_MS);
  assert.equal(codes(rig).length, 3);
  leases[1]?.release();
  assert.match(said(rig)[3] ?? '', /lease 5 .*came back/);
});

test('when the connection of a reported lease is lost, or it is replaced by its borrower later, no more is said of it', async () => {
  const rig = leakRig({ settings: { dev: true } });
  const lease = await rig.get();
  await rig.clock.advance(LEAK_MS + LOOK_MS);
  lease.session.kill();
  await rig.clock.advance(LEAK_MS);
  lease.release();
  await rig.clock.advance(LEAK_MS);
  assert.equal(codes(rig).filter((code) => code === 'OXBOW_LEASE_HELD').length, 1);
});

test('close() with a reported lease ends in its time, names who holds it, and leaves no timer', async () => {
  const rig = leakRig({ settings: { dev: true } });
  const lease = await rig.get(0, { label: 'import' });
  await rig.clock.advance(LEAK_MS + LOOK_MS);
  const report = await rig.shut({ drainMs: 100 });
  assert.deepEqual(
    report.stillHeld.map(({ id, label }) => ({ id, label })),
    [{ id: 1, label: 'import' }],
  );
  lease.release();
  await rig.clock.advance(10 * LEAK_MS);
  assert.equal(codes(rig).length, 1);
  assert.equal(rig.clock.pendingTimers, 0);
});

test('a pool whose reported lease comes back while it closes says so and ends', async () => {
  const rig = leakRig({ settings: { dev: true } });
  const lease = await rig.get();
  await rig.clock.advance(LEAK_MS + LOOK_MS);
  const closing = rig.shut();
  await rig.clock.advance(100);
  lease.release();
  const report = await closing;
  assert.deepEqual(report.stillHeld, []);
  assert.match(said(rig)[1] ?? '', /came back after/);
});

// borrowLimitMs

function limitRig({ settings, ...rest }: RigOptions = {}): Rig {
  return leakRig({ settings: { borrowLimitMs: LIMIT_MS, leakAfterMs: 30_000, ...settings }, ...rest });
}

test('without borrowLimitMs nothing is ever taken away', async () => {
  const rig = leakRig({ settings: { dev: true } });
  const lease = await rig.get();
  rig.ask();
  await rig.clock.advance(10 * LEAK_MS);
  assert.equal(lease.fault, undefined);
  assert.deepEqual(lease.session.calls, []);
});

for (const [name, status] of [
  ['idle', 'idle'],
  ['in a transaction', 'transaction'],
  ['in the midst of a statement', 'busy'],
] as const) {
  for (const weak of [true, false]) {
    test(`at borrowLimitMs a lease that is ${name} is revoked, its socket replaced and the waiter served${weak ? '' : ', also within its first second'}`, async () => {
      const limitMs = weak ? LIMIT_MS : 600;
      const rig = limitRig({ settings: { borrowLimitMs: limitMs } });
      const lease = await rig.get(0, { label: 'import' });
      const { signal } = lease;
      lease.session.status = status;
      const waiter = rig.ask();
      await rig.clock.advance(limitMs - 1);
      assert.equal(kindOf(lease.fault), undefined);
      assert.equal(waiter.settled, false);
      await rig.clock.advance(LOOK_MS);
      assert.equal(kindOf(lease.fault), 'LEASE_REVOKED');
      assert.match(lease.fault?.message ?? '', /^lease 1 was held for .*, longer than borrowLimitMs \(/);
      assert.equal(signal.aborted, true);
      assert.equal(signal.reason, lease.fault);
      assert.deepEqual(lease.session.calls, status === 'busy' ? ['settle', 'destroy'] : ['destroy']);
      assert.ok(waiter.lease, 'the waiter is served');
      assert.notEqual(waiter.lease.session, lease.session, 'and not with what its last borrower may still have');
      assert.deepEqual(codes(rig), ['OXBOW_LEASE_HELD']);
      assert.match(said(rig)[0] ?? '', /^pool-1: lease 1 \(import\) taken at \S+ was held for .* and is revoked/);
      const stats = rig.engine.stats();
      assert.equal(stats.returns, 1);
      assert.equal(stats.returnsBad, 1);
      assert.deepEqual(stats.retired, { condemned: 1 });
      assert.equal(stats.connectionsLost, 0);
      assert.equal(stats.leaksReported, 0);
      assert.equal(stats.leasesReclaimed, 0);
      assert.doesNotThrow(() => lease.release(), 'whoever gives it back late does no harm');
      assert.throws(() => lease.release(), /already released/);
      await lease.whenReturned();
      assert.equal(rig.engine.stats().returns, 1);
      rig.audit();
    });
  }
}

test('a statement that cannot be cancelled is cut off all the same, and the waiter is served', async () => {
  const rig = limitRig({ script: (call) => (call === 'settle' ? { never: true } : undefined) });
  const lease = await rig.get();
  lease.session.status = 'busy';
  const waiter = rig.ask();
  await rig.clock.advance(LIMIT_MS + LOOK_MS + 1_000);
  assert.equal(lease.session.alive, false);
  assert.ok(waiter.lease);
});

test('one that was reported before and is revoked then does not come back as well', async () => {
  const rig = limitRig({ settings: { dev: true, leakAfterMs: 2_000 } });
  const lease = await rig.get();
  await rig.clock.advance(2 * LIMIT_MS);
  lease.release();
  assert.equal(codes(rig).length, 2);
  assert.match(said(rig)[0] ?? '', /has been held/);
  assert.match(said(rig)[1] ?? '', /is revoked/);
});

test('whoever gives back, or brings the connection down, when the signal tells of the revocation does not confuse the pool', async () => {
  for (const react of [(lease: ScriptedLease) => lease.release(), (lease: ScriptedLease) => lease.session.kill()]) {
    const rig = limitRig();
    const lease = await rig.get();
    lease.signal.addEventListener('abort', () => react(lease));
    const waiter = rig.ask();
    await rig.clock.advance(LIMIT_MS + LOOK_MS);
    assert.ok(waiter.lease);
    assert.equal(rig.engine.snapshot().lent, 1);
    rig.audit();
    waiter.lease.release();
    await rig.shut();
  }
});

test('the limit counts for each lease anew', async () => {
  const rig = limitRig();
  for (let n = 0; n < 5; n += 1) {
    const lease = await rig.get();
    await rig.clock.advance(LIMIT_MS - 2 * LOOK_MS);
    assert.equal(lease.fault, undefined);
    lease.release();
  }
  assert.equal(rig.driver.count('open'), 1);
  await rig.shut();
});

// An old lease is kept by its borrower alone.

test('one that nobody has any more is reported, taken back clean and lent on', async () => {
  const rig = leakRig();
  await forget(rig, 'import');
  const waiter = rig.ask();
  const [session] = rig.driver.sessions;
  assert.ok(session);
  session.status = 'transaction';
  await rig.clock.advance(OLD_MS);
  await collected(() => rig.clock.settle());
  await rig.clock.settle();
  assert.deepEqual(codes(rig), ['OXBOW_LEASE_COLLECTED']);
  assert.match(
    said(rig)[0] ?? '',
    /^pool-1: lease 1 \(import\) taken at \S+ was forgotten: .*, after 1\.1 s; its connection/,
  );
  assert.deepEqual(session.calls, ['rollback']);
  assert.equal(waiter.lease?.session, session);
  const stats = rig.engine.stats();
  assert.equal(stats.leasesReclaimed, 1);
  assert.equal(stats.returns, 1);
  assert.equal(stats.returnsBad, 0);
  assert.equal(stats.rolledBack, 1);
  rig.audit();
});

test('no collection in its first second takes a lease back, nor one while somebody has it', async () => {
  const rig = leakRig({ settings: { max: 2 } });
  await rig.fill(2);
  await forget(rig);
  const kept = await rig.engine.acquire();
  await rig.clock.advance(900);
  await collected(() => rig.clock.settle());
  assert.equal(rig.engine.snapshot().lent, 2);
  for (let n = 0; n < 5; n += 1) {
    await rig.clock.advance(OLD_MS);
    await collected(() => rig.clock.settle());
  }
  assert.equal(rig.engine.snapshot().lent, 1);
  assert.equal(kept.fault, undefined);
  assert.equal(rig.engine.stats().leasesReclaimed, 1);
  kept.release();
  assert.equal(rig.engine.snapshot().lent, 0);
});

test('one that was reported and is found forgotten then is not said to have come back', async () => {
  const rig = leakRig({ settings: { dev: true, leakAfterMs: 500 } });
  await forget(rig);
  await rig.clock.advance(OLD_MS);
  await collected(() => rig.clock.settle());
  await rig.clock.settle();
  assert.deepEqual(codes(rig), ['OXBOW_LEASE_HELD', 'OXBOW_LEASE_COLLECTED']);
});

test('while a statement runs on it, which somebody may await, a forgotten one stays lent; then it is taken back', async () => {
  const rig = leakRig();
  await forget(rig);
  const [session] = rig.driver.sessions;
  assert.ok(session);
  session.status = 'busy';
  await rig.clock.advance(OLD_MS);
  await collected(() => rig.clock.settle());
  await rig.clock.advance(OLD_MS);
  await collected(() => rig.clock.settle());
  assert.deepEqual(session.calls, []);
  assert.equal(rig.engine.holders()[0]?.id, 1);
  session.status = 'idle';
  await rig.clock.advance(LOOK_MS);
  assert.deepEqual(codes(rig), ['OXBOW_LEASE_COLLECTED']);
  assert.equal(rig.engine.snapshot().idle, 1);
});

test('a forgotten one that is still at work when the pool closes is named and cut', async () => {
  const rig = leakRig();
  await forget(rig, 'import');
  const [session] = rig.driver.sessions;
  assert.ok(session);
  session.status = 'busy';
  rig.driver.script = (call) => (call === 'settle' ? { never: true } : undefined);
  await rig.clock.advance(OLD_MS);
  await collected(() => rig.clock.settle());
  const report = await rig.shut({ drainMs: 100, cancelMs: 100 });
  assert.equal(report.stillHeld[0]?.label, 'import');
  assert.equal(report.destroyed + report.cancelled, 1);
});

test('a forgotten one at the limit of borrowing is revoked though nobody is there to be told', async () => {
  const rig = limitRig();
  await forget(rig);
  const [session] = rig.driver.sessions;
  assert.ok(session);
  session.status = 'busy';
  const waiter = rig.ask();
  await rig.clock.advance(OLD_MS);
  await collected(() => rig.clock.settle());
  await rig.clock.advance(LIMIT_MS);
  assert.ok(waiter.lease);
  assert.notEqual(waiter.lease.session, session);
  assert.equal(rig.engine.stats().leasesReclaimed, 0);
});

test('a lease that came back and is collected later does not touch whoever has its connection then', async () => {
  const rig = leakRig();
  const once = async (): Promise<void> => {
    const lease = await rig.engine.acquire();
    await rig.clock.advance(OLD_MS);
    lease.release();
  };
  await once();
  const next = await rig.get();
  await rig.clock.advance(OLD_MS);
  await collected(() => rig.clock.settle());
  await rig.clock.advance(OLD_MS);
  assert.equal(next.fault, undefined);
  assert.equal(rig.engine.holders()[0]?.id, 2);
  assert.deepEqual(codes(rig), []);
});

for (const [age, oldMs] of [
  ['young', 0],
  ['old', OLD_MS],
] as const) {
  /** Held for so long, and the collector was there meanwhile. */
  const held = async (rig: Rig): Promise<ScriptedLease> => {
    const lease = await rig.get(0, { label: 'import' });
    await rig.clock.advance(oldMs);
    await collected(() => rig.clock.settle());
    return lease;
  };

  test(`one that is ${age} is given back, once, and told when it is clean`, async () => {
    const rig = leakRig({ script: (call) => (call === 'rollback' ? { afterMs: 100 } : undefined) });
    const lease = await held(rig);
    const { since } = lease;
    lease.session.status = 'transaction';
    const waiter = rig.ask();
    lease.release();
    const returned = watch(lease.whenReturned());
    await rig.clock.advance(99);
    assert.equal(returned.settled, false);
    await rig.clock.advance(1);
    assert.equal(returned.settled, true);
    assert.equal(waiter.lease?.session, lease.session);
    assert.throws(() => lease.release(), /already released/);
    assert.equal(lease.since, since);
    assert.equal(lease.heldMs, oldMs);
    assert.equal(kindOf(lease.fault), 'LEASE_RELEASED');
    assert.deepEqual(codes(rig), ['OXBOW_OPEN_TRANSACTION']);
    assert.match(said(rig)[0] ?? '', /lease 1 \(import\) taken at/);
    rig.audit();
  });

  test(`one that is ${age} hears that its connection died`, async () => {
    const rig = leakRig();
    const lease = await held(rig);
    const { signal } = lease;
    lease.session.kill();
    assert.equal(kindOf(lease.fault), 'CONNECTION_LOST');
    assert.equal(signal.aborted, true);
    assert.equal(kindOf(signal.reason), 'CONNECTION_LOST');
    lease.release();
    await lease.whenReturned();
    assert.equal(lease.heldMs, oldMs);
    assert.equal(rig.engine.stats().connectionsLost, 1);
    rig.audit();
  });

  test(`one that is ${age} can be revoked`, async () => {
    const rig = leakRig();
    const lease = await held(rig);
    const { signal } = lease;
    lease.session.status = 'busy';
    const error = new LeaseError('LEASE_REVOKED', 'no more');
    lease.revoke(error);
    assert.equal(lease.fault, error);
    assert.equal(signal.reason, error);
    await rig.clock.settle();
    assert.deepEqual(lease.session.calls, ['settle']);
    assert.equal(rig.engine.snapshot().idle, 1);
    lease.release();
    rig.audit();
  });

  test(`one that is ${age} is named and revoked by a close that waits no longer`, async () => {
    const rig = leakRig();
    const lease = await held(rig);
    const { signal } = lease;
    const report = await rig.shut({ drainMs: 50, cancelMs: 50 });
    assert.equal(report.stillHeld[0]?.label, 'import');
    assert.match(report.stillHeld[0]?.site ?? '', /:\d+$/);
    assert.equal(kindOf(lease.fault), 'LEASE_REVOKED');
    assert.equal(signal.aborted, true);
  });

  test(`one that is ${age} is among the holders, with all that is known of it`, async () => {
    const rig = leakRig();
    const lease = await held(rig);
    lease.session.lastStatement = 'SELECT 1';
    lease.session.quietSince = rig.clock.now();
    lease.session.status = 'transaction';
    const [{ site, ...holder } = { site: '' }] = rig.engine.holders();
    assert.match(site ?? '', /:\d+$/);
    assert.deepEqual(holder, {
      id: 1,
      label: 'import',
      heldMs: oldMs,
      idleMs: 0,
      busy: false,
      lastStatement: 'SELECT 1',
      pid: 1,
      inTransaction: true,
    });
    rig.audit();
  });

  test(`one that is ${age} is asked about when its statement is silent for too long`, async () => {
    const rig = leakRig({
      settings: { silentAfterMs: 2_000 },
      script: (call) => (call === 'inquire' ? { doing: 'gone' } : undefined),
    });
    const lease = await held(rig);
    lease.session.status = 'busy';
    await rig.clock.advance(4_000);
    assert.equal(kindOf(lease.fault), 'CONNECTION_LOST');
  });
}
