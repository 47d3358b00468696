// `oxbow/threads`: one limit for all threads of a process.

import { NullPool } from '../pool/null-pool.ts';
import type { PoolOptions } from '../pool/options.ts';
import { PgPool } from '../pool/pg-pool.ts';
import { Pool } from '../pool/pool.ts';
import { joined, type SharedPool } from '../pool/share.ts';
import { joinThreadBudget } from '../sharing/thread-budget.ts';

export type { Budget } from '../contracts/permits.ts';
export type { SharedPool, ShareOptions } from '../pool/share.ts';
export {
  createThreadBudget,
  joinThreadBudget,
  type ThreadBudget,
  type ThreadBudgetHandle,
  type ThreadShareOptions,
} from '../sharing/thread-budget.ts';

const CLASSES = { oxbow: Pool, pg: PgPool, null: NullPool } as const;

/**
 * This thread's part of a pool that another thread shares: the same options, sockets of its own, one limit for all. `handle` is what
 * `pool.share()` gave there. `overrides` win, and bring what cannot cross: functions (`configure`, `check`, `reset`, `password`,
 * `connection`, `onReconnectFailed`), `logger`, `clock`, `driver`. Throws an `OptionError` that names what the other pool has and is missing
 * here. Does no I/O.
 */
export function joinPool(handle: SharedPool, overrides: PoolOptions = {}): Pool {
  const { face, options, budget } = joined(handle, overrides);
  return new CLASSES[face]({ ...options, budget: joinThreadBudget(budget) });
}
