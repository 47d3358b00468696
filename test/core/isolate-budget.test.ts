// The budget of an isolate on the virtual clock: pools of several contexts, some of which end without a word. A context that ends is played
// by a clock whose timers ring no longer.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Clock } from '../../src/contracts/clock.ts';
import { IsolateBudget, type IsolatePermits } from '../../src/sharing/isolate-budget.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';

const one = (): number => 1;

/** One context: its side of the budget, and its end. */
class Context {
  readonly permits: IsolatePermits;
  #over = false;

  constructor(clock: VirtualClock, budget: IsolateBudget, name: string) {
    const own: Clock = {
      now: clock.now,
      wall: clock.wall,
      timer: (ms, fire) =>
        clock.timer(ms, () => {
          if (!this.#over) fire();
        }),
      pollPhase: clock.pollPhase,
      random: clock.random,
    };
    this.permits = budget.join({ name, clock: own, max: 10, needs: () => 0, detached: (work) => work() });
  }

  /** Its request is over, or cancelled. */
  end(): void {
    this.#over = true;
  }

  /** Waits for a permit; what is told is whether it has come. */
  wait(wanted: () => number = one): { got: boolean | undefined } {
    const asked: { got: boolean | undefined } = { got: undefined };
    void this.permits.take(wanted).then((got) => {
      asked.got = got;
    });
    return asked;
  }

  takeAll(count: number): void {
    for (let n = 0; n < count; n += 1) assert.equal(this.permits.tryTake(), true);
  }
}

interface Isolate {
  readonly clock: VirtualClock;
  readonly budget: IsolateBudget;
  context(): Context;
}

function isolate(limit: number, mortal = true): Isolate {
  const clock = new VirtualClock();
  const budget = new IsolateBudget(limit, mortal);
  let made = 0;
  return {
    clock,
    budget,
    context: () => {
      made += 1;
      return new Context(clock, budget, `context ${made}`);
    },
  };
}

test('permits are taken up to the limit by all contexts together, and one that is given back can be taken again', () => {
  const { budget, context } = isolate(3);
  const [a, b] = [context(), context()];
  a.takeAll(2);
  b.takeAll(1);
  assert.equal(b.permits.tryTake(), false);
  a.permits.give();
  assert.equal(b.permits.tryTake(), true);
  assert.deepEqual([budget.used, a.permits.held, b.permits.held, budget.members], [3, 1, 2, 2]);
  assert.deepEqual(b.permits.figures(), { kind: 'workers', limit: 3, used: 3, held: 2, members: 2 });
});

test('those who wait get permits in the order in which they came, each by a timer of its own', async () => {
  const { clock, context } = isolate(1);
  const [holder, first, second] = [context(), context(), context()];
  holder.takeAll(1);
  const one = first.wait();
  await clock.advance(10);
  const two = second.wait();
  await clock.advance(5);
  holder.permits.give();
  // A newcomer does not come between.
  assert.equal(context().permits.tryTake(), false);
  await clock.advance(25);
  assert.deepEqual([one.got, two.got], [true, undefined]);
  first.permits.give();
  await clock.advance(25);
  assert.equal(two.got, true);
});

test('a newcomer takes what is left over when everybody who waits has enough', () => {
  const { context } = isolate(3);
  const [holder, waiter, newcomer] = [context(), context(), context()];
  holder.takeAll(3);
  waiter.wait();
  holder.permits.give();
  assert.equal(newcomer.permits.tryTake(), false);
  holder.permits.give();
  assert.equal(newcomer.permits.tryTake(), true);
});

test('whoever gives one back and waits itself has it at once, without its next look', async () => {
  const { clock, context } = isolate(2);
  const a = context();
  a.takeAll(2);
  const asked = a.wait();
  await clock.advance(1);
  a.permits.give();
  await clock.settle();
  assert.equal(asked.got, true);
});

test('a waiter that is needed no longer leaves with nothing, and takes nothing from those behind it', async () => {
  const { clock, budget, context } = isolate(1);
  const [holder, first, second] = [context(), context(), context()];
  holder.takeAll(1);
  let wanted = 1;
  const one = first.wait(() => wanted);
  const two = second.wait();
  wanted = 0;
  holder.permits.give();
  await clock.advance(50);
  assert.deepEqual([one.got, two.got, budget.used], [false, true, 1]);
  assert.equal(holder.permits.pressure, 0);
});

test('a waiter whose request was cancelled is stepped over after 200 ms, and nothing is kept of it', async () => {
  const { clock, budget, context } = isolate(1);
  const [holder, cancelled, live] = [context(), context(), context()];
  holder.takeAll(1);
  const dead = cancelled.wait();
  const asked = live.wait();
  cancelled.end();
  await clock.advance(100);
  holder.permits.give();
  await clock.advance(75);
  assert.equal(asked.got, undefined);
  await clock.advance(50);
  assert.deepEqual([dead.got, asked.got], [undefined, true]);
  assert.equal(budget.waiting, 1);
  await clock.advance(2_100);
  holder.permits.tryTake();
  assert.equal(budget.waiting, 0);
});

test('permits of a request that ended without a word come back within 600 ms of its last beat, to whoever looks', async () => {
  const { clock, budget, context } = isolate(2);
  const [gone, living] = [context(), context()];
  gone.takeAll(2);
  await clock.advance(250);
  gone.end();
  const asked = living.wait();
  await clock.advance(350);
  assert.equal(asked.got, undefined);
  await clock.advance(200);
  assert.equal(asked.got, true);
  assert.deepEqual([gone.permits.writtenOff, budget.used, budget.members], [true, 1, 1]);
});

test('whoever lives and holds permits is never written off, however long it takes', async () => {
  const { clock, budget, context } = isolate(1);
  const [holder, waiter] = [context(), context()];
  holder.takeAll(1);
  const asked = waiter.wait();
  await clock.advance(60_000);
  assert.deepEqual([asked.got, holder.permits.writtenOff, budget.used], [undefined, false, 1]);
});

test('a look after a long silence, as after a blocked isolate, writes nobody off who says a word before the next one', async () => {
  const { clock, budget, context } = isolate(1);
  const [holder, newcomer] = [context(), context()];
  let blocked = false;
  const real = clock.timer;
  // While the isolate is blocked no timer rings; they are late afterwards.
  clock.timer = (ms, fire) =>
    real(ms, function late(): void {
      if (blocked) real(1, late);
      else fire();
    });
  holder.takeAll(1);
  blocked = true;
  await clock.advance(3_000);
  assert.equal(newcomer.permits.tryTake(), false);
  blocked = false;
  await clock.advance(1_000);
  assert.equal(newcomer.permits.tryTake(), false);
  assert.deepEqual([holder.permits.writtenOff, budget.used], [false, 1]);
});

test('one that was written off and lives after all is counted again, even above the limit, and nothing is granted until that is over', async () => {
  const { clock, budget, context } = isolate(1);
  const [holder, other] = [context(), context()];
  holder.takeAll(1);
  // Its beats do not come, and still it gives back in the end.
  holder.end();
  const asked = other.wait();
  await clock.advance(1_000);
  assert.equal(asked.got, true);
  assert.equal(holder.permits.tryTake(), false);
  assert.deepEqual([budget.used, holder.permits.writtenOff], [2, false]);
  holder.permits.give();
  assert.equal(budget.used, 1);
  other.permits.give();
  assert.deepEqual([budget.used, budget.members], [0, 0]);
});

test('what a written-off one gives back is not counted twice', async () => {
  const { clock, budget, context } = isolate(2);
  const [holder, other] = [context(), context()];
  holder.takeAll(2);
  holder.end();
  const asked = other.wait();
  await clock.advance(1_000);
  assert.equal(asked.got, true);
  holder.permits.give();
  holder.permits.give();
  assert.equal(budget.used, 1);
});

test('what one that was written off gives way with does not weaken the pressure on others afterwards', async () => {
  const { clock, context } = isolate(1);
  const [holder, other, waiter] = [context(), context(), context()];
  holder.takeAll(1);
  holder.end();
  const asked = other.wait();
  await clock.advance(1_000);
  assert.equal(asked.got, true);
  waiter.wait();
  assert.equal(holder.permits.yields(false, 5), true);
  holder.permits.give();
  assert.equal(other.permits.pressure, 1);
});

test('who waits presses on those who hold, and one that yields is not asked for more than is needed', async () => {
  const { clock, context } = isolate(2);
  const [holder, waiter] = [context(), context()];
  holder.takeAll(2);
  let heard = 0;
  holder.permits.onPressure(() => {
    heard += 1;
  });
  assert.equal(holder.permits.pressure, 0);
  waiter.wait();
  assert.deepEqual([holder.permits.pressure, waiter.permits.pressure], [1, 0]);
  await clock.advance(100);
  assert.equal(heard, 1);
  assert.equal(holder.permits.yields(false, 5), true);
  assert.equal(holder.permits.pressure, 0);
  holder.permits.give();
  assert.equal(holder.permits.pressure, 0);
  await clock.advance(25);
  waiter.wait();
  assert.equal(holder.permits.pressure, 1);
});

test('a session that is needed where it is goes only if its context has more than its share and another has waited for a while', async () => {
  const { clock, context } = isolate(4);
  const [holder, waiter] = [context(), context()];
  holder.takeAll(4);
  assert.equal(holder.permits.yields(true, 1_000), false);
  waiter.wait();
  assert.equal(holder.permits.yields(true, 1_000), false, 'nobody has waited for long');
  await clock.advance(60);
  assert.equal(holder.permits.yields(true, 20), false, 'it is young');
  assert.equal(holder.permits.yields(true, 1_000), true);
  assert.equal(holder.permits.yields(true, 1_000), true);
  assert.equal(holder.permits.yields(true, 1_000), false, 'two of four is its share');
});

test('a beat is there for as long as something is held, and no timer is left afterwards', async () => {
  const { clock, context } = isolate(1);
  const holder = context();
  let beats = 0;
  holder.permits.onBeat = () => {
    beats += 1;
  };
  assert.equal(clock.pendingTimers, 0);
  holder.takeAll(1);
  await clock.advance(350);
  assert.equal(beats, 3);
  holder.permits.give();
  assert.equal(clock.pendingTimers, 0);
});

test('where no context ends without a word nobody beats, and nobody is written off', async () => {
  const { clock, budget, context } = isolate(1, false);
  const holder = context();
  holder.takeAll(1);
  assert.equal(clock.pendingTimers, 0);
  for (let looks = 0; looks < 3; looks += 1) {
    await clock.advance(60_000);
    assert.equal(context().permits.tryTake(), false);
  }
  assert.equal(budget.used, 1);
});

test('one that holds nothing beats for as long as somebody there says that it lives', async () => {
  const { clock, context } = isolate(1);
  const waiter = context();
  let lives = true;
  waiter.permits.lives = () => lives;
  waiter.permits.beat();
  await clock.advance(5_000);
  assert.equal(waiter.permits.isGone(clock.now()), false);
  await clock.advance(300);
  assert.equal(waiter.permits.isGone(clock.now()), false);
  lives = false;
  await clock.advance(100);
  assert.equal(clock.pendingTimers, 0);
});
