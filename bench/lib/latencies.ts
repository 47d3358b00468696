// How long each of many took, in buckets 1 % apart: no list that grows while time is measured. Pure.

const STEP = Math.log(1.01);
/** The first bucket ends at a microsecond, the last one lies beyond two minutes. */
const LEAST_MS = 0.001;
const BUCKETS = 1_900;

export class Latencies {
  readonly #counts = new Uint32Array(BUCKETS);
  #total = 0;

  get total(): number {
    return this.#total;
  }

  add(ms: number): void {
    const bucket = ms <= LEAST_MS ? 0 : Math.ceil(Math.log(ms / LEAST_MS) / STEP);
    const at = Math.min(bucket, BUCKETS - 1);
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#total += 1;
  }

  /** The time within which this share of all was done, too long by 1 % at most; NaN of none. */
  quantile(share: number): number {
    if (this.#total === 0) return Number.NaN;
    const wanted = Math.max(1, Math.ceil(this.#total * share));
    let seen = 0;
    let at = 0;
    for (; at < BUCKETS; at += 1) {
      seen += this.#counts[at] ?? 0;
      if (seen >= wanted) break;
    }
    return LEAST_MS * Math.exp(at * STEP);
  }
}
