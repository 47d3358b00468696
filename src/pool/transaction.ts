// A transaction on one lease. Owns BEGIN, COMMIT, ROLLBACK, savepoints, and that a COMMIT which the server answered with ROLLBACK is
// an error; the lease outlives it.

import type pg from 'pg';
import type { Clock } from '../contracts/clock.ts';
import { TRANSACTION_TRAP } from '../contracts/clone-traps.ts';
import { LeaseError, OptionError, StrayTransactionError, TransactionRolledBackError } from '../contracts/errors.ts';
import { fullJitter } from '../foundation/backoff.ts';
import { Opening } from '../pg/opening.ts';
import { query as answered, isPromised } from './face.ts';
import { isAnswer } from './failure.ts';
import { endWhatIsOpen, keep } from './keep.ts';
import type { Lease, PoolLease } from './lease.ts';
import { ask, notKept } from './lease-query.ts';
import { isSubmittable } from './query.ts';
import type { TransactionOptions } from './requests.ts';
import { strayInside } from './stray.ts';

/** What the function of `transaction()` works with. */
export interface Transaction {
  readonly client: pg.Client;
  readonly signal: AbortSignal;
  readonly id: number;
  readonly heldMs: number;
  query: Lease['query'];
  /**
   * A transaction inside this one (a savepoint): undone alone if `fn` throws. One at a time, since a connection has one stack of them:
   * a second one while the first is open is refused. Statements of this one belong to it meanwhile.
   */
  transaction<T>(fn: (tx: Transaction) => T | Promise<T>): Promise<T>;
  /** Undoes everything and ends it; `transaction()` then resolves with what its function returns. */
  rollback(): Promise<void>;
}

/** What was asked for, checked: the statements that begin it. */
export interface Plan {
  readonly begin: string;
  readonly settings: { readonly text: string; readonly values: readonly string[] } | undefined;
  readonly retries: number;
}

const ISOLATION = ['read committed', 'repeatable read', 'serializable'] as const;
/** Serialization failure and deadlock: the server's word for "nothing wrong with you, try again" (PostgreSQL manual, 13.5). */
const AGAIN: ReadonlySet<unknown> = new Set(['40001', '40P01']);
/** Between two tries: long enough for the winner to finish, short against anybody's patience. */
const PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 500;

const PLAIN: Plan = { begin: 'BEGIN', settings: undefined, retries: 0 };

/** Throws an `OptionError` for what cannot be meant, before anything is sent. */
export function planOf(options?: TransactionOptions): Plan {
  if (options === undefined) return PLAIN;
  const { isolation, readOnly, deferrable, retries = 0, settings } = options;
  if (isolation !== undefined && !ISOLATION.includes(isolation)) {
    throw new OptionError('isolation', isolation, ISOLATION.map((word) => `'${word}'`).join(', '));
  }
  for (const [name, flag] of Object.entries({ readOnly, deferrable })) {
    if (flag !== undefined && typeof flag !== 'boolean') throw new OptionError(name, flag, 'true or false');
  }
  if (!Number.isInteger(retries) || retries < 0) throw new OptionError('retries', retries, 'an integer from 0');
  const modes: string[] = [];
  if (isolation !== undefined) modes.push(`ISOLATION LEVEL ${isolation.toUpperCase()}`);
  if (readOnly !== undefined) modes.push(readOnly ? 'READ ONLY' : 'READ WRITE');
  if (deferrable !== undefined) modes.push(deferrable ? 'DEFERRABLE' : 'NOT DEFERRABLE');
  return { begin: ['BEGIN', modes.join(', ')].join(' ').trim(), settings: settingsOf(settings), retries };
}

/** Bound, never written into the text: a tenant's name is somebody's input. */
function settingsOf(settings: TransactionOptions['settings']): Plan['settings'] {
  const entries = Object.entries(settings ?? {});
  if (entries.length === 0) return undefined;
  for (const [name, value] of entries) {
    if (typeof value !== 'string') throw new OptionError(`settings.${name}`, value, 'a text');
  }
  const calls = entries.map((_, n) => `set_config($${2 * n + 1}, $${2 * n + 2}, true)`);
  return { text: `SELECT ${calls.join(', ')}`, values: entries.flat() };
}

const ROLLED_BACK = 'the transaction is over: it was rolled back by rollback()';
const ABANDONED = 'the transaction is over: the one around it ended while this one was open';

/** A transaction, or one inside it: the same, but for the words that begin and end it. */
class Work implements Transaction {
  /** As in a lease; an integer key, because `query` is a function too. */
  readonly 0: () => string = TRANSACTION_TRAP;
  readonly query: Lease['query'];
  readonly #lease: PoolLease;
  /** The savepoint's name; undefined for the outermost. */
  readonly #savepoint: string | undefined;
  readonly #depth: number;
  /** Of the outermost, where it is begun with its first statement. */
  readonly #opening: Opening | undefined;
  #over: string | undefined;
  #failure: unknown;
  /** The one inside this one that is open. */
  #inner: Work | undefined;

  constructor(lease: PoolLease, depth: number, opening?: Opening) {
    this.#lease = lease;
    this.#opening = opening;
    this.#depth = depth;
    this.#savepoint = depth === 0 ? undefined : `oxbow_${depth}`;
    this.query = ((query: never, values?: never, callback?: never): unknown => {
      const fault = this.#faultOf(query);
      // The callback, if there is one, hears of it as of any other failure.
      if (fault !== undefined) return answered(() => Promise.reject(fault), query, values, callback);
      if (isPromised(query, values, callback) && !isSubmittable(query))
        return ask(lease, [query, values], lease.fault, this.#note);
      return lease.query(query, values as never, callback as never);
    }) as Lease['query'];
  }

  get client(): pg.Client {
    return this.#lease.client;
  }

  get signal(): AbortSignal {
    return this.#lease.signal;
  }

  get id(): number {
    return this.#lease.id;
  }

  get heldMs(): number {
    return this.#lease.heldMs;
  }

  /** The first statement that failed, if any did. */
  get failure(): unknown {
    return this.#failure;
  }

  get rolledBack(): boolean {
    return this.#over === ROLLED_BACK;
  }

  get abandoned(): boolean {
    return this.#over === ABANDONED;
  }

  /** Its function has settled. False if one inside it is still open: nobody knows any more what it would have done. */
  end(): boolean {
    this.#over ??= 'the transaction is over: its function has settled';
    const complete = this.#inner === undefined;
    this.#abandonInner();
    return complete;
  }

  async rollback(): Promise<void> {
    if (this.#over !== undefined) throw this.#usedTooLate();
    this.#over = ROLLED_BACK;
    this.#abandonInner();
    await this.undo();
  }

  /** Takes back what was done, whatever state it is in. */
  async undo(): Promise<void> {
    await endWhatIsOpen(this.#lease.session);
    if (this.#savepoint === undefined) await this.#undoAll();
    else await this.#lease.query(`ROLLBACK TO SAVEPOINT ${this.#savepoint}; RELEASE SAVEPOINT ${this.#savepoint}`);
  }

  async #undoAll(): Promise<void> {
    const opening = this.#opening;
    const { session } = this.#lease;
    if (opening !== undefined) {
      session.leave(opening);
      // Nothing was sent, or the server has not begun it.
      if (opening.state === 'wanted' || (opening.state === 'failed' && session.status === 'idle')) return;
    }
    await this.#lease.query('ROLLBACK');
  }

  async transaction<T>(fn: (tx: Transaction) => T | Promise<T>): Promise<T> {
    if (this.#over !== undefined) throw this.#usedTooLate();
    if (this.#inner !== undefined) {
      throw new StrayTransactionError(
        'SAVEPOINT',
        'was not sent: another transaction inside this one is open; await it first, or use its own transaction()',
      );
    }
    const inner = new Work(this.#lease, this.#depth + 1);
    this.#inner = inner;
    try {
      await this.#lease.query(`SAVEPOINT oxbow_${this.#depth + 1}`);
      const value = await settle(inner, fn);
      if (!inner.rolledBack) await keep(this.#lease, `RELEASE SAVEPOINT oxbow_${this.#depth + 1}`, () => inner.undo());
      return value;
    } finally {
      if (this.#inner === inner) this.#inner = undefined;
    }
  }

  #abandonInner(): void {
    const inner = this.#inner;
    this.#inner = undefined;
    inner?.abandon();
  }

  /** The one around it ended. */
  abandon(): void {
    this.#over ??= ABANDONED;
    this.#abandonInner();
  }

  #faultOf(query: unknown): Error | undefined {
    if (this.#over !== undefined) return this.#usedTooLate();
    const stray = strayInside(query);
    return stray === undefined
      ? undefined
      : new StrayTransactionError(
          stray,
          'inside transaction() was not sent; return to commit, throw or call rollback() to undo',
        );
  }

  readonly #note = (failure: unknown): void => {
    // What the server never saw, or had done before a parser threw, undoes nothing.
    if (isAnswer(failure)) this.#failure ??= failure;
  };

  #usedTooLate(): LeaseError {
    return new LeaseError('LEASE_RELEASED', this.#over ?? '');
  }
}

const LEFT_OPEN =
  'was not sent: the function returned while a transaction inside it was still open; all of it was rolled back (await what it starts)';

/** Runs the function of a transaction; if it throws, what it did is taken back, and its error is the caller's. */
async function settle<T>(work: Work, fn: (tx: Transaction) => T | Promise<T>): Promise<T> {
  try {
    // It may have been given up before its savepoint was there, or by the time its function is through.
    if (work.abandoned) throw new LeaseError('LEASE_RELEASED', ABANDONED);
    const value = await fn(work);
    if (work.abandoned) throw new LeaseError('LEASE_RELEASED', ABANDONED);
    const { rolledBack } = work;
    if (!work.end() && !rolledBack) throw new StrayTransactionError('COMMIT', LEFT_OPEN);
    return value;
  } catch (error) {
    const gone = work.rolledBack || work.abandoned;
    work.end();
    // If even this fails the connection is not at rest, and the return path deals with it; the caller needs the first error.
    if (!gone) await work.undo().catch(() => {});
    throw error;
  }
}

async function once<T>(lease: PoolLease, plan: Plan, fn: (tx: Transaction) => T | Promise<T>): Promise<T> {
  // Where nothing is sent nobody else would say so.
  if (lease.fault !== undefined) throw lease.fault;
  const { session } = lease;
  const opening = new Opening(plan, lease.tenure);
  // A driver of somebody else's knows only statements.
  if (session.open?.(opening) !== true) {
    await lease.query(plan.begin);
    return within(lease, new Work(lease, 0), async (tx) => {
      if (plan.settings !== undefined) await lease.query(plan.settings.text, [...plan.settings.values]);
      return fn(tx);
    });
  }
  try {
    return await within(lease, new Work(lease, 0, opening), fn, opening);
  } finally {
    session.leave(opening);
  }
}

async function within<T>(
  lease: PoolLease,
  work: Work,
  fn: (tx: Transaction) => T | Promise<T>,
  opening?: Opening,
): Promise<T> {
  const value = await settle(work, fn);
  // Whoever has asked nothing has nothing to commit.
  if (work.rolledBack || opening?.state === 'wanted') return value;
  if (opening?.state === 'failed') {
    // Its first statement had brought that error, and was forgiven.
    await work.undo().catch(() => {});
    throw opening.error;
  }
  if (lease.session.status === 'idle') {
    throw new StrayTransactionError(
      'COMMIT',
      'was not sent: a statement inside transaction() had ended the transaction already; if that was a COMMIT, its work is kept, ' +
        'and whatever ran after it was on its own',
    );
  }
  try {
    await keep(lease, 'COMMIT', () => work.undo());
  } catch (error) {
    throw error instanceof TransactionRolledBackError ? notKept(work.failure) : error;
  }
  return value;
}

function mayTryAgain(error: unknown): boolean {
  const cause = error instanceof TransactionRolledBackError ? error.cause : error;
  return typeof cause === 'object' && cause !== null && AGAIN.has(Reflect.get(cause, 'code'));
}

/** Leases on which a transaction runs or is about to: a connection has one at a time. */
const inTransactions = new WeakSet<Lease>();

/** BEGIN, `fn`, COMMIT; again on a serialization failure or a deadlock, as often as `retries` says. */
export async function inTransaction<T>(
  lease: PoolLease,
  clock: Clock,
  plan: Plan,
  fn: (tx: Transaction) => T | Promise<T>,
): Promise<T> {
  const { status } = lease.session;
  if (inTransactions.has(lease) || status === 'transaction' || status === 'failed') {
    throw new StrayTransactionError(
      'BEGIN',
      'was not sent: a transaction is open on this lease; await it first, or use its own transaction() for one inside it',
    );
  }
  inTransactions.add(lease);
  try {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await once(lease, plan, fn);
      } catch (error) {
        if (attempt > plan.retries || !mayTryAgain(error)) throw error;
        await pause(clock, fullJitter(attempt, PAUSE_MS, LONGEST_PAUSE_MS, clock.random()));
      }
    }
  } finally {
    inTransactions.delete(lease);
  }
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.timer(ms, resolve, true);
  });
}
