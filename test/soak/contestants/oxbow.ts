// Ours: leases by `acquire()`, raw clients by `connect()` with a promise and with a callback.

import type pg from 'pg';
import { isOxbowError, type Lease, type Observer, Pool, type PoolOptions } from '../../../src/doors/index.ts';
import { ForgottenBook } from '../forgotten-book.ts';
import { ABORTED, type Failure } from '../judge.ts';
import {
  type Ability,
  type Asked,
  type Borrowed,
  type Contestant,
  type Limits,
  plainFailure,
  type Run,
  type Statement,
} from './contestant.ts';
import { callbackWay, rawBorrowed } from './raw.ts';

const KINDS: Readonly<Record<string, Failure>> = {
  POOL_TIMEOUT: 'no connection in time',
  POOL_PAUSED: 'refused while paused',
  CONNECTION_LOST: 'connection lost',
  QUERY_TIMEOUT: 'query timed out',
  TRANSACTION_ROLLED_BACK: 'rolled back',
  LEASE_RELEASED: 'used after release',
};

export class Oxbow implements Contestant {
  readonly name = 'oxbow';
  readonly ways: readonly string[] = ['acquire', 'connect', 'connect, callback'];
  readonly can: ReadonlySet<Ability> = new Set([
    'abort a wait',
    'time out a wait',
    'abort a statement',
    'time out a statement',
    'sever',
  ]);
  readonly wantsErrors = false;
  readonly pool: Pool;
  readonly forgotten: ForgottenBook = new ForgottenBook();

  constructor(options: PoolOptions, limits: Limits) {
    this.pool = new Pool({
      ...options,
      name: 'soak',
      min: 1,
      max: limits.max,
      acquireTimeoutMs: limits.acquireTimeoutMs,
      connectTimeoutMs: limits.connectTimeoutMs,
      returnTimeoutMs: limits.returnTimeoutMs,
      idleTimeoutMs: limits.idleTimeoutMs,
      maxLifetimeMs: limits.maxLifetimeMs,
      maxUses: limits.maxUses,
      checkAfterIdleMs: 20,
      nestedAcquire: 'detect',
      callSites: true,
      // pg's name: raw clients get it too.
      query_timeout: limits.queryTimeoutMs,
      logger: { debug() {}, info() {}, warn() {}, error() {} },
    });
    this.pool.observe(this.forgotten);
    this.pool.observe(watching());
  }

  async borrow(way: string, { timeoutMs, signal, label }: Asked): Promise<Borrowed> {
    if (way === 'connect, callback') return callbackWay(this.pool);
    if (way === 'connect') return rawBorrowed(await this.pool.connect());
    const limits = { ...(timeoutMs === undefined ? {} : { acquireTimeoutMs: timeoutMs }), ...(signal && { signal }) };
    return leased(await this.pool.acquire({ ...limits, ...(label === undefined ? {} : { label }) }));
  }

  readonly query: Run = async (statement) => (await this.pool.query(config(statement))).rows;

  transaction(work: (run: Run) => Promise<void>): Promise<void> {
    return this.pool.transaction((tx) => work(async (statement) => (await tx.query(config(statement))).rows));
  }

  classify(error: unknown): Failure {
    if (error === ABORTED) return 'aborted';
    // A raw client passes on why the pool gave the line up.
    if (error instanceof Error && error.message.startsWith('nothing was heard for')) return 'connection lost';
    if (!isOxbowError(error)) return plainFailure(error);
    return KINDS[error.kind] ?? 'unexpected';
  }

  end(): Promise<unknown> {
    return this.pool.close({ drainMs: 5_000 });
  }
}

/** As somebody who counts everything: each event is looked at, and nothing is kept of it. */
function watching(): Partial<Observer> {
  const counts: Record<string, number> = {};
  const count =
    (name: string) =>
    (about: object): void => {
      counts[name] = (counts[name] ?? 0) + Object.keys(about).length;
    };
  return {
    lent: count('lent'),
    returned: count('returned'),
    opening: count('opening'),
    opened: count('opened'),
    openFailed: count('openFailed'),
    retired: count('retired'),
    lost: count('lost'),
    closed: count('closed'),
    report: count('report'),
  };
}

export function leased(lease: Lease): Borrowed {
  return {
    run: async (statement) => (await lease.query(config(statement))).rows,
    get atRest() {
      return Reflect.get(lease.client, 'readyForQuery') === true;
    },
    release: (reason) => lease.release(reason),
    sever: rawBorrowed(lease.client).sever,
  };
}

export function config({ text, values, timeoutMs, signal }: Statement): pg.QueryConfig {
  const limits = { ...(timeoutMs === undefined ? {} : { timeoutMs }), ...(signal && { signal }) };
  return { text, ...(values && { values: [...values] }), ...limits };
}
