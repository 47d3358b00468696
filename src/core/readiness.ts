// Who waits for the pool to be ready: `open()` and `ready()`. Owns that each of them is settled once, by its own deadline at
// the latest; what ready means, and what a failed opening costs, is the life cycle's business.

import { Alarm, type Deadlines } from '../foundation/deadlines.ts';
import { IntrusiveList, type Linked } from '../foundation/intrusive-list.ts';

export interface ReadyWait {
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export class ReadyWaiter extends Alarm implements Linked<ReadyWaiter> {
  prev: ReadyWaiter | null = null;
  next: ReadyWaiter | null = null;
  readonly since: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  /** `open()` of a pool that was not open: its failure is the opening's failure. */
  readonly opens: boolean;
  leave: () => void = () => {};

  constructor(
    since: number,
    opens: boolean,
    resolve: () => void,
    reject: (error: unknown) => void,
    expired: (waiter: ReadyWaiter) => void,
  ) {
    super(() => expired(this));
    this.since = since;
    this.opens = opens;
    this.resolve = resolve;
    this.reject = reject;
  }
}

export class Readiness {
  readonly #deadlines: Deadlines;
  readonly #waiters = new IntrusiveList<ReadyWaiter>();

  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines;
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  add(waiter: ReadyWaiter, timeoutMs: number, signal: AbortSignal | undefined, aborted: () => void): void {
    this.#waiters.push(waiter);
    this.#deadlines.set(waiter, timeoutMs, waiter.since);
    signal?.addEventListener('abort', aborted);
    waiter.leave = () => {
      this.#waiters.remove(waiter);
      this.#deadlines.remove(waiter);
      signal?.removeEventListener('abort', aborted);
    };
  }

  resolveAll(): void {
    for (const waiter of this.#waiters) {
      waiter.leave();
      waiter.resolve();
    }
  }

  rejectAll(error: (waiter: ReadyWaiter) => unknown): void {
    for (const waiter of this.#waiters) {
      waiter.leave();
      waiter.reject(error(waiter));
    }
  }
}
