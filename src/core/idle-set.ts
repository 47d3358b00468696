// The connections at rest, newest use first. Owns their order: lent from the warm end, swept from the cold one.
// Does not judge them.
//
//   first (returned last) ⇄ … ⇄ last (idle for longest)

import type { Session } from '../contracts/driver.ts';
import { IntrusiveList } from '../foundation/intrusive-list.ts';
import type { Slot } from './slot.ts';

export class IdleSet<S extends Session> extends IntrusiveList<Slot<S>> {
  #uses = 0;

  /** Notes that `slot` was used last of all, as of `now`. */
  used(slot: Slot<S>, now: number): void {
    this.#uses += 1;
    slot.usedAt = now;
    slot.usedRank = this.#uses;
  }

  /** Adds by last use: at the front, except for one that comes back from a check. */
  add(slot: Slot<S>): void {
    let after: Slot<S> | null = null;
    for (let at = this.first; at !== null && at.usedRank > slot.usedRank; at = at.next) after = at;
    this.insertAfter(after, slot);
  }

  /** From the cold end to the warm one. The caller may remove what it is given. */
  *fromOldest(): IterableIterator<Slot<S>> {
    for (let slot = this.last; slot !== null; ) {
      const { prev } = slot;
      yield slot;
      slot = prev;
    }
  }
}
