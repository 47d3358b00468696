// Deadlines where there is no pool to set them. Owns nothing.

import type { Clock } from '../contracts/clock.ts';
import type { SetDeadline } from '../contracts/deadline.ts';

/** Where there is no pool: a plain timer. */
export function deadlineBy(clock: Clock): SetDeadline {
  return (ms, ring) => {
    if (ms === Infinity) return () => {};
    const timer = clock.timer(ms, ring, true);
    return () => timer.cancel();
  };
}
