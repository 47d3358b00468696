// Borrowers in the order in which they came. Owns that order and that a waiter is settled exactly once; who may join, and
// what a waiter is told, is decided by others.

import type { Session } from '../contracts/driver.ts';
import type { Deadline, Extension, Group } from '../foundation/deadlines.ts';
import { IntrusiveList, type Linked } from '../foundation/intrusive-list.ts';
import type { Lease } from './lease.ts';

/** What a borrower may say about one request. */
export interface Request {
  readonly acquireTimeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly label?: string | undefined;
}

/** One queued borrower. Lean on purpose: a hundred thousand of them may stand here. */
export class Waiter<S extends Session> implements Deadline, Linked<Waiter<S>> {
  prev: Waiter<S> | null = null;
  next: Waiter<S> | null = null;
  duePrev: Deadline | null = null;
  dueNext: Deadline | null = null;
  dueGroup: Group | null = null;
  dueAt = 0;
  extension: Extension | null = null;
  readonly since: number;
  readonly request: Request | undefined;
  readonly resolve: (lease: Lease<S>) => void;
  readonly reject: (error: unknown) => void;

  constructor(
    since: number,
    request: Request | undefined,
    resolve: (lease: Lease<S>) => void,
    reject: (error: unknown) => void,
  ) {
    this.since = since;
    this.request = request;
    this.resolve = resolve;
    this.reject = reject;
  }
}

export class WaitQueue<S extends Session> extends IntrusiveList<Waiter<S>> {}
