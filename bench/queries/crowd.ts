// A closed loop: so many callers, each of whom awaits its answer, looks at it and asks again. Owns the counting and the clock; every answer is
// checked, one in `DEEP` of them value by value.

import { setTimeout as sleep } from 'node:timers/promises';
import { Latencies } from '../lib/latencies.ts';
import { type Lap, stopwatch } from '../lib/stopwatch.ts';
import type { Queries, Workload } from './workloads.ts';

const DEEP = 64;
/** Accounts that no range of rows begins at. */
const MARGIN = 1_000;

export interface Slice extends Lap {
  /** Answered within the measured part. */
  readonly queries: number;
  /** Answered from the first to the last, the callers' coming and going included. */
  readonly total: number;
  readonly totalCpuUs: number;
  readonly totalWallUs: number;
}

export class Crowd {
  readonly latencies = new Latencies();
  readonly #queries: Queries;
  readonly #workload: Workload;
  readonly #callers: number;
  readonly #keys: number;
  #seed: number;
  #done = 0;
  #left = 0;
  #measuring = false;

  constructor(queries: Queries, workload: Workload, size: { callers: number; rows: number; seed: number }) {
    this.#queries = queries;
    this.#workload = workload;
    this.#callers = size.callers;
    this.#keys = size.rows - MARGIN;
    this.#seed = size.seed;
  }

  /** Measures `ms`, after `leadMs` in which the callers come. */
  async slice(leadMs: number, ms: number): Promise<Slice> {
    const began = this.#done;
    const whole = stopwatch();
    const callers = this.#call(Number.POSITIVE_INFINITY);
    await Promise.race([sleep(leadMs), callers]);
    const before = this.#done;
    this.#measuring = true;
    const lap = stopwatch();
    await Promise.race([sleep(ms), callers]);
    const times = lap();
    const queries = this.#done - before;
    this.#measuring = false;
    this.#left = 0;
    await callers;
    const { cpuUs, wallUs } = whole();
    return { ...times, queries, total: this.#done - began, totalCpuUs: cpuUs, totalWallUs: wallUs };
  }

  /** So many queries, or as many as it gets through in `ms`. */
  async warm(count: number, ms: number): Promise<void> {
    const late = setTimeout(() => {
      this.#left = 0;
    }, ms);
    await this.#call(count);
    clearTimeout(late);
  }

  /** Asks until so many were begun. */
  exactly(count: number): Promise<void> {
    return this.#call(count);
  }

  /** Calls `look` while all callers wait for an answer. */
  async during<T>(ms: number, look: () => T): Promise<T> {
    const callers = this.#call(Number.POSITIVE_INFINITY);
    await Promise.race([sleep(ms), callers]);
    const seen = look();
    this.#left = 0;
    await callers;
    return seen;
  }

  async #call(count: number): Promise<void> {
    this.#left = count;
    try {
      await Promise.all(Array.from({ length: this.#callers }, () => this.#caller()));
    } finally {
      this.#left = 0; // after a wrong answer the others have nothing left to ask either
    }
  }

  async #caller(): Promise<void> {
    const workload = this.#workload;
    const queries = this.#queries;
    while (this.#left > 0) {
      this.#left -= 1;
      const key = this.#key();
      const began = performance.now();
      const result = await workload.ask(queries, key);
      if (this.#measuring) this.latencies.add(performance.now() - began);
      this.#done += 1;
      workload.check(queries, result, key, this.#done % DEEP === 0);
    }
  }

  /** A linear congruential generator's upper bits: as random as a choice of rows needs it, and the same for everybody. */
  #key(): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0;
    return 1 + Math.floor((this.#seed / 0x1_0000_0000) * this.#keys);
  }
}
