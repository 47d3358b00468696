// The lease as a borrower of a PostgreSQL pool sees it: the genuine client, queries, a transaction. Owns that nothing of it works
// after the release; giving back is the core's.

import type pg from 'pg';
import { Lease as CoreLease } from '../core/lease.ts';
import type { PgSession } from '../pg/session.ts';
import { isSubmittable, limitsOf, type QueryOptions, runQuery } from './query.ts';
import { inTransaction, type Transaction } from './transaction.ts';

type Query = pg.Client['query'];

/** A connection that is lent. Obtained from `pool.acquire()`, `pool.tryAcquire()` or `pool.use()`. */
export interface Lease extends AsyncDisposable {
  /** The genuine `pg.Client`; the same object for the life of a connection. It goes on working after the release: do not keep it. */
  readonly client: pg.Client;
  /** Aborts when the connection dies or the lease is taken away. */
  readonly signal: AbortSignal;
  readonly id: number;
  /** For how long it has been held, in milliseconds. */
  readonly heldMs: number;
  query: Query & (<R extends pg.QueryResultRow>(query: QueryOptions, values?: unknown[]) => Promise<pg.QueryResult<R>>);
  /** Runs `fn` between BEGIN and COMMIT; rolls back if it throws. */
  transaction<T>(fn: (tx: Transaction) => T | Promise<T>): Promise<T>;
  /** Gives the connection back: `undefined`, `null`, `false` for reuse, anything else to have it replaced. A second call throws. */
  release(reason?: Error | boolean | null): void;
}

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: `query` stands on the prototype, with pg's overloads as its type
export class PoolLease extends CoreLease<PgSession> implements Lease {
  get client(): pg.Client {
    return this.session.client;
  }

  transaction<T>(fn: (tx: Transaction) => T | Promise<T>): Promise<T> {
    return inTransaction(this, fn);
  }

  /** Releases, unless that was done, and resolves when the connection is clean again or gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.released) this.release();
    await this.whenReturned();
  }
}

/** On the prototype: a lease is made for each borrower and must cost as little as possible. */
export interface PoolLease {
  query: Lease['query'];
}

Object.defineProperty(PoolLease.prototype, 'query', {
  configurable: true,
  writable: true,
  value: function query(this: PoolLease, asked: unknown, values?: unknown): unknown {
    const { fault } = this;
    if (isSubmittable(asked)) {
      if (fault !== undefined) throw fault;
      return this.client.query(asked);
    }
    return fault === undefined ? ask(this, asked, values) : Promise.reject(fault);
  },
});

async function ask({ session }: PoolLease, query: unknown, values: unknown): Promise<pg.QueryResult> {
  return runQuery(session, session.clock, [query, values], limitsOf(query, session.queryTimeoutMs));
}
