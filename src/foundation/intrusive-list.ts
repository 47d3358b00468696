// A doubly linked list whose links live in its members: adding and removing costs O(1) and allocates nothing.
// A member is in at most one such list at a time; knows nothing of what its members mean.
//
//   first ⇄ … ⇄ last        a member outside the list has both links null and is neither first nor last

export interface Linked<T> {
  prev: T | null;
  next: T | null;
}

export class IntrusiveList<T extends Linked<T>> {
  first: T | null = null;
  last: T | null = null;
  length = 0;

  push(member: T): void {
    member.prev = this.last;
    member.next = null;
    if (this.last === null) this.first = member;
    else this.last.next = member;
    this.last = member;
    this.length += 1;
  }

  /** Adds `member` behind `after`, or as the first if `after` is null. */
  insertAfter(after: T | null, member: T): void {
    const next = after === null ? this.first : after.next;
    member.prev = after;
    member.next = next;
    if (after === null) this.first = member;
    else after.next = member;
    if (next === null) this.last = member;
    else next.prev = member;
    this.length += 1;
  }

  /** The caller knows that `member` is in this list. */
  remove(member: T): void {
    const { prev, next } = member;
    if (prev === null) this.first = next;
    else prev.next = next;
    if (next === null) this.last = prev;
    else next.prev = prev;
    member.prev = null;
    member.next = null;
    this.length -= 1;
  }

  shift(): T | null {
    const { first } = this;
    if (first !== null) this.remove(first);
    return first;
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let member = this.first; member !== null; ) {
      const { next } = member;
      yield member;
      member = next;
    }
  }
}
