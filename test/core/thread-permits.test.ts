// One limit for several threads, as one of them sees it: when it takes, when it waits, when it gives way. The memory is the real one; who
// wakes whom, and when, is the virtual clock's.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createEngine } from '../../src/core/create-engine.ts';
import { MAX_MEMBERS, ThreadMemory } from '../../src/sharing/thread-memory.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { FleetServer } from '../kit/fleet-server.ts';
import { Party, Threads } from '../kit/threads.ts';

interface Stage {
  readonly threads: Threads;
  readonly parties: readonly [Party, Party, Party, ...Party[]];
}

function stage(limit: number): Stage {
  const threads = new Threads(limit);
  const party = (): Party => new Party(threads);
  return { threads, parties: [party(), party(), party(), party()] };
}

test('what is free is taken at once, and nobody is woken for it', async () => {
  const { threads, parties } = stage(6);
  const [a, b] = parties;
  a.has(4);
  b.has(2);
  await threads.clock.advance(1_000);
  assert.equal(threads.memory.used, 6);
  assert.equal(threads.woken, 0);
  assert.equal(a.permits.tryTake(), false);
  assert.equal(threads.clock.pendingTimers, 0);
});

test('who waits is woken by a permit that comes back, and takes it itself', async () => {
  const { threads, parties } = stage(2);
  const [a, b] = parties;
  a.has(2, true);
  await b.wants();
  await threads.clock.advance(10);
  assert.equal(b.answer, undefined);
  await a.gives();
  assert.equal(b.answer, true);
  assert.deepEqual([a.held, b.held], [1, 1]);
});

test('a permit that comes back is assigned to nobody: who comes first has it', async () => {
  const { threads, parties } = stage(1);
  const [a, b, c] = parties;
  a.has(1);
  await b.wants();
  a.permits.give(undefined);
  assert.equal(c.permits.tryTake(), true);
  await threads.clock.advance(1);
  assert.equal(b.answer, undefined);
  assert.equal(threads.memory.used, 1);
  await c.gives();
  assert.equal(b.answer, true);
});

test('who is served in another way withdraws its claim, and takes nothing when it is woken', async () => {
  const { threads, parties } = stage(1);
  const [a, b, c] = parties;
  a.has(1);
  await b.wants();
  await threads.clock.advance(60);
  assert.equal(a.permits.pressure, 1);
  b.want = 0;
  await a.gives();
  assert.equal(b.answer, false);
  assert.equal(threads.memory.used, 0);
  assert.deepEqual(
    threads.memory.members().map(({ want, hungry }) => [want, hungry]),
    [
      [0, false],
      [0, false],
    ],
  );
  c.has(1);
  assert.equal(c.yieldsIdle(), 0);
});

test('nobody gives way before somebody has waited for 50 ms', async () => {
  const { threads, parties } = stage(2);
  const [a, b] = parties;
  a.has(2);
  let told = 0;
  a.permits.onPressure(() => {
    told += 1;
  });
  await b.wants();
  await threads.clock.advance(49);
  assert.deepEqual([told, a.permits.pressure, a.yieldsIdle()], [0, 0, 0]);
  await threads.clock.advance(2);
  assert.deepEqual([told, a.permits.pressure], [1, 1]);
  assert.equal(a.yieldsIdle(), 1);
});

test('who has waited a while for the first goes on waiting for the second as one who starves', async () => {
  const { threads, parties } = stage(3);
  const [a, b] = parties;
  a.has(3);
  await b.wants(2);
  await threads.clock.advance(40);
  await a.gives();
  assert.equal(b.answer, true);
  await b.wants(1);
  await threads.clock.advance(5);
  assert.equal(a.permits.pressure, 0);
  await threads.clock.advance(6);
  assert.equal(a.permits.pressure, 1, 'the 50 ms count from its first wait, and it says so then');
});

test('who has not waited for a while begins anew', async () => {
  const { threads, parties } = stage(2);
  const [a, b] = parties;
  a.has(2);
  await b.wants(1);
  await threads.clock.advance(40);
  await a.gives();
  await threads.clock.advance(20);
  await b.wants(1);
  await threads.clock.advance(45);
  assert.equal(a.permits.pressure, 0);
});

test('an idle one goes to those who starve once it has not been used for 50 ms, or is a second old', async () => {
  const { threads, parties } = stage(2);
  const [a, b] = parties;
  a.has(2);
  await b.wants();
  await threads.clock.advance(60);
  assert.equal(a.permits.yields(false, 999, 49), false);
  assert.equal(a.permits.yields(false, 999, 50), true);
});

test('one that is a second old goes though it was used just now', async () => {
  const { threads, parties } = stage(2);
  const [a, b] = parties;
  a.has(2);
  await b.wants();
  await threads.clock.advance(60);
  assert.equal(a.permits.yields(false, 1_000, 0), true);
});

test('one that is needed here goes at once to a thread that has none', async () => {
  const { threads, parties } = stage(2);
  const [a, b] = parties;
  a.has(2, true);
  await b.wants();
  await threads.clock.advance(60);
  assert.equal(a.yieldsNeeded(), true);
  assert.equal(a.yieldsNeeded(), false, 'one was wanted');
});

test('one that is needed here goes at once from a thread that has far more than its share', async () => {
  const { threads, parties } = stage(6);
  const [a, b] = parties;
  a.has(5, true);
  b.has(1, true);
  await b.wants(5);
  await threads.clock.advance(60);
  assert.equal(a.yieldsNeeded(), true);
  assert.equal(a.yieldsNeeded(), false, 'the last one above the share is kept for a second');
  await threads.clock.advance(1_000);
  assert.equal(a.yieldsNeeded(), true);
  assert.equal(a.yieldsNeeded(), false, 'both have the same now');
});

test('two who could give way to one who is short of one give it one', async () => {
  const { threads, parties } = stage(4);
  const [a, b, c] = parties;
  a.has(2);
  b.has(2);
  await c.wants(1);
  await threads.clock.advance(60);
  assert.deepEqual([a.permits.pressure, b.permits.pressure], [1, 1], 'both were told');
  assert.equal(a.yieldsIdle() + b.yieldsIdle(), 1);
  await a.gives();
  assert.equal(c.answer, true);
  assert.equal(threads.memory.used, 4);
});

test('a permit that is free is counted as one that nobody has to give', async () => {
  const { threads, parties } = stage(4);
  const [a, b, c] = parties;
  a.has(3);
  c.has(1);
  threads.deaf = true;
  await b.wants(2);
  await threads.clock.advance(55);
  c.permits.give(undefined);
  assert.equal(a.yieldsIdle(), 1);
});

test('a pool keeps what it keeps warm against one that starves at its share', async () => {
  const { threads, parties } = stage(4);
  const [a, b] = parties;
  a.has(2, true); // idle, but its `min`: the member says that it needs them
  b.has(2, true);
  await b.wants(3);
  await threads.clock.advance(5_000);
  assert.equal(a.permits.pressure, 0);
  assert.equal(a.yieldsNeeded(), false);
  assert.equal(a.permits.yields(false, 10_000, 10_000), false);
});

test('a newcomer takes what is free though others starve, if that is its share', async () => {
  const { threads, parties } = stage(4);
  const [a, b, c] = parties;
  a.has(3, true);
  b.has(1, true);
  threads.deaf = true;
  await b.wants(1);
  await threads.clock.advance(60);
  await a.gives();
  assert.equal(c.permits.tryTake(), true);
});

test('above its share nobody takes what is free while another starves', async () => {
  const { threads, parties } = stage(3);
  const [a, b] = parties;
  a.has(3, true);
  threads.deaf = true;
  await b.wants(3);
  await threads.clock.advance(60);
  a.permits.give(undefined);
  a.busy -= 1;
  assert.equal(a.permits.tryTake(), false);
  threads.deaf = false;
  await threads.clock.advance(100);
  assert.equal(b.answer, true);
});

test('what a thread said of its needs before it gave everything back binds nobody', async () => {
  const { threads, parties } = stage(4);
  const [a, b, c] = parties;
  a.has(4, true);
  await b.wantsAll(3);
  await c.wantsAll(3);
  await threads.clock.advance(200); // a was asked, and has said that it needs four
  threads.deaf = true; // and hears nothing any more, as a thread whose loop is blocked
  for (let n = 0; n < 4; n += 1) a.permits.give(undefined);
  await threads.clock.advance(500);
  assert.deepEqual([b.held, c.held], [2, 2]);
});

test('what a blocked thread starves for is held back for it for half a second, and given to it when it runs again', async () => {
  const { threads, parties } = stage(4);
  const [a] = parties;
  a.has(4, true);
  const own = new VirtualClock();
  const blocked = threads.join({ clock: own });
  let took = 0;
  void blocked.take(() => 4).then(() => (took += 1));
  await own.advance(60);
  threads.deaf = true; // its loop is blocked from here on: it hears nothing, and its timers do not ring
  await a.gives(4);
  a.busy = 0;
  await a.wantsAll(4);
  await threads.clock.advance(450);
  assert.equal(a.held, 2);
  await threads.clock.advance(250);
  assert.equal(a.held, 4, 'nobody else could use them');
  assert.equal(a.yieldsNeeded(), false, 'nor could it use what were given up for it');
  threads.deaf = false;
  await own.advance(100);
  await threads.clock.advance(1);
  assert.deepEqual([a.permits.pressure, a.yieldsNeeded()], [2, true]);
  await a.gives();
  await own.advance(1);
  assert.equal(took, 1);
});

test('what a thread that was blocked meanwhile was about to give is asked of another after half a second', async () => {
  const { threads, parties } = stage(4);
  const [a, b, c] = parties;
  a.has(2);
  c.has(2);
  await b.wants();
  await threads.clock.advance(60);
  assert.equal(c.yieldsIdle(), 1);
  assert.equal(a.yieldsIdle(), 0, 'one was wanted, and is on its way');
  await threads.clock.advance(300);
  assert.equal(a.yieldsIdle(), 0);
  await threads.clock.advance(400);
  assert.equal(a.yieldsIdle(), 1);
  await a.gives();
  assert.equal(b.answer, true);
});

test('a wake-up that is lost costs 100 ms, no more', async () => {
  const { threads, parties } = stage(1);
  const [a, b] = parties;
  a.has(1);
  await b.wants();
  await threads.clock.advance(60);
  threads.deaf = true;
  a.permits.give(undefined);
  await threads.clock.advance(100);
  assert.equal(b.answer, true);
});

test('while nobody gives way who starves says so every 75 to 125 ms, and nobody else says anything', async () => {
  const { threads, parties } = stage(2);
  const [a, b, c] = parties;
  a.has(1, true);
  c.has(1, true);
  await b.wants();
  await threads.clock.advance(1_060);
  // The first after 50 ms; each is heard by two.
  const shouts = threads.woken / 2;
  assert.ok(Number.isInteger(shouts) && shouts >= 1 + 8 && shouts <= 1 + 13, `${shouts} shouts`);
});

test('what cannot be divided evenly is first for those who took one longest ago, until they have had it for a second', async () => {
  const { threads, parties } = stage(3);
  const [a, b] = parties;
  a.has(2, true);
  b.has(1, true);
  await a.wants(4);
  await b.wants(4);
  await threads.clock.advance(900);
  assert.equal(a.yieldsNeeded(), false);
  await threads.clock.advance(200);
  assert.equal(a.permits.yields(true, 999, 0), false, 'but not one that has only just come');
  assert.equal(a.yieldsNeeded(), true);
  assert.equal(a.yieldsNeeded(), false);
  a.busy -= 1;
  await a.gives();
  assert.deepEqual([a.held, b.held], [1, 2], 'the one that stands last does not take it back');
  await threads.clock.advance(900);
  assert.equal(b.yieldsNeeded(), false);
  await threads.clock.advance(200);
  assert.equal(b.yieldsNeeded(), true);
});

test('with fewer permits than threads each has its turn of a second, and nobody gives up its only one before', async () => {
  const { threads, parties } = stage(1);
  const [a, b, c] = parties;
  a.has(1, true);
  await a.wants(1);
  await c.wants(1);
  await b.wants(1);
  for (const [holder, next] of [
    [a, c],
    [c, b],
    [b, a],
  ] as const) {
    await threads.clock.advance(900);
    assert.equal(holder.yieldsNeeded(), false);
    await threads.clock.advance(200);
    assert.equal(holder.yieldsNeeded(), true);
    holder.busy -= 1;
    await holder.gives();
    assert.equal(next.answer, true);
    await next.wants(1);
  }
});

test('of two who starve the one that has waited longer takes what comes back, though the other is woken first', async () => {
  const { threads, parties } = stage(4);
  const [a, b, c] = parties;
  c.has(1, true);
  b.has(1, true);
  a.has(2, true);
  await b.wants(2);
  await c.wants(2);
  await threads.clock.advance(60);
  assert.equal(threads.memory.members()[0]?.held, 1);
  a.busy -= 1;
  await a.gives();
  assert.deepEqual([b.held, c.held], [1, 2]);
});

test('what comes back while the first in the line is blocked is taken by the next within 100 ms', async () => {
  const threads = new Threads(2);
  const [a, b, c] = [new Party(threads), new Party(threads), new Party(threads)];
  a.has(1, true);
  c.has(1, true);
  await c.wants(1);
  await threads.clock.advance(55);
  const row = threads.memory.enter(77) ?? assert.fail('no row'); // it wants one and starves, and does nothing about it
  threads.memory.tell(row, { want: 1, hungry: true });
  await b.wants(1);
  await threads.clock.advance(55);
  a.busy = 0;
  await a.gives();
  assert.equal(b.answer, undefined);
  await threads.clock.advance(100);
  assert.equal(b.answer, true);
});

test('a starving thread that is served in another way says so, and nobody stands back for it any longer', async () => {
  const { threads, parties } = stage(1);
  const [a, b, c] = parties;
  a.has(1, true);
  await b.wants(1);
  await c.wants(1);
  await threads.clock.advance(60);
  b.want = 0;
  await a.gives();
  await threads.clock.advance(1);
  assert.deepEqual([b.answer, c.answer], [false, true]);
});

test('the death of a thread in the middle of giving way leaves no promise behind', async () => {
  const { threads, parties } = stage(4);
  const [a, b, c] = parties;
  a.has(2);
  b.has(2);
  await c.wants(2);
  await threads.clock.advance(60);
  assert.equal(a.yieldsIdle(), 2);
  assert.equal(b.yieldsIdle(), 0, 'two are on their way');
  assert.equal(threads.memory.clearThread(1), true);
  assert.equal(threads.memory.used, 2);
  await threads.clock.advance(100);
  assert.equal(c.answer, true);
  assert.deepEqual(
    threads.memory.members().map(({ held, promised }) => [held, promised]),
    [
      [2, 0],
      [1, 0],
    ],
  );
});

test('what is cleared after a death is all of that thread, and of no other', () => {
  const memory = new ThreadMemory(8);
  const rows = [3, 4, 3, 5].map((thread) => memory.enter(thread) ?? assert.fail('no row'));
  for (const row of rows) assert.ok(memory.take(row) && memory.take(row));
  assert.equal(memory.clearThread(3), true);
  assert.equal(memory.clearThread(3), false);
  assert.equal(memory.used, 4);
  assert.deepEqual(
    memory.members().map(({ row, held }) => [row, held]),
    [
      [1, 2],
      [3, 2],
    ],
  );
  assert.equal(memory.enter(9), 0, 'the first row that is free');
});

test('a thread takes those that it started with it, however far below', () => {
  const memory = new ThreadMemory(8);
  const row = (thread: number, above: readonly number[]): number =>
    memory.enter(thread, above) ?? assert.fail('no row');
  const deep = row(90, [80, 70, 60, 50, 40, 30, 20, 0]);
  const rows = [row(20, [0]), row(30, [20, 0]), row(50, [40, 30, 20, 0]), deep, row(21, [0]), row(22, [21, 0])];
  for (const one of rows) assert.ok(memory.take(one));
  assert.equal(memory.clearThread(20), true);
  assert.deepEqual(
    memory.members().map((member) => member.row),
    rows.slice(4),
  );
  assert.equal(memory.used, 2);
});

test('a thread that ends between any two of its steps leaves nothing behind', () => {
  const steps = ['store', 'add', 'sub', 'compareExchange'] as const;
  const real = Object.fromEntries(steps.map((step) => [step, Atomics[step]]));
  const end = new Error('the thread has ended');
  let ended = 0;
  for (let after = 0; ; after += 1) {
    const memory = new ThreadMemory(3);
    const other = memory.enter(1) ?? assert.fail('no row');
    memory.take(other);
    let left = after;
    for (const step of steps)
      Reflect.set(Atomics, step, (...args: unknown[]) => {
        left -= 1;
        if (left < 0) throw end;
        return Reflect.apply(real[step] as () => unknown, Atomics, args);
      });
    let whole = false;
    try {
      const row = memory.enter(2, []) ?? assert.fail('no row');
      memory.take(row);
      memory.tell(row, { want: 1, hungry: true, promised: 1, needs: 1 });
      memory.take(row);
      memory.give(row);
      memory.clear(row);
      whole = true;
    } catch (error) {
      assert.equal(error, end);
    } finally {
      for (const step of steps) Reflect.set(Atomics, step, real[step]);
    }
    memory.clearThread(2);
    const members = memory.members().map(({ row, held }) => [row, held]);
    assert.deepEqual(members, [[other, 1]], `after ${after} steps`);
    assert.equal(memory.used, 1, `after ${after} steps`);
    const again = memory.enter(3) ?? assert.fail('no row');
    assert.deepEqual(
      memory.members().find(({ row }) => row === again),
      { row: again, held: 0, want: 0, hungry: false, promised: 0, ticket: 0, needs: 0, beat: 0 },
    );
    if (whole) break;
    ended += 1;
  }
  assert.ok(ended > 20, `${ended} ends were tried`);
});

test('the pool after the last for which there is a row is told so', async () => {
  const threads = new Threads(2);
  const all = Array.from({ length: MAX_MEMBERS }, (_, n) => new Party(threads, n));
  for (const [n, one] of all.entries()) {
    assert.equal(one.permits.tryTake(), n < 2);
  }
  const late = new Party(threads, 1);
  assert.equal(late.permits.tryTake(), false);
  await assert.rejects(
    late.permits.take(() => 1),
    /^Error: more than 256 pools share one thread budget$/,
  );
  all[7]?.permits.leave?.();
  void late.wants();
  await all[0]?.gives();
  assert.equal(late.answer, true);
});

test('who leaves frees its row and ends its wait, and the others are told', async () => {
  const { threads, parties } = stage(1);
  const [a, b, c] = parties;
  a.has(1);
  await b.wants();
  await c.wants();
  b.permits.leave?.();
  await threads.clock.settle();
  assert.equal(b.answer, false);
  assert.equal(threads.memory.members().length, 2);
  await a.gives();
  assert.equal(c.answer, true);
  for (const one of [a, c]) one.permits.leave?.();
  await threads.clock.advance(1);
  assert.deepEqual([threads.memory.members().length, threads.memory.used], [0, 0]);
  assert.equal(threads.clock.pendingTimers, 0);
});

test('many that starve wake the others as often as one does', async () => {
  const perSecond = async (count: number): Promise<number> => {
    const threads = new Threads(1);
    const holder = new Party(threads);
    holder.has(1);
    holder.busy = 1;
    for (let n = 0; n < count; n += 1) void new Party(threads).wants();
    await threads.clock.advance(1_000);
    const before = threads.woken;
    await threads.clock.advance(5_000);
    // Each shout wakes everybody else once.
    return (threads.woken - before) / 5 / count;
  };
  const few = await perSecond(1);
  assert.ok(few >= 5, `${few} shouts a second`);
  assert.ok((await perSecond(24)) <= 2 * few + 1, 'as many as there are, and one more for each');
});

test('a permit that was granted in the turn of the leave can be given back after it, and is given back once', () => {
  const { threads, parties } = stage(2);
  const [a, b] = parties;
  assert.ok(a.permits.tryTake());
  a.permits.leave?.();
  assert.ok(b.permits.tryTake());
  assert.ok(b.permits.tryTake());
  a.permits.give(undefined);
  assert.equal(threads.memory.used, 2);
  for (let n = 0; n < 2; n += 1) b.permits.give(undefined);
  b.permits.leave?.();
});

test('a pool that was never used shares nothing, and can leave', () => {
  const { threads, parties } = stage(1);
  const [a] = parties;
  assert.deepEqual(a.permits.figures?.(), { kind: 'threads', limit: 1, used: 0, held: 0, members: 0 });
  a.permits.leave?.();
  assert.equal(threads.memory.members().length, 0);
});

test('the figures say what all have and what is ours', () => {
  const { parties } = stage(6);
  const [a, b] = parties;
  a.has(2);
  b.has(3);
  assert.deepEqual(a.permits.figures?.(), { kind: 'threads', limit: 6, used: 5, held: 2, members: 2 });
});

test('a permit that was never taken cannot be given back', () => {
  const { parties } = stage(6);
  const [a, b] = parties;
  b.has(1);
  assert.throws(() => a.permits.give(undefined), /given back that was never taken/);
  a.has(1);
  a.permits.give(undefined);
  assert.throws(() => a.permits.give(undefined), /given back that was never taken/);
});

test('memory of another layout is refused, and says why', () => {
  assert.throws(() => new ThreadMemory(new SharedArrayBuffer(64)), /two versions of oxbow meet/);
});

test('who took longest ago still stands first after two thousand million takes', () => {
  const memory = new ThreadMemory(2);
  const one = memory.enter(1) ?? assert.fail('no row');
  const other = memory.enter(2) ?? assert.fail('no row');
  new Int32Array(memory.buffer)[2] = 2 ** 31 - 2;
  memory.take(other);
  memory.take(one);
  assert.deepEqual(
    memory.members().map(({ row }) => row),
    [other, one],
  );
});

test('a server that does not answer while its session is fenced costs that connect, and not the pool', async () => {
  const threads = new Threads(1);
  const { clock } = threads;
  const server = new FleetServer(clock);
  const line = { clock, latencyMs: () => 0.5, loses: () => false, deliver: (fn: () => void) => fn() };
  const budget = { join: threads.join.bind(threads) };
  const engine = createEngine({ driver: server.driver(line), clock, budget, max: 1 });
  server.muteNext = true;
  const acquired = engine.acquire();
  await clock.advance(10_000);
  const lease = await acquired;
  assert.deepEqual([engine.stats().connectsFailed, threads.memory.used], [1, 1]);
  lease.release();
  const closed = engine.close({ drainMs: 1_000, cancelMs: 100, waiting: 'reject' });
  await clock.advance(100);
  await closed;
  assert.deepEqual([clock.pendingTimers, threads.memory.used], [0, 0]);
});
