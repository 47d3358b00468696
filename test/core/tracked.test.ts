// B9 as the engine does it: with `reset: 'tracked'` a clean return costs nothing, a dirty one is undone before anybody else has it, and
// what cannot be undone in time is replaced. Which statements make a session dirty is the driver's business.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Settings } from '../../src/core/household.ts';
import type { Behaviour, ScriptedCall, ScriptedSession } from '../../src/testing/scripted-driver.ts';
import { Rig, type RigOptions, type ScriptedLease } from '../kit/rig.ts';

interface Stage {
  readonly rig: Rig;
  readonly lease: ScriptedLease;
  /** What was done to each session, in order, the hooks and `baseline` too. */
  readonly done: string[];
}

/** One lease on a pool of one whose driver watches; the calls on the first session go as `on` says. */
async function lent(
  on: Partial<Record<ScriptedCall, Behaviour>> = {},
  options: RigOptions & { settings?: Partial<Settings>; watches?: boolean } = {},
): Promise<Stage> {
  const done: string[] = [];
  const rig: Rig = new Rig({
    ...options,
    settings: { max: 1, reset: 'tracked', ...options.settings },
    hooks: {
      configure: (session: ScriptedSession) => {
        if (options.watches !== false) {
          session.dirty = true;
          // Once is enough: it is configured again after each reset.
          if (!Object.hasOwn(session, 'baseline')) {
            const { baseline } = session;
            session.baseline = () => {
              done.push('baseline');
              baseline.call(session);
            };
          }
        }
        done.push('configure');
      },
      ...options.hooks,
    },
    script: (call, session) => {
      if (call !== 'open') done.push(call);
      return session === undefined || session.pid !== 1 ? undefined : on[call];
    },
  });
  const lease = await rig.get();
  return { rig, lease, done };
}

const outcomes = (rig: Rig): unknown[] => rig.events.of('returned').map((args) => args[3]);

test('what configure changed is no dirt: the baseline is taken after it, at birth', async () => {
  const { rig, lease, done } = await lent();
  assert.deepEqual(done, ['configure', 'baseline']);
  assert.equal(lease.session.dirty, false);
  lease.release();
  assert.equal(rig.engine.snapshot().idle, 1);
  assert.deepEqual(done, ['configure', 'baseline']);
});

test('without configure the baseline is the session as it was opened', async () => {
  let taken = 0;
  const rig = new Rig({ settings: { max: 1, reset: 'tracked' } });
  const { open } = rig.driver;
  rig.driver.open = async (attempt) => {
    const session = await open.call(rig.driver, attempt);
    session.dirty = true;
    const { baseline } = session;
    session.baseline = () => {
      taken += 1;
      baseline.call(session);
    };
    return session;
  };
  const lease = await rig.get();
  assert.equal(taken, 1);
  assert.equal(lease.session.dirty, false);
});

test('a clean return sends nothing and is over in the same turn', async () => {
  const { rig, lease } = await lent();
  lease.release();
  assert.equal(rig.engine.snapshot().idle, 1);
  const next = rig.engine.tryAcquire();
  assert.equal(next?.session, lease.session);
  assert.deepEqual(lease.session.calls, []);
  assert.deepEqual(outcomes(rig), ['clean']);
  assert.equal(rig.engine.stats().reset, 0);
});

test('a waiter has a clean one in the same turn', async () => {
  const { rig, lease } = await lent();
  const waiter = rig.ask();
  lease.release();
  assert.equal(rig.engine.snapshot().lent, 1);
  await Promise.resolve();
  await Promise.resolve();
  assert.equal(waiter.lease?.session, lease.session);
  assert.deepEqual(lease.session.calls, []);
});

test('a dirty one is restored, configured and taken as the baseline again before anybody is lent it', async () => {
  const { rig, lease, done } = await lent({ restore: { afterMs: 20 } });
  const waiter = rig.ask();
  done.length = 0;
  lease.session.dirty = true;
  lease.release();
  assert.equal(rig.engine.snapshot().returning, 1);
  assert.deepEqual(done, ['restore'], 'at once, and not when somebody wants it');
  await rig.clock.advance(19);
  assert.equal(waiter.settled, false);
  await rig.clock.advance(1);
  assert.deepEqual(done, ['restore', 'configure', 'baseline']);
  assert.equal(waiter.lease?.session, lease.session);
  assert.equal(lease.session.dirty, false);
  assert.deepEqual(outcomes(rig), ['reset']);
  assert.equal(rig.engine.stats().reset, 1);
  assert.deepEqual(rig.reports.codes(), [], 'that is nobody’s mistake');
});

test('a slow configure is waited for as well', async () => {
  let slow = false;
  const { rig, lease } = await lent(
    {},
    {
      hooks: {
        configure: (): Promise<void> | undefined =>
          slow ? new Promise((resolve) => void rig.clock.timer(50, resolve)) : undefined,
      },
    },
  );
  slow = true;
  const waiter = rig.ask();
  lease.session.dirty = true;
  lease.release();
  await rig.clock.advance(49);
  assert.equal(waiter.settled, false);
  await rig.clock.advance(1);
  assert.equal(waiter.lease?.session, lease.session);
});

test('after a restore the next clean return costs nothing again', async () => {
  const { rig, lease } = await lent();
  lease.session.dirty = true;
  lease.release();
  await rig.clock.settle();
  const next = await rig.get();
  next.release();
  assert.equal(rig.engine.snapshot().idle, 1);
  assert.deepEqual(next.session.calls, ['restore']);
});

for (const [name, on, withinMs, reason] of [
  ['fails', { restore: { afterMs: 5, fail: new Error('permission denied') } }, 5, 'reset'],
  ['never ends', { restore: { never: true } }, 500, 'condemned'],
  ['ends too late', { restore: { afterMs: 600 } }, 500, 'condemned'],
  ['leaves a transaction', { restore: { afterMs: 5, status: 'transaction' } }, 5, 'reset'],
  ['leaves it busy', { restore: { afterMs: 5, status: 'busy' } }, 5, 'reset'],
] as const) {
  test(`a restore that ${name} has the connection replaced within returnTimeoutMs, and a waiter is served`, async () => {
    const { rig, lease } = await lent(on, { settings: { returnTimeoutMs: 500 } });
    const waiter = rig.ask();
    lease.session.dirty = true;
    lease.release();
    await rig.clock.advance(withinMs - 1);
    assert.equal(waiter.settled, false);
    await rig.clock.advance(1);
    assert.ok(waiter.lease);
    assert.notEqual(waiter.lease.session, lease.session);
    assert.equal(lease.session.alive, false);
    assert.deepEqual(outcomes(rig), ['condemned']);
    assert.equal(rig.engine.stats().returnsBad, 1);
    assert.equal(rig.engine.stats().reset, 0);
    assert.deepEqual(rig.engine.stats().retired, { [reason]: 1 });
    assert.deepEqual(rig.reports.codes(), ['OXBOW_RESET_FAILED']);
    assert.equal(rig.engine.stats().connectionsLost, 0);
    await rig.clock.advance(1_000);
    rig.audit();
  });
}

test('restore and configure have returnTimeoutMs between them', async () => {
  let slow = false;
  const { rig, lease } = await lent(
    { restore: { afterMs: 300 } },
    {
      settings: { returnTimeoutMs: 500 },
      hooks: {
        configure: (): Promise<void> | undefined =>
          slow ? new Promise((resolve) => void rig.clock.timer(300, resolve)) : undefined,
      },
    },
  );
  slow = true;
  lease.session.dirty = true;
  lease.release();
  await rig.clock.advance(499);
  assert.ok(lease.session.alive);
  await rig.clock.advance(1);
  assert.equal(lease.session.alive, false);
});

test('a configure that fails after the restore has the connection replaced', async () => {
  let refuses = false;
  const { rig, lease } = await lent(
    {},
    {
      hooks: {
        configure: () => {
          if (refuses) throw new Error('no such role');
        },
      },
    },
  );
  refuses = true;
  lease.session.dirty = true;
  lease.release();
  await rig.clock.settle();
  assert.equal(lease.session.alive, false);
  assert.deepEqual(rig.engine.stats().retired, { reset: 1 });
});

test('one that dies while it is restored is lost once, and the waiter is served', async () => {
  const { rig, lease } = await lent({ restore: { never: true } });
  const waiter = rig.ask();
  lease.session.dirty = true;
  lease.release();
  await rig.clock.advance(10);
  lease.session.kill();
  await rig.clock.settle();
  assert.ok(waiter.lease);
  assert.equal(rig.engine.stats().connectionsLost, 1);
  assert.equal(rig.events.count('closed'), 1);
  rig.audit();
});

test('a session of which the driver does not know whether it is dirty is restored too', async () => {
  const { rig, lease, done } = await lent({}, { watches: false });
  assert.equal(lease.session.dirty, undefined);
  done.length = 0;
  lease.release();
  await rig.clock.settle();
  assert.deepEqual(done, ['restore', 'configure']);
  assert.equal(rig.engine.snapshot().idle, 1);
});

test('with a driver that cannot restore everything is forgotten, and configured again', async () => {
  const { rig, lease, done } = await lent({}, { watches: false });
  Object.defineProperty(lease.session, 'restore', { value: undefined });
  Object.defineProperty(lease.session, 'baseline', { value: undefined });
  done.length = 0;
  lease.release();
  await rig.clock.settle();
  assert.deepEqual(done, ['discard', 'configure']);
  assert.deepEqual(outcomes(rig), ['reset']);
  assert.equal(rig.engine.snapshot().idle, 1);
});

for (const status of ['transaction', 'failed'] as const) {
  test(`one that is dirty and in status "${status}" is rolled back first`, async () => {
    const { rig, lease, done } = await lent();
    done.length = 0;
    lease.session.status = status;
    lease.session.dirty = true;
    lease.release();
    await rig.clock.settle();
    assert.deepEqual(done, ['rollback', 'restore', 'configure', 'baseline']);
    assert.deepEqual(outcomes(rig), ['rolled-back']);
    assert.equal(rig.engine.snapshot().idle, 1);
  });

  test(`one in status "${status}" whose rollback leaves nothing behind is not restored`, async () => {
    const { rig, lease, done } = await lent();
    done.length = 0;
    lease.session.status = status;
    lease.release();
    await rig.clock.settle();
    assert.deepEqual(done, ['rollback']);
    assert.equal(rig.engine.snapshot().idle, 1);
  });
}

test('one that is dirty and busy is brought to rest first', async () => {
  const { rig, lease, done } = await lent({ settle: { afterMs: 10, status: 'transaction' } });
  done.length = 0;
  lease.session.status = 'busy';
  lease.session.dirty = true;
  lease.release();
  await rig.clock.advance(10);
  assert.deepEqual(done, ['settle', 'rollback', 'restore', 'configure', 'baseline']);
  assert.deepEqual(outcomes(rig), ['cancelled']);
});

test('one that its borrower wants replaced, or that is condemned, is not restored', async () => {
  const unwanted = await lent();
  unwanted.lease.session.dirty = true;
  unwanted.lease.release(true);
  await unwanted.rig.clock.settle();
  assert.deepEqual(unwanted.lease.session.calls, ['end']);

  const condemned = await lent();
  condemned.lease.session.dirty = true;
  condemned.lease.session.status = 'condemned';
  condemned.lease.release();
  await condemned.rig.clock.settle();
  assert.deepEqual(condemned.lease.session.calls, ['end']);
});

test("reset 'rollback' does not look at what is dirty", async () => {
  const { rig, lease } = await lent({}, { settings: { reset: 'rollback' } });
  lease.session.dirty = true;
  lease.release();
  assert.equal(rig.engine.snapshot().idle, 1);
  assert.deepEqual(lease.session.calls, []);
});
