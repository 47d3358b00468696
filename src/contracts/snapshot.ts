// The shapes of what can be read off a pool: plain data, frozen at the moment of reading.
// Names and meanings are the public contract (docs/api.md).

import type { Distribution, RefusalReason, RetireReason } from './figures.ts';
import type { BudgetFigures } from './permits.ts';
import type { Phase } from './phase.ts';

/** A consistent reading: `size = opening + idle + lent + returning + closing`, always. */
export interface PoolSnapshot {
  name: string;
  phase: Phase;
  min: number;
  max: number;
  size: number;
  /** Being dialled or configured. */
  opening: number;
  /** At rest and ready to be lent. */
  idle: number;
  lent: number;
  /** On the way back, being checked, or put aside after a late check. */
  returning: number;
  /** Given up, the socket not yet gone. */
  closing: number;
  /** Live waiters; the timed-out and aborted are never counted. */
  waiting: number;
  oldestWaitMs: number;
  oldestLeaseMs: number;
  lastConnectError?: { error: Error; agoMs: number };
  server?: { host: string; port: number; role: 'primary' | 'standby' | 'unknown' };
  /** The shared limit that this pool takes its permits from, as it stands. */
  budget?: BudgetFigures;
  /** Who speaks for ordinary queries on the connection that was opened last, the pool's codec or pg, and why pg. */
  speaker?: { who: 'codec' | 'pg'; why?: string };
}

/**
 * `down`: no connection is open and the last connect failed. `stuck`: somebody waits, and nothing was handed over for half of
 * `acquireTimeoutMs`. `busy`: somebody waits. `up`: else.
 */
export type Health = 'up' | 'busy' | 'stuck' | 'down';

/** One lease that is out. */
export interface Holder {
  id: number;
  label?: string;
  heldMs: number;
  /** For how long no statement has been running on it. */
  idleMs: number;
  busy: boolean;
  /** Idle inside a transaction, open or failed: its locks and its snapshot are held as well. */
  inTransaction?: boolean;
  lastStatement?: string;
  /** `file:line` of the borrower. */
  site?: string;
  /** The server's process id. */
  pid?: number;
  /** Whose connection it is, where several pools are spoken of. */
  pool?: string;
}

/** Gauges, counters and distributions since the pool was made, or since `popStats()`. */
export interface PoolStats extends Omit<PoolSnapshot, 'lastConnectError' | 'server' | 'speaker'> {
  /** Asked for a connection, in whatever way. */
  requests: number;
  /** … and not served at once. */
  requestsQueued: number;
  requestsFailed: Partial<Record<RefusalReason, number>>;
  /** Attempts. */
  connects: number;
  connectsFailed: number;
  /** Died unplanned, wherever they were. */
  connectionsLost: number;
  returns: number;
  /** Returned in a state that could not be reused. */
  returnsBad: number;
  rolledBack: number;
  reset: number;
  cancelled: number;
  retired: Partial<Record<RetireReason, number>>;
  leaksReported: number;
  leasesReclaimed: number;
  waitMs: Distribution;
  useMs: Distribution;
  connectMs: Distribution;
  /** Through `query()` of pool, lease or transaction, by who spoke for them; absent where a driver of your own does. */
  queriesByCodec?: number;
  queriesByPg?: number;
  /** … by a name that the pool gave them. */
  queriesPrepared?: number;
}

export interface CloseReport {
  /** Connections, each counted once by the worst that happened to it: said goodbye. */
  closed: number;
  /** … its statement was cancelled first. */
  cancelled: number;
  /** … its socket was cut. */
  destroyed: number;
  /** Waiters that were turned away. */
  rejected: number;
  /** Who still held a connection when the sockets were cut. */
  stillHeld: Holder[];
}

export interface CheckReport {
  tested: number;
  kept: number;
  replaced: number;
  /** Put aside, still unanswered. */
  late: number;
}
