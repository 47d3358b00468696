// What a borrower holds. Owns that it is given back once, and that nothing done through a stale one reaches the next
// holder; how a session is cleaned is the recycler's business.

import type { Session } from '../contracts/driver.ts';
import { LeaseError } from '../contracts/errors.ts';
import type { LeaseRecord } from '../contracts/ledger.ts';
import type { Slot } from './slot.ts';

/** What a lease needs of its engine. */
export interface LeaseHome<S extends Session> {
  now(): number;
  takeBack(lease: Lease<S>, slot: Slot<S>, reason: Error | boolean | null | undefined): void;
}

export class Lease<S extends Session> implements LeaseRecord {
  readonly id: number;
  readonly session: S;
  readonly label: string | undefined;
  readonly since: number;
  readonly #home: LeaseHome<S>;
  #slot: Slot<S> | undefined;
  /** Why it ended, if not by `release()`: the connection died, or the pool took it away. */
  #ended: Error | undefined = undefined;
  #returned: Slot<S> | undefined = undefined;
  #releasedAt: number | undefined = undefined;
  #aborter: AbortController | undefined = undefined;

  constructor(home: LeaseHome<S>, slot: Slot<S>, id: number, label: string | undefined, since: number) {
    this.#home = home;
    this.#slot = slot;
    this.session = slot.session as S;
    this.id = id;
    this.label = label;
    this.since = since;
  }

  /** For how long it has been held, in milliseconds; stands still after the release. */
  get heldMs(): number {
    return (this.#releasedAt ?? this.#home.now()) - this.since;
  }

  /** Whether `release()` was called. */
  get released(): boolean {
    return this.#releasedAt !== undefined;
  }

  /** Why the lease cannot be used, or undefined if it can. */
  get fault(): Error | undefined {
    if (this.#releasedAt !== undefined) {
      const ago = Math.round(this.#home.now() - this.#releasedAt);
      return new LeaseError(
        'LEASE_RELEASED',
        `lease ${this.id} was released ${ago} ms ago and cannot be used any more`,
      );
    }
    return this.#ended;
  }

  /** Aborts when the connection dies or the lease is taken away. Made when first asked for. */
  get signal(): AbortSignal {
    if (this.#aborter === undefined) {
      this.#aborter = new AbortController();
      if (this.#ended !== undefined) this.#aborter.abort(this.#ended);
    }
    return this.#aborter.signal;
  }

  /**
   * Gives the connection back. `undefined`, `null` and `false` mean that it may be used again; anything else has it replaced.
   * A second call throws, and so never harms whoever holds the connection by then.
   */
  release(reason?: Error | boolean | null): void {
    if (this.#releasedAt !== undefined) {
      const ago = Math.round(this.#home.now() - this.#releasedAt);
      throw new LeaseError(
        'LEASE_RELEASED',
        `lease ${this.id} was already released ${ago} ms ago; release() must be called once per lease`,
      );
    }
    this.#releasedAt = this.#home.now();
    const slot = this.#slot;
    if (slot === undefined) return;
    this.#slot = undefined;
    this.#returned = slot;
    this.#home.takeBack(this, slot, reason);
  }

  /** Resolves when the connection is clean again or on its way out; at once if `release()` found it clean. */
  whenReturned(): Promise<void> {
    return this.#returned?.custody?.ended ?? Promise.resolve();
  }

  /** The engine took the connection away: it died (`CONNECTION_LOST`) or the pool revoked the lease. */
  end(error: Error): void {
    this.#ended = error;
    this.#slot = undefined;
    this.#aborter?.abort(error);
  }
}
