// Many deadlines on one timer. Owns when a deadline counts as passed, and that time lost to a blocked event loop is given
// back (DESIGN B14); does not know what is waiting.
//
// Deadlines of equal length expire in the order in which they were set, so each length has a first-in first-out list, and a
// small heap holds the lists by their (possibly outdated, never too late) next due time. Setting and removing one is O(1).
// Nearly all of the pool's waiters wait equally long, and they stand in a queue already: the beginning of that queue, as far as nobody
// brought a deadline of his own, is the line, and needs no second list.
//
//   heap ─ 30 000 ms: the line             w1 … w6, the beginning of the queue
//        ├    250 ms: a7 ⇄ a9              alarms of w7 and w9, who have deadlines of their own
//        ├ 30 000 ms: a8                   … and of w8, who stands behind w7
//        └  1 000 ms: p1 ⇄ p2              liveness checks

import type { Clock, Timer } from '../contracts/clock.ts';

/** A timer this late was not inaccurate but held up: the loop was blocked, or the process frozen. */
export const LATE_MS = 50;
/** A timer this late means that the process was frozen, not merely busy. */
export const FROZEN_MS = 1_000;
/** How often one deadline may be given lost time back. */
export const EXTENSIONS = 3;
/** Ringing for a crowd, or giving it time back, never keeps the loop longer than this at a time … */
const SLICE_MS = 10;
/** … and looks at the clock this often while at it. */
const BATCH = 128;

/** A deadline that calls somebody. The links are the list's. */
export class Alarm {
  duePrev: Alarm | null = null;
  dueNext: Alarm | null = null;
  dueGroup: Group | null = null;
  /** Whole milliseconds: a small integer costs no box on the heap. */
  dueAt = 0;
  extension: Extension | null = null;
  readonly ring: () => void;

  constructor(ring: () => void) {
    this.ring = ring;
  }
}

/** For who waits without end: rings never, and is shared. */
const NEVER: Alarm = new Alarm(() => {});

/** Whoever stands in a queue with a deadline. */
export interface Queued {
  /** When it came, on the monotonic clock. */
  readonly since: number;
  /** None: it stands in line. */
  alarm: Alarm | null;
}

/** In the order in which they came. */
export interface Queue extends Iterable<Queued> {
  readonly first: Queued | null;
  readonly last: Queued | null;
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
  /** It is in the heap. */
  watched = false;
  first: Alarm | null = null;
  last: Alarm | null = null;
  /** Not later than the due time of `first`. */
  key = 0;

  constructor(ms: number) {
    this.ms = ms;
  }
}

function append(group: Group, deadline: Alarm): void {
  deadline.dueGroup = group;
  deadline.duePrev = group.last;
  deadline.dueNext = null;
  if (group.last === null) group.first = deadline;
  else group.last.dueNext = deadline;
  group.last = deadline;
}

export class Deadlines {
  readonly #clock: Clock;
  readonly #onLate: (lateMs: number) => void;
  readonly #expired: (queued: Queued) => void;
  readonly #afterBatch: () => void;
  readonly #groups = new Map<number, Group>();
  readonly #heap: Group[] = [];
  /** Stands in the heap for the queue's beginning; its own list stays empty. */
  readonly #line: Group;
  readonly #queue: Queue;
  /** The group used last: nearly always the one that is wanted next. */
  #latest: Group | undefined;
  #timer: Timer | undefined;
  #armedFor = Infinity;
  #expiring = false;

  /**
   * `queue` is where those stand who wait for `lineMs`; `onLate` hears of each late timer before anything expires; `expired` of each in
   * the queue whose deadline has passed for good, and takes it out; `afterBatch` is called after each batch of what expired.
   */
  constructor(
    clock: Clock,
    queue: Queue,
    lineMs: number,
    onLate: (lateMs: number) => void,
    expired: (queued: Queued) => void,
    afterBatch: () => void,
  ) {
    this.#clock = clock;
    this.#queue = queue;
    this.#line = new Group(lineMs);
    this.#onLate = onLate;
    this.#expired = expired;
    this.#afterBatch = afterBatch;
  }

  /** Sets a deadline `ms` from `now`. An infinite one is none. */
  set(deadline: Alarm, ms: number, now: number): void {
    if (ms === Infinity) return;
    const group = this.#latest?.ms === ms ? this.#latest : this.#groupOf(ms, now);
    deadline.dueAt = Math.ceil(now + ms);
    append(group, deadline);
    if (!this.#expiring && deadline.dueAt < this.#armedFor) this.#arm(deadline.dueAt, now, 0);
  }

  /** Sets the deadline of one that is about to come to the end of the queue. */
  join(queued: Queued, ms: number): void {
    const line = this.#line;
    const ahead = this.#queue.last;
    if (ms !== line.ms || (ahead !== null && ahead.alarm !== null)) {
      queued.alarm = ms === Infinity ? NEVER : new Alarm(() => this.#expired(queued));
      this.set(queued.alarm, ms, queued.since);
    } else if (!line.watched) {
      this.#watchLine(queued.since);
    }
  }

  /** Takes a deadline back; does nothing if it has passed or was never set. */
  remove(deadline: Alarm): void {
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
    while (this.#heap.length > 0) this.#heapPop();
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#armedFor = Infinity;
  }

  #groupOf(ms: number, now: number): Group {
    let group = this.#groups.get(ms);
    if (group === undefined) {
      group = new Group(ms);
      group.key = Math.ceil(now + ms);
      this.#groups.set(ms, group);
      this.#heapPush(group);
    }
    this.#latest = group;
    return group;
  }

  /** `blockedMs` ago the loop was still free. */
  #arm(at: number, now: number, blockedMs: number): void {
    this.#timer?.cancel();
    // What fell due while others were expired is not late by what that took: lateness counts from here.
    this.#armedFor = Math.max(at, now - blockedMs);
    this.#timer = this.#clock.timer(Math.max(0, at - now), this.#ring);
  }

  #ring = (): void => {
    const now = this.#clock.now();
    const late = now - this.#armedFor;
    this.#timer = undefined;
    this.#expiring = true;
    if (late > LATE_MS) {
      this.#onLate(late);
      this.#dissolveLine(now);
    }
    this.#yield(now, late, 0);
  };

  /** What is already complete comes in first: it may be what somebody waits for. But others may also keep the loop. */
  #yield(rang: number, lateMs: number, blockedMs: number): void {
    const yielded = this.#clock.now();
    this.#clock.pollPhase(() => {
      const awayMs = this.#clock.now() - yielded;
      this.#expire(rang, lateMs, awayMs > LATE_MS ? blockedMs + awayMs : blockedMs);
    });
  }

  /** `rang` is when the timer fired, `lateMs` too late: our slices are not lateness of the loop; the `blockedMs` between them are. */
  #expire(rang: number, lateMs: number, blockedMs: number): void {
    const started = this.#clock.now();
    for (let count = 1; ; count += 1) {
      const group = this.#nextDue(rang);
      if (group === null) break;
      this.#ringFirst(group, rang, lateMs);
      if (count % BATCH === 0) {
        this.#afterBatch();
        if (this.#clock.now() - started >= SLICE_MS) {
          this.#yield(rang, lateMs, blockedMs);
          return;
        }
      }
    }
    this.#afterBatch();
    this.#expiring = false;
    const next = this.#heap[0];
    if (next === undefined) this.stop();
    else this.#arm(next.key, this.#clock.now(), blockedMs);
  }

  /** Or gives it time back instead. */
  #ringFirst(group: Group, rang: number, lateMs: number): void {
    if (group === this.#line) {
      // Nobody in line is late: else it was dissolved.
      this.#expired(this.#queue.first as Queued);
      return;
    }
    const alarm = group.first as Alarm;
    const fullMs = alarm.extension?.fullMs ?? group.ms;
    this.remove(alarm);
    const late = Math.min(lateMs, rang - alarm.dueAt);
    if (late > LATE_MS && fullMs > 0 && (alarm.extension?.count ?? 0) < EXTENSIONS) {
      this.#extend(alarm, fullMs, Math.min(late, fullMs));
    } else {
      alarm.ring();
    }
  }

  #watchLine(now: number): void {
    const line = this.#line;
    if (line.ms === Infinity) return;
    line.key = Math.ceil(now + line.ms);
    this.#heapPush(line);
    if (!this.#expiring && line.key < this.#armedFor) this.#arm(line.key, now, 0);
  }

  /** Time given back upsets the order of the line: if its first is late, all get alarms, on a list that bears that. */
  #dissolveLine(rang: number): void {
    const dueAt = this.#lineDueAt();
    if (dueAt === undefined || rang - dueAt <= LATE_MS) return;
    const list = new Group(this.#line.ms);
    list.key = dueAt;
    for (const queued of this.#queue) {
      if (queued.alarm !== null) break;
      const alarm = new Alarm(() => this.#expired(queued));
      alarm.dueAt = Math.ceil(queued.since + list.ms);
      queued.alarm = alarm;
      append(list, alarm);
    }
    this.#heapPush(list);
  }

  #extend(deadline: Alarm, fullMs: number, backMs: number): void {
    deadline.extension ??= { fullMs, count: 0, givenBackMs: 0 };
    deadline.extension.count += 1;
    deadline.extension.givenBackMs += backMs;
    this.set(deadline, backMs, this.#clock.now());
  }

  /** The group whose first is due, or null. */
  #nextDue(now: number): Group | null {
    for (;;) {
      const group = this.#heap[0];
      if (group === undefined || group.key > now) return null;
      const dueAt = group === this.#line ? this.#lineDueAt() : group.first?.dueAt;
      if (dueAt === undefined) {
        // A dissolved line is not in the map.
        if (this.#groups.get(group.ms) === group) this.#groups.delete(group.ms);
        this.#latest = undefined;
        this.#heapPop();
      } else if (dueAt <= now) {
        return group;
      } else {
        group.key = dueAt;
        this.#siftDown();
      }
    }
  }

  #lineDueAt(): number | undefined {
    const { first } = this.#queue;
    return first?.alarm === null ? Math.ceil(first.since + this.#line.ms) : undefined;
  }

  #heapPush(group: Group): void {
    const heap = this.#heap;
    group.watched = true;
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
    const heap = this.#heap;
    (heap[0] as Group).watched = false;
    const last = heap.pop() as Group;
    if (heap.length === 0) return;
    heap[0] = last;
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
