// `pool.query()`: one query on a connection borrowed for it. Owns the one deadline over waiting and running, that a query which never
// reached the server goes to another connection, and that nobody begins a transaction this way.

import type pg from 'pg';
import type { Clock } from '../contracts/clock.ts';
import { ConnectionLostError, StrayTransactionError } from '../contracts/errors.ts';
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
        lease.release();
      }
    }
  }

  async #once(
    { session }: PoolLease,
    args: QueryArguments,
    limits: Limits,
    stray: Stray | undefined,
    began: number,
  ): Promise<pg.QueryResult> {
    const waitedMs = this.#clock.now() - began;
    let failure: unknown;
    try {
      const result = await runQuery(session, args, limits, waitedMs);
      if (stray === undefined || session.status === 'idle') return result;
    } catch (error) {
      if (stray === undefined) throw error;
      // The error came first; how things stand is said at the end of the reply.
      await session.settle().catch(() => {});
      if (session.status !== 'transaction' && session.status !== 'failed') throw error;
      failure = error;
    }
    await session.rollback();
    throw new StrayTransactionError(
      stray.keyword,
      `in pool.query() was left open and rolled back; ${INSTEAD}`,
      failure,
    );
  }

  /** Whether another connection may be tried: nothing reached the server, or the caller said that twice does no harm. */
  #goesOn(error: unknown, args: QueryArguments, passedMs: number): boolean {
    if (!(error instanceof ConnectionLostError)) return false;
    const idempotent = (args[0] as QueryOptions | undefined)?.idempotent === true;
    return (!error.mayHaveExecuted || idempotent) && passedMs < this.#acquireTimeoutMs;
  }
}
