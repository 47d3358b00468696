// The port to the book of who holds what. The engine enters each lease and takes it out again; call sites, statements and
// leak hunting are the business of whoever stands behind this port.

import type { Task } from './task-context.ts';

/** What the engine knows about a lease, and all that a ledger may keep of it. */
export interface LeaseRecord {
  readonly id: number;
  readonly label: string | undefined;
  /** Monotonic time of the hand-over. */
  readonly since: number;
  /** The ledger's own note about it; nobody else reads it. */
  origin: object | undefined;
  /** The call of `use()` or `transaction()` that it belongs to, if tasks are followed. */
  task: Task | undefined;
}

export interface Ledger {
  /**
   * Before this time (of the monotonic clock) the engine need not call `asked` and `lent`: nothing would be noted. −Infinity: it always
   * calls.
   */
  readonly silentUntil: number;
  /** Times are the monotonic clock's. Somebody begins to wait behind `waiting` others. What is returned becomes the `origin` of the lease it will get. */
  asked(waiting: number, now: number): object | undefined;
  /** `crowded`: with this one more than half of `max` is lent. `waited`: what is on the stack is whoever gave it back, not the borrower. */
  lent(record: LeaseRecord, crowded: boolean, now: number, waited: boolean): void;
  /** The lease of this `id`; when it has been held for long, a record of its own stands for it. */
  returned(record: LeaseRecord): void;
  /** `file:line` where the lease was taken, or the waiter asked, if it was noted. */
  site(record: Pick<LeaseRecord, 'origin'>): string | undefined;
  /** The same note in a form that keeps nothing of the borrower's alive: a stack holds on to whoever was called. */
  plain(record: Pick<LeaseRecord, 'origin'>): object | undefined;
}

/** The inert part: keeps nothing. */
export const emptyLedger: Ledger = {
  silentUntil: Infinity,
  asked: () => undefined,
  lent: () => {},
  returned: () => {},
  site: () => undefined,
  plain: () => undefined,
};
