// How long to wait before the next attempt: full-jitter exponential back-off (the variant that spreads a crowd best in
// AWS' "Exponential Backoff And Jitter"). Pure.

/**
 * A delay in milliseconds, uniform between 0 and `min(capMs, baseMs × 2^(attempt − 1))`, but never below a tenth of that
 * bound: a run of zeros would be a hot loop. `attempt` counts from 1; `chance` is in [0, 1).
 */
export function fullJitter(attempt: number, baseMs: number, capMs: number, chance: number): number {
  const bound = Math.min(capMs, baseMs * 2 ** Math.min(attempt - 1, 30));
  return bound * (0.1 + 0.9 * chance);
}
