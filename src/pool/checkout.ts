// The raw client as `connect()` lends it: pg's own object with a `release` of this checkout. Owns that a stale `release` throws
// and never harms the next holder; the lease behind it is the engine's.

import type pg from 'pg';
import { LeaseError, PG_RELEASED_TEXT } from '../contracts/errors.ts';
import { keepWith } from './kept-by.ts';
import type { PoolLease } from './lease.ts';

export type Release = (reason?: Error | boolean | null) => void;

/** Puts the release of this checkout on the client, as pg does. Others may put theirs in its place; the client keeps its lease all the same. */
export function checkOut(lease: PoolLease): { lease: PoolLease; client: pg.PoolClient; release: Release } {
  const release: Release = (reason) => {
    if (lease.released) throw new LeaseError('LEASE_RELEASED', `${lease.fault?.message ?? ''}; ${PG_RELEASED_TEXT}`);
    lease.release(reason);
  };
  keepWith(lease.session.client, lease);
  const client = Object.assign(lease.session.client, { release }) as pg.PoolClient;
  return { lease, client, release };
}
