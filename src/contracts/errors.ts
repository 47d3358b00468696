// The closed catalogue of errors. Owns their names, kinds and texts' shape; decides nothing.
// `kind` says which error it is; `code` equals it for what the pool itself decided, and is the driver's own code where an
// error wraps the driver's, so that libraries which look at `code` go on working.

import type { Explanation } from './explain.ts';
import type { Phase } from './phase.ts';
import type { Holder, PoolSnapshot } from './snapshot.ts';

/** `error[Symbol.for('oxbow.error')] === true` recognises an error of any copy of this package, in any realm. */
const BRAND = Symbol.for('oxbow.error');

/** Every `kind` there is. */
export const ERROR_KINDS = [
  'POOL_TIMEOUT',
  'POOL_CLOSED',
  'POOL_PAUSED',
  'POOL_QUEUE_FULL',
  'POOL_DEADLOCK',
  'POOL_NESTED_ACQUIRE',
  'POOL_CONNECT_FAILED',
  'CONNECTION_LOST',
  'QUERY_TIMEOUT',
  'STRAY_TRANSACTION',
  'LEASE_RELEASED',
  'LEASE_REVOKED',
  'POOL_WRONG_LOOP',
  'TRANSACTION_ROLLED_BACK',
  'INVALID_OPTION',
] as const;

export type ErrorKind = (typeof ERROR_KINDS)[number];

/** What all of them share. */
export class OxbowError extends Error {
  readonly kind: ErrorKind;
  /** Equals `kind`, unless the error wraps the driver's: then the driver's own. */
  code: string;

  constructor(kind: ErrorKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.code = kind;
  }

  /** Where this kind is described, with what to do about it: a file of the installed package, and the heading in it. */
  get docs(): string {
    return `oxbow/docs/reference/errors.md#${this.kind.toLowerCase()}`;
  }

  static {
    Object.defineProperty(OxbowError.prototype, 'name', { value: 'OxbowError', configurable: true, writable: true });
    Object.defineProperty(OxbowError.prototype, BRAND, { value: true });
  }
}

function named(type: { prototype: object }, name: string): void {
  Object.defineProperty(type.prototype, 'name', { value: name, configurable: true, writable: true });
}

/** Whether `error` is one of ours, from whatever copy of the package. */
export function isOxbowError(error: unknown): error is OxbowError {
  return typeof error === 'object' && error !== null && Reflect.get(error, BRAND) === true;
}

/** Node-postgres' own texts; people match them, so they stand at the end of ours. */
export const PG_TIMEOUT_TEXT = 'timeout exceeded when trying to connect';

export const PG_CLOSED_TEXT = 'Cannot use a pool after calling end on the pool';
export const PG_RELEASED_TEXT = 'Release called on client which has already been released to the pool.';

/** No connection within the deadline. */
export class PoolTimeoutError extends OxbowError {
  /** The pool as it was; `waiting` does not count the one that failed. */
  readonly snapshot: PoolSnapshot;
  /** Left out only over an engine of `oxbow/core` that has nobody to ask. */
  declare readonly explanation: Explanation;
  readonly waitedMs: number;
  /** How much time was given back because the event loop was blocked (0 to 3 times the timeout). */
  readonly givenBackMs: number;

  constructor(
    message: string,
    facts: { snapshot: PoolSnapshot; explanation: Explanation | undefined; waitedMs: number; givenBackMs: number },
    cause?: unknown,
  ) {
    super('POOL_TIMEOUT', message, cause);
    this.snapshot = facts.snapshot;
    if (facts.explanation !== undefined) this.explanation = facts.explanation;
    this.waitedMs = facts.waitedMs;
    this.givenBackMs = facts.givenBackMs;
  }
}

/** Used before it was opened (`autoOpen: false`), while it closes, or after. */
export class PoolClosedError extends OxbowError {
  readonly phase: Phase;

  constructor(message: string, phase: Phase, cause?: unknown) {
    super('POOL_CLOSED', message, cause);
    this.phase = phase;
  }
}

/** Refused because of `pause({ borrowers: 'reject' })`. */
export class PoolPausedError extends OxbowError {
  /** For how long the pool has been paused. */
  readonly pausedForMs: number;

  constructor(name: string, pausedForMs: number) {
    super(
      'POOL_PAUSED',
      `${name} has been paused for ${Math.round(pausedForMs)} ms and refuses borrowers until resume()`,
    );
    this.pausedForMs = pausedForMs;
  }
}

/** `maxWaiting` requests wait already. */
export class QueueFullError extends OxbowError {
  readonly snapshot: PoolSnapshot;

  constructor(message: string, snapshot: PoolSnapshot) {
    super('POOL_QUEUE_FULL', message);
    this.snapshot = snapshot;
  }
}

/**
 * Every connection is held by a task that waits for one: nothing can move, so the youngest of those waiters is turned away, and its task
 * gives back what it holds. Probable, not proven: who waits for what inside a task cannot be seen.
 */
export class DeadlockError extends OxbowError {
  /** Who holds the connections. */
  readonly cycle: Holder[];
  /** `file:line` where the request that was turned away was made, if it was noted. */
  readonly site: string | undefined;
  /** Left out only over an engine of `oxbow/core` that has nobody to ask. */
  declare readonly explanation: Explanation;
  readonly snapshot: PoolSnapshot;

  constructor(
    message: string,
    facts: {
      cycle: readonly Holder[];
      site: string | undefined;
      snapshot: PoolSnapshot;
      explanation: Explanation | undefined;
    },
  ) {
    super('POOL_DEADLOCK', message);
    this.cycle = [...facts.cycle];
    this.site = facts.site;
    this.snapshot = facts.snapshot;
    if (facts.explanation !== undefined) this.explanation = facts.explanation;
  }
}

/** With `nestedAcquire: 'forbid'`: a task that holds a connection of a pool asked the same pool for another one. */
export class NestedAcquireError extends OxbowError {
  /** `file:line` where the first one was taken, and where the second was asked for, if they were noted. */
  readonly heldSite: string | undefined;
  readonly site: string | undefined;

  constructor(message: string, facts: { heldSite: string | undefined; site: string | undefined }) {
    super('POOL_NESTED_ACQUIRE', message);
    this.heldSite = facts.heldSite;
    this.site = facts.site;
  }
}

/** Fields of a driver's error that callers look at; copied, so that the wrapper can stand in for it. */
const DRIVER_FIELDS = [
  'severity',
  'detail',
  'hint',
  'position',
  'internalPosition',
  'internalQuery',
  'where',
  'schema',
  'table',
  'column',
  'dataType',
  'constraint',
  'file',
  'line',
  'routine',
  'errno',
  'syscall',
  'address',
  'port',
] as const;

function adopt(target: OxbowError, cause: unknown): void {
  if (typeof cause !== 'object' || cause === null) return;
  const code: unknown = Reflect.get(cause, 'code');
  if (typeof code === 'string' && code !== '') target.code = code;
  for (const field of DRIVER_FIELDS) {
    const value: unknown = Reflect.get(cause, field);
    if (value !== undefined) Object.defineProperty(target, field, { value, enumerable: true, configurable: true });
  }
}

/** A connection could not be made. `code` and the other fields are the driver's. */
export class ConnectError extends OxbowError {
  /** Where to; never with a password. */
  readonly host: string | undefined;
  /** Whether trying again later may help. False for a wrong password or an unknown database. */
  readonly transient: boolean;

  constructor(message: string, facts: { host: string | undefined; transient: boolean }, cause: unknown) {
    super('POOL_CONNECT_FAILED', message, cause);
    this.host = facts.host;
    this.transient = facts.transient;
    adopt(this, cause);
  }
}

/** The connection died under its borrower. */
export class ConnectionLostError extends OxbowError {
  /** True unless it is certain that the statement never reached the server. */
  readonly mayHaveExecuted: boolean;

  constructor(message: string, mayHaveExecuted: boolean, cause: unknown) {
    super('CONNECTION_LOST', message, cause);
    this.mayHaveExecuted = mayHaveExecuted;
    adopt(this, cause);
  }
}

/** A query did not end within its `timeoutMs`. Its statement is being cancelled; it may have had its effect. */
export class QueryTimeoutError extends OxbowError {
  readonly timeoutMs: number;
  /** How much of that was spent waiting for a connection, and how much running. */
  readonly waitedMs: number;
  readonly ranMs: number;

  /** `who` asked: the pool's name, and the lease's label if it has one. */
  constructor(timeoutMs: number, waitedMs: number, ranMs: number, who = '') {
    const parts =
      waitedMs > 0 ? ` (waited ${Math.round(waitedMs)} ms for a connection, ran ${Math.round(ranMs)} ms)` : '';
    const whose = who === '' ? '' : `${who}: `;
    const text = `the query did not end within ${timeoutMs} ms${parts}; its statement is being cancelled`;
    super('QUERY_TIMEOUT', whose + text);
    this.timeoutMs = timeoutMs;
    this.waitedMs = waitedMs;
    this.ranMs = ranMs;
  }
}

/**
 * `pool.query()` was asked to begin a transaction, which no later query could be part of; or a statement inside `transaction()` was to end
 * the transaction behind its back.
 */
export class StrayTransactionError extends OxbowError {
  /** `BEGIN`, `START TRANSACTION`, `COMMIT`, `ROLLBACK`, … */
  readonly keyword: string;

  constructor(keyword: string, how: string, cause?: unknown) {
    super('STRAY_TRANSACTION', `${keyword} ${how}`, cause);
    this.keyword = keyword;
  }
}

/** A lease was used after its release, or after it was taken away. */
export class LeaseError extends OxbowError {
  constructor(kind: 'LEASE_RELEASED' | 'LEASE_REVOKED', message: string, cause?: unknown) {
    super(kind, message, cause);
  }
}

/** A pool, or what belongs to it, was used in an event loop (a thread, a request of an edge runtime) that it cannot reach from its own. */
export class WrongLoopError extends OxbowError {
  /** Where it lives, as in `pool-1 lives in the request that used it first`. */
  readonly lives: string;
  /** Where it was used: `in another request`. */
  readonly used: string;
  /** What to do instead, as an order: `make a pool for each request`. */
  readonly instead: string;

  constructor(facts: { lives: string; used: string; instead: string }, cause?: unknown) {
    const { lives, used, instead } = facts;
    super('POOL_WRONG_LOOP', `${lives}, and was used ${used}: ${instead}`, cause);
    this.lives = lives;
    this.used = used;
    this.instead = instead;
  }
}

/** COMMIT was answered with ROLLBACK: a statement inside had failed and nobody had looked. */
export class TransactionRolledBackError extends OxbowError {
  constructor(message: string, cause?: unknown) {
    super('TRANSACTION_ROLLED_BACK', message, cause);
  }
}

/** Options whose value is never shown. */
const SECRET = new Set(['password', 'connectionString', 'connection', 'ssl', 'options', 'overrides', 'handle']);

/** A connection string in the wrong place is still a secret. */
function isSecret(option: string, value: unknown): boolean {
  return SECRET.has(option) || (typeof value === 'string' && /:\/\/|\bpassword\s*=/i.test(value));
}

function shown(option: string, value: unknown): string {
  if (isSecret(option, value)) return 'a value that is not shown';
  if (typeof value === 'string') return `'${value.length > 40 ? `${value.slice(0, 40)}…` : value}'`;
  if (value === null || typeof value === 'number' || typeof value === 'boolean' || value === undefined) {
    return String(value);
  }
  return typeof value === 'function' ? 'a function' : `a value of type ${typeof value}`;
}

/** An option is unknown, out of range or contradicts another one. Thrown by the constructor, before anything was done. */
export class OptionError extends OxbowError {
  readonly option: string;
  /** As given; undefined for an option that may hold a secret, and for an object, which may hold anything. */
  readonly value: unknown;
  /** What would have been accepted. */
  readonly expected: string;

  constructor(option: string, value: unknown, expected: string) {
    super('INVALID_OPTION', `option "${option}": expected ${expected}, got ${shown(option, value)}`);
    this.option = option;
    this.value = isSecret(option, value) || (typeof value === 'object' && value !== null) ? undefined : value;
    this.expected = expected;
  }
}

named(PoolTimeoutError, 'PoolTimeoutError');
named(PoolClosedError, 'PoolClosedError');
named(PoolPausedError, 'PoolPausedError');
named(QueueFullError, 'QueueFullError');
named(DeadlockError, 'DeadlockError');
named(NestedAcquireError, 'NestedAcquireError');
named(ConnectError, 'ConnectError');
named(ConnectionLostError, 'ConnectionLostError');
named(QueryTimeoutError, 'QueryTimeoutError');
named(StrayTransactionError, 'StrayTransactionError');
named(LeaseError, 'LeaseError');
named(WrongLoopError, 'WrongLoopError');
named(TransactionRolledBackError, 'TransactionRolledBackError');
named(OptionError, 'OptionError');
