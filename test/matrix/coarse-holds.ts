// The clock that a case's engine is given. Counts the engine's own timers apart from the driver's, and fires those that only
// hold the process later than asked, which a clock may: they would be most of what happens in a case.

import type { Clock, Timer } from '../../src/contracts/clock.ts';

const HOLD_MS = 10_000;
/** Those are shorter than any deadline that holds the process as well. */
const SHORT_MS = 50;

export class CoarseHolds implements Clock {
  /** Timers of the engine that are pending. */
  pending = 0;
  readonly #inner: Clock;
  readonly #holdMs: number;

  constructor(inner: Clock, holdMs = HOLD_MS) {
    this.#inner = inner;
    this.#holdMs = holdMs;
  }

  now = (): number => this.#inner.now();
  wall = (): number => this.#inner.wall();
  random = (): number => this.#inner.random();
  pollPhase = (then: () => void): void => this.#inner.pollPhase(then);

  timer = (ms: number, fire: () => void, holdsProcess = false): Timer => {
    let over = false;
    const end = (): void => {
      if (!over) this.pending -= 1;
      over = true;
    };
    this.pending += 1;
    const timer = this.#inner.timer(holdsProcess && ms <= SHORT_MS ? Math.max(ms, this.#holdMs) : ms, () => {
      end();
      fire();
    });
    return {
      cancel: () => {
        end();
        timer.cancel();
      },
    };
  };
}
