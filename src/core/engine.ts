// The engine: a pool inside one event loop. Owns the assembly of its parts and the verbs its users call; how each verb is done
// stands in the part of that name. Knows no PostgreSQL, no `node:` module, no telemetry.

import type { Clock } from '../contracts/clock.ts';
import type { Driver, Session } from '../contracts/driver.ts';
import { OptionError } from '../contracts/errors.ts';
import type { Explanation } from '../contracts/explain.ts';
import type { Phase } from '../contracts/phase.ts';
import type { CheckReport, CloseReport, Health, Holder, PoolSnapshot, PoolStats } from '../contracts/snapshot.ts';
import { Alarm } from '../foundation/deadlines.ts';
import { Closing, type Closure } from './closing.ts';
import { Dispatcher } from './dispatcher.ts';
import { Explaining } from './explaining.ts';
import { Health as HealthCare } from './health.ts';
import { House } from './house.ts';
import type { Hooks, Ports, Settings } from './household.ts';
import { type Lease, type LeaseClass, leaseClass } from './lease.ts';
import { Lifecycle } from './lifecycle.ts';
import { Opener } from './opener.ts';
import { Operator } from './operator.ts';
import type { ReadyWait } from './readiness.ts';
import { Reading } from './reading.ts';
import { Recycler } from './recycler.ts';
import { Retirement } from './retirement.ts';
import { isSignal } from './signals.ts';
import { Silence } from './silence.ts';
import { Upkeep } from './upkeep.ts';
import { Vigil } from './vigil.ts';
import type { Request, Standing } from './wait-queue.ts';

export interface EngineParts<S extends Session, L extends Lease<S>> {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly driver: Driver<S>;
  readonly hooks?: Hooks<S> | undefined;
  /** What is left out is the inert part. */
  readonly ports?: Partial<Ports> | undefined;
  /** The class of what `acquire()` resolves to. */
  readonly Lease?: LeaseClass<S, L> | undefined;
}

export class Engine<S extends Session, L extends Lease<S> = Lease<S>> {
  readonly #house: House<S>;
  readonly #dispatcher: Dispatcher<S, L>;
  readonly #life: Lifecycle<S>;
  readonly #closing: Closing<S>;
  readonly #operator: Operator<S>;
  readonly #reading: Reading<S>;
  readonly #clock: Clock;

  constructor(parts: EngineParts<S, L>) {
    const { settings, clock, driver, hooks = {}, ports = {} } = parts;
    this.#clock = clock;
    const house = new House<S>(settings, clock, driver, hooks, ports);
    const quiet = (): void => house.quiet();
    const life = new Lifecycle<S>(house, quiet);
    this.#house = house;
    this.#life = life;
    const recycler = new Recycler(house);
    const opener = new Opener(house);
    this.#dispatcher = new Dispatcher(house, recycler, parts.Lease ?? (leaseClass<S>() as LeaseClass<S, L>));
    this.#closing = new Closing(house, life, quiet);
    this.#operator = new Operator(house);
    this.#reading = new Reading(house);
    house.furnish({
      closing: this.#closing,
      dispatcher: this.#dispatcher,
      explaining: new Explaining(house, () => ({
        awaitsPermit: opener.awaitsPermit,
        pausedForMs: life.pausedForMs,
        retryInMs: house.governor.retryInMs(clock.now(), house.queue.length > 0),
      })),
      health: new HealthCare(house),
      life,
      opener,
      operator: this.#operator,
      reading: this.#reading,
      recycler,
      retirement: new Retirement(house),
      silence: new Silence(house),
      upkeep: new Upkeep(house),
      vigil: new Vigil(house),
    });
    house.permits.onPressure(() => this.#yieldIdle());
  }

  get phase(): Phase {
    return this.#house.phase;
  }

  now(): number {
    return this.#clock.now();
  }

  /** How many sessions cannot be spared: all but the idle ones, and as many as are kept warm. */
  get needs(): number {
    const { book, floor, idle } = this.#house;
    return Math.max(book.living - idle.length, Math.min(floor, book.living));
  }

  /** How many borrowers wait; whoever waits for the pool to be ready is one more. */
  get waiting(): number {
    return this.#house.queue.length + this.#life.proving;
  }

  acquire(request?: Request): Promise<L> {
    const house = this.#house;
    if (request !== undefined || house.phase !== 'open' || this.#operator.trimmed) return this.#ask(request);
    house.counters.requests += 1;
    const lease = this.#dispatcher.take(undefined);
    return lease === undefined ? this.#dispatcher.wait(undefined) : Promise.resolve(lease);
  }

  /** As `acquire()` where that needs no wait; undefined otherwise, and nothing was asked for. */
  takeAtOnce(): L | undefined {
    const house = this.#house;
    if (house.phase !== 'open' || this.#operator.trimmed) return undefined;
    const lease = this.#dispatcher.take(undefined);
    if (lease !== undefined) house.counters.requests += 1;
    return lease;
  }

  /** Whether somebody may simply wait now. */
  get mayStand(): boolean {
    return this.#house.phase === 'open' && !this.#operator.trimmed && this.#dispatcher.mayStand;
  }

  /**
   * As `acquire()` where that needs a wait, and `who` is told in the very turn in which the connection is handed over, or of a refusal: no
   * promise lies between. False if nobody may simply wait now; then nothing was asked for.
   */
  stand(who: Standing<S, L>): boolean {
    const house = this.#house;
    if (!this.mayStand) return false;
    house.counters.requests += 1;
    this.#dispatcher.stand(who);
    return true;
  }

  /** A deadline of whatever a borrower does, by the rules of the pool's own: time lost to a blocked loop is given back. */
  deadline(ms: number, ring: () => void): () => void {
    const { deadlines, clock } = this.#house;
    const alarm = new Alarm(ring);
    deadlines.set(alarm, Math.max(0, ms), clock.now());
    return () => deadlines.remove(alarm);
  }

  /** Only if one is idle and needs no check; never waits and never opens the pool. */
  tryAcquire(label?: string): L | undefined {
    const house = this.#house;
    if (house.phase !== 'open' && house.phase !== 'opening') return undefined;
    const lease = this.#dispatcher.take(label);
    if (lease !== undefined) {
      house.counters.requests += 1;
      this.#operator.untrim();
    }
    return lease;
  }

  open(options?: ReadyWait & { wait?: boolean | undefined }): Promise<void> {
    this.#operator.untrim();
    return this.#life.open(options);
  }

  ready(options?: ReadyWait): Promise<void> {
    this.#operator.untrim();
    return this.#life.ready(options);
  }

  close(closure: Closure): Promise<CloseReport> {
    return this.#closing.close(closure);
  }

  pause(borrowers: 'wait' | 'reject'): Promise<void> {
    return this.#life.pause(borrowers);
  }

  resume(): void {
    this.#life.resume();
  }

  /** Both have been validated. */
  resize(min: number, max: number): void {
    this.#operator.resize(min, max);
  }

  replaceAll(overMs: number): Promise<void> {
    return this.#operator.replaceAll(overMs);
  }

  check(timeoutMs: number): Promise<CheckReport> {
    return this.#operator.check(timeoutMs);
  }

  trim(to: number): Promise<number> {
    return this.#operator.trim(to);
  }

  /** Whether anybody wants to hear of each lend and return (default: yes). Nothing is paid for it otherwise. */
  tellTraffic(wanted: boolean): void {
    this.#house.traffic = wanted ? this.#house.events : undefined;
  }

  snapshot(): PoolSnapshot {
    return this.#reading.snapshot();
  }

  stats(): PoolStats {
    return this.#reading.stats();
  }

  popStats(): PoolStats {
    return this.#reading.popStats();
  }

  /** Why an acquire would wait or fail now. */
  explain(): Explanation {
    const house = this.#house;
    const said = house.explain();
    if (said !== undefined) return said;
    const snapshot = house.snapshot();
    return {
      verdict: 'ok',
      summary: `${snapshot.name}: nobody concludes anything here`,
      evidence: { ...snapshot },
      advice: [],
    };
  }

  /** Somebody was refused before he could ask. */
  refused(reason: 'nested', error: Error): void {
    this.#house.counters.requests += 1;
    this.#house.counters.refused(reason);
    this.#house.events.refused(reason, error);
  }

  health(): Health {
    return this.#reading.health();
  }

  expired(): number {
    return this.#reading.expired();
  }

  holders(): Holder[] {
    return this.#reading.holders();
  }

  /** A request that says something, or comes at a time when not everything is as usual. */
  #ask(request: Request | undefined): Promise<L> {
    const house = this.#house;
    if (request !== undefined) {
      const fault = faultOf(request);
      // Not a request: it counts neither as served nor as refused.
      if (fault !== undefined) return Promise.reject(fault);
    }
    house.counters.requests += 1;
    if (request?.signal?.aborted) return this.#refuse('aborted', request.signal.reason);
    if (house.phase !== 'open' || this.#operator.trimmed) {
      const refusal = this.#admit();
      if (refusal !== undefined) return this.#refuse(refusal.name === 'PoolPausedError' ? 'paused' : 'closed', refusal);
      if (house.phase === 'paused') return this.#dispatcher.wait(request);
    }
    const lease = this.#dispatcher.take(request?.label);
    return lease === undefined ? this.#dispatcher.wait(request) : Promise.resolve(lease);
  }

  #admit(): Error | undefined {
    const refusal = this.#life.admit();
    if (refusal !== undefined) return refusal;
    this.#operator.untrim();
    // Whoever was told that it opens, or dials, may have closed it.
    return this.#house.ending ? this.#life.admit() : undefined;
  }

  #refuse(reason: 'aborted' | 'closed' | 'paused', error: unknown): Promise<never> {
    this.#house.counters.refused(reason);
    this.#house.events.refused(reason, error as Error);
    return Promise.reject(error);
  }

  /** Others starve: what lies idle here is theirs. */
  #yieldIdle(): void {
    const house = this.#house;
    const now = house.clock.now();
    for (const slot of house.idle.fromOldest()) {
      if (house.permits.pressure <= 0) return;
      if (house.permits.yields(false, now - slot.bornAt, now - slot.usedAt)) house.retire(slot, 'budget');
    }
  }
}

/** What cannot be meant must not stand in the queue: it would be found out by whoever gives a connection back. */
function faultOf({ acquireTimeoutMs, signal }: Request): OptionError | undefined {
  if (acquireTimeoutMs !== undefined && !(typeof acquireTimeoutMs === 'number' && acquireTimeoutMs >= 0)) {
    return new OptionError('acquireTimeoutMs', acquireTimeoutMs, 'a number of milliseconds from 0, or Infinity');
  }
  return signal === undefined || isSignal(signal) ? undefined : new OptionError('signal', signal, 'an AbortSignal');
}
