// Threads that share a budget, without threads: the memory is the real one, and what they shout to each other is carried by the virtual
// clock. Each member stands for a thread of its own.

import type { Member, Permits } from '../../src/contracts/permits.ts';
import { ThreadMemory } from '../../src/sharing/thread-memory.ts';
import { type JoinWakes, ThreadPermits } from '../../src/sharing/thread-permits.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';

/** How long a shout is on its way. */
const SHOUT_MS = 0.0625;

export class Threads {
  readonly clock: VirtualClock;
  readonly memory: ThreadMemory;
  /** How often somebody was woken. */
  woken = 0;
  /** Shouts are lost. */
  deaf = false;
  readonly #members = new Set<() => void>();
  #threads = 0;

  constructor(limit: number, clock: VirtualClock = new VirtualClock()) {
    this.clock = clock;
    this.memory = new ThreadMemory(limit);
  }

  /** A pool in the next thread, or in `thread`. */
  join(member: Partial<Member> = {}, thread: number = ++this.#threads): ThreadPermits {
    const all: Member = {
      name: `thread-${thread}`,
      clock: this.clock,
      max: this.memory.limit,
      needs: () => 0,
      detached: (fn) => fn(),
      ...member,
    };
    return new ThreadPermits(this.memory, all, this.#wakes, (memory) => memory.enter(thread));
  }

  readonly #wakes: JoinWakes = (woken) => {
    const wake = (): void => {
      if (!this.#members.has(wake)) return;
      this.woken += 1;
      woken();
    };
    this.#members.add(wake);
    return {
      shout: () => {
        if (this.deaf) return;
        for (const other of this.#members) if (other !== wake) this.clock.timer(SHOUT_MS, other);
      },
      leave: () => this.#members.delete(wake),
    };
  };
}

/** One member that does as a test says. */
export class Party {
  readonly permits: Permits;
  /** How many of those it holds are in use. */
  busy = 0;
  /** How many more it could use. */
  want = 0;
  /** Of the present wait: undefined while it lasts. */
  answer: boolean | undefined;
  readonly #threads: Threads;

  constructor(threads: Threads, thread?: number) {
    this.#threads = threads;
    this.permits = threads.join({ needs: () => this.busy }, thread);
  }

  get held(): number {
    return this.permits.figures?.()?.held ?? 0;
  }

  /** Takes `n` that are free, for idle sessions or, with `busy`, for such that are in use. */
  has(n: number, busy = false): this {
    for (let taken = 0; taken < n; taken += 1)
      if (!this.permits.tryTake()) throw new Error(`only ${taken} of ${n} were free`);
    if (busy) this.busy += n;
    return this;
  }

  /** Wants `n` more, and waits for the first of them. */
  async wants(n = 1): Promise<void> {
    this.want = n;
    this.answer = undefined;
    void this.permits
      .take(() => this.want)
      .then((taken) => {
        this.answer = taken;
        if (!taken) return;
        this.want -= 1;
        this.busy += 1;
      });
    await this.#threads.clock.settle();
  }

  /** As `wants`, and goes on until it has all of them. */
  async wantsAll(n: number): Promise<void> {
    this.want = n;
    const next = (): void => {
      if (this.want === 0) return;
      void this.permits
        .take(() => this.want)
        .then((taken) => {
          if (!taken) return;
          this.want -= 1;
          this.busy += 1;
          next();
        });
    };
    next();
    await this.#threads.clock.settle();
  }

  /** How many idle ones it gives up now when asked for each it has; they are still its own until `give`. */
  yieldsIdle(idleMs = 1_000, heldMs = 5_000): number {
    let n = 0;
    while (n < this.held - this.busy && this.permits.yields(false, heldMs, idleMs)) n += 1;
    return n;
  }

  /** Whether one that comes back, and that somebody here waits for, goes to the others. */
  yieldsNeeded(heldMs = 5_000): boolean {
    return this.permits.yields(true, heldMs, 0);
  }

  async gives(n = 1): Promise<void> {
    for (let given = 0; given < n; given += 1) this.permits.give(undefined);
    await this.#threads.clock.advance(1);
  }
}
