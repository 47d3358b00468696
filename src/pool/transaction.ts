// A transaction on one lease. Owns BEGIN, COMMIT, ROLLBACK and that a COMMIT which the server answered with ROLLBACK is an error;
// the lease outlives it.

import type pg from 'pg';
import { LeaseError, TransactionRolledBackError } from '../contracts/errors.ts';
import type { Lease } from './lease.ts';

/** What the function of `transaction()` works with. */
export interface Transaction {
  readonly client: pg.Client;
  readonly signal: AbortSignal;
  readonly id: number;
  readonly heldMs: number;
  query: Lease['query'];
}

class OneTransaction implements Transaction {
  readonly query: Lease['query'];
  readonly #lease: Lease;
  #over = false;
  #failure: unknown;

  constructor(lease: Lease) {
    this.#lease = lease;
    this.query = ((query: never, values?: never): unknown => {
      if (this.#over) {
        return Promise.reject(new LeaseError('LEASE_RELEASED', 'the transaction is over: its function has settled'));
      }
      const result: unknown = lease.query(query, values);
      if (result instanceof Promise) {
        result.catch((error: unknown) => {
          this.#failure ??= error;
        });
      }
      return result;
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

  end(): void {
    this.#over = true;
  }

  /** The first statement that failed, if any did. */
  get failure(): unknown {
    return this.#failure;
  }
}

/** BEGIN, `fn`, COMMIT. If `fn` throws: ROLLBACK, and its error is the caller's. */
export async function inTransaction<T>(lease: Lease, fn: (tx: Transaction) => T | Promise<T>): Promise<T> {
  await lease.query('BEGIN');
  const tx = new OneTransaction(lease);
  let value: T;
  try {
    value = await fn(tx);
  } catch (error) {
    tx.end();
    // If even this fails the connection is not at rest, and the return path deals with it; the caller needs the first error.
    await lease.query('ROLLBACK').catch(() => {});
    throw error;
  }
  tx.end();
  const { command } = await lease.query('COMMIT');
  if (command === 'ROLLBACK') {
    throw new TransactionRolledBackError(
      'COMMIT was answered with ROLLBACK: a statement of the transaction had failed, so nothing of it was kept',
      tx.failure,
    );
  }
  return value;
}
