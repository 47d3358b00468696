// The front door: what `import { Pool } from 'oxbow'` finds. Hand-listed re-exports, no logic.

export type {
  Client,
  ClientBase,
  ClientConfig,
  CustomTypesConfig,
  DatabaseError,
  FieldDef,
  Notification,
  PoolClient,
  PoolConfig,
  QueryArrayConfig,
  QueryArrayResult,
  QueryConfig,
  QueryConfigValues,
  QueryResult,
  QueryResultBase,
  QueryResultRow,
  Submittable,
} from 'pg';
export {
  ConnectError,
  ConnectionLostError,
  DeadlockError,
  type ErrorKind,
  isOxbowError,
  LeaseError,
  NestedAcquireError,
  OptionError,
  OxbowError,
  PoolClosedError,
  PoolPausedError,
  PoolTimeoutError,
  QueryTimeoutError,
  QueueFullError,
  StrayTransactionError,
  TransactionRolledBackError,
  WrongLoopError,
} from '../contracts/errors.ts';
export type { Observer } from '../contracts/events.ts';
export type { Explanation, Verdict } from '../contracts/explain.ts';
export type { Distribution, RefusalReason, RetireReason, ReturnOutcome } from '../contracts/figures.ts';
export type { Logger } from '../contracts/options.ts';
export type { BudgetFigures } from '../contracts/permits.ts';
export type { Phase } from '../contracts/phase.ts';
export type { CheckReport, CloseReport, Health, Holder, PoolSnapshot, PoolStats } from '../contracts/snapshot.ts';
export { globalPool } from '../pool/global-pool.ts';
export type { Lease } from '../pool/lease.ts';
export { onSignal, type SignalOptions, type StoppableServer } from '../pool/on-signal.ts';
export type { PoolOptions } from '../pool/options.ts';
export { Pool } from '../pool/pool.ts';
export type { QueryOptions } from '../pool/query.ts';
export type {
  AcquireOptions,
  CheckOptions,
  CloseOptions,
  OpenOptions,
  TransactionOptions,
  WaitOptions,
} from '../pool/requests.ts';
export type { SharedPool, ShareOptions } from '../pool/share.ts';
export type { Transaction } from '../pool/transaction.ts';
