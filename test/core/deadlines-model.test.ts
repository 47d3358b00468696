// `Deadlines` alone, against a list of who is due when. Random sequences of joining, setting, taking back, late timers and slices, in
// which callbacks do the same again, on a clock that is turned by hand.
//
//   DEADLINES_SEED=n     one sequence only: the one with this seed

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Clock, Timer } from '../../src/contracts/clock.ts';
import { Alarm, Deadlines, LATE_MS, type Queued } from '../../src/foundation/deadlines.ts';
import { IntrusiveList, type Linked } from '../../src/foundation/intrusive-list.ts';

const SEQUENCES = 4_000;
const STEPS = 60;
const EXTENSIONS = 3;
const SLICE_MS = 10;
const BATCH = 128;

/** All times are whole 1/8 ms: sums and differences of them are exact. */
const GRAIN = 8;
const LINES = [0.5, 30, 100, 250.5, 1_000, Infinity];
const LENGTHS = [0.125, 1, 30, 99.5, 100, 100.125, 400, 2_000.25, 1e12, Infinity];
const BLOCKS = [1, 49.875, 50, 50.125, 51, 120, 300, 301.375, 5_000];
const PAUSES = [0, 0.125, 0.5, 1, 7, 30, 99.875, 100, 333];

/** Whole numbers below `n` (Mulberry32). */
class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}

interface Pending {
  readonly at: number;
  readonly fire: () => void;
  readonly polls: boolean;
}

/** Fires nothing by itself. `early`: as the machine's timers, it may fire a fraction of a millisecond too soon. */
class HandClock implements Clock {
  time = 1_000;
  readonly pending: Pending[] = [];
  readonly #early: number;

  constructor(early: number) {
    this.#early = early;
  }

  now = (): number => this.time;
  wall = (): number => this.time;
  random = (): number => 0;

  timer = (ms: number, fire: () => void): Timer => {
    assert.ok(ms >= 0 && ms < Infinity, `a timer of ${ms} ms`);
    return this.#add({ at: this.time + (ms > 1 ? ms - this.#early : ms), fire, polls: false });
  };

  pollPhase = (then: () => void): void => {
    this.#add({ at: this.time, fire: then, polls: true });
  };

  #add(pending: Pending): Timer {
    this.pending.push(pending);
    return {
      cancel: () => {
        const at = this.pending.indexOf(pending);
        if (at >= 0) this.pending.splice(at, 1);
      },
    };
  }
}

class Member implements Queued, Linked<Member> {
  prev: Member | null = null;
  next: Member | null = null;
  alarm: Alarm | null = null;
  entry: Entry | undefined;
  readonly since: number;

  constructor(since: number) {
    this.since = since;
  }
}

/** What the naive reference knows of one deadline. */
interface Entry {
  readonly member: Member | undefined;
  readonly fullMs: number;
  readonly setAt: number;
  dueAt: number;
  alarm: Alarm | undefined;
  /** Where it stands in the list. */
  index: number;
  /** Neither called nor taken back yet. */
  lives: boolean;
  count: number;
  backMs: number;
}

class World {
  readonly chance: Chance;
  readonly clock: HandClock;
  readonly queue = new IntrusiveList<Member>();
  readonly deadlines: Deadlines;
  readonly lineMs: number;
  readonly live: Entry[] = [];
  /** Each callback takes so long. */
  readonly costMs: number;
  readonly reached: Map<string, number>;
  /** When the timer rang whose work is under way; and when that of the one before was over, but for what others took meanwhile. */
  #rang: number | undefined;
  #overAt = -Infinity;
  /** For how long others kept the loop, between its turns. */
  #blockedMs = 0;
  #toldLate = false;
  #unflushed = 0;
  #depth = 0;

  constructor(seed: number, reached: Map<string, number>) {
    this.chance = new Chance(seed);
    this.reached = reached;
    this.clock = new HandClock(this.chance.of([0, 0, 0, 0.875]));
    this.lineMs = this.chance.of(LINES);
    this.costMs = this.chance.of([0, 0, 0.125, 3]);
    this.deadlines = new Deadlines(
      this.clock,
      this.queue,
      this.lineMs,
      (lateMs) => this.#late(lateMs),
      (queued) => this.#expired(queued as Member),
      () => {
        this.#unflushed = 0;
        this.#meddle();
      },
    );
  }

  /** One random step from outside. */
  step(): void {
    const what = this.chance.below(30);
    if (what < 12) this.#change();
    else if (what < 13) this.#crowd();
    else if (what < 16) this.#block();
    else if (what < 20) this.#fireNext();
    else this.advance(this.chance.of(PAUSES));
    this.#audit();
  }

  /** Lets `ms` pass on a loop that is free, but for what the callbacks cost. */
  advance(ms: number): void {
    const until = this.clock.time + ms;
    for (;;) {
      const next = this.#next();
      if (next === undefined || next.at > until) break;
      this.#nobodyIsDueBefore(next.at);
      this.#fire(next);
    }
    this.#nobodyIsDueBefore(until + 1 / GRAIN);
    this.clock.time = Math.max(this.clock.time, until);
  }

  /** Those who wait for ever stay, and nothing else. */
  finish(): void {
    for (let turns = 0; this.clock.pending.length > 0; turns += 1) {
      assert.ok(turns < 10_000, 'it does not come to rest');
      const next = this.#next() as Pending;
      this.#nobodyIsDueBefore(next.at);
      this.#fire(next);
      this.#audit();
    }
    assert.deepEqual(
      this.live.filter(({ dueAt }) => dueAt < Infinity),
      [],
      'nobody is forgotten',
    );
  }

  #next(): Pending | undefined {
    return this.clock.pending.reduce<Pending | undefined>(
      (best, one) => (best === undefined || one.at < best.at ? one : best),
      undefined,
    );
  }

  #fireNext(): void {
    const next = this.#next();
    if (next === undefined) return;
    if (!next.polls) this.#nobodyIsDueBefore(next.at);
    this.#fire(next);
  }

  #fire(next: Pending): void {
    this.clock.pending.splice(this.clock.pending.indexOf(next), 1);
    this.clock.time = Math.max(this.clock.time, next.at);
    if (next.polls) this.#slice(next);
    else this.#ring(next);
  }

  #ring(timer: Pending): void {
    this.#rang = this.clock.time;
    this.#toldLate = false;
    this.#blockedMs = 0;
    const lateMost = Math.max(0, ...this.live.map((entry) => this.#lateness(entry)));
    const head = this.queue.first;
    const inLine = head?.alarm === null && this.#lateness(head.entry as Entry) <= LATE_MS;
    timer.fire();
    assert.ok(!inLine || head.alarm === null, 'a line that nobody in it is late for stays a line');
    assert.ok(this.#toldLate || lateMost <= LATE_MS, `nobody was told of ${lateMost} ms`);
  }

  #slice(poll: Pending): void {
    const began = this.clock.time;
    if (began - poll.at > LATE_MS) this.#blockedMs += began - poll.at;
    poll.fire();
    assert.equal(this.#unflushed, 0, 'who has expired is not left without an answer over a turn of the loop');
    // What the callbacks of one batch cost is theirs; of `afterBatch` there is one more at the end.
    assert.ok(this.clock.time - began <= SLICE_MS + (BATCH + 2) * this.costMs, 'in slices');
    if (this.clock.pending.some(({ polls }) => polls)) this.#reach('slices');
    else this.#settle();
  }

  /** The timer has done its work: whoever is due and still there must have been given time. */
  #settle(): void {
    const rang = this.#rang as number;
    for (const entry of this.live) {
      // What was set meanwhile has its turn at the next ring.
      if (entry.dueAt > rang || entry.setAt >= rang) continue;
      assert.ok(this.#mayGoOn(entry), `passed over: due at ${entry.dueAt}, it rang at ${rang}`);
      const backMs = Math.min(this.#lateness(entry), entry.fullMs);
      entry.count += 1;
      entry.backMs += backMs;
      const alarm = this.#alarmOf(entry);
      assert.deepEqual(alarm.extension, { fullMs: entry.fullMs, count: entry.count, givenBackMs: entry.backMs });
      assert.ok(alarm.dueAt >= Math.ceil(rang + backMs) && alarm.dueAt <= Math.ceil(this.clock.time + backMs));
      entry.dueAt = alarm.dueAt;
      this.#reach(entry.member === undefined ? 'given back to an alarm' : 'given back to one in the queue');
      if (entry.count === EXTENSIONS) this.#reach('given back three times');
    }
    this.#rang = undefined;
    this.#overAt = this.clock.time - this.#blockedMs;
    if (this.#blockedMs > 0) this.#reach('blocked before a slice');
  }

  /** By how much the timer was late for this one: the work of the one before is no lateness. */
  #lateness(entry: Entry): number {
    return (this.#rang as number) - Math.max(entry.dueAt, this.#overAt);
  }

  #mayGoOn(entry: Entry): boolean {
    return this.#lateness(entry) > LATE_MS && entry.count < EXTENSIONS && entry.fullMs > 0;
  }

  #late(lateMs: number): void {
    assert.ok(lateMs > LATE_MS, `${lateMs} ms are not late`);
    this.#toldLate = true;
    this.#meddle();
  }

  #expired(member: Member): void {
    if (member.alarm === null) assert.equal(member, this.queue.first, 'the line expires from its head');
    this.#reach(member.alarm === null ? 'expired in line' : 'expired in the queue by an alarm');
    this.queue.remove(member);
    this.#unflushed += 1;
    this.#strike(member.entry);
  }

  #strike(entry: Entry | undefined): void {
    assert.ok(entry?.lives, 'nobody expires twice, or after it was taken back');
    const rang = this.#rang;
    assert.ok(rang !== undefined && entry.dueAt <= rang, `${rang}: too early for ${entry.dueAt}`);
    assert.ok(!this.#mayGoOn(entry), `lost time was not given back: due at ${entry.dueAt}, it rang at ${rang}`);
    assert.equal((entry.member?.alarm ?? entry.alarm)?.extension?.givenBackMs ?? 0, entry.backMs);
    this.#drop(entry);
    this.#meddle();
  }

  /** Whoever is called may do as he likes, and takes his time. */
  #meddle(): void {
    this.clock.time += this.costMs;
    if (this.#depth > 0 || this.chance.below(12) > 0) return;
    this.#depth += 1;
    for (let times = this.chance.below(3); times >= 0; times -= 1) this.#change();
    this.#depth -= 1;
    this.#reach('from within');
  }

  #change(): void {
    const what = this.chance.below(14);
    if (what < 7) this.#join(this.chance.below(3) > 0 ? this.lineMs : this.chance.of(LENGTHS));
    else if (what < 10) this.#set(this.chance.of([0, this.lineMs, ...LENGTHS]));
    else if (what < 13 && this.live.length > 0) this.#takeBack(this.chance.of(this.live));
    else if (this.queue.length === 0) this.#stop();
  }

  #crowd(): void {
    const ms = this.chance.below(2) === 0 ? this.lineMs : this.chance.of(LENGTHS);
    for (let times = this.chance.below(200); times > 0; times -= 1) this.#join(ms);
  }

  #block(): void {
    this.clock.time += this.chance.of(BLOCKS);
  }

  #join(ms: number): void {
    const member = new Member(this.clock.time);
    this.deadlines.join(member, ms);
    this.queue.push(member);
    this.#enter(member, ms);
    if (member.alarm === null) this.#reach('joined the line');
    else if (ms === this.lineMs) this.#reach('joined behind the line');
  }

  #set(ms: number): void {
    const alarm = new Alarm(() => this.#strike(entry));
    this.deadlines.set(alarm, ms, this.clock.time);
    const entry = this.#enter(undefined, ms);
    entry.alarm = alarm;
  }

  #enter(member: Member | undefined, fullMs: number): Entry {
    const setAt = this.clock.time;
    const dueAt = Math.ceil(setAt + fullMs);
    const entry: Entry = {
      member,
      fullMs,
      setAt,
      dueAt,
      alarm: undefined,
      index: this.live.length,
      lives: true,
      count: 0,
      backMs: 0,
    };
    this.live.push(entry);
    if (member !== undefined) member.entry = entry;
    return entry;
  }

  #takeBack(entry: Entry): void {
    if (entry.member !== undefined) this.queue.remove(entry.member);
    const alarm = entry.member === undefined ? entry.alarm : entry.member.alarm;
    if (alarm) this.deadlines.remove(alarm);
    this.#drop(entry);
  }

  #drop(entry: Entry): void {
    entry.lives = false;
    const last = this.live.pop() as Entry;
    if (last === entry) return;
    this.live[entry.index] = last;
    last.index = entry.index;
  }

  #stop(): void {
    this.deadlines.stop();
    for (const entry of this.live) entry.lives = false;
    this.live.length = 0;
    assert.ok(
      this.clock.pending.every(({ polls }) => polls),
      'no timer is left behind',
    );
    this.#reach('stopped');
  }

  #alarmOf(entry: Entry): Alarm {
    const alarm = entry.alarm ?? entry.member?.alarm;
    assert.ok(alarm, 'only an alarm bears time given back');
    return alarm;
  }

  /** On a free loop a deadline that is still there when a later time comes was forgotten. */
  #nobodyIsDueBefore(at: number): void {
    if (this.#rang !== undefined || at <= this.clock.time) return;
    const forgotten = this.live.find(({ dueAt }) => dueAt < at);
    assert.equal(forgotten?.dueAt, undefined, `nobody was called, and it is ${at}`);
  }

  #audit(): void {
    const timers = this.clock.pending.length;
    assert.ok(timers <= 1, `${timers} timers for all`);
    let line = true;
    for (const { alarm } of this.queue) {
      assert.ok(line || alarm !== null, 'the line is the beginning of the queue');
      line = alarm === null;
    }
    assert.equal(this.live.filter(({ member }) => member !== undefined).length, this.queue.length);
  }

  #reach(what: string): void {
    this.reached.set(what, (this.reached.get(what) ?? 0) + 1);
  }
}

function run(seed: number, reached: Map<string, number>): void {
  try {
    const world = new World(seed, reached);
    for (let step = 0; step < STEPS; step += 1) world.step();
    world.finish();
  } catch (error) {
    throw new Error(`DEADLINES_SEED=${seed}: ${(error as Error).message}`, { cause: error });
  }
}

test('whatever joins, leaves, is late and calls back: each deadline strikes once, in time, and with the time it was given back', () => {
  const reached = new Map<string, number>();
  const { DEADLINES_SEED } = process.env;
  if (DEADLINES_SEED !== undefined) return run(Number(DEADLINES_SEED), reached);
  for (let seed = 1; seed <= SEQUENCES; seed += 1) run(seed, reached);
  console.log(`${SEQUENCES} sequences of ${STEPS} steps, seeds from 1:`, Object.fromEntries(reached));
  for (const what of [
    'joined the line',
    'joined behind the line',
    'expired in line',
    'expired in the queue by an alarm',
    'given back to an alarm',
    'given back to one in the queue',
    'given back three times',
    'slices',
    'blocked before a slice',
    'from within',
    'stopped',
  ]) {
    assert.ok((reached.get(what) ?? 0) >= 100, `${what}: ${reached.get(what) ?? 0} times`);
  }
});
