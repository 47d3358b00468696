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

function nothing(): void {}

/**
 * One queued borrower. Lean on purpose: a hundred thousand of them may stand here. Its fields are declared and written in the
 * constructor: initialisers are a function of their own that V8 calls for each.
 */
export class Waiter<S extends Session> implements Deadline, Linked<Waiter<S>> {
  declare prev: Waiter<S> | null;
  declare next: Waiter<S> | null;
  declare duePrev: Deadline | null;
  declare dueNext: Deadline | null;
  declare dueGroup: Group | null;
  declare dueAt: number;
  declare extension: Extension | null;
  declare readonly since: number;
  declare readonly request: Request | undefined;
  /** What the ledger noted when it was asked. */
  declare readonly origin: object | undefined;
  declare resolve: (lease: Lease<S>) => void;
  declare reject: (error: unknown) => void;

  constructor(since: number, request: Request | undefined, origin: object | undefined) {
    this.prev = null;
    this.next = null;
    this.duePrev = null;
    this.dueNext = null;
    this.dueGroup = null;
    this.dueAt = 0;
    this.extension = null;
    this.since = since;
    this.request = request;
    this.origin = origin;
    this.resolve = nothing;
    this.reject = nothing;
  }
}

export class WaitQueue<S extends Session> extends IntrusiveList<Waiter<S>> {}
