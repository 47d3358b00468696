// Borrowers in the order in which they came. Owns that order and that a waiter is settled exactly once; who may join, and
// what a waiter is told, is decided by others.

import type { Session } from '../contracts/driver.ts';
import type { Task } from '../contracts/task-context.ts';
import type { Alarm, Queued } from '../foundation/deadlines.ts';
import { IntrusiveList, type Linked } from '../foundation/intrusive-list.ts';
import type { Lease } from './lease.ts';

/** What a borrower may say about one request. */
export interface Request {
  readonly acquireTimeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly label?: string | undefined;
}

/**
 * An error in the shape of something that a promise can be resolved with, and is rejected by: so a waiter keeps one function, and not a
 * second one for what hardly ever happens, which would weigh as much as the waiter itself.
 */
export class Refusal {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }

  // biome-ignore lint/suspicious/noThenProperty: it is meant to be taken for a promise
  then(_: unknown, reject: (error: unknown) => void): void {
    reject(this.error);
  }
}

/** Who waits without a promise: is told in the turn of the hand-over. Itself, and no function of it, which would weigh as much as the waiter. */
export interface Standing<S extends Session, L extends Lease<S> = Lease<S>> {
  settle(outcome: L | Refusal): void;
}

/** Keeps the promise of whoever waits. */
export type Settle<S extends Session> = (outcome: Lease<S> | Refusal) => void;

/** Until somebody is there to be told. */
function unsettled(): void {}

/**
 * One queued borrower. Lean on purpose: a hundred thousand of them may stand here. Its fields are declared and written in the
 * constructor: initialisers are a function of their own that V8 calls for each.
 */
export class Waiter<S extends Session> implements Queued, Linked<Waiter<S>> {
  declare prev: Waiter<S> | null;
  declare next: Waiter<S> | null;
  declare alarm: Alarm | null;
  declare readonly since: number;
  declare readonly request: Request | undefined;
  /** What the ledger noted when it was asked. */
  declare readonly origin: object | undefined;
  /** The task that asked. */
  declare readonly task: Task | undefined;
  /** Whoever waits hears it; a refusal one microtask later than a lease. */
  declare who: Settle<S> | Standing<S>;

  constructor(since: number, request: Request | undefined, origin: object | undefined, task: Task | undefined) {
    this.prev = null;
    this.next = null;
    this.alarm = null;
    this.since = since;
    this.request = request;
    this.origin = origin;
    this.task = task;
    this.who = unsettled;
  }

  settle(outcome: Lease<S> | Refusal): void {
    const { who } = this;
    if (typeof who === 'function') who(outcome);
    else who.settle(outcome);
  }
}

export class WaitQueue<S extends Session> extends IntrusiveList<Waiter<S>> {}
