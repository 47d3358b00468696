// A moving average of durations. Owns the weight.

/** Weight of the newest value: about the last ten count. */
const WEIGHT = 0.2;

/** An exponentially weighted mean; undefined until the first value. */
export class Average {
  /** Not a number until the first: a field that is always a double is updated in place. */
  #mean: number = Number.NaN;

  get value(): number | undefined {
    return Number.isNaN(this.#mean) ? undefined : this.#mean;
  }

  add(ms: number): void {
    this.#mean = Number.isNaN(this.#mean) ? ms : this.#mean + WEIGHT * (ms - this.#mean);
  }
}
