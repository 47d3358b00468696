// The engine: a pool inside one event loop. Owns the assembly of its parts and the verbs its users call; how each verb is done
// stands in the part of that name. Knows no PostgreSQL, no `node:` module, no telemetry.

import type { Clock, Timer } from '../contracts/clock.ts';
import type { Driver, Session } from '../contracts/driver.ts';
import { OptionError } from '../contracts/errors.ts';
import { noEvents } from '../contracts/events.ts';
import { noExplainer } from '../contracts/explain.ts';
import { emptyLedger } from '../contracts/ledger.ts';
import { unlimitedPermits } from '../contracts/permits.ts';
import type { Phase } from '../contracts/phase.ts';
import { silentReporter } from '../contracts/reporter.ts';
import type { CheckReport, CloseReport, Holder, PoolSnapshot, PoolStats } from '../contracts/snapshot.ts';
import { noTasks } from '../contracts/task-context.ts';
import { Deadlines } from '../foundation/deadlines.ts';
import { IntrusiveList } from '../foundation/intrusive-list.ts';
import { Closing, type Closure } from './closing.ts';
import { Counters } from './counters.ts';
import { Dispatcher, type LeaseClass } from './dispatcher.ts';
import { Governor } from './governor.ts';
import { Health } from './health.ts';
import type { Hooks, Household, Ports, Settings } from './household.ts';
import { IdleSet } from './idle-set.ts';
import { Lease, type LeaseHome } from './lease.ts';
import { Lifecycle } from './lifecycle.ts';
import { Opener } from './opener.ts';
import { Operator } from './operator.ts';
import type { ReadyWait } from './readiness.ts';
import { Reading } from './reading.ts';
import { Recycler } from './recycler.ts';
import { Retirement } from './retirement.ts';
import type { Slot } from './slot.ts';
import { State, StateBook } from './states.ts';
import { Stepper } from './steps.ts';
import { Upkeep } from './upkeep.ts';
import { type Request, type Waiter, WaitQueue } from './wait-queue.ts';

/** A timer that comes this late means that the process was frozen, not merely busy (DESIGN B14). */
const FROZEN_MS = 1_000;
/** While anything is lent, dialled or waited for, a timer of this length holds the process; so it ends this late at most. */
const HOLD_MS = 50;

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

export class Engine<S extends Session, L extends Lease<S> = Lease<S>> implements LeaseHome<S> {
  readonly #house: Household<S>;
  readonly #dispatcher: Dispatcher<S, L>;
  readonly #recycler: Recycler<S>;
  readonly #life: Lifecycle<S>;
  readonly #closing: Closing<S>;
  readonly #operator: Operator<S>;
  readonly #reading: Reading<S>;
  readonly #clock: Clock;
  #holding: Timer | undefined;

  constructor(parts: EngineParts<S, L>) {
    const { settings, clock, driver, ports = {} } = parts;
    this.#clock = clock;
    const deadlines = new Deadlines(
      clock,
      (lateMs) => {
        if (lateMs >= FROZEN_MS) house.suspectAll();
      },
      (deadline) => this.#dispatcher.timedOut(deadline as Waiter<S>),
      () => this.#dispatcher.flushExpired(),
    );
    const engine = this;
    const house: Household<S> = {
      settings,
      clock,
      driver,
      hooks: parts.hooks ?? {},
      permits: ports.permits ?? unlimitedPermits,
      ledger: ports.ledger ?? emptyLedger,
      tasks: ports.tasks ?? noTasks,
      explainer: ports.explainer ?? noExplainer,
      reporter: ports.reporter ?? silentReporter,
      events: ports.events ?? noEvents,
      deadlines,
      steps: new Stepper(clock, deadlines),
      book: new StateBook(),
      slots: new Set(),
      idle: new IdleSet(),
      lent: new IntrusiveList(),
      queue: new WaitQueue(),
      counters: new Counters(),
      governor: new Governor(clock, settings.connectConcurrency, settings.reconnectTimeoutMs),
      min: settings.min,
      max: settings.max,
      generation: 0,
      phase: 'created',
      lending: false,
      attentive: false,
      nextSweepAt: Infinity,
      held: false,
      get floor() {
        const { phase } = house;
        if (phase !== 'open' && phase !== 'opening' && phase !== 'paused') return 0;
        const base = engine.#operator.trimmed ? 0 : Math.min(house.max, house.min + upkeep.spares);
        return Math.min(house.max, Math.max(base, life.proving));
      },
      get checking() {
        return health.checking;
      },
      rest: (slot, now) => this.#dispatcher.rest(slot, now),
      verified: (slot, now) => this.#dispatcher.verified(slot, now),
      pump: () => this.#dispatcher.pump(),
      turnAway: (reason, error) => this.#dispatcher.turnAway(reason, error),
      examine: (slot, forWaiter) => health.examine(slot, forWaiter),
      checkForWaiters: () => health.checkForWaiters(),
      suspectAll: () => health.suspectAll(),
      retire: (slot, reason) => retirement.retire(slot, reason),
      condemn: (slot, reason) => retirement.condemn(slot, reason),
      lose: (slot, error) => retirement.lose(slot, error),
      fate: (slot, now) => retirement.fate(slot, now),
      dial: () => opener.dial(),
      unfit: (fault) => opener.unfit(fault),
      fit: () => opener.fit(),
      abandon: (slot) => opener.abandon(slot),
      left: (slot) => upkeep.left(slot),
      lookBy: (at) => upkeep.lookBy(at),
      slotGone: (slot) => this.#slotGone(slot),
      settled: () => life.settled(),
      connected: () => life.connected(),
      connectFailed: (error, hopeless) => {
        if (hopeless) life.hopeless(error);
      },
      hold: () => this.#hold(),
      snapshot: () => this.#reading.snapshot(),
      holders: () => this.#reading.holders(),
    };
    const health = new Health(house);
    const opener = new Opener(house);
    const retirement = new Retirement(house);
    const upkeep = new Upkeep(house);
    const quiet = (): void => {
      upkeep.stop();
      opener.stop();
      if (house.book.size > 0) return;
      this.#holding?.cancel();
      this.#holding = undefined;
      house.held = false;
    };
    const life = new Lifecycle(house, quiet);
    this.#house = house;
    this.#life = life;
    this.#dispatcher = new Dispatcher(house, this, parts.Lease ?? (Lease as unknown as LeaseClass<S, L>));
    this.#recycler = new Recycler(house);
    this.#closing = new Closing(house, life, quiet);
    this.#operator = new Operator(house);
    this.#reading = new Reading(house);
    house.permits.onPressure(() => this.#yieldIdle());
  }

  get phase(): Phase {
    return this.#house.phase;
  }

  now(): number {
    return this.#clock.now();
  }

  acquire(request?: Request): Promise<L> {
    const house = this.#house;
    house.counters.requests += 1;
    if (request !== undefined) {
      const { acquireTimeoutMs = 0, signal } = request;
      if (!(acquireTimeoutMs >= 0)) {
        // Not a request: it counts neither as served nor as refused.
        house.counters.requests -= 1;
        return Promise.reject(
          new OptionError('acquireTimeoutMs', acquireTimeoutMs, 'a number of milliseconds from 0, or Infinity'),
        );
      }
      if (signal?.aborted) return this.#refuse('aborted', signal.reason);
    }
    if (house.phase !== 'open' || this.#operator.trimmed) {
      const refusal = this.#admit();
      if (refusal !== undefined) return this.#refuse(refusal.name === 'PoolPausedError' ? 'paused' : 'closed', refusal);
      if (house.phase === 'paused') return this.#dispatcher.wait(request);
    }
    const lease = this.#dispatcher.take(request?.label);
    return lease === undefined ? this.#dispatcher.wait(request) : Promise.resolve(lease);
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

  takeBack(lease: Lease<S>, slot: Slot<S>, reason: Error | boolean | null | undefined, now: number): void {
    this.#recycler.takeBack(lease, slot, reason, now);
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

  check(): Promise<CheckReport> {
    return this.#operator.check();
  }

  trim(to: number): Promise<number> {
    return this.#operator.trim(to);
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

  holders(): Holder[] {
    return this.#reading.holders();
  }

  #admit(): Error | undefined {
    const refusal = this.#life.admit();
    if (refusal === undefined) this.#operator.untrim();
    return refusal;
  }

  #refuse(reason: 'aborted' | 'closed' | 'paused', error: unknown): Promise<never> {
    this.#house.counters.refused(reason);
    this.#house.events.refused(reason, error as Error);
    return Promise.reject(error);
  }

  #slotGone(slot: Slot<S>): void {
    const house = this.#house;
    house.book.move(slot, State.gone);
    house.slots.delete(slot);
    house.permits.give();
    house.events.closed(slot.id, slot.ending === 'cut');
    this.#operator.slotGone(slot);
    this.#closing.slotGone(slot);
    if (house.attentive) this.#life.settled();
    house.pump();
  }

  /** Others starve: what lies idle here is theirs. */
  #yieldIdle(): void {
    const house = this.#house;
    for (const slot of house.idle.fromOldest()) {
      if (house.permits.pressure <= 0) return;
      house.retire(slot, 'budget');
    }
  }

  /** One short timer at a time, however many are lent: cheaper than a ref and an unref per lend. */
  #hold(): void {
    if (this.#holding !== undefined) return;
    this.#house.held = true;
    const look = (): void => {
      this.#holding = undefined;
      this.#house.held = false;
      const { book, queue } = this.#house;
      const busy = queue.length + book.size - book.count(State.idle) + this.#life.proving + this.#operator.waiting;
      if (busy > 0) this.#hold();
    };
    this.#holding = this.#clock.timer(HOLD_MS, look, true);
  }
}
