// The phases of a pool and who may pass in each: opening, readiness, pausing. Owns `phase`; closing has a file of its own.
//
//   created → opening → open ⇄ paused → closing → closed          an opening that fails leads back to created
//        └────────────────↑ first use, with autoOpen

import type { Session } from '../contracts/driver.ts';
import { PoolPausedError } from '../contracts/errors.ts';
import type { Phase } from '../contracts/phase.ts';
import type { Household } from './household.ts';
import { Readiness, type ReadyWait, ReadyWaiter } from './readiness.ts';
import { closedError, notOpenError, relevantFailure, timeoutError } from './refusals.ts';
import { State } from './states.ts';

export class Lifecycle<S extends Session> {
  readonly #house: Household<S>;
  readonly #readiness: Readiness;
  readonly #quiet: () => void;
  /** A connection was made at least once. */
  #proven = false;
  #pausedAt = 0;
  #refusesWhilePaused = false;
  #whenQuiet: (() => void)[] = [];

  /** `quiet` stops every timer of the parts when a pool falls back to created. */
  constructor(house: Household<S>, quiet: () => void) {
    this.#house = house;
    this.#readiness = new Readiness(house.deadlines);
    this.#quiet = quiet;
  }

  /** Connections that must exist because somebody waits for the pool to be ready. */
  get proving(): number {
    return this.#readiness.waiting > 0 ? 1 : 0;
  }

  get phase(): Phase {
    return this.#house.phase;
  }

  /** For how long it has been paused; undefined if it is not. */
  get pausedForMs(): number | undefined {
    return this.phase === 'paused' ? this.#house.clock.now() - this.#pausedAt : undefined;
  }

  become(phase: Phase): void {
    const house = this.#house;
    const from = house.phase;
    house.phase = phase;
    // Whoever is still queued while the pool closes was admitted to be served.
    house.lending = phase === 'open' || phase === 'opening' || phase === 'closing';
    house.ending = phase === 'closing' || phase === 'closed';
    house.events.phase(from, phase);
  }

  /** The last moment of a closing pool is over: nobody is served any more, whatever he holds. */
  lendNoMore(): void {
    this.#house.lending = false;
  }

  /** Lets a borrower pass, or tells why not. Opens a pool that was never opened, if it may. */
  admit(): Error | undefined {
    const house = this.#house;
    switch (this.phase) {
      case 'open':
      case 'opening':
        return undefined;
      case 'created':
        if (!house.settings.autoOpen) return closedError(house.settings, this.phase);
        this.#start('open');
        if (house.settings.dev) {
          const message = `${house.settings.name} was opened by its first use: open() it at start-up, so that a wrong password fails the boot and not the first user`;
          house.reporter.report({ code: 'OXBOW_IMPLICIT_OPEN', message });
        }
        return undefined;
      case 'paused':
        return this.#refusesWhilePaused
          ? new PoolPausedError(house.settings.name, house.clock.now() - this.#pausedAt)
          : undefined;
      case 'closing':
        return house.lending && house.tasks.holdsLease() ? undefined : closedError(house.settings, this.phase);
      case 'closed':
        return closedError(house.settings, this.phase);
    }
  }

  open(options: ReadyWait & { wait?: boolean | undefined } = {}): Promise<void> {
    if (this.phase === 'paused') return Promise.resolve();
    // Opened by its first use and never connected since: whoever says open() wants to know whether it can.
    if (this.phase === 'open') return this.#proven || options.wait === false ? Promise.resolve() : this.ready(options);
    if (this.phase === 'opening') return options.wait === false ? Promise.resolve() : this.#whenReady(options, false);
    if (this.phase !== 'created') return Promise.reject(closedError(this.#house.settings, this.phase));
    if (options.wait === false) {
      this.#start('open');
      return Promise.resolve();
    }
    if (options.signal?.aborted) return Promise.reject(options.signal.reason);
    this.#start('opening');
    return this.#whenReady(options, true);
  }

  ready(options: ReadyWait = {}): Promise<void> {
    if (this.phase === 'created') return this.open(options);
    if (this.phase === 'closing' || this.phase === 'closed') {
      return Promise.reject(closedError(this.#house.settings, this.phase));
    }
    return this.#whenReady(options, false);
  }

  pause(borrowers: 'wait' | 'reject'): Promise<void> {
    const house = this.#house;
    if (this.phase !== 'open' && this.phase !== 'paused') {
      return Promise.reject(notOpenError(house.settings, this.phase));
    }
    if (this.phase === 'open') {
      this.#pausedAt = house.clock.now();
      this.become('paused');
    }
    this.#refusesWhilePaused = borrowers === 'reject';
    if (borrowers === 'reject') {
      house.turnAway('paused', () => new PoolPausedError(house.settings.name, house.clock.now() - this.#pausedAt));
    }
    return new Promise((resolve) => {
      this.#whenQuiet.push(resolve);
      this.#watch();
      this.settled();
    });
  }

  resume(): void {
    if (this.phase !== 'paused') return;
    this.become('open');
    this.#wakeQuiet();
    this.#house.pump();
  }

  connected(): void {
    this.#proven = true;
    this.settled();
  }

  #watch(): void {
    this.#house.attentive = this.#whenQuiet.length > 0 || this.#readiness.waiting > 0;
  }

  /** Something came to rest, was made or went: whoever waits for that looks again. */
  settled(): void {
    const house = this.#house;
    if (this.#whenQuiet.length > 0 && house.book.count(State.lent) + house.book.count(State.returning) === 0) {
      this.#wakeQuiet();
    }
    if (this.#readiness.waiting === 0) return;
    const exist = house.book.living - house.book.count(State.opening);
    if (exist < Math.max(1, house.min)) return;
    if (this.phase === 'opening') this.become('open');
    this.#readiness.resolveAll();
    this.#watch();
    // What was opened for the proof may be more than the pool keeps.
    house.lookBy(house.clock.now());
  }

  /** Connecting failed and no later attempt can succeed. */
  hopeless(error: Error): void {
    if (this.#readiness.waiting === 0) return;
    if (this.phase === 'opening') this.#fallBack(error);
    else this.#readiness.rejectAll(() => error);
    this.#watch();
  }

  /** The pool closes: nobody waits for it to be ready or quiet any more. */
  endWaits(): void {
    const error = closedError(this.#house.settings, this.phase);
    this.#readiness.rejectAll(() => error);
    this.#wakeQuiet();
  }

  #start(phase: 'opening' | 'open'): void {
    this.become(phase);
    this.#house.pump();
  }

  #whenReady(options: ReadyWait, opens: boolean): Promise<void> {
    const house = this.#house;
    const { signal } = options;
    if (signal?.aborted) return Promise.reject(signal.reason);
    // Whoever was told that it opens may have closed it.
    if (house.ending) return Promise.reject(closedError(house.settings, this.phase));
    const timeoutMs = options.timeoutMs ?? house.settings.acquireTimeoutMs;
    return new Promise((resolve, reject) => {
      const now = house.clock.now();
      const waiter = new ReadyWaiter(now, opens, resolve, reject, (late) => this.#notReady(late));
      this.#readiness.add(waiter, timeoutMs, signal, () => {
        waiter.leave();
        this.#watch();
        if (waiter.opens && this.phase === 'opening') this.#fallBack(signal?.reason);
        waiter.reject(signal?.reason);
      });
      house.hold();
      this.#watch();
      this.settled();
      house.pump();
    });
  }

  #notReady(waiter: ReadyWaiter): void {
    const house = this.#house;
    const now = house.clock.now();
    const snapshot = house.snapshot();
    const waitedMs = now - waiter.since;
    const givenBackMs = waiter.extension?.givenBackMs ?? 0;
    const asked = { waitedMs, timeoutMs: waitedMs, givenBackMs };
    const explanation = house.explain(asked, snapshot);
    const { pgManners } = house.settings;
    const failure = relevantFailure(house, waiter.since);
    const error = timeoutError({ ...asked, pgManners, snapshot, explanation, failure, now });
    waiter.leave();
    this.#watch();
    if (waiter.opens && this.phase === 'opening') this.#fallBack(error);
    waiter.reject(error);
  }

  /** The opening failed: everything it began is undone, and the pool can be opened again. */
  #fallBack(error: unknown): void {
    const house = this.#house;
    this.become('created');
    this.#quiet();
    house.generation += 1;
    this.#readiness.rejectAll(() => error);
    this.#watch();
    house.turnAway('connect', () => (error instanceof Error ? error : new Error(String(error))));
    for (const slot of house.slots) {
      if (slot.state === State.opening) house.abandon(slot);
      else if (slot.state === State.idle) house.retire(slot, 'closed');
    }
    house.governor.hurry();
  }

  #wakeQuiet(): void {
    const waiting = this.#whenQuiet;
    this.#whenQuiet = [];
    this.#watch();
    for (const resolve of waiting) resolve();
  }
}
