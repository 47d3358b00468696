// The permits port, as the engine keeps its side of it: what it asks a budget for, what it does with the answer, when it yields to pools
// that starve, and that nothing is kept when it leaves.

import assert from 'node:assert/strict';
import test from 'node:test';
import { ConnectError } from '../../src/contracts/errors.ts';
import type { Member } from '../../src/contracts/permits.ts';
import { createEngine } from '../../src/core/create-engine.ts';
import { type Script, ScriptedDriver } from '../../src/testing/scripted-driver.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { CountingClock, ScriptedPermits, type Seeker } from '../kit/ports.ts';
import { errorOf, Rig, type RigOptions, watch } from '../kit/rig.ts';

/** Somebody who waits while others' connections turn over has one dialled after this. */
const HOLD_OFF_MS = 25;
const CLOSURE = { drainMs: 1_000, cancelMs: 200, waiting: 'reject' as const };

function shared(limit: number, options: RigOptions = {}): { readonly rig: Rig; readonly permits: ScriptedPermits } {
  const permits = new ScriptedPermits(limit);
  return { permits, rig: new Rig({ ...options, ports: { permits, ...options.ports } }) };
}

/** Every session has to prove its permit. */
function proving(options: RigOptions = {}): ReturnType<typeof shared> {
  const made = shared(10, options);
  made.permits.prove();
  return made;
}

function seeker(permits: ScriptedPermits, which = 0): Seeker {
  const found = permits.seekers[which];
  assert.ok(found, `${which + 1} sessions have to prove their permits`);
  return found;
}

const opensAfter =
  (afterMs: number): Script =>
  (call) =>
    call === 'open' ? { afterMs } : undefined;

// What is asked for.

test('a budget that has nothing is told how many sessions could be used: those who wait, and never more than max allows', async () => {
  const { rig, permits } = shared(0, { settings: { max: 3 } });
  rig.ask();
  await rig.clock.settle();
  assert.equal(permits.asking, 1);
  assert.deepEqual(permits.wanted, [1]);
  const asks = Array.from({ length: 4 }, () => rig.ask());
  assert.deepEqual(permits.wanted, [3]);
  permits.raise(1);
  await rig.clock.advance(HOLD_OFF_MS);
  assert.deepEqual(permits.wanted, [2], 'one of three is there');
  permits.raise(2);
  await rig.clock.advance(HOLD_OFF_MS);
  assert.deepEqual(permits.wanted, [1]);
  assert.equal(asks.filter((ask) => ask.lease !== undefined).length, 1);
});

test('a floor is asked for as well, also of a paused pool, which has no use for more', async () => {
  const { rig, permits } = shared(0, { settings: { min: 2, max: 5 } });
  void rig.engine.open({ wait: false });
  await rig.clock.settle();
  assert.deepEqual(permits.wanted, [2]);
  for (let n = 0; n < 4; n += 1) rig.ask();
  assert.deepEqual(permits.wanted, [4]);
  void rig.engine.pause('wait');
  assert.deepEqual(permits.wanted, [2]);
});

test('a permit that nobody needs any more is not taken, and one that was granted too late goes back at once', async () => {
  const { rig, permits } = shared(0);
  const aborter = new AbortController();
  rig.ask({ signal: aborter.signal });
  await rig.clock.settle();
  aborter.abort();
  assert.deepEqual(permits.wanted, [0]);
  permits.raise(1);
  await rig.clock.settle();
  assert.equal(permits.takes, 0);

  permits.raise(0);
  const other = new AbortController();
  rig.ask({ signal: other.signal });
  await rig.clock.settle();
  permits.raise(1);
  other.abort();
  await rig.clock.settle();
  assert.deepEqual([permits.takes, permits.taken], [1, 0]);
  assert.deepEqual(permits.given, [undefined]);
  assert.equal(rig.driver.count('open'), 0);
});

test('a budget that says no for ever is asked again at the pace of a server that refuses, and serves once it lives again', async () => {
  const { rig, permits } = shared(0, { settings: { acquireTimeoutMs: 10_000 } });
  permits.die(true);
  let asked = 0;
  const { take } = permits;
  permits.take = (wanted) => {
    asked += 1;
    return take.call(permits, wanted);
  };
  const given = rig.ask({ acquireTimeoutMs: 5_000 });
  const patient = rig.ask();
  await rig.clock.advance(5_000);
  assert.match(errorOf(given).message, /the last connect failed .* ago: the budget gave no permit/);
  assert.ok(asked > 5 && asked < 60, `asked ${asked} times`);
  permits.raise(1);
  permits.die(false);
  await rig.clock.advance(1_000);
  assert.ok(patient.lease);
  assert.equal(rig.engine.stats().connectsFailed, 0, 'no connect has failed');
});

test("a hook's ConnectError, of another pool that it asked, says nothing about this pool's server", async () => {
  const faults = [new ConnectError('the other server', { host: undefined, transient: false }, undefined)];
  const { rig } = shared(1, {
    hooks: {
      configure: () => {
        const fault = faults.pop();
        if (fault !== undefined) throw fault;
      },
    },
  });
  const ask = rig.ask();
  await rig.clock.advance(1_000);
  assert.ok(ask.lease, 'it waits for the next attempt');
});

// A session proves its permit.

test('a session is configured and lent only once it has proven its permit, and is being opened until then', async () => {
  const order: string[] = [];
  const { rig, permits } = proving({ hooks: { configure: () => void order.push('configured') } });
  const ask = rig.ask();
  await rig.clock.advance(5_000);
  assert.equal(seeker(permits).wanted(), 1);
  assert.equal(rig.engine.snapshot().opening, 1);
  assert.deepEqual([order, ask.settled], [[], false]);
  seeker(permits).resolve(true);
  await rig.clock.settle();
  assert.deepEqual(order, ['configured']);
  assert.equal(ask.lease?.session, seeker(permits).session);
});

test('a proof may take longer than connectTimeoutMs, and configure has what the connect left of that', async () => {
  const { rig, permits } = proving({
    settings: { connectTimeoutMs: 100 },
    script: opensAfter(40),
    hooks: { configure: () => new Promise(() => {}) },
  });
  rig.ask();
  await rig.clock.advance(3_000);
  assert.equal(rig.engine.stats().connectsFailed, 0);
  seeker(permits).resolve(true);
  await rig.clock.advance(59);
  assert.equal(rig.engine.stats().connectsFailed, 0);
  await rig.clock.advance(1);
  assert.equal(rig.engine.stats().connectsFailed, 1);
  assert.match(String(rig.events.of('openFailed')[0]?.[0]), /configure did not end within connectTimeoutMs/);
});

test('what a proof took is no part of the time of a connect, by which later ones are planned', async () => {
  const { rig, permits } = proving({ script: opensAfter(40) });
  const ask = rig.ask();
  await rig.clock.advance(20_000);
  seeker(permits).resolve(true);
  await rig.clock.settle();
  assert.equal(rig.events.of('opened')[0]?.[1], 40);
  // Held for longer than a connect takes: another one is dialled at once, and not after twenty seconds.
  await rig.clock.advance(1_000);
  ask.lease?.release();
  await rig.get();
  rig.ask();
  await rig.clock.advance(100);
  assert.equal(rig.driver.count('open'), 2);
});

test('a session that is wanted no longer, since a return served the waiter, says goodbye and counts nowhere as failed', async () => {
  const { rig, permits } = proving({ settings: { max: 2 } });
  const first = rig.ask();
  await rig.clock.settle();
  seeker(permits).resolve(true);
  await rig.clock.settle();
  const second = rig.ask();
  await rig.clock.advance(HOLD_OFF_MS);
  assert.equal(seeker(permits, 1).wanted(), 1);
  first.lease?.release();
  await rig.clock.settle();
  assert.ok(second.lease);
  assert.equal(seeker(permits, 1).wanted(), 0);
  seeker(permits, 1).resolve(false);
  await rig.clock.settle();
  assert.deepEqual(rig.driver.sessions[1]?.calls, ['end']);
  assert.deepEqual(permits.given, [seeker(permits, 1).session]);
  const { connectsFailed, connectionsLost, retired, size } = rig.engine.stats();
  assert.deepEqual([connectsFailed, connectionsLost, retired, size], [0, 0, {}, 1]);
  assert.equal(rig.events.count('openFailed'), 0);
  await rig.clock.advance(1_000);
  assert.equal(rig.driver.count('open'), 2, 'nothing is dialled for nobody');
});

test('of two that are one too many just one is wanted no longer: the younger', async () => {
  const { rig, permits } = proving({ settings: { max: 3 } });
  const aborter = new AbortController();
  rig.ask();
  rig.ask({ signal: aborter.signal });
  await rig.clock.settle();
  assert.deepEqual(
    permits.seekers.map(({ wanted }) => wanted()),
    [2, 1],
  );
  aborter.abort();
  assert.deepEqual(
    permits.seekers.map(({ wanted }) => wanted()),
    [1, 0],
  );
});

test('a session of the floor stays wanted while the pool is paused', async () => {
  const { rig, permits } = proving({ settings: { min: 1 } });
  await rig.engine.open({ wait: false });
  await rig.clock.settle();
  void rig.engine.pause('wait');
  assert.equal(seeker(permits).wanted(), 1);
  seeker(permits).resolve(true);
  await rig.clock.settle();
  assert.equal(rig.engine.snapshot().idle, 1);
});

test('who never waits has a session wanted for as long as a connect may take, and finds it the next time', async () => {
  const { rig, permits } = proving({ settings: { connectTimeoutMs: 500 } });
  const first = rig.ask({ acquireTimeoutMs: 0 });
  await rig.clock.settle();
  assert.equal(errorOf(first).kind, 'POOL_TIMEOUT');
  assert.equal(seeker(permits).wanted(), 1);
  await rig.clock.advance(500);
  assert.equal(seeker(permits).wanted(), 0);
  seeker(permits).resolve(false);
  const second = rig.ask({ acquireTimeoutMs: 0 });
  await rig.clock.settle();
  rig.ask({ acquireTimeoutMs: 0 });
  await rig.clock.settle();
  assert.ok(second.error);
  seeker(permits, 1).resolve(true);
  await rig.clock.settle();
  const third = rig.ask({ acquireTimeoutMs: 0 });
  await rig.clock.settle();
  assert.ok(third.lease);
});

test('a proof that fails is a connect that failed: its socket is cut, and who waits is served by another attempt', async () => {
  const { rig, permits } = proving();
  const ask = rig.ask();
  await rig.clock.settle();
  seeker(permits).reject(new Error('the books cannot be read'));
  await rig.clock.advance(100);
  assert.deepEqual(rig.driver.sessions[0]?.calls, ['destroy']);
  assert.equal(rig.engine.stats().connectsFailed, 1);
  assert.equal(ask.settled, false);
  seeker(permits, 1).resolve(true);
  await rig.clock.settle();
  assert.ok(ask.lease);
});

test('a proof that can never succeed fails those who wait at once if nothing is alive', async () => {
  const { rig, permits } = proving();
  const asks = [rig.ask(), rig.ask()];
  await rig.clock.settle();
  seeker(permits).reject(new ConnectError('not allowed to', { host: undefined, transient: false }, undefined));
  seeker(permits, 1).reject(new ConnectError('not allowed to', { host: undefined, transient: false }, undefined));
  await rig.clock.settle();
  for (const ask of asks) {
    assert.equal(errorOf(ask).kind, 'POOL_CONNECT_FAILED');
    assert.equal(errorOf(ask).transient, false);
    assert.match(
      errorOf(ask).message,
      /connected to scripted:5432, but the budget refused the connection: not allowed/,
    );
  }
});

test('a proof that can never succeed fails nobody who may still be served by a connection that is alive', async () => {
  const { rig, permits } = proving({ settings: { max: 2 } });
  const held = rig.ask();
  await rig.clock.settle();
  seeker(permits).resolve(true);
  await rig.clock.settle();
  const waiter = rig.ask();
  await rig.clock.advance(HOLD_OFF_MS);
  seeker(permits, 1).reject(new ConnectError('not allowed to', { host: undefined, transient: false }, undefined));
  await rig.clock.advance(1);
  assert.equal(waiter.settled, false);
  held.lease?.release();
  await rig.clock.settle();
  assert.ok(waiter.lease);
});

test('a budget that does not admit what is wanted is asked again ever more slowly, and that is no failure', async () => {
  const { rig, permits } = shared(10, { settings: { max: 1 } });
  let refused = 0;
  permits.admit = (_session, wanted) => {
    if (wanted() > 0) refused += 1;
    return Promise.resolve(refused > 20);
  };
  const ask = rig.ask();
  await rig.clock.advance(1_000);
  assert.ok(refused > 3 && refused < 20, `refused ${refused} times in a second`);
  assert.equal(rig.engine.stats().connectsFailed, 0);
  assert.equal(rig.events.count('openFailed'), 0);
  assert.equal(rig.engine.health(), 'busy', 'the server is not down');
  await rig.clock.advance(28_000);
  assert.ok(ask.lease, 'and serves in the end');
});

test('close() aborts the signal of a proof and cuts its socket at once', async () => {
  const { rig, permits } = proving();
  const ask = rig.ask();
  await rig.clock.settle();
  const closed = watch(rig.engine.close(CLOSURE));
  await rig.clock.settle();
  const { session, signal, wanted } = seeker(permits);
  assert.equal(signal.aborted, true);
  assert.deepEqual(rig.driver.sessions[0]?.calls, ['destroy']);
  assert.equal(wanted(), 0);
  assert.equal(errorOf(ask).kind, 'POOL_CLOSED');
  assert.ok(closed.settled);
  assert.deepEqual([permits.taken, permits.given, permits.left], [0, [session], 1]);
  seeker(permits).resolve(true);
  await rig.shut();
});

test('a session that dies while it proves its permit is a connect that failed, and its signal is aborted', async () => {
  const { rig, permits } = proving();
  const ask = rig.ask();
  await rig.clock.settle();
  rig.driver.alive[0]?.kill();
  await rig.clock.settle();
  assert.equal(seeker(permits).signal.aborted, true);
  assert.equal(seeker(permits).wanted(), 0, 'somebody waits, but not for this one');
  assert.equal(rig.engine.stats().connectsFailed, 1);
  assert.equal(rig.engine.stats().connectionsLost, 0);
  await rig.clock.advance(100);
  seeker(permits, 1).resolve(true);
  await rig.clock.settle();
  assert.ok(ask.lease);
});

// Others starve.

test('at a return for which somebody waits the budget is asked how long the session has existed, and may have it', async () => {
  const { rig, permits } = shared(1, { settings: { max: 2 } });
  (await rig.get()).release();
  await rig.clock.advance(300);
  const lease = await rig.get();
  const waiter = rig.ask();
  await rig.clock.advance(700);
  permits.yielding = () => true;
  permits.press(1);
  // Others take it before we can.
  permits.limit = 0;
  lease.release();
  await rig.clock.settle();
  assert.deepEqual(permits.yieldAsks, [{ needed: true, heldMs: 1_000, idleMs: 0 }]);
  assert.equal(rig.engine.stats().retired.budget, 1);
  assert.equal(permits.pressure, 0);
  await rig.clock.advance(1_000);
  assert.equal(waiter.settled, false);
  permits.raise(1);
  await rig.clock.settle();
  assert.ok(waiter.lease, 'by another one');
  assert.notEqual(waiter.lease.session, lease.session);
});

test('a session that does not yield goes to whoever waits, in the same turn', async () => {
  const { rig, permits } = shared(1, { settings: { max: 1 } });
  const lease = await rig.get();
  const waiter = rig.ask();
  permits.press(3);
  lease.release();
  await rig.clock.settle();
  assert.deepEqual(permits.yieldAsks, [{ needed: true, heldMs: 0, idleMs: 0 }]);
  assert.equal(waiter.lease?.session, lease.session);
  assert.equal(permits.pressure, 3);
});

test('a return for which nobody waits yields as well, but the floor is kept without a question', async () => {
  const { rig, permits } = shared(3, { settings: { min: 1, max: 2 } });
  const leases = [await rig.get(), await rig.get(HOLD_OFF_MS)];
  permits.press(5);
  leases[0]?.release();
  await rig.clock.settle();
  assert.deepEqual(permits.yieldAsks, [{ needed: false, heldMs: HOLD_OFF_MS, idleMs: 0 }]);
  assert.equal(rig.engine.stats().retired.budget, 1);
  leases[1]?.release();
  await rig.clock.settle();
  assert.equal(permits.yieldAsks.length, 1);
  assert.equal(rig.engine.snapshot().idle, 1);
});

test('idle ones yield from the one that was used longest ago, and no more of them than others starve for', async () => {
  const { rig, permits } = shared(3);
  const leases = [await rig.get(), await rig.get(HOLD_OFF_MS), await rig.get(HOLD_OFF_MS)];
  for (const lease of leases) {
    await rig.clock.advance(100);
    lease.release();
    await rig.clock.settle();
  }
  await rig.clock.advance(100);
  permits.press(2);
  assert.deepEqual(permits.yieldAsks, [
    { needed: false, heldMs: 450, idleMs: 300 },
    { needed: false, heldMs: 425, idleMs: 200 },
  ]);
  await rig.clock.settle();
  assert.deepEqual(
    rig.driver.alive.map(({ pid }) => pid),
    [leases[2]?.session.pid],
  );
  permits.press(0);
  assert.equal(permits.yieldAsks.length, 2);
  assert.equal(rig.engine.stats().retired.budget, 2);
});

test('an idle one that the budget leaves is asked again the next time that others starve', async () => {
  const { rig, permits } = shared(3);
  await rig.fill(2);
  permits.yielding = ({ idleMs }) => idleMs >= 1_000;
  permits.press(1);
  assert.equal(permits.yieldAsks.length, 2);
  assert.equal(rig.engine.snapshot().idle, 2);
  await rig.clock.advance(1_000);
  permits.press(1);
  assert.equal(permits.yieldAsks.length, 3);
  assert.equal(rig.engine.snapshot().idle, 1);
});

test('a pool that is closing is not asked to yield what its last waiters need', async () => {
  const { rig, permits } = shared(1, { settings: { max: 1 } });
  const lease = await rig.get();
  const waiter = rig.ask();
  permits.yielding = () => true;
  permits.press(1);
  const closed = watch(rig.engine.close({ ...CLOSURE, waiting: 'serve' }));
  lease.release();
  await rig.clock.settle();
  assert.deepEqual(permits.yieldAsks, []);
  waiter.lease?.release();
  await rig.clock.settle();
  assert.ok(closed.settled);
});

// The books.

test('how the budget stands is in the snapshot and in what is said to who is turned away', async () => {
  const { rig, permits } = shared(1, { settings: { max: 4, acquireTimeoutMs: 100, maxWaiting: 1 } });
  assert.equal('budget' in rig.engine.snapshot(), false);
  await rig.get();
  permits.standing = { kind: 'threads', limit: 6, used: 6, held: 2, members: 4 };
  assert.deepEqual(rig.engine.snapshot().budget, permits.standing);
  const text = '6 of 6 permits of the threads budget taken, 2 of them here, shared by 4 pools';
  const waiter = rig.ask();
  const toomany = rig.ask();
  await rig.clock.advance(100);
  assert.ok(errorOf(waiter).message.includes(text), errorOf(waiter).message);
  assert.ok(errorOf(toomany).message.includes(text), errorOf(toomany).message);

  permits.standing = { kind: 'fleet', limit: 20, held: 2 };
  const other = rig.ask();
  await rig.clock.advance(100);
  assert.match(errorOf(other).message, /, 20 permits of the fleet budget, 2 of them here, /);
});

test('a permit is given back with its session once the socket is gone, and with none where a connect came to nothing', async () => {
  const { rig, permits } = shared(3, {
    settings: { max: 1 },
    script: (call, _session, count) =>
      call === 'open' && count === 1 ? { fail: new Error('no route') } : call === 'end' ? { afterMs: 300 } : undefined,
  });
  const lease = await rig.get(100);
  assert.deepEqual(permits.given, [undefined]);
  lease.release(true);
  await rig.clock.advance(299);
  assert.deepEqual(permits.given, [undefined]);
  assert.equal(permits.taken, 1);
  await rig.clock.advance(1);
  assert.deepEqual(permits.given, [undefined, lease.session]);
  assert.equal(permits.taken, 0);
});

test('a pool takes its leave once, when it has closed and everything was given back', async () => {
  const { rig, permits } = shared(3, { settings: { idleTimeoutMs: 0 } });
  const held: number[] = [];
  const { leave } = permits;
  permits.leave = () => {
    held.push(permits.taken);
    leave.call(permits);
  };
  (await rig.get()).release();
  await rig.clock.advance(1_000);
  assert.equal(rig.engine.snapshot().size, 0);
  assert.deepEqual(held, [], 'to be empty is not to be closed');
  await rig.get();
  const closed = watch(rig.engine.close(CLOSURE));
  await rig.clock.advance(1_000);
  assert.deepEqual([closed.settled, held], [false, []]);
  await rig.shut();
  assert.deepEqual(held, [0]);
});

test('a pool that others wait on for a permit asks for nothing more once it has closed', async () => {
  const { rig, permits } = shared(0);
  rig.ask();
  await rig.clock.settle();
  assert.equal(permits.asking, 1);
  await rig.engine.close(CLOSURE);
  assert.deepEqual(permits.wanted, [0]);
  permits.raise(5);
  await rig.clock.settle();
  assert.deepEqual([permits.takes, permits.asking], [0, 0]);
});

test('createEngine() joins the budget of its option with its name, clock and limit', async () => {
  const clock = new VirtualClock();
  const permits = new ScriptedPermits(1);
  const members: Member[] = [];
  const budget = {
    join: (member: Member) => {
      members.push(member);
      return permits;
    },
  };
  const engine = createEngine({ driver: new ScriptedDriver(clock), name: 'orders', max: 7, clock, budget });
  assert.deepEqual(
    members.map((member) => [member.name, member.clock, member.max]),
    [['orders', clock, 7]],
  );
  assert.equal(permits.takes, 0);
  const lease = await engine.acquire();
  assert.equal(permits.taken, 1);
  assert.equal(members[0]?.needs(), 1);
  lease.release();
  void engine.close(CLOSURE);
  await clock.advance(1);
  assert.deepEqual([engine.phase, permits.taken, permits.left], ['closed', 0, 1]);
});

test('what is sought only to be kept warm does not keep the process, and what somebody waits for does', async () => {
  let holds: CountingClock | undefined;
  const { rig, permits } = proving({
    settings: { min: 2, max: 3 },
    wrapClock: (clock) => {
      holds = new CountingClock(clock);
      return holds;
    },
  });
  void rig.engine.open({ wait: false });
  await rig.clock.settle();
  for (const one of [...permits.seekers]) assert.equal(one.wanted() > 0, true);
  await rig.clock.advance(200);
  assert.equal(holds?.holding.size, 0);
  rig.ask();
  await rig.clock.advance(200);
  assert.equal(holds?.holding.size, 1);
});
