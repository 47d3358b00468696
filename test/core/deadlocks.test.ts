// B21 on the virtual clock: when a pool looks for a jam, what it does about one, and that it does so once. What a jam is: deadlock-graph.test.ts.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Explainer } from '../../src/contracts/explain.ts';
import type { Task, TaskContext } from '../../src/contracts/task-context.ts';
import { noTasks } from '../../src/contracts/task-context.ts';
import { Deadlocks } from '../../src/diagnosis/deadlock-graph.ts';
import { explainer } from '../../src/diagnosis/explain.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { type Ask, errorOf, Rig, type RigOptions, type ScriptedLease } from '../kit/rig.ts';

/** A jam is looked at every 50 ms. */
const TICK_MS = 50;
const GRACE_MS = 500;

/** The context, said by the test: `within(task, …)` is where something is asked. */
class ScriptedTasks implements TaskContext {
  readonly detached = noTasks.detached;
  readonly holdsLease = noTasks.holdsLease;
  now: Task | undefined = undefined;
  mattered = 0;

  current(): Task | undefined {
    return this.now;
  }

  matters(): void {
    this.mattered += 1;
  }

  within<T>(task: Task | undefined, work: () => T): T {
    this.now = task;
    const done = work();
    this.now = undefined;
    return done;
  }
}

/** A graph that counts the looks, and who is in it. */
class CountingGraph extends Deadlocks {
  looks = 0;
  readonly members = new Set<unknown>();

  override join(party: Parameters<Deadlocks['join']>[0]): void {
    this.members.add(party);
    super.join(party);
  }

  override leave(party: Parameters<Deadlocks['leave']>[0]): void {
    this.members.delete(party);
    super.leave(party);
  }

  override look(party: Parameters<Deadlocks['look']>[0]): ReturnType<Deadlocks['look']> {
    this.looks += 1;
    return super.look(party);
  }
}

interface World {
  readonly clock: VirtualClock;
  readonly tasks: ScriptedTasks;
  readonly graph: CountingGraph;
  rig(settings?: RigOptions['settings'], ports?: { explainer?: Explainer }): Rig;
}

function world(): World {
  const clock = new VirtualClock();
  const tasks = new ScriptedTasks();
  const graph = new CountingGraph();
  return {
    clock,
    tasks,
    graph,
    rig: (settings, ports) =>
      new Rig({ clock, settings: { max: 1, ...settings }, ports: { tasks, deadlocks: graph, ...ports } }),
  };
}

/** A task that holds a connection of `rig`. */
async function holder(rig: Rig): Promise<{ readonly task: Task; readonly lease: ScriptedLease }> {
  const lease = await rig.get(TICK_MS);
  const task = { parent: undefined };
  lease.task = task;
  return { task, lease };
}

/** One connection, held by a task that asks for another one now. */
async function nested(settings?: RigOptions['settings'], ports?: { explainer?: Explainer }) {
  const at = world();
  const rig = at.rig(settings, ports);
  const { task, lease } = await holder(rig);
  const ask = at.tasks.within(task, () => rig.ask());
  return { ...at, rig, task, lease, ask };
}

/** For how long `ask` is kept waiting from now on, in whole looks. */
async function refusedAfter(clock: VirtualClock, ask: Ask, within = 5_000): Promise<number> {
  const began = clock.now();
  while (!ask.settled && clock.now() - began < within) await clock.advance(1);
  assert.ok(ask.settled, `nothing within ${within} ms`);
  return clock.now() - began;
}

for (const graceMs of [1, 50, 120, 500, 730, 2_000]) {
  test(`a grace of ${graceMs} ms: nothing before it, and a DeadlockError at the first look after it`, async () => {
    const { clock, ask } = await nested({ deadlockGraceMs: graceMs });
    const after = await refusedAfter(clock, ask);
    assert.equal(errorOf(ask).kind, 'POOL_DEADLOCK');
    assert.ok(after >= graceMs && after <= graceMs + TICK_MS, `after ${after} ms`);
  });
}

test('the error has the cycle with the last statement, the snapshot without the victim, and the verdict says deadlock', async () => {
  const { clock, rig, lease, ask } = await nested({ name: 'orders' }, { explainer });
  lease.session.lastStatement = 'SELECT 1';
  lease.session.quietSince = clock.now();
  await refusedAfter(clock, ask);
  const error = errorOf(ask);
  const cycle = error.cycle as { pool: string; id: number; lastStatement: string }[];
  assert.deepEqual(
    cycle.map(({ pool, id, lastStatement }) => [pool, id, lastStatement]),
    [['orders', lease.id, 'SELECT 1']],
  );
  assert.equal((error.snapshot as { waiting: number }).waiting, 0);
  assert.equal((error.explanation as { verdict: string }).verdict, 'deadlock');
  assert.match(
    error.message,
    /^orders: probable deadlock: the only connection is held by a task that waits .*SELECT 1/,
  );
  assert.deepEqual(rig.engine.stats().requestsFailed, { deadlock: 1 });
  assert.deepEqual(
    rig.events.of('refused').map(([reason]) => reason),
    ['deadlock'],
  );
  assert.deepEqual(rig.reports.all, [], 'told by the error, and by nobody else');
});

test('one busy session is enough for silence, until it has been quiet for the grace', async () => {
  const at = world();
  const rig = at.rig({ max: 2 });
  const [first, second] = [await holder(rig), await holder(rig)];
  second.lease.session.status = 'busy';
  const asks = [first, second].map(({ task }) => at.tasks.within(task, () => rig.ask()));
  await at.clock.advance(5_000);
  assert.deepEqual(
    asks.map(({ settled }) => settled),
    [false, false],
  );
  second.lease.session.status = 'idle';
  second.lease.session.quietSince = at.clock.now();
  const after = await refusedAfter(at.clock, asks[1] as Ask);
  assert.ok(after >= GRACE_MS && after <= GRACE_MS + TICK_MS, `after ${after} ms`);
  assert.equal(errorOf(asks[1] as Ask).kind, 'POOL_DEADLOCK');
  assert.equal(asks[0]?.settled, false);
});

test('one task that waits and one that only holds, by hand or at work elsewhere, are no jam', async () => {
  for (const byHand of [true, false]) {
    const at = world();
    const rig = at.rig({ max: 2 });
    const { task } = await holder(rig);
    const other = await rig.get(TICK_MS);
    if (!byHand) other.task = { parent: undefined };
    const ask = at.tasks.within(task, () => rig.ask());
    await at.clock.advance(20_000);
    assert.equal(ask.settled, false);
    other.release();
    await at.clock.settle();
    assert.ok(ask.lease);
  }
});

test('a connection that comes back within the grace ends it, and a new jam has the whole grace again', async () => {
  const { clock, tasks, rig, lease, ask } = await nested();
  await clock.advance(GRACE_MS - TICK_MS);
  lease.release();
  await clock.settle();
  assert.ok(ask.lease);
  const task = { parent: undefined };
  ask.lease.task = task;
  const again = tasks.within(task, () => rig.ask());
  const after = await refusedAfter(clock, again);
  assert.ok(after >= GRACE_MS && after <= GRACE_MS + 2 * TICK_MS, `after ${after} ms`);
});

test('a connection that is being cleaned, or one that can still be opened, moves by itself: no jam', async () => {
  const at = world();
  const rig = at.rig({ max: 2 });
  rig.driver.script = (call) => (call === 'rollback' ? { never: true } : undefined);
  const { task } = await holder(rig);
  const returning = await rig.get(TICK_MS);
  returning.session.status = 'transaction';
  const ask = at.tasks.within(task, () => rig.ask());
  returning.release();
  await at.clock.advance(4_000);
  assert.equal(ask.error, undefined);
});

test('the time in which the loop was blocked does not count towards the grace', async () => {
  const { clock, ask } = await nested();
  await clock.advance(100);
  clock.block(3_000);
  // A block is measured from when the next look was due.
  await clock.advance(GRACE_MS - 100 - TICK_MS - 1);
  assert.equal(ask.settled, false, 'it had less than the grace to give something back');
  await clock.advance(3 * TICK_MS);
  assert.equal(errorOf(ask).kind, 'POOL_DEADLOCK');
});

test('with five that hold and wait the youngest is refused, alone: the others are served by what its task gives back', async () => {
  const at = world();
  const rig = at.rig({ max: 5 });
  const holders = [];
  for (let n = 0; n < 5; n += 1) holders.push(await holder(rig));
  const asks = [];
  for (const { task } of holders) {
    asks.push(at.tasks.within(task, () => rig.ask()));
    await at.clock.advance(10);
  }
  await refusedAfter(at.clock, asks[4] as Ask);
  holders[4]?.lease.release();
  for (const [n, ask] of asks.slice(0, 4).entries()) {
    await at.clock.advance(10);
    assert.ok(ask.lease, `the one of holder ${n}`);
    ask.lease.release();
    holders[n]?.lease.release();
  }
  assert.deepEqual(rig.engine.stats().requestsFailed, { deadlock: 1 });
  rig.audit();
});

test('a victim whose task is slow to give back has the grace for it before the next one is refused', async () => {
  const at = world();
  const rig = at.rig({ max: 2 });
  const [first, second] = [await holder(rig), await holder(rig)];
  const asks = [first, second, first, second].map(({ task }) => at.tasks.within(task, () => rig.ask()));
  await refusedAfter(at.clock, asks[3] as Ask);
  const refused = (): number => asks.filter(({ settled }) => settled).length;
  assert.equal(refused(), 1);
  await at.clock.advance(GRACE_MS - TICK_MS);
  assert.equal(refused(), 1);
  await at.clock.advance(2 * TICK_MS);
  assert.equal(refused(), 2, 'its task still waits with the other one, and so does the first');
  await at.clock.advance(20_000);
  assert.deepEqual(rig.engine.stats().requestsFailed, { deadlock: 3 }, 'after the third one task waits for nothing');
});

test('two pools crossed: one victim in one of them, though both look', async () => {
  const at = world();
  const [one, other] = [at.rig({ name: 'one' }), at.rig({ name: 'other' })];
  const [first, second] = [await holder(one), await holder(other)];
  const asks = [at.tasks.within(first.task, () => other.ask())];
  await at.clock.advance(10);
  asks.push(at.tasks.within(second.task, () => one.ask()));
  await refusedAfter(at.clock, asks[1] as Ask);
  const cycle = errorOf(asks[1] as Ask).cycle as { pool: string }[];
  assert.deepEqual(cycle.map(({ pool }) => pool).sort(), ['one', 'other']);
  await at.clock.advance(GRACE_MS - TICK_MS);
  assert.equal(asks[0]?.settled, false);
  second.lease.release();
  await at.clock.settle();
  assert.ok(asks[0]?.lease);
});

test("'warn' turns nobody away and reports a call site once, though two pools see the same jam", async () => {
  const at = world();
  const sites = new WeakMap<object, string>();
  const ledgerAt = (site: string) => ({
    silentUntil: -Infinity,
    asked: () => {
      const origin = {};
      sites.set(origin, site);
      return origin;
    },
    lent: () => {},
    returned: () => {},
    site: ({ origin }: { origin: object | undefined }) => (origin === undefined ? undefined : sites.get(origin)),
    plain: ({ origin }: { origin: object | undefined }) => origin,
  });
  const rigs = ['one', 'other'].map(
    (name) =>
      new Rig({
        clock: at.clock,
        settings: { name, max: 1, nestedAcquire: 'warn' },
        ports: { tasks: at.tasks, deadlocks: at.graph, ledger: ledgerAt(`${name}.ts:1`) },
      }),
  );
  const [one, other] = rigs as [Rig, Rig];
  for (let round = 0; round < 2; round += 1) {
    const [first, second] = [await holder(one), await holder(other)];
    const asks = [at.tasks.within(first.task, () => other.ask())];
    await at.clock.advance(10);
    asks.push(at.tasks.within(second.task, () => one.ask()));
    await at.clock.advance(10_000);
    assert.ok(asks.every(({ settled }) => !settled));
    first.lease.release();
    second.lease.release();
    await at.clock.settle();
    for (const { lease } of asks) lease?.release();
    await at.clock.settle();
  }
  const said = rigs.flatMap(({ reports }) => reports.all);
  assert.deepEqual(
    said.map(({ code, site }) => [code, site]),
    [['OXBOW_PROBABLE_DEADLOCK', 'one.ts:1']],
  );
  assert.match(said[0]?.message ?? '', /^one: probable deadlock: all 2 connections .* one\.ts:1$/);
});

test("where one pool only warns and the other detects, the victim is the other's, however old", async () => {
  const at = world();
  const [warns, detects] = [at.rig({ nestedAcquire: 'warn' }), at.rig()];
  const [first, second] = [await holder(warns), await holder(detects)];
  const older = at.tasks.within(first.task, () => detects.ask());
  await at.clock.advance(100);
  const younger = at.tasks.within(second.task, () => warns.ask());
  await refusedAfter(at.clock, older);
  assert.equal(errorOf(older).kind, 'POOL_DEADLOCK');
  assert.equal(younger.settled, false);
  assert.deepEqual(warns.reports.all, []);
});

for (const nestedAcquire of ['allow', 'forbid'] as const) {
  test(`'${nestedAcquire}' never looks, and never follows tasks on that account`, async () => {
    const { clock, tasks, graph, rig, ask } = await nested({ nestedAcquire, acquireTimeoutMs: 3_000 }, { explainer });
    await clock.advance(2_999);
    rig.engine.explain();
    await clock.advance(1);
    assert.equal(errorOf(ask).kind, 'POOL_TIMEOUT');
    assert.deepEqual([graph.looks, graph.members.size, tasks.mattered], [0, 0, 0]);
  });
}

test('nobody looks while a connection is free, or nobody waits; tasks matter from the first wait for a pool that is all lent', async () => {
  const at = world();
  const rig = at.rig({ max: 2 });
  await holder(rig);
  await at.clock.advance(1_000);
  await holder(rig);
  await at.clock.advance(1_000);
  assert.deepEqual([at.graph.looks, at.tasks.mattered], [0, 0]);
  rig.ask();
  await at.clock.advance(TICK_MS);
  assert.ok(at.graph.looks > 0 && at.tasks.mattered > 0);
});

test('a pool is in the graph only as long as somebody waits for it with everything lent: one that is dropped is not kept', async () => {
  const { clock, graph, rig, lease, ask } = await nested();
  await clock.advance(TICK_MS);
  assert.equal(graph.members.size, 1);
  lease.release();
  await clock.settle();
  ask.lease?.release();
  await clock.advance(2 * TICK_MS);
  assert.equal(graph.members.size, 0);
  await rig.shut();
});

test('after close() no timer is left and the pool has left the graph; explain() then does not bring it back', async () => {
  const { clock, graph, rig, lease } = await nested({}, { explainer });
  await clock.advance(TICK_MS);
  assert.equal(graph.members.size, 1);
  lease.release();
  await rig.shut({ drainMs: 0, cancelMs: 100 });
  assert.equal(rig.engine.explain().verdict, 'closed');
  assert.equal(graph.members.size, 0);
});

test('whoever’s deadline has passed is told that, and is no victim any more', async () => {
  const clock = new VirtualClock();
  const graph = new Deadlocks();
  let party: Parameters<Deadlocks['join']>[0] | undefined;
  const rig = new Rig({
    clock,
    settings: { max: 1, acquireTimeoutMs: 300 },
    ports: {
      deadlocks: {
        join: (one) => {
          party = one;
        },
        leave: () => {},
        look: (one) => graph.look(one),
      },
      // Asked while those whose time has come are out of the queue and were not told yet.
      explainer: {
        explain: () => {
          for (const wait of party?.waits() ?? []) party?.end(wait, { cycle: [], forMs: 1_000 });
          return undefined;
        },
      },
    },
  });
  await rig.get();
  const expiring = rig.ask();
  await clock.advance(100);
  const later = rig.ask({ acquireTimeoutMs: Infinity });
  await clock.advance(200);
  assert.equal(errorOf(expiring).kind, 'POOL_TIMEOUT');
  assert.equal(errorOf(later).kind, 'POOL_DEADLOCK', 'the other one still waited');
  assert.deepEqual(rig.engine.stats().requestsFailed, { timeout: 1, deadlock: 1 });
  assert.equal(rig.engine.snapshot().waiting, 0);
});

test('a timeout shorter than the grace is told as a deadlock, if half of it was spent in one', async () => {
  const { clock, ask } = await nested({ acquireTimeoutMs: 300 }, { explainer });
  await clock.advance(300);
  assert.equal(errorOf(ask).kind, 'POOL_TIMEOUT');
  assert.equal((errorOf(ask).explanation as { verdict: string }).verdict, 'deadlock');
});

test('a call that begins on a lease after a second of holding is seen: only its borrower keeps that lease by then', async () => {
  const at = world();
  const rig = at.rig();
  const lease = await rig.get();
  await at.clock.advance(1_500);
  rig.ask();
  await at.clock.advance(2 * TICK_MS);
  const task = { parent: undefined };
  lease.task = task;
  const ask = at.tasks.within(task, () => rig.ask());
  await at.clock.advance(GRACE_MS + TICK_MS);
  assert.equal(errorOf(ask).kind, 'POOL_DEADLOCK');
});
