// A fixed-size histogram of durations, with the mean of the latest ones: recording is one note in a list and allocates nothing.
// Buckets are logarithmic with 16 steps to the octave over microseconds, so a percentile is off by at most 1/16 of itself
// (the layout of HdrHistogram with four significant bits).

import type { Distribution } from '../contracts/figures.ts';
import type { Average } from './average.ts';

const STEPS_PER_OCTAVE = 16;
const BITS = 4;
const BUCKETS = 32 * STEPS_PER_OCTAVE;
/** About 35 minutes; longer durations are counted in the last bucket, `max` and `mean` stay exact. */
const LARGEST_US = 2 ** 31 - 1;

/** So many notes are entered together. */
const NOTES = 64;

function bucketOf(us: number): number {
  if (us < STEPS_PER_OCTAVE) return us;
  const octave = 31 - Math.clz32(us) - BITS;
  return (octave + 1) * STEPS_PER_OCTAVE + ((us >> octave) - STEPS_PER_OCTAVE);
}

/** The middle of a bucket, in microseconds. */
function middleOf(bucket: number): number {
  if (bucket < STEPS_PER_OCTAVE) return bucket;
  const octave = Math.floor(bucket / STEPS_PER_OCTAVE) - 1;
  const low = (STEPS_PER_OCTAVE + (bucket % STEPS_PER_OCTAVE)) * 2 ** octave;
  return low + 2 ** octave / 2;
}

export class Histogram {
  /** Doubles: a busy pool lends more often than 2³² times in days. */
  readonly #buckets = new Float64Array(BUCKETS);
  /** Noted and not yet entered: whoever lends a connection pays for a note only. */
  readonly #noted = new Float64Array(NOTES);
  #notes = 0;
  #count = 0;
  #sum = 0;
  #max = 0;
  readonly #lately: Average | undefined;

  /** `lately`: what is to follow the latest ones. */
  constructor(lately?: Average) {
    this.#lately = lately;
  }

  record(ms: number): void {
    this.#noted[this.#notes] = ms;
    this.#notes += 1;
    if (this.#notes === NOTES) this.#enter();
  }

  /** Many zeros at once: the fast path counts them in a plain integer. */
  recordZeros(count: number): void {
    this.#buckets[0] = (this.#buckets[0] as number) + count;
    this.#count += count;
  }

  /** The mean of the latest few that were recorded one by one, or undefined if none was or nothing follows them. */
  get lately(): number | undefined {
    this.#enter();
    return this.#lately?.value;
  }

  read(): Distribution {
    this.#enter();
    const count = this.#count;
    if (count === 0) return { count: 0, mean: 0, p50: 0, p95: 0, p99: 0, max: 0 };
    return {
      count,
      mean: this.#sum / count,
      p50: this.#percentile(0.5),
      p95: this.#percentile(0.95),
      p99: this.#percentile(0.99),
      max: this.#max,
    };
  }

  /** Forgets all but what was lately. */
  clear(): void {
    this.#enter();
    this.#buckets.fill(0);
    this.#count = 0;
    this.#sum = 0;
    this.#max = 0;
  }

  #enter(): void {
    const noted = this.#noted;
    const buckets = this.#buckets;
    let sum = this.#sum;
    let max = this.#max;
    for (let note = 0; note < this.#notes; note += 1) {
      const ms = noted[note] as number;
      const us = ms <= 0 ? 0 : ms >= LARGEST_US / 1000 ? LARGEST_US : (ms * 1000) | 0;
      const bucket = bucketOf(us);
      buckets[bucket] = (buckets[bucket] as number) + 1;
      if (ms > 0) sum += ms;
      if (ms > max) max = ms;
      this.#lately?.add(ms);
    }
    this.#sum = sum;
    this.#max = max;
    this.#count += this.#notes;
    this.#notes = 0;
  }

  #percentile(share: number): number {
    const rank = Math.ceil(share * this.#count);
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      seen += this.#buckets[bucket] as number;
      if (seen >= rank) return Math.min(middleOf(bucket) / 1000, this.#max);
    }
    return this.#max;
  }
}
