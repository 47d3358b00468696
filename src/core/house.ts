// The one object behind `Household`: the settings, the ports and the records of an engine, and the verbs by which its parts ask each
// other. Owns no decision. A class and not a literal on purpose: V8 keeps a literal of this size as a hash table, which cost every lend
// and return a third of its time.

import type { Clock } from '../contracts/clock.ts';
import { type DeadlockGraph, noDeadlocks } from '../contracts/deadlocks.ts';
import type { Driver, Session } from '../contracts/driver.ts';
import type { LeaseError } from '../contracts/errors.ts';
import { type EngineEvents, noEvents, type Traffic } from '../contracts/events.ts';
import { type Deadlock, type Explainer, type Explanation, noExplainer } from '../contracts/explain.ts';
import type { RetireReason } from '../contracts/figures.ts';
import { emptyLedger, type LeaseRecord, type Ledger } from '../contracts/ledger.ts';
import { type Permits, unlimitedPermits } from '../contracts/permits.ts';
import type { Phase } from '../contracts/phase.ts';
import { type Reporter, silentReporter } from '../contracts/reporter.ts';
import type { Holder, PoolSnapshot } from '../contracts/snapshot.ts';
import { noTasks, type TaskContext } from '../contracts/task-context.ts';
import { Deadlines, FROZEN_MS } from '../foundation/deadlines.ts';
import { LoopLog } from '../foundation/loop-log.ts';
import type { Closing } from './closing.ts';
import { Counters } from './counters.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { Explaining, Refused } from './explaining.ts';
import { Governor } from './governor.ts';
import type { Health } from './health.ts';
import { Hold } from './hold.ts';
import type { Hooks, Household, Ports, Settings } from './household.ts';
import { IdleSet } from './idle-set.ts';
import type { Lease } from './lease.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Opener } from './opener.ts';
import type { Operator } from './operator.ts';
import type { Reading } from './reading.ts';
import type { Recycler } from './recycler.ts';
import type { Retirement } from './retirement.ts';
import type { Silence } from './silence.ts';
import type { Slot } from './slot.ts';
import { State, StateBook } from './states.ts';
import { Stepper } from './steps.ts';
import { toldOutside } from './told-outside.ts';
import type { Upkeep } from './upkeep.ts';
import type { Vigil } from './vigil.ts';
import { type Waiter, WaitQueue } from './wait-queue.ts';

/** Who does what the verbs say. */
export interface Parts<S extends Session> {
  readonly closing: Closing<S>;
  readonly dispatcher: Dispatcher<S, Lease<S>>;
  readonly explaining: Explaining<S>;
  readonly health: Health<S>;
  readonly life: Lifecycle<S>;
  readonly opener: Opener<S>;
  readonly operator: Operator<S>;
  readonly reading: Reading<S>;
  readonly recycler: Recycler<S>;
  readonly retirement: Retirement<S>;
  readonly silence: Silence<S>;
  readonly upkeep: Upkeep<S>;
  readonly vigil: Vigil<S>;
}

export class House<S extends Session> implements Household<S> {
  readonly settings: Settings;
  readonly hooks: Hooks<S>;
  readonly clock: Clock;
  readonly driver: Driver<S>;
  readonly permits: Permits;
  readonly ledger: Ledger;
  readonly tasks: TaskContext;
  readonly explainer: Explainer;
  readonly deadlocks: DeadlockGraph;
  readonly reporter: Reporter;
  readonly events: EngineEvents;
  traffic: Traffic | undefined;
  readonly deadlines: Deadlines;
  readonly steps: Stepper;
  readonly book: StateBook = new StateBook();
  readonly slots: Set<Slot<S>> = new Set();
  readonly idle: IdleSet<S> = new IdleSet();
  readonly queue: WaitQueue<S> = new WaitQueue();
  readonly counters: Counters = new Counters();
  readonly loop: LoopLog;
  readonly governor: Governor;
  phase: Phase = 'created';
  lending = false;
  ending = false;
  attentive = false;
  nextSweepAt: number = Infinity;
  overdue = 0;
  min: number;
  max: number;
  generation = 0;
  readonly #hold: Hold;
  #parts!: Parts<S>;

  constructor(settings: Settings, clock: Clock, driver: Driver<S>, hooks: Hooks<S>, ports: Partial<Ports>) {
    this.settings = settings;
    this.hooks = hooks;
    this.clock = clock;
    this.driver = driver;
    this.permits = ports.permits ?? unlimitedPermits;
    this.ledger = ports.ledger ?? emptyLedger;
    this.tasks = ports.tasks ?? noTasks;
    this.explainer = ports.explainer ?? noExplainer;
    this.deadlocks = ports.deadlocks ?? noDeadlocks;
    this.reporter = ports.reporter ?? silentReporter;
    this.events = toldOutside(ports.events ?? noEvents, this.tasks);
    this.traffic = this.events;
    this.min = settings.min;
    this.max = settings.max;
    this.governor = new Governor(clock, settings);
    this.loop = new LoopLog(() => clock.cpu?.());
    this.deadlines = new Deadlines(
      clock,
      this.queue,
      settings.acquireTimeoutMs,
      (lateMs) => {
        this.loop.late(lateMs, clock.now());
        if (lateMs >= FROZEN_MS) this.suspectAll();
      },
      (waiter) => this.#parts.dispatcher.timedOut(waiter as Waiter<S>),
      () => this.#parts.dispatcher.flushExpired(),
    );
    this.steps = new Stepper(clock, this.deadlines, this.tasks);
    this.#hold = new Hold(clock, (lateMs) => {
      const { life, opener, operator, silence, vigil } = this.#parts;
      silence.look();
      vigil.look(lateMs);
      // What is sought only to be kept warm is no reason to stay.
      const seeking = this.queue.length + life.proving === 0 ? opener.seeking : 0;
      const waits = life.proving + operator.waiting + (silence.probing ? 1 : 0);
      return this.queue.length + this.book.size - this.book.count(State.idle) - seeking + waits > 0;
    });
  }

  /** Called once, by the engine, before anything happens. */
  furnish(parts: Parts<S>): void {
    this.#parts = parts;
  }

  get floor(): number {
    const { life, operator, upkeep } = this.#parts;
    if (this.phase !== 'open' && this.phase !== 'opening' && this.phase !== 'paused') return 0;
    // Who keeps nothing needs no successor for it either.
    const spares = this.min === 0 && this.settings.idleTimeoutMs === 0 ? 0 : upkeep.spares;
    const base = operator.trimmed ? 0 : this.min + spares;
    return Math.min(this.max, Math.max(base, life.proving));
  }

  get checking(): number {
    return this.#parts.health.checking;
  }

  get held(): boolean {
    return this.#hold.held;
  }

  hold(): void {
    this.#hold.take();
  }

  /** Stops every timer of the parts: for a pool that falls back to created, or ends. */
  quiet(): void {
    this.#parts.upkeep.stop();
    this.#parts.opener.stop();
    if (this.book.size === 0) this.#hold.drop();
  }

  rest(slot: Slot<S>, now: number): void {
    this.#parts.dispatcher.rest(slot, now);
  }

  verified(slot: Slot<S>, now: number): void {
    this.#parts.dispatcher.verified(slot, now);
  }

  pump(): void {
    this.#parts.dispatcher.pump();
  }

  turnAway(reason: 'closed' | 'connect' | 'paused', error: () => Error, most?: number): number {
    return this.#parts.dispatcher.turnAway(reason, error, most);
  }

  turnOneAway(waiter: Waiter<S>, reason: 'deadlock', error: () => Error): void {
    this.#parts.dispatcher.turnOneAway(waiter, reason, error);
  }

  get leaving(): readonly Waiter<S>[] {
    return this.#parts.dispatcher.leaving;
  }

  explain(refused?: Refused, snapshot?: PoolSnapshot): Explanation | undefined {
    return this.#parts.explaining.explain(refused, snapshot);
  }

  jam(): Deadlock | undefined {
    return this.#parts.vigil.jam();
  }

  starved(waitedMs: number): void {
    this.#parts.vigil.starved(waitedMs);
  }

  cameBack(lease: LeaseRecord, heldMs: number | undefined): void {
    this.#parts.vigil.returned(lease, heldMs);
  }

  unwatch(): void {
    this.#parts.vigil.stop();
  }

  reclaim(slot: Slot<S>, record: LeaseRecord): void {
    this.#parts.recycler.reclaim(record, slot);
  }

  takeAway(slot: Slot<S>, error: LeaseError): void {
    this.#parts.recycler.takeAway(slot, error);
  }

  examine(slot: Slot<S>, forWaiter: boolean): Promise<'kept' | 'replaced' | 'late'> {
    return this.tasks.detached(() => this.#parts.health.examine(slot, forWaiter));
  }

  checkForWaiters(): void {
    this.#parts.health.checkForWaiters();
  }

  suspectAll(): void {
    this.#parts.health.suspectAll();
  }

  supersede(): void {
    this.#parts.operator.supersede();
  }

  get probing(): boolean {
    return this.#parts.silence.probing;
  }

  stopProbing(): void {
    this.#parts.silence.stop();
  }

  probed(): void {
    this.#parts.closing.look();
  }

  retire(slot: Slot<S>, reason: RetireReason | undefined): void {
    this.#parts.retirement.retire(slot, reason);
  }

  condemn(slot: Slot<S>, reason: RetireReason | undefined): void {
    this.#parts.retirement.condemn(slot, reason);
  }

  lose(slot: Slot<S>, error: Error): void {
    this.#parts.retirement.lose(slot, error);
  }

  fate(slot: Slot<S>, now: number): RetireReason | undefined {
    return this.#parts.retirement.fate(slot, now);
  }

  wish(): void {
    this.#parts.opener.wish();
  }

  dial(): void {
    this.#parts.opener.dial();
  }

  unfit(fault: unknown): void {
    this.#parts.opener.unfit(fault);
  }

  fit(): void {
    this.#parts.opener.fit();
  }

  abandon(slot: Slot<S>): void {
    this.#parts.opener.abandon(slot);
  }

  left(slot: Slot<S>): void {
    this.#parts.upkeep.left(slot);
  }

  lookBy(at: number): void {
    this.#parts.upkeep.lookBy(at);
  }

  slotGone(slot: Slot<S>): void {
    const { closing, life, operator } = this.#parts;
    this.book.move(slot, State.gone);
    this.slots.delete(slot);
    this.permits.give(slot.session);
    this.events.closed(slot.id, slot.ending === 'cut', slot.session);
    operator.slotGone(slot);
    closing.slotGone(slot);
    if (this.attentive) life.settled();
    this.pump();
  }

  settled(): void {
    this.#parts.life.settled();
  }

  connected(): void {
    this.#parts.life.connected();
  }

  connectFailed(error: Error, hopeless: boolean): void {
    if (hopeless) this.#parts.life.hopeless(error);
  }

  snapshot(): PoolSnapshot {
    return this.#parts.reading.snapshot();
  }

  holders(): Holder[] {
    return this.#parts.reading.holders();
  }
}
