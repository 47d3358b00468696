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
} from './query.ts';
import { type Stray, strayBegin } from './stray.ts';

const INSTEAD =
  'each pool.query() may run on another connection: use pool.transaction(), or pool.use() for several statements';

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

  async run(args: QueryArguments): Promise<pg.QueryResult> {
    const [query] = args;
    const limits = limitsOf(query, this.#queryTimeoutMs);
    const stray = strayBegin(query);
    if (stray?.alone === true)
      throw new StrayTransactionError(stray.keyword, `in pool.query() was not sent; ${INSTEAD}`);
    const began = this.#clock.now();
    if (stray !== undefined || limits.timeoutMs !== Infinity || limits.signal !== undefined || isSubmittable(query))
      return this.#patient(args, limits, stray, began);
    // What most queries are: one promise for the answer, and the connection is back by the time it is there.
    const lease = this.#engine.takeAtOnce() ?? (await this.#engine.acquire());
    const { session } = lease;
    const { sent } = session;
    try {
      const answer = this.#spoken(lease, args);
      if (answer !== undefined) return await answer;
    } catch (error) {
      const failure = failureOf(session, error, sent, undefined);
      if (!lease.released) lease.release();
      if (!this.#goesOn(failure, args, this.#clock.now() - began)) throw failure;
      return this.#patient(args, limits, stray, began);
    }
    return this.#patient(args, limits, stray, began, lease);
  }

  /** By the codec; undefined where that cannot. */
  #spoken(lease: PoolLease, [query, values]: QueryArguments): Promise<pg.QueryResult> | undefined {
    const { session } = lease;
    let byCodec = false;
    const answer = new Promise<pg.QueryResult>((resolve, reject) => {
      const back = (result: pg.QueryResult): void => {
        resolve(result);
        if (!lease.released) lease.release();
      };
      byCodec = session.speak?.(query, values, back, reject) === true;
    });
    return byCodec ? answer : undefined;
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
