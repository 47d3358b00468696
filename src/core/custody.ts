// Who is in charge of a slot between "taken" and "at rest". Owns one bit: whether that is still so. Whoever works on a slot
// asynchronously asks after each step; when the slot was lost, cut or abandoned meanwhile, the custody is over and the work
// ends without touching it.

import type { Session } from '../contracts/driver.ts';
import type { Slot } from './slot.ts';

export class Custody<S extends Session> {
  readonly #slot: Slot<S>;
  readonly #whenEnded: (() => void)[] = [];

  constructor(slot: Slot<S>) {
    this.#slot = slot;
    slot.custody = this;
  }

  get held(): boolean {
    return this.#slot.custody === this;
  }

  /** Resolves when the custody is over. */
  get ended(): Promise<void> {
    return new Promise((resolve) => this.onEnd(resolve));
  }

  /** Calls `listener` in the turn in which the custody ends, or now if it is over. */
  onEnd(listener: () => void): void {
    if (this.held) this.#whenEnded.push(listener);
    else listener();
  }

  /** The slot has come to rest, or somebody else is in charge now. */
  end(): void {
    if (!this.held) return;
    this.#slot.custody = undefined;
    for (const ended of this.#whenEnded) ended();
  }
}
