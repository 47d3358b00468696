// What every pool must be able to do to be soaked: lend, run a statement, run a transaction, end. Types, and how an error of pg's is
// called; each pool's own words are its own file's business.

import type { Failure } from '../judge.ts';

export type Row = Readonly<Record<string, unknown>>;

export interface Statement {
  readonly text: string;
  readonly values?: readonly string[];
  /** Only where the pool `can` do that. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export type Run = (statement: Statement) => Promise<readonly Row[]>;

/** A connection that is lent. */
export interface Borrowed {
  readonly run: Run;
  /** Whether the driver has read the last reply; undefined if it does not say. */
  readonly atRest: boolean | undefined;
  /** A reason: it is to be replaced; where a pool knows no such thing it is given back all the same. */
  release(reason?: Error): void;
  /** Ends the client behind the pool's back, one way or another; undefined if its borrower cannot get at it. */
  readonly sever: ((how: number) => void) | undefined;
}

export interface Asked {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly label?: string;
}

/** What not every pool can be asked for. */
export type Ability = 'abort a wait' | 'time out a wait' | 'abort a statement' | 'time out a statement' | 'sever';

export interface Contestant {
  readonly name: string;
  /** The ways to get a connection, such as `acquire` and `connect`. */
  readonly ways: readonly string[];
  readonly can: ReadonlySet<Ability>;
  /** Careful borrowers of this pool give a connection back with the error that they met on it. */
  readonly wantsErrors: boolean;
  borrow(way: string, asked: Asked): Promise<Borrowed>;
  query: Run;
  transaction(work: (run: Run) => Promise<void>): Promise<void>;
  classify(error: unknown): Failure;
  /** Ends the pool; resolves when it says that it has ended. */
  end(): Promise<unknown>;
}

export interface Limits {
  readonly max: number;
  readonly acquireTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly queryTimeoutMs: number;
  readonly returnTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxLifetimeMs: number;
  readonly maxUses: number;
}

export function codeOf(error: unknown): string {
  const code: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : undefined;
  return typeof code === 'string' ? code : '';
}

const LOST = /^(08|57P0|ECONN|EPIPE|ETIMEDOUT|CONNECTION_|NOT_TAGGED)/;
const LOST_TEXT =
  /terminat|not queryable|connection (is|was) (closed|ended)|client was closed|socket hang up|ended before/i;

/** What pg and the server say, whichever pool is around them. */
export function plainFailure(error: unknown): Failure {
  const code = codeOf(error);
  const text = error instanceof Error ? error.message : String(error);
  if (/timeout exceeded when trying to connect|connection timeout/i.test(text)) return 'no connection in time';
  if (/read timeout/i.test(text)) return 'query timed out';
  if (code === '57014') return 'cancelled';
  if (code === '25P02') return 'in a failed transaction';
  if (code === 'ECONNREFUSED' || code === '57P03' || Reflect.get(Object(error), 'syscall') === 'connect')
    return 'connect failed';
  if (LOST.test(code) || LOST_TEXT.test(text)) return 'connection lost';
  return /^(22|23|42)/.test(code) ? 'SQL error' : 'unexpected';
}
