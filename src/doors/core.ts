// `oxbow/core`: the pool without PostgreSQL, for other drivers. Hand-listed re-exports, no logic.

export type { Clock, Timer } from '../contracts/clock.ts';
export { type DeadlockGraph, type Jam, type Loan, noDeadlocks, type Party, type Wait } from '../contracts/deadlocks.ts';
export type { Bond, Driver, Fault, OpenAttempt, Session, SessionStatus } from '../contracts/driver.ts';
export {
  ConnectError,
  ConnectionLostError,
  DeadlockError,
  type ErrorKind,
  isOxbowError,
  LeaseError,
  OptionError,
  OxbowError,
  PoolClosedError,
  PoolPausedError,
  PoolTimeoutError,
  QueueFullError,
} from '../contracts/errors.ts';
export { type EngineEvents, noEvents } from '../contracts/events.ts';
export {
  type ConnectEvidence,
  type Deadlock,
  type Evidence,
  type Explainer,
  type Explanation,
  type LoopEvidence,
  noExplainer,
  type Verdict,
} from '../contracts/explain.ts';
export type { Distribution, RefusalReason, RetireReason, ReturnOutcome } from '../contracts/figures.ts';
export { emptyLedger, type LeaseRecord, type Ledger } from '../contracts/ledger.ts';
export { type Budget, type BudgetFigures, type Member, type Permits, unlimitedPermits } from '../contracts/permits.ts';
export type { Phase } from '../contracts/phase.ts';
export { type Report, type ReportCode, type Reporter, silentReporter } from '../contracts/reporter.ts';
export type { CheckReport, CloseReport, Health, Holder, PoolSnapshot, PoolStats } from '../contracts/snapshot.ts';
export { noTasks, type Task, type TaskContext } from '../contracts/task-context.ts';
export { type CoreOptions, createEngine } from '../core/create-engine.ts';
export type { Engine } from '../core/engine.ts';
export type { Lease } from '../core/lease.ts';
export type { Request } from '../core/wait-queue.ts';
