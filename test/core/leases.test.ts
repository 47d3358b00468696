// B10 as far as the engine owns it: a lease is given back once, and what is done through a stale one reaches nobody.

import assert from 'node:assert/strict';
import test from 'node:test';
import { LeaseError } from '../../src/contracts/errors.ts';
import { leaseClass } from '../../src/core/lease.ts';
import { type ScriptedSession, scriptedError } from '../../src/testing/scripted-driver.ts';
import { errorOf, Rig } from '../kit/rig.ts';

test('a second release throws, names the lease, and does not harm whoever holds the connection by then', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  const first = await rig.get();
  first.release();
  const second = await rig.get();
  assert.equal(second.session, first.session);
  assert.throws(
    () => first.release(),
    (error: Error & { kind?: string; code?: string }) => {
      assert.equal(error.name, 'LeaseError');
      assert.equal(error.kind, 'LEASE_RELEASED');
      assert.equal(error.code, 'LEASE_RELEASED');
      assert.match(error.message, new RegExp(`lease ${first.id}\\b`));
      return true;
    },
  );
  assert.throws(() => first.release(true), { code: 'LEASE_RELEASED' });
  assert.equal(rig.engine.snapshot().lent, 1);
  assert.equal(rig.engine.holders()[0]?.id, second.id);
  assert.equal(rig.engine.stats().returns, 1);
  assert.ok(second.session.alive);
});

test('a second release while the return is still under way throws too', async () => {
  const rig = new Rig({ script: (call) => (call === 'rollback' ? { afterMs: 100 } : undefined) });
  const lease = await rig.get();
  lease.session.status = 'transaction';
  lease.release();
  assert.throws(() => lease.release(), { code: 'LEASE_RELEASED' });
  await rig.clock.advance(100);
  assert.equal(rig.engine.snapshot().idle, 1);
});

test('a released lease says why it cannot be used; a live one has nothing to say', async () => {
  const rig = new Rig();
  const lease = await rig.get();
  assert.equal(lease.fault, undefined);
  assert.equal(lease.released, false);
  await rig.clock.advance(250);
  assert.equal(lease.heldMs, 250);
  lease.release();
  await rig.clock.advance(1_000);
  assert.equal(lease.heldMs, 250, 'stands still');
  assert.equal(lease.released, true);
  const fault = errorOf({ error: lease.fault });
  assert.equal(fault.kind, 'LEASE_RELEASED');
  assert.match(fault.message, /1000 ms ago/);
});

test('each lease has an id of its own, and holders are listed oldest first', async () => {
  const rig = new Rig();
  const first = await rig.get(0, { label: 'a' });
  await rig.clock.advance(100);
  const second = await rig.get(30, { label: 'b' });
  second.session.status = 'busy';
  second.session.lastStatement = 'select 1';
  await rig.clock.advance(100);
  const holders = rig.engine.holders();
  assert.deepEqual(
    holders.map((holder) => [holder.id, holder.label, holder.heldMs, holder.idleMs, holder.busy, holder.pid]),
    [
      [first.id, 'a', 230, 230, false, first.session.pid],
      [second.id, 'b', 105, 0, true, second.session.pid],
    ],
  );
  assert.equal(holders[1]?.lastStatement, 'select 1');
  assert.notEqual(first.id, second.id);
});

test('when the connection dies the signal aborts, the fault says so with the driver’s code, and release is quiet once', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  const lease = await rig.get();
  const { signal } = lease;
  assert.equal(signal.aborted, false);
  assert.equal(lease.signal, signal, 'the same signal each time');
  const cause = scriptedError('57P01', 'terminating connection due to administrator command');
  lease.session.kill(cause);
  assert.equal(signal.aborted, true, 'in that turn');
  for (const fault of [signal.reason, lease.fault] as (Error & Record<string, unknown>)[]) {
    assert.equal(fault.name, 'ConnectionLostError');
    assert.equal(fault.kind, 'CONNECTION_LOST');
    assert.equal(fault.code, '57P01');
    assert.equal(fault.cause, cause);
  }
  assert.equal(signal.reason.mayHaveExecuted, true, 'what ran when it died');
  assert.equal(Reflect.get(lease.fault ?? {}, 'mayHaveExecuted'), false, 'what is asked of it afterwards');
  await rig.clock.settle();
  assert.equal(rig.engine.snapshot().lent, 0);
  lease.release();
  assert.throws(() => lease.release(), { code: 'LEASE_RELEASED' });
  await rig.clock.settle();
  rig.audit();
});

test('a signal asked for after the death is aborted already', async () => {
  const rig = new Rig();
  const lease = await rig.get();
  lease.session.kill();
  assert.equal(lease.signal.aborted, true);
});

test('the slot of a lost lease is free for a waiter at once, although its borrower has not released', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  const lease = await rig.get();
  const waiter = rig.ask();
  lease.session.kill();
  await rig.clock.settle();
  assert.ok(waiter.lease);
  lease.release();
  assert.equal(rig.engine.holders()[0]?.id, waiter.lease.id, 'and its late release harms nobody');
  assert.equal(rig.engine.snapshot().lent, 1);
  rig.audit();
});

test('a lost lease is told once to everybody: counter, event, ledger', async () => {
  const book: string[] = [];
  const rig = new Rig({
    ports: {
      ledger: {
        silentUntil: -Infinity,
        asked: () => undefined,
        lent: (record) => void book.push(`lent ${record.id}`),
        returned: (record) => void book.push(`returned ${record.id}`),
        site: () => undefined,
        plain: () => undefined,
      },
    },
  });
  const lease = await rig.get();
  lease.session.kill();
  lease.session.kill();
  lease.release();
  await rig.clock.settle();
  assert.equal(rig.engine.stats().connectionsLost, 1);
  assert.deepEqual(
    rig.events.of('lost').map((args) => args[2]),
    ['lent'],
  );
  assert.deepEqual(book, [`lent ${lease.id}`, `returned ${lease.id}`]);
  assert.equal(rig.events.count('closed'), 1);
});

test('the pool’s own lease class is what acquire and tryAcquire give', async () => {
  const Lease = leaseClass<ScriptedSession>();
  const rig = new Rig({ Lease });
  const lease = await rig.get();
  assert.ok(lease instanceof Lease);
  lease.release();
  assert.ok(rig.engine.tryAcquire() instanceof Lease);
});

test('a lease knows for good when it began, also after its connection died or was taken away', async () => {
  for (const end of ['died', 'revoked'] as const) {
    const seen: number[] = [];
    const rig = new Rig({
      settings: { max: 1 },
      ports: {
        ledger: {
          silentUntil: Infinity,
          asked: () => undefined,
          lent: () => {},
          returned: ({ since }) => void seen.push(since),
          site: () => undefined,
          plain: () => undefined,
        },
      },
    });
    const began = rig.clock.now();
    const lease = await rig.get();
    await rig.clock.advance(500);
    if (end === 'died') lease.session.kill();
    else lease.revoke(new LeaseError('LEASE_REVOKED', 'for the test'));
    await rig.clock.settle();
    assert.equal(lease.since, began, end);
    assert.deepEqual(seen, [began], `${end}, as the ledger is told`);
    await rig.clock.advance(5_000);
    lease.release();
    assert.deepEqual([lease.since, lease.heldMs], [began, 500], `${end}, and released late`);
  }
});
