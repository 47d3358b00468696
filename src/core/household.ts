// What the parts of one engine share: the settings, the ports, the records, and the few verbs by which one part asks another.
// Types only. The one object behind it is in house.ts; no part imports another part.

import type { Clock } from '../contracts/clock.ts';
import type { DeadlockGraph } from '../contracts/deadlocks.ts';
import type { Driver, Session } from '../contracts/driver.ts';
import type { LeaseError } from '../contracts/errors.ts';
import type { EngineEvents, Traffic } from '../contracts/events.ts';
import type { Deadlock, Explainer, Explanation } from '../contracts/explain.ts';
import type { RetireReason } from '../contracts/figures.ts';
import type { LeaseRecord, Ledger } from '../contracts/ledger.ts';
import type { Permits } from '../contracts/permits.ts';
import type { Phase } from '../contracts/phase.ts';
import type { Reporter } from '../contracts/reporter.ts';
import type { Holder, PoolSnapshot } from '../contracts/snapshot.ts';
import type { TaskContext } from '../contracts/task-context.ts';
import type { Deadlines } from '../foundation/deadlines.ts';
import type { LoopLog } from '../foundation/loop-log.ts';
import type { Counters } from './counters.ts';
import type { Refused } from './explaining.ts';
import type { Governor } from './governor.ts';
import type { IdleSet } from './idle-set.ts';
import type { Slot } from './slot.ts';
import type { StateBook } from './states.ts';
import type { Stepper } from './steps.ts';
import type { Waiter, WaitQueue } from './wait-queue.ts';

/** The resolved options an engine lives by. Times are milliseconds, `Infinity` means never or without limit. */
export interface Settings {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly acquireTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxLifetimeMs: number;
  readonly maxUses: number;
  readonly maxWaiting: number;
  /** `custom`: the hook of that name decides. */
  readonly check: 'stale' | 'always' | 'never' | 'custom';
  readonly checkAfterIdleMs: number;
  readonly checkTimeoutMs: number;
  readonly reset: 'rollback' | 'tracked' | 'none' | 'discard' | 'custom';
  readonly returnTimeoutMs: number;
  readonly idlePingMs: number;
  /** So long without a byte, and the server is asked what became of a running statement. */
  readonly silentAfterMs: number;
  readonly connectConcurrency: number;
  readonly reconnectTimeoutMs: number;
  readonly leakAfterMs: number;
  readonly borrowLimitMs: number;
  readonly nestedAcquire: 'detect' | 'warn' | 'forbid' | 'allow';
  readonly deadlockGraceMs: number;
  readonly autoOpen: boolean;
  readonly dev: boolean;
  /** As pg: each failed connect fails the first waiter, and pg's texts stand in front. */
  readonly pgManners: boolean;
}

/** The user's callbacks, already bound to what they expect to be given. */
export interface Hooks<S extends Session> {
  /** Once per new session, before anybody sees it. */
  readonly configure?: ((session: S) => unknown) | undefined;
  /** Before each lend, with `check: 'custom'`. Refuses by throwing. */
  readonly check?: ((session: S) => unknown) | undefined;
  /** After each return, with `reset: 'custom'`. */
  readonly reset?: ((session: S) => unknown) | undefined;
  /** Once per outage. */
  readonly onReconnectFailed?: ((error: Error) => unknown) | undefined;
}

export interface Ports {
  readonly permits: Permits;
  readonly ledger: Ledger;
  readonly tasks: TaskContext;
  readonly explainer: Explainer;
  readonly deadlocks: DeadlockGraph;
  readonly reporter: Reporter;
  readonly events: EngineEvents;
}

export interface Household<S extends Session> extends Ports {
  /** Who hears of each lend and return, if anybody does. */
  readonly traffic: Traffic | undefined;
  readonly settings: Settings;
  readonly hooks: Hooks<S>;
  readonly clock: Clock;
  readonly driver: Driver<S>;
  readonly deadlines: Deadlines;
  readonly steps: Stepper;
  readonly book: StateBook;
  readonly slots: Set<Slot<S>>;
  readonly idle: IdleSet<S>;
  readonly queue: WaitQueue<S>;
  readonly counters: Counters;
  readonly loop: LoopLog;
  readonly governor: Governor;
  /** Written by the life cycle alone. */
  phase: Phase;
  /** Whether a waiter may be handed a connection in the present phase. Written by the life cycle alone. */
  lending: boolean;
  /** It closes, or has closed. Written by the life cycle alone. */
  ending: boolean;
  /** Whether somebody waits for connections to come to rest or to exist. Written by the life cycle alone. */
  attentive: boolean;
  /** When upkeep looks next, on the monotonic clock. Written by upkeep alone. */
  nextSweepAt: number;
  /** Leases that were said to be kept for too long, and are still out. Written by the vigil alone. */
  overdue: number;
  /** A timer that holds the process is armed. */
  readonly held: boolean;
  /** As resized. */
  min: number;
  max: number;
  /** Bumped by `replaceAll()`: older slots die when they come to rest. */
  generation: number;
  /** How many connections are to exist even if nobody asks. */
  readonly floor: number;

  // Verbs: each is owned by the part named behind it.
  /** A slot is clean and alive: it goes to a waiter, to the idle set, or its way. (dispatcher) */
  rest(slot: Slot<S>, now: number): void;
  /** As `rest`, for a slot that was checked for the next borrower. (dispatcher) */
  verified(slot: Slot<S>, now: number): void;
  /** Balances waiters, idle slots and connects. Cheap, and right at any time. (dispatcher) */
  pump(): void;
  /** Rejects the waiters, or the first `most` of them, with what `error` makes for each. (dispatcher) */
  turnAway(reason: 'closed' | 'connect' | 'paused', error: () => Error, most?: number): number;
  /** Rejects one waiter that still waits. (dispatcher) */
  turnOneAway(waiter: Waiter<S>, reason: 'deadlock', error: () => Error): void;
  /** Waiters whose deadline has passed and who were not told yet. (dispatcher) */
  readonly leaving: readonly Waiter<S>[];
  /** Why whoever was refused got nothing, or why somebody would wait. (explaining) */
  explain(refused?: Refused, snapshot?: PoolSnapshot): Explanation | undefined;
  /** The probable deadlock that the pool is part of now. (vigil) */
  jam(): Deadlock | undefined;
  /** Somebody has waited for so long and got nothing. (vigil) */
  starved(waitedMs: number): void;
  /** A lease that was said to be kept for too long came back after so long, or was lost. (vigil) */
  cameBack(lease: LeaseRecord, heldMs: number | undefined): void;
  /** The pool has ended: nobody looks any more. (vigil) */
  unwatch(): void;
  /** Takes a connection back whose lease was forgotten. (recycler) */
  reclaim(slot: Slot<S>, record: LeaseRecord): void;
  /** Takes a lease away that was held for too long, and replaces its connection. (recycler) */
  takeAway(slot: Slot<S>, error: LeaseError): void;
  /** Checks a slot at rest; the promise tells how it went. (health) */
  examine(slot: Slot<S>, forWaiter: boolean): Promise<'kept' | 'replaced' | 'late'>;
  /** Examines stale idle slots, one for each waiter that has none under way. (health) */
  checkForWaiters(): void;
  /** Connections that are being checked for a waiter. (health) */
  readonly checking: number;
  /** Every connection at rest may be dead: one pass over them. (health) */
  suspectAll(): void;
  /** Every connection is of no use any more, though it may answer: all are made anew. (operator) */
  supersede(): void;
  /** A session of its own asks the server something: it counts for a close, and for nothing else. (silence) */
  readonly probing: boolean;
  /** Ends that. (silence) */
  stopProbing(): void;
  /** It has ended. (closing) */
  probed(): void;
  /** A planned, polite end. No reason: it was never ready. (retirement) */
  retire(slot: Slot<S>, reason: RetireReason | undefined): void;
  /** A planned end of a session that is broken or busy: its socket is cut. No reason: it was never ready. (retirement) */
  condemn(slot: Slot<S>, reason: RetireReason | undefined): void;
  /** An unplanned end. (retirement) */
  lose(slot: Slot<S>, error: Error): void;
  /** Why a slot may not stay, or undefined. (retirement) */
  fate(slot: Slot<S>, now: number): RetireReason | undefined;
  /** Dials one connection for nobody in particular, if there is room and none on its way. (opener) */
  wish(): void;
  /** Dials what the waiters and the floor need. (opener) */
  dial(): void;
  /** The user's check refused a connection that was never lent; or let one pass. (opener) */
  unfit(fault: unknown): void;
  fit(): void;
  /** Gives up a slot that is being opened. (opener) */
  abandon(slot: Slot<S>): void;
  /** A slot is on its way out. (upkeep) */
  left(slot: Slot<S>): void;
  /** Looks again at lifetimes and idle times at this monotonic time at the latest. (upkeep) */
  lookBy(at: number): void;
  /** Something came to rest: whoever is attentive looks again. (life cycle) */
  settled(): void;
  /** A slot's socket is gone. (life cycle, operator) */
  slotGone(slot: Slot<S>): void;
  /** A connection exists; or connecting failed for good. (life cycle) */
  connected(): void;
  connectFailed(error: Error, hopeless: boolean): void;
  /** Keeps the process alive while anything is lent, waited for or being dialled. (engine) */
  hold(): void;
  snapshot(): PoolSnapshot;
  holders(): Holder[];
}
