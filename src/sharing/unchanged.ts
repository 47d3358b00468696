// For how long something that others say has stood as it is, by the clock of whoever looks. Owns that memory; what follows is for others.

import type { Clock } from '../contracts/clock.ts';

export class Unchanged {
  readonly #clock: Clock;
  readonly #seen = new Map<number, { readonly said: string; readonly at: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds since `who` was first seen to say this; 0 if it is new. */
  forMs(who: number, said: string): number {
    const now = this.#clock.now();
    const seen = this.#seen.get(who);
    if (seen?.said === said) return now - seen.at;
    this.#seen.set(who, { said, at: now });
    return 0;
  }
}
