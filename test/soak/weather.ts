// Fault or calm: when a fault is at work, and for how long after it its consequences are expected. Owns the line between the two
// kinds of figures; knows no fault by name.

/** A fault counts from its begin until so long after its end. */
const AFTERMATH_MS = 2_000;

export class Weather {
  /** When the last fault so far ended (monotonic). */
  lastFaultEnded = Number.NEGATIVE_INFINITY;
  #underWay = 0;

  /** Until the returned function is called. */
  begin(): () => void {
    this.#underWay += 1;
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.#underWay -= 1;
      this.lastFaultEnded = performance.now();
    };
  }

  /** Whether any part of the time from `since` until now lay within a fault or its aftermath. */
  roughSince(since: number): boolean {
    return this.#underWay > 0 || this.lastFaultEnded + AFTERMATH_MS >= since;
  }
}
