// The connections at rest, newest use first. Owns their order: lent from the warm end, swept from the cold one.
// Does not judge them.
//
//   first (returned last) ⇄ … ⇄ last (idle for longest)

import type { Session } from '../contracts/driver.ts';
import { IntrusiveList } from '../foundation/intrusive-list.ts';
import type { Slot } from './slot.ts';

export class IdleSet<S extends Session> {
  readonly #list = new IntrusiveList<Slot<S>>();

  get length(): number {
    return this.#list.length;
  }

  /** The one to lend next. */
  get newest(): Slot<S> | null {
    return this.#list.first;
  }

  get oldest(): Slot<S> | null {
    return this.#list.last;
  }

  /** Adds by time of last use: at the front, except for one that comes back from a check. */
  add(slot: Slot<S>): void {
    let after: Slot<S> | null = null;
    for (let at = this.#list.first; at !== null && at.usedAt > slot.usedAt; at = at.next) after = at;
    this.#list.insertAfter(after, slot);
  }

  remove(slot: Slot<S>): void {
    this.#list.remove(slot);
  }

  /** From the cold end to the warm one. The caller may remove what it is given. */
  *fromOldest(): IterableIterator<Slot<S>> {
    for (let slot = this.#list.last; slot !== null; ) {
      const { prev } = slot;
      yield slot;
      slot = prev;
    }
  }

  *fromNewest(): IterableIterator<Slot<S>> {
    yield* this.#list;
  }
}
