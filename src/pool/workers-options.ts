// The options of a pool for many requests: what they are beyond those of every pool, and what of those cannot be. Owns no state.

import { OptionError } from '../contracts/errors.ts';
import type { PoolOptions } from './options.ts';

/** How long a connection that nobody uses is kept in a request: by default, and at most. */
const GRACE_MS = 30;
const LONGEST_GRACE_MS = 1_000;
/** Those of `Pool`, and what to do about a second request. */
export interface WorkersPoolOptions extends Omit<PoolOptions, 'min' | 'budget'> {
  /** Must be 0: a connection ends with its request. */
  min?: 0 | undefined;
  /**
   * `cells` (default): each request has connections of its own, and all together at most `max`. `error`: only the request, or the Durable Object,
   * that used the pool first may use it; others get a `WrongLoopError` at once.
   */
  contexts?: 'cells' | 'error' | undefined;
}

export function refuseMin(min: unknown): void {
  if (min !== undefined && Number(min) !== 0)
    throw new OptionError('min', min, '0: a connection ends with its request');
}

/** How long a connection that nobody uses is kept in a request. */
export function graceOf({ idleTimeoutMs, idleTimeoutMillis }: PoolOptions): number {
  // By pg's name 0 means never.
  const idle = idleTimeoutMs ?? (idleTimeoutMillis === 0 ? Infinity : idleTimeoutMillis) ?? GRACE_MS;
  return idle === false ? LONGEST_GRACE_MS : Math.min(Number(idle), LONGEST_GRACE_MS);
}
