// Whoever has the client needs the lease no more, and must not be taken for somebody who forgot it (docs/decisions/028). Owns that the client
// keeps the lease.

import type pg from 'pg';
import type { PoolLease } from './lease.ts';

const keptBy = new WeakMap<pg.Client, PoolLease>();

/** To be called for a lease that is out: the one before may be in nobody's hands any more. */
export function keepWith(client: pg.Client, lease: PoolLease): void {
  // A driver of somebody else's need not have one.
  if (typeof client === 'object' && client !== null) keptBy.set(client, lease);
}
