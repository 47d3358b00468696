// How old a connection may get. Owns that those born together do not die together (DESIGN B7).

import type { Clock } from '../contracts/clock.ts';

/** How many draws the most distant expiry is chosen from. */
const CANDIDATES = 5;

/** Once per birth: within the last quarter of the lifetime, as far from the others' as five draws allow. */
export function drawExpiry(
  clock: Clock,
  maxLifetimeMs: number,
  others: Iterable<{ readonly expiresAt: number }>,
  now: number,
): number {
  if (maxLifetimeMs === Infinity) return Infinity;
  let best = 0;
  let bestGap = -1;
  for (let n = 0; n < CANDIDATES; n += 1) {
    const at = now + maxLifetimeMs * (0.75 + 0.25 * clock.random());
    let gap = Infinity;
    for (const other of others) gap = Math.min(gap, Math.abs(other.expiresAt - at));
    if (gap > bestGap) {
      best = at;
      bestGap = gap;
    }
  }
  return best;
}
