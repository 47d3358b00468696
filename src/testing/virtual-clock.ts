// Time that passes only when told to. Owns the pending timers and the order in which they fire; knows nothing of pools.
// `advance` runs everything that falls due, in order, and lets all promise callbacks run in between, so that a test sees a
// pool exactly as it would be after that much real time, in microseconds of it.

import { setImmediate } from 'node:timers';
import type { Clock, Timer } from '../contracts/clock.ts';

/**
 * Timers fall due on whole 1/1024 ms: sums and differences of such times are exact. Otherwise one could fire the last digit of
 * a double too early, and a pool that then asks for the rest would do so for ever, since that rest is too small to add.
 */
const GRAINS = 1_024;

interface Pending {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

/** Lets every promise callback that is ready run, and those which they make ready. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

export class VirtualClock implements Clock {
  #now: number;
  #wallOffset: number;
  #order = 0;
  #seed: number;
  #cpu = 0;
  readonly #pending = new Set<Pending>();

  /** Starts at `startMs` (1 000 by default: a zero hides bugs); `seed` feeds `random()`. */
  constructor(options: { startMs?: number; seed?: number } = {}) {
    this.#now = options.startMs ?? 1_000;
    this.#wallOffset = 1_700_000_000_000;
    this.#seed = (options.seed ?? 1) >>> 0;
  }

  now = (): number => this.#now;

  wall = (): number => this.#now + this.#wallOffset;

  timer = (ms: number, fire: () => void): Timer => {
    const at = Math.ceil((this.#now + Math.max(0, ms)) * GRAINS) / GRAINS;
    const pending: Pending = { at, order: this.#order++, fire };
    this.#pending.add(pending);
    return {
      cancel: () => {
        this.#pending.delete(pending);
      },
    };
  };

  /** A poll phase comes before every timer that is due at the same moment but was made later. */
  pollPhase = (then: () => void): void => {
    this.timer(0, then);
  };

  /** Mulberry32, so that a run can be repeated from its seed. */
  random = (): number => {
    this.#seed = (this.#seed + 0x6d2b79f5) >>> 0;
    let t = this.#seed;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };

  /** Milliseconds for which the loop was blocked by work. */
  cpu = (): number => this.#cpu;

  /** How many timers are pending. */
  get pendingTimers(): number {
    return this.#pending.size;
  }

  /** When the next timer falls due, in milliseconds from now; undefined if none is pending. */
  get nextInMs(): number | undefined {
    const next = this.#next();
    return next === undefined ? undefined : next.at - this.#now;
  }

  /** Lets promises and due timers run without any time passing. */
  async settle(): Promise<void> {
    await this.advance(0);
  }

  /** Lets `ms` milliseconds pass. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settled();
    for (let next = this.#next(); next !== undefined && next.at <= until; next = this.#next()) {
      this.#pending.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.fire();
      await settled();
    }
    this.#now = Math.max(this.#now, until);
  }

  /** The event loop does not turn for `ms` milliseconds: time passes, nothing fires until the next `advance`. */
  block(ms: number): void {
    this.#now += ms;
    this.#cpu += ms;
  }

  /** The whole process stands still for `ms` milliseconds (SIGSTOP, a frozen function): both clocks go on, and nobody works. */
  freeze(ms: number): void {
    this.#now += ms;
  }

  /** The machine sleeps: the wall clock goes on, the monotonic one stands still (as CLOCK_MONOTONIC does on Linux). */
  sleep(ms: number): void {
    this.#wallOffset += ms;
  }

  #next(): Pending | undefined {
    let best: Pending | undefined;
    for (const pending of this.#pending) {
      if (best === undefined || pending.at < best.at || (pending.at === best.at && pending.order < best.order)) {
        best = pending;
      }
    }
    return best;
  }
}
