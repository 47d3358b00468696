// Many deadlines on one timer. Owns when a deadline counts as passed, and that time lost to a blocked event loop is given
// back (DESIGN B14); does not know what is waiting.
//
// Deadlines of equal length expire in the order in which they were set, so each length has a first-in first-out list, and a
// small heap holds the lists by their (possibly outdated, never too late) next due time. Setting and removing one is O(1):
//
//   heap ─ 30 000 ms: w1 ⇄ w2 ⇄ w3 …        the pool's waiters, nearly all of equal length
//        └  1 000 ms: p1 ⇄ p2               liveness checks

import type { Clock, Timer } from '../contracts/clock.ts';

/** A timer this late was not inaccurate but held up: the loop was blocked, or the process frozen. */
export const LATE_MS = 50;
/** How often one deadline may be given lost time back. */
const EXTENSIONS = 3;
/** Expiring a crowd never keeps the loop longer than this at a time … */
const SLICE_MS = 10;
/** … and looks at the clock this often while at it. */
const BATCH = 128;

/** Whatever waits with a deadline carries these links itself. They are the list's; a new one has nulls and a zero. */
export interface Deadline {
  duePrev: Deadline | null;
  dueNext: Deadline | null;
  dueGroup: Group | null;
  /** Whole milliseconds: a small integer costs no box on the heap. */
  dueAt: number;
  extension: Extension | null;
}

/** A deadline that only calls somebody. */
export class Alarm implements Deadline {
  duePrev: Deadline | null = null;
  dueNext: Deadline | null = null;
  dueGroup: Group | null = null;
  dueAt = 0;
  extension: Extension | null = null;
  readonly ring: () => void;

  constructor(ring: () => void) {
    this.ring = ring;
  }
}

/** Made only for a deadline that was ever given time back. */
export interface Extension {
  /** The length it was set with: the most that is given back at a time. */
  readonly fullMs: number;
  count: number;
  givenBackMs: number;
}

/** Deadlines of one length, in the order in which they were set. */
export class Group {
  readonly ms: number;
  first: Deadline | null = null;
  last: Deadline | null = null;
  /** Not later than the due time of `first`. */
  key = 0;

  constructor(ms: number) {
    this.ms = ms;
  }
}

export class Deadlines {
  readonly #clock: Clock;
  readonly #onLate: (lateMs: number) => void;
  readonly #expired: (deadline: Deadline) => void;
  readonly #afterBatch: () => void;
  readonly #groups = new Map<number, Group>();
  readonly #heap: Group[] = [];
  /** The group used last: nearly always the one that is wanted next. */
  #latest: Group | undefined;
  #timer: Timer | undefined;
  #armedFor = Infinity;
  #expiring = false;

  /**
   * `onLate` hears of each late timer before anything expires; `expired` of each deadline that has passed for good and is no
   * alarm, once it has been removed; `afterBatch` is called after each batch of them.
   */
  constructor(
    clock: Clock,
    onLate: (lateMs: number) => void,
    expired: (deadline: Deadline) => void,
    afterBatch: () => void,
  ) {
    this.#clock = clock;
    this.#onLate = onLate;
    this.#expired = expired;
    this.#afterBatch = afterBatch;
  }

  /** Sets a deadline `ms` from `now`. An infinite one is none. */
  set(deadline: Deadline, ms: number, now: number): void {
    if (ms === Infinity) return;
    const group = this.#latest?.ms === ms ? this.#latest : this.#groupOf(ms, now);
    deadline.dueAt = Math.ceil(now + ms);
    deadline.dueGroup = group;
    deadline.duePrev = group.last;
    deadline.dueNext = null;
    if (group.last === null) group.first = deadline;
    else group.last.dueNext = deadline;
    group.last = deadline;
    if (!this.#expiring && deadline.dueAt < this.#armedFor) this.#arm(deadline.dueAt, now);
  }

  /** Takes a deadline back; does nothing if it has passed or was never set. */
  remove(deadline: Deadline): void {
    const group = deadline.dueGroup;
    if (group === null) return;
    const { duePrev, dueNext } = deadline;
    if (duePrev === null) group.first = dueNext;
    else duePrev.dueNext = dueNext;
    if (dueNext === null) group.last = duePrev;
    else dueNext.duePrev = duePrev;
    deadline.duePrev = null;
    deadline.dueNext = null;
    deadline.dueGroup = null;
  }

  /** Forgets everything and leaves no timer behind. */
  stop(): void {
    this.#groups.clear();
    this.#latest = undefined;
    this.#heap.length = 0;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#armedFor = Infinity;
  }

  #groupOf(ms: number, now: number): Group {
    let group = this.#groups.get(ms);
    if (group === undefined) {
      group = new Group(ms);
      group.key = now + ms;
      this.#groups.set(ms, group);
      this.#heapPush(group);
    }
    this.#latest = group;
    return group;
  }

  #arm(at: number, now: number): void {
    this.#timer?.cancel();
    // What fell due while others were expired is not late by what that took: lateness counts from here.
    this.#armedFor = Math.max(at, now);
    this.#timer = this.#clock.timer(Math.max(0, at - now), this.#ring);
  }

  #ring = (): void => {
    const now = this.#clock.now();
    const late = now - this.#armedFor;
    this.#timer = undefined;
    this.#expiring = true;
    if (late > LATE_MS) this.#onLate(late);
    // What is already complete comes in first: it may be what somebody waits for.
    this.#clock.pollPhase(() => this.#expire(now, late));
  };

  /** `rang` is when the timer fired, `lateMs` too late: what follows in slices is not lateness of the loop. */
  #expire(rang: number, lateMs: number): void {
    const started = this.#clock.now();
    for (let count = 0; ; ) {
      const deadline = this.#nextDue(rang);
      if (deadline === null) break;
      const fullMs = deadline.extension?.fullMs ?? (deadline.dueGroup as Group).ms;
      this.remove(deadline);
      const late = Math.min(lateMs, rang - deadline.dueAt);
      if (late > LATE_MS && fullMs > 0 && (deadline.extension?.count ?? 0) < EXTENSIONS) {
        this.#extend(deadline, fullMs, Math.min(late, fullMs));
      } else {
        if (deadline instanceof Alarm) deadline.ring();
        else this.#expired(deadline);
        count += 1;
        if (count % BATCH === 0) {
          this.#afterBatch();
          if (this.#clock.now() - started >= SLICE_MS) {
            this.#clock.pollPhase(() => this.#expire(rang, lateMs));
            return;
          }
        }
      }
    }
    this.#afterBatch();
    this.#expiring = false;
    const next = this.#heap[0];
    const now = this.#clock.now();
    if (next === undefined) this.stop();
    else this.#arm(next.key, now);
  }

  #extend(deadline: Deadline, fullMs: number, backMs: number): void {
    deadline.extension ??= { fullMs, count: 0, givenBackMs: 0 };
    deadline.extension.count += 1;
    deadline.extension.givenBackMs += backMs;
    this.set(deadline, backMs, this.#clock.now());
  }

  #nextDue(now: number): Deadline | null {
    for (;;) {
      const group = this.#heap[0];
      if (group === undefined || group.key > now) return null;
      const { first } = group;
      if (first === null) {
        this.#groups.delete(group.ms);
        this.#latest = undefined;
        this.#heapPop();
      } else if (first.dueAt <= now) {
        return first;
      } else {
        group.key = first.dueAt;
        this.#siftDown();
      }
    }
  }

  #heapPush(group: Group): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(group);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Group;
      if (above.key <= group.key) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = group;
  }

  #heapPop(): void {
    const last = this.#heap.pop() as Group;
    if (this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#siftDown();
  }

  #siftDown(): void {
    const heap = this.#heap;
    const group = heap[0] as Group;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as Group).key < (heap[child] as Group).key) child += 1;
      const below = heap[child] as Group;
      if (below.key >= group.key) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = group;
  }
}
