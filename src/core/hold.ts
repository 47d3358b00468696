// Keeps the process alive while anything is lent, dialled, closed or waited for. Owns one short timer at a time, however many are lent:
// cheaper than a ref and an unref of a socket per lend (docs/decisions/003).

import type { Clock, Timer } from '../contracts/clock.ts';

/** So long after the last thing to do the process may end at the latest. */
const HOLD_MS = 50;

export class Hold {
  readonly #clock: Clock;
  readonly #busy: (lateMs: number) => boolean;
  #dueAt = 0;
  #timer: Timer | undefined;
  /** A timer that holds the process is armed. */
  held = false;

  /** `busy` tells whether there still is a reason, and is told how late it is asked. */
  constructor(clock: Clock, busy: (lateMs: number) => boolean) {
    this.#clock = clock;
    this.#busy = busy;
  }

  take(): void {
    if (this.held) return;
    this.held = true;
    this.#dueAt = this.#clock.now() + HOLD_MS;
    this.#timer = this.#clock.timer(HOLD_MS, this.#look, true);
  }

  drop(): void {
    this.#timer?.cancel();
    this.held = false;
  }

  #look = (): void => {
    this.held = false;
    if (this.#busy(this.#clock.now() - this.#dueAt)) this.take();
  };
}
