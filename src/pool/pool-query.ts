// `pool.query()`: one query on a connection borrowed for it. Owns the one deadline over waiting and running, that a query which never
// reached the server goes to another connection, and that nobody begins a transaction this way.

import type pg from 'pg';
import type { Clock } from '../contracts/clock.ts';
import { ConnectionLostError, LeaseError, StrayTransactionError } from '../contracts/errors.ts';
import type { Engine } from '../core/engine.ts';
import type { PgSession } from '../pg/session.ts';
import type { PoolLease } from './lease.ts';
import {
  failureOf,
  isSubmittable,
  type Limits,
  limitsOf,
  type QueryArguments,
  type QueryOptions,
  runQuery,
  UNLIMITED,
} from './query.ts';
import { type Stray, strayBegin } from './stray.ts';

const INSTEAD =
  'each pool.query() may run on another connection: use pool.transaction(), or pool.use() for several statements';

/**
 * What most queries are: nothing limits them, and the codec speaks. One promise for the answer; the connection is back by the time it is there.
 */
class PlainQuery {
  readonly args: QueryArguments;
  readonly began: number;
  readonly answer: Promise<pg.QueryResult>;
  readonly #byPg: (plain: PlainQuery, lease: PoolLease) => Promise<pg.QueryResult>;
  #lease: PoolLease | undefined;
  #sent = 0;
  #resolve!: (result: pg.QueryResult | Promise<pg.QueryResult>) => void;
  #reject!: (error: unknown) => void;

  constructor(
    args: QueryArguments,
    began: number,
    byPg: (plain: PlainQuery, lease: PoolLease) => Promise<pg.QueryResult>,
  ) {
    this.args = args;
    this.began = began;
    this.#byPg = byPg;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  lent(lease: PoolLease): void {
    const [query, values] = this.args;
    const { session } = lease;
    this.#sent = session.sent;
    this.#lease = lease;
    try {
      // A driver of somebody else's has sessions that speak through their client only.
      if (session.speak?.(query, values, this) === true) return;
    } catch (error) {
      this.#reject(error);
      return;
    }
    this.#lease = undefined;
    this.#resolve(this.#byPg(this, lease));
  }

  answered(result: pg.QueryResult): void {
    this.#resolve(result);
    this.#giveBack();
  }

  failed(error: unknown): void {
    this.#reject(error);
  }

  /** What the caller is told; the connection is given back. */
  failure(error: unknown): unknown {
    const lease = this.#lease;
    if (lease === undefined) return error;
    const failure = failureOf(lease.session, error, this.#sent, undefined);
    this.#giveBack();
    return failure;
  }

  #giveBack(): void {
    if (this.#lease?.released === false) this.#lease.release();
  }
}

export class PoolQuery {
  readonly #engine: Engine<PgSession, PoolLease>;
  readonly #clock: Clock;
  readonly #acquireTimeoutMs: number;
  readonly #queryTimeoutMs: number;

  constructor(
    engine: Engine<PgSession, PoolLease>,
    clock: Clock,
    limits: { acquireTimeoutMs: number; queryTimeoutMs: number },
  ) {
    this.#engine = engine;
    this.#clock = clock;
    this.#acquireTimeoutMs = limits.acquireTimeoutMs;
    this.#queryTimeoutMs = limits.queryTimeoutMs;
  }

  run(args: QueryArguments): Promise<pg.QueryResult> {
    const [query] = args;
    let limits: Limits;
    let stray: Stray | undefined;
    try {
      limits = limitsOf(query, this.#queryTimeoutMs);
      stray = strayBegin(query);
      if (stray?.alone === true)
        throw new StrayTransactionError(stray.keyword, `in pool.query() was not sent; ${INSTEAD}`);
    } catch (error) {
      return Promise.reject(error);
    }
    const began = this.#clock.now();
    if (stray !== undefined || limits !== UNLIMITED || isSubmittable(query))
      return this.#patient(args, limits, stray, began);
    const plain = new PlainQuery(args, began, this.#byPg);
    const lease = this.#engine.takeAtOnce();
    if (lease !== undefined) plain.lent(lease);
    else
      this.#engine.acquire().then(
        (lent) => plain.lent(lent),
        (error: unknown) => plain.failed(error),
      );
    // A listener of its own, in which the error can still be told by whom it was asked for.
    return plain.answer.catch((error: unknown) => this.#failed(plain, error));
  }

  /** Where the codec cannot. */
  readonly #byPg = ({ args, began }: PlainQuery, lease: PoolLease): Promise<pg.QueryResult> =>
    this.#patient(args, UNLIMITED, undefined, began, lease);

  #failed(plain: PlainQuery, error: unknown): Promise<pg.QueryResult> {
    const failure = plain.failure(error);
    const { args, began } = plain;
    if (!this.#goesOn(failure, args, this.#clock.now() - began)) throw failure;
    return this.#patient(args, UNLIMITED, undefined, began);
  }

  /** `held`: a connection that was obtained for it. */
  async #patient(
    args: QueryArguments,
    limits: Limits,
    stray: Stray | undefined,
    began: number,
    held?: PoolLease,
  ): Promise<pg.QueryResult> {
    for (let given = held; ; given = undefined) {
      const passedMs = this.#clock.now() - began;
      const acquireTimeoutMs = Math.max(0, Math.min(limits.timeoutMs, this.#acquireTimeoutMs) - passedMs);
      const lease = given ?? (await this.#engine.acquire({ acquireTimeoutMs, signal: limits.signal }));
      try {
        return await this.#once(lease, args, limits, stray, began);
      } catch (error) {
        if (!this.#goesOn(error, args, this.#clock.now() - began)) throw error;
      } finally {
        if (!lease.released) lease.release();
      }
    }
  }

  async #once(
    lease: PoolLease,
    args: QueryArguments,
    limits: Limits,
    stray: Stray | undefined,
    began: number,
  ): Promise<pg.QueryResult> {
    const { session } = lease;
    const waitedMs = this.#clock.now() - began;
    let failure: unknown;
    try {
      const result = await runQuery(session, args, limits, waitedMs);
      if (stray === undefined || session.status === 'idle') return result;
    } catch (error) {
      // Whoever gave it up hears of that at once; what it left behind is the return path's affair.
      if (stray === undefined || session.cancelling) throw error;
      // The error came first; how things stand is said at the end of the reply.
      await this.#patiently(session, session.settle(), limits, began);
      if (session.status !== 'transaction' && session.status !== 'failed') throw error;
      failure = error;
    }
    // Undone on its way back, as for any lease that is taken away: within a bound.
    lease.revoke(new LeaseError('LEASE_REVOKED', 'the query had begun a transaction'));
    lease.release();
    await this.#patiently(session, lease.whenReturned(), limits, began);
    throw new StrayTransactionError(
      stray.keyword,
      `in pool.query() was left open and rolled back; ${INSTEAD}`,
      failure,
    );
  }

  /** Resolves when `work` is over however it went, or when the caller's patience or that of a return is. */
  #patiently(session: PgSession, work: Promise<unknown>, { timeoutMs, signal }: Limits, began: number): Promise<void> {
    return new Promise((resolve) => {
      const enough = (): void => {
        undo();
        signal?.removeEventListener('abort', enough);
        resolve();
      };
      const leftMs = timeoutMs - (this.#clock.now() - began);
      const undo = session.deadline(Math.max(0, Math.min(leftMs, session.returnTimeoutMs)), enough);
      signal?.addEventListener('abort', enough);
      work.then(enough, enough);
    });
  }

  /** Whether another connection may be tried: nothing reached the server, or the caller said that twice does no harm. */
  #goesOn(error: unknown, args: QueryArguments, passedMs: number): boolean {
    if (!(error instanceof ConnectionLostError)) return false;
    const idempotent = (args[0] as QueryOptions | undefined)?.idempotent === true;
    return (!error.mayHaveExecuted || idempotent) && passedMs < this.#acquireTimeoutMs;
  }
}
