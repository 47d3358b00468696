// `pool.query()`: one query on a connection borrowed for it. Owns the one deadline over waiting and running, that a query which never
// reached the server goes to another connection, and that nobody begins a transaction this way.

import type pg from 'pg';
import type { Clock } from '../contracts/clock.ts';
import { ConnectionLostError, LeaseError, StrayTransactionError } from '../contracts/errors.ts';
import type { Engine } from '../core/engine.ts';
import type { PgSession } from '../pg/session.ts';
import type { PoolLease } from './lease.ts';
import { type Limits, limitsOf, type QueryArguments, type QueryOptions, runQuery } from './query.ts';
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
    const limits = limitsOf(args[0], this.#queryTimeoutMs);
    const stray = strayBegin(args[0]);
    if (stray?.alone === true)
      throw new StrayTransactionError(stray.keyword, `in pool.query() was not sent; ${INSTEAD}`);
    const began = this.#clock.now();
    for (;;) {
      const passedMs = this.#clock.now() - began;
      const acquireTimeoutMs = Math.max(0, Math.min(limits.timeoutMs, this.#acquireTimeoutMs) - passedMs);
      const lease = await this.#engine.acquire({ acquireTimeoutMs, signal: limits.signal });
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
