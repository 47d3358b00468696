// A query through a lease. Owns what is looked at before it is sent, and that a COMMIT which the server answered with ROLLBACK is an error; how
// it is sent is known in `query.ts`.

import type pg from 'pg';
import { TransactionRolledBackError } from '../contracts/errors.ts';
import type { PoolLease } from './lease.ts';
import { type Limits, limitsOf, type Note, type QueryArguments, runQuery } from './query.ts';
import { isCommit } from './stray.ts';

/** `fault`: the lease's, asked once. */
export function ask(
  { label, session }: PoolLease,
  args: QueryArguments,
  fault: Error | undefined,
  note?: Note,
): Promise<pg.QueryResult> {
  const [query] = args;
  let limits: Limits;
  let commits: boolean;
  try {
    if (fault !== undefined) throw fault;
    limits = limitsOf(query, session.queryTimeoutMs);
    commits = isCommit(query);
  } catch (error) {
    note?.(error);
    return Promise.reject(error);
  }
  const result = runQuery(session, args, limits, 0, label, note);
  return commits ? kept(result) : result;
}

async function kept(committed: Promise<pg.QueryResult>): Promise<pg.QueryResult> {
  const result = await committed;
  // The server says so in its answer alone, and nobody reads that.
  if (result?.command === 'ROLLBACK') throw notKept(undefined);
  return result;
}

/** COMMIT was answered with ROLLBACK. */
export function notKept(failure: unknown): TransactionRolledBackError {
  return new TransactionRolledBackError(
    'COMMIT was answered with ROLLBACK: a statement of the transaction had failed, so nothing of it was kept',
    failure,
  );
}
