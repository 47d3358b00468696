// How many more sessions a pool could use now: what a budget is told when it asks. Pure reading of figures; decides nothing. It must say
// of every session that `sizing` has dialled that it is needed, or that one would be ended and dialled again for ever.

import type { Session } from '../contracts/driver.ts';
import type { Custody } from './custody.ts';
import type { Household } from './household.ts';
import type { Slot } from './slot.ts';
import { State } from './states.ts';

/** Those that are being opened count as there, but for the `but` youngest of them. */
export function needed<S extends Session>(house: Household<S>, but = 0): number {
  const { book, checking, floor, lending, max, queue } = house;
  // A paused pool keeps its floor, and serves nobody.
  const unserved = lending ? queue.length - (book.count(State.opening) - but) - checking : 0;
  return Math.max(0, Math.min(max - (book.size - but), Math.max(unserved, floor - (book.living - but))));
}

/** Whether one that is being opened is wanted still, as it is told to whoever asks. */
export class Want<S extends Session> {
  /** What was said last. */
  said = 1;
  readonly since: number;
  readonly slot: Slot<S>;
  readonly custody: Custody<S>;
  readonly #house: Household<S>;
  readonly #wishedMs: number;

  /** For the first `wishedMs` it is wanted in any case. */
  constructor(house: Household<S>, slot: Slot<S>, custody: Custody<S>, wishedMs: number) {
    this.since = house.clock.now();
    this.slot = slot;
    this.custody = custody;
    this.#house = house;
    this.#wishedMs = wishedMs;
  }

  readonly ask = (): number => {
    const wished = this.#house.lending && this.#house.clock.now() < this.since + this.#wishedMs ? 1 : 0;
    this.said = this.custody.held ? Math.max(wished, this.#needed()) : 0;
    return this.said;
  };

  /** Those opened before it go first: of two who are one too many just one gives up. */
  #needed(): number {
    let but = 0;
    for (const { id, state } of this.#house.slots) if (state === State.opening && id >= this.slot.id) but += 1;
    return needed(this.#house, but);
  }
}
