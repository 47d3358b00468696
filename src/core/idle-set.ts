// The connections at rest, newest use first. Owns their order: lent from the warm end, swept from the cold one.
// Does not judge them.
//
//   first (returned last) ⇄ … ⇄ last (idle for longest)

import type { Session } from '../contracts/driver.ts';
import { IntrusiveList } from '../foundation/intrusive-list.ts';
import type { Slot } from './slot.ts';
import { State } from './states.ts';

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

  /** From the warm end to the cold one. The caller, and whoever it calls, may remove any of them meanwhile. */
  override *[Symbol.iterator](): IterableIterator<Slot<S>> {
    const all = [...super[Symbol.iterator]()];
    for (const slot of all) if (slot.state === State.idle) yield slot;
  }

  /** From the cold end to the warm one, likewise. */
  *fromOldest(): IterableIterator<Slot<S>> {
    const all = [...super[Symbol.iterator]()].reverse();
    for (const slot of all) if (slot.state === State.idle) yield slot;
  }
}
