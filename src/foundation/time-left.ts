// What is left of a deadline for whatever follows under it. Owns the rule: time that a blocked loop took is given back (DESIGN B14).

import { LATE_MS } from './deadlines.ts';

/**
 * `leftMs` as the clock says, of a deadline that was set `fullMs` long. Long past and yet not over means that the loop was blocked: then
 * as much is left as was lost, at most the whole.
 */
export function timeLeft(leftMs: number, fullMs: number): number {
  return leftMs >= -LATE_MS ? Math.max(0, leftMs) : Math.min(-leftMs, fullMs);
}
