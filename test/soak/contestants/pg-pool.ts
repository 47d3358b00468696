// node-postgres' own pool, with everything that it documents for robustness: limits, listeners, errors passed to `release()`.

import pg from 'pg';
import type { Failure } from '../judge.ts';
import { type Ability, type Borrowed, type Contestant, type Limits, plainFailure, type Run } from './contestant.ts';
import { callbackWay, rawBorrowed } from './raw.ts';

export class PgPool implements Contestant {
  readonly name = 'pg.Pool';
  readonly ways: readonly string[] = ['connect', 'connect, callback'];
  readonly can: ReadonlySet<Ability> = new Set(['time out a statement', 'sever']);
  readonly wantsErrors = true;
  readonly #pool: pg.Pool;

  constructor(options: pg.PoolConfig, limits: Limits) {
    this.#pool = new pg.Pool({
      ...options,
      min: 1,
      max: limits.max,
      connectionTimeoutMillis: limits.acquireTimeoutMs,
      query_timeout: limits.queryTimeoutMs,
      idleTimeoutMillis: limits.idleTimeoutMs,
      maxLifetimeSeconds: Math.round(limits.maxLifetimeMs / 1_000),
      maxUses: limits.maxUses,
      keepAlive: true,
    });
    this.#pool.on('error', () => {});
    // Without this the death of a lent client ends the process.
    this.#pool.on('connect', (client) => client.on('error', () => {}));
  }

  async borrow(way: string): Promise<Borrowed> {
    return way === 'connect' ? rawBorrowed(await this.#pool.connect()) : callbackWay(this.#pool);
  }

  readonly query: Run = async ({ text, values, timeoutMs }) => {
    const limit = timeoutMs === undefined ? {} : { query_timeout: timeoutMs };
    return (await this.#pool.query({ text, ...(values && { values: [...values] }), ...limit })).rows;
  };

  /** As its documentation does it, with the error passed on to `release()`. */
  async transaction(work: (run: Run) => Promise<void>): Promise<void> {
    const client = rawBorrowed(await this.#pool.connect());
    try {
      await client.run({ text: 'begin' });
      await work(client.run);
      await client.run({ text: 'commit' });
    } catch (error) {
      await client.run({ text: 'rollback' }).catch(() => {});
      client.release(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
    client.release();
  }

  classify(error: unknown): Failure {
    return plainFailure(error);
  }

  end(): Promise<unknown> {
    return this.#pool.end();
  }
}
