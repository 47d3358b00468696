// Time for many simulated processes: one clock of the world, and the clocks of the processes, which go wrong, stop and die. Owns no process.

import type { Clock, Timer } from '../../src/contracts/clock.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';

/** How many promise callbacks in a row an event may set off before the next one fires. */
const HOPS = 16;

interface Pending {
  readonly at: number;
  readonly order: number;
  fire: (() => void) | undefined;
}

/** As the testing door's virtual clock, with a heap: there are thousands of timers. */
export class WorldClock implements Clock {
  readonly #heap: Pending[] = [];
  readonly #chance: VirtualClock;
  #now = 1_000;
  #order = 0;

  constructor(seed: number) {
    this.#chance = new VirtualClock({ seed });
  }

  now = (): number => this.#now;

  wall = (): number => this.#now + 1_700_000_000_000;

  random = (): number => this.#chance.random();

  timer = (ms: number, fire: () => void): Timer => {
    this.#order += 1;
    const pending: Pending = { at: this.#now + Math.max(0, ms), order: this.#order, fire };
    this.#push(pending);
    return {
      cancel: () => {
        pending.fire = undefined;
      },
    };
  };

  pollPhase = (then: () => void): void => {
    this.timer(0, then);
  };

  /** Lets `ms` milliseconds pass. */
  async run(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (let next = this.#heap[0]; next !== undefined && next.at <= until; next = this.#heap[0]) {
      this.#pop();
      if (next.fire === undefined) continue;
      this.#now = next.at;
      next.fire();
      // A turn of the machine's own loop for each of some million events would take longer than all the rest.
      for (let hop = 0; hop < HOPS; hop += 1) await undefined;
    }
    this.#now = until;
  }

  #push(pending: Pending): void {
    const heap = this.#heap;
    let at = heap.push(pending) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(pending, heap[above] as Pending)) break;
      heap[at] = heap[above] as Pending;
      at = above;
    }
    heap[at] = pending;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Pending;
    if (heap.length === 0) return;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Pending, heap[child] as Pending)) child += 1;
      if (!isBefore(heap[child] as Pending, last)) break;
      heap[at] = heap[child] as Pending;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(one: Pending, other: Pending): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}

/** The clock of one process: it starts anywhere, goes too fast or too slowly, and stands still while the process does. */
export class ProcessClock implements Clock {
  readonly #world: Clock;
  readonly #offset: number;
  readonly #rate: number;
  #asleep = false;
  #dead = false;
  #missed: (() => void)[] = [];

  constructor(world: Clock, offset: number, rate: number) {
    this.#world = world;
    this.#offset = offset;
    this.#rate = rate;
  }

  now = (): number => this.#offset + this.#world.now() * this.#rate;

  wall = (): number => this.now() + 1_700_000_000_000;

  random = (): number => this.#world.random();

  timer = (ms: number, fire: () => void): Timer => {
    let cancelled = false;
    const timer = this.#world.timer(ms / this.#rate, () =>
      this.deliver(() => {
        if (!cancelled) fire();
      }),
    );
    return {
      cancel: () => {
        cancelled = true;
        timer.cancel();
      },
    };
  };

  pollPhase = (then: () => void): void => {
    this.timer(0, then);
  };

  get asleep(): boolean {
    return this.#asleep;
  }

  /** Runs `fn` now, when the process wakes, or never. */
  deliver = (fn: () => void): void => {
    if (this.#dead) return;
    if (this.#asleep) this.#missed.push(fn);
    else fn();
  };

  sleep(ms: number): void {
    if (this.#asleep || this.#dead) return;
    this.#asleep = true;
    this.#world.timer(ms, () => {
      this.#asleep = false;
      const missed = this.#missed;
      this.#missed = [];
      for (const fn of missed) this.#world.timer(0, () => this.deliver(fn));
    });
  }

  die(): void {
    this.#dead = true;
  }
}
