// Borrowers in the order in which they came. Owns that order and that a waiter is settled exactly once; who may join, and
// what a waiter is told, is decided by others.

import type { Session } from '../contracts/driver.ts';
import { Deadline } from '../foundation/deadlines.ts';
import { IntrusiveList, type Linked } from '../foundation/intrusive-list.ts';
import type { Lease } from './lease.ts';

/** What a borrower may say about one request. */
export interface Request {
  readonly acquireTimeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly label?: string | undefined;
}

/** One queued borrower. Lean on purpose: a hundred thousand of them may stand here. */
export class Waiter<S extends Session> extends Deadline implements Linked<Waiter<S>> {
  prev: Waiter<S> | null = null;
  next: Waiter<S> | null = null;
  readonly since: number;
  readonly request: Request | undefined;
  /** What the ledger noted when it was asked. */
  readonly origin: object | undefined;
  readonly resolve: (lease: Lease<S>) => void;
  readonly reject: (error: unknown) => void;

  constructor(
    since: number,
    request: Request | undefined,
    origin: object | undefined,
    resolve: (lease: Lease<S>) => void,
    reject: (error: unknown) => void,
  ) {
    super();
    this.since = since;
    this.request = request;
    this.origin = origin;
    this.resolve = resolve;
    this.reject = reject;
  }
}

export class WaitQueue<S extends Session> extends IntrusiveList<Waiter<S>> {}
