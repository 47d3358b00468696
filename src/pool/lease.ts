// The lease as a borrower of a PostgreSQL pool sees it: the genuine client, queries, a transaction. Owns that nothing of it works
// after the release; giving back is the core's.

import type pg from 'pg';
import { type Lease as CoreLease, type LeaseClass, leaseClass } from '../core/lease.ts';
import { beginCall, inside } from '../diagnosis/tasks.ts';
import type { PgSession } from '../pg/session.ts';
import { releases, transactions } from '../telemetry/channels.ts';
import { query as answered, isPromised, type QueryCallback } from './face.ts';
import { keepWith } from './kept-by.ts';
import { ask } from './lease-query.ts';
import { tellReleased, tellTransaction } from './publisher.ts';
import { isSubmittable, type QueryOptions } from './query.ts';
import type { TransactionOptions } from './requests.ts';
import { inTransaction, type Plan, planOf, type Transaction } from './transaction.ts';

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
  transaction<T>(fn: (tx: Transaction) => T | Promise<T>, options?: TransactionOptions): Promise<T>;
  /** Gives the connection back: `undefined`, `null`, `false` for reuse, anything else to have it replaced. A second call throws. */
  release(reason?: Error | boolean | null): void;
}

export interface PoolLease extends CoreLease<PgSession>, Lease {
  readonly id: number;
  readonly heldMs: number;
  readonly signal: AbortSignal;
  release(reason?: Error | boolean | null): void;
}

const own: ThisType<PoolLease> & Record<string | symbol, unknown> = {
  get client(): pg.Client {
    const { client } = this.session;
    // Whoever looks at a lease that is over must not take the place of the present one.
    if (this.fault === undefined) keepWith(client, this);
    return client;
  },

  query(asked: unknown, values?: unknown, callback?: QueryCallback): unknown {
    const { fault } = this;
    if (isSubmittable(asked)) {
      if (fault !== undefined) throw fault;
      const { client } = this;
      return Reflect.apply(client.query, client, [asked, values, callback]);
    }
    if (isPromised(asked, values, callback)) return ask(this, [asked, values], fault);
    return answered((args) => ask(this, args, fault), asked, values, callback);
  },

  async transaction<T>(fn: (tx: Transaction) => T | Promise<T>, options?: TransactionOptions): Promise<T> {
    if (transactions.hasSubscribers) return heardTransaction(this, fn, options);
    return asTask(this, planOf(options), fn);
  },

  /** Releases, unless that was done, and resolves when the connection is clean again or gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.released) this.release();
    await this.whenReturned();
  },
};

/** Told once it has gone well: a second one throws. */
function heardRelease(
  lease: PoolLease,
  release: PoolLease['release'],
  reason: Error | boolean | null | undefined,
): void {
  const { session } = lease;
  release.call(lease, reason);
  tellReleased(lease, session, reason);
}

/** Inside `use()` or `transaction()` it is part of that task; else it is one of its own. */
async function asTask<T>(lease: PoolLease, plan: Plan, fn: (tx: Transaction) => T | Promise<T>): Promise<T> {
  const call = lease.task === undefined ? beginCall(lease, lease.tenure) : undefined;
  if (call === undefined) return inTransaction(lease, lease.session.clock, plan, fn);
  try {
    return await inTransaction(lease, lease.session.clock, plan, (tx) => inside(call, fn, tx));
  } finally {
    call.end();
    lease.task = undefined;
  }
}

function heardTransaction<T>(
  lease: PoolLease,
  fn: (tx: Transaction) => T | Promise<T>,
  options: TransactionOptions | undefined,
): Promise<T> {
  const plan = planOf(options);
  return tellTransaction(lease, options, () => asTask(lease, plan, fn));
}

/** A class of leases of its own, for a pool that puts yet more on them. */
export function poolLeaseClass(): LeaseClass<PgSession, PoolLease> {
  const Class = leaseClass<PgSession>() as LeaseClass<PgSession, PoolLease>;
  const { release } = Class.prototype as PoolLease;
  Object.defineProperty(Class.prototype, 'release', {
    value(this: PoolLease, reason?: Error | boolean | null): void {
      if (releases.hasSubscribers) heardRelease(this, release, reason);
      else release.call(this, reason);
    },
    configurable: true,
    writable: true,
  });
  for (const [key, property] of Object.entries(Object.getOwnPropertyDescriptors(own))) {
    Object.defineProperty(Class.prototype, key, { ...property, enumerable: false });
  }
  Object.defineProperty(Class.prototype, Symbol.asyncDispose, {
    value: own[Symbol.asyncDispose],
    configurable: true,
  });
  return Class;
}

export const PoolLease: LeaseClass<PgSession, PoolLease> = poolLeaseClass();
