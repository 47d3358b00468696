// Who is in charge of a slot between "taken" and "at rest". Owns one bit: whether that is still so. Whoever works on a slot
// asynchronously asks after each step; when the slot was lost, cut or abandoned meanwhile, the custody is over and the work
// ends without touching it.

import type { Session } from '../contracts/driver.ts';
import type { Slot } from './slot.ts';

export class Custody<S extends Session> {
  readonly #slot: Slot<S>;

  constructor(slot: Slot<S>) {
    this.#slot = slot;
    slot.custody = this;
  }

  get held(): boolean {
    return this.#slot.custody === this;
  }

  /** The slot has come to rest, or somebody else is in charge now. */
  end(): void {
    if (this.held) this.#slot.custody = undefined;
  }
}
