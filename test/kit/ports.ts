// Scripted parts for the engine's ports: they write down what they are told, and do as a test says.

import type { Clock, Timer } from '../../src/contracts/clock.ts';
import type { Session } from '../../src/contracts/driver.ts';
import { type EngineEvents, noEvents } from '../../src/contracts/events.ts';
import type { BudgetFigures, Permits } from '../../src/contracts/permits.ts';
import type { Report, Reporter } from '../../src/contracts/reporter.ts';

export interface Happening {
  readonly name: keyof EngineEvents;
  readonly args: readonly unknown[];
}

export const EVENT_NAMES = Object.keys(noEvents) as (keyof EngineEvents)[];

/** Keeps every event in the order in which it happened. */
export class EventLog {
  readonly all: Happening[] = [];
  readonly port: EngineEvents = Object.fromEntries(
    EVENT_NAMES.map((name) => [name, (...args: unknown[]) => void this.all.push({ name, args })]),
  ) as unknown as EngineEvents;

  /** The arguments of every event of that name. */
  of(name: keyof EngineEvents): (readonly unknown[])[] {
    return this.all.filter((happening) => happening.name === name).map((happening) => happening.args);
  }

  count(name: keyof EngineEvents): number {
    return this.of(name).length;
  }

  names(): string[] {
    return this.all.map((happening) => happening.name);
  }
}

export class ReportLog implements Reporter {
  readonly all: Report[] = [];

  report(report: Report): void {
    this.all.push(report);
  }

  codes(): string[] {
    return this.all.map((report) => report.code);
  }
}

/** How one was asked whether it yields. */
export interface YieldAsk {
  readonly needed: boolean;
  readonly heldMs: number;
  readonly idleMs: number;
}

/** A session that has to prove its permit, and what the test has to end that with. */
export interface Seeker {
  readonly session: Session;
  readonly wanted: () => number;
  readonly signal: AbortSignal;
  readonly resolve: (proven: boolean) => void;
  readonly reject: (error: unknown) => void;
}

/** A budget in one process: `limit` permits, others may starve for some. It grants, delays, refuses, revokes and dies as a test says. */
export class ScriptedPermits implements Permits {
  limit: number;
  taken = 0;
  most = 0;
  takes = 0;
  gives = 0;
  pressure = 0;
  /** Dead: a wait for leave ends at once, with a no. */
  dead = false;
  /** How often the pool took its leave. */
  left = 0;
  /** Whose permits came back, in order. */
  readonly given: (Session | undefined)[] = [];
  readonly yieldAsks: YieldAsk[] = [];
  /** Every session that had to prove its permit. */
  readonly seekers: Seeker[] = [];
  /** When a wait that can be granted is: at once by default. */
  later: (grant: () => void) => void = (grant) => grant();
  /** Who yields while others starve. By default who waits here is served first, however long they do. */
  yielding: (ask: YieldAsk) => boolean = ({ needed }) => !needed;
  admit: Permits['admit'];
  standing: BudgetFigures | undefined;
  readonly #queue: { readonly wanted: () => number; readonly resolve: (taken: boolean) => void }[] = [];
  readonly #listeners = new Set<() => void>();

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Requests that wait for a permit. */
  get asking(): number {
    return this.#queue.length;
  }

  /** What they say how many sessions could be used. */
  get wanted(): number[] {
    return this.#queue.map(({ wanted }) => wanted());
  }

  tryTake(): boolean {
    if (this.dead || this.taken >= this.limit) return false;
    this.#count();
    return true;
  }

  take(wanted: () => number): Promise<boolean> {
    return new Promise((resolve) => {
      this.#queue.push({ wanted, resolve });
      this.#serve();
    });
  }

  /** From now on a session has to prove its permit, and the test says when it has. */
  prove(): void {
    this.admit = (session, wanted, signal) =>
      new Promise((resolve, reject) => {
        this.seekers.push({ session, wanted, signal, resolve, reject });
      });
  }

  give(session: Session | undefined): void {
    this.taken -= 1;
    this.gives += 1;
    this.given.push(session);
    this.#serve();
  }

  yields(needed: boolean, heldMs: number, idleMs: number): boolean {
    const ask = { needed, heldMs, idleMs };
    this.yieldAsks.push(ask);
    if (this.pressure <= 0 || !this.yielding(ask)) return false;
    this.pressure -= 1;
    return true;
  }

  onPressure(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  leave(): void {
    this.left += 1;
  }

  figures(): BudgetFigures | undefined {
    return this.standing;
  }

  /** Others starve for `pressure` permits. */
  press(pressure: number): void {
    this.pressure = pressure;
    for (const listener of this.#listeners) listener();
  }

  raise(limit: number): void {
    this.limit = limit;
    this.#serve();
  }

  die(dead: boolean): void {
    this.dead = dead;
    this.#serve();
  }

  #count(): void {
    this.taken += 1;
    this.takes += 1;
    this.most = Math.max(this.most, this.taken);
  }

  #serve(): void {
    if (this.dead) for (const { resolve } of this.#queue.splice(0)) resolve(false);
    else if (this.#queue.length > 0 && this.taken < this.limit) this.later(() => this.#grant());
  }

  #grant(): void {
    while (this.taken < this.limit && !this.dead) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      const wanted = next.wanted() > 0;
      if (wanted) this.#count();
      next.resolve(wanted);
    }
  }
}

/** Passes everything on and counts what was asked for; knows which pending timers hold the process. */
export class CountingClock implements Clock {
  timers = 0;
  polls = 0;
  readonly holding = new Set<Timer>();
  readonly #inner: Clock;

  constructor(inner: Clock) {
    this.#inner = inner;
  }

  now = (): number => this.#inner.now();
  wall = (): number => this.#inner.wall();
  random = (): number => this.#inner.random();

  pollPhase = (then: () => void): void => {
    this.polls += 1;
    this.#inner.pollPhase(then);
  };

  timer = (ms: number, fire: () => void, holdsProcess = false): Timer => {
    this.timers += 1;
    const timer = this.#inner.timer(ms, () => {
      this.holding.delete(held);
      fire();
    });
    const held: Timer = {
      cancel: () => {
        this.holding.delete(held);
        timer.cancel();
      },
    };
    if (holdsProcess) this.holding.add(held);
    return held;
  };
}
