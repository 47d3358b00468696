// How long a budget's members put up with things: the hysteresis between fairness and churn, the same for threads and for a fleet. Owns
// three figures and two rules.

/** Who has had less than its share for so long starves: the others give way then. Before, a connection may come back by itself. */
export const STARVING_MS = 50;
/**
 * So long after its last permit a member keeps what it needs itself. Without it, four threads at full load reconnected 5 to 20 times a
 * second each, and nobody had more for it (research on event loops, section 2).
 */
export const HOLD_MS = 1_000;
/** A connection is spare once nobody has used it for so long. */
export const SPARE_MS = 50;

/** Whether an idle connection may go to those who starve. */
export function isSpare(heldMs: number, idleMs: number): boolean {
  return idleMs >= SPARE_MS || heldMs >= HOLD_MS;
}
