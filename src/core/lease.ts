// What a borrower holds. Owns that it is given back once, and that nothing done through a stale one reaches the next
// holder; how a session is cleaned is the recycler's business.

import { LEASE_TRAP } from '../contracts/clone-traps.ts';
import type { Session } from '../contracts/driver.ts';
import { ConnectionLostError, LeaseError } from '../contracts/errors.ts';
import type { LeaseRecord } from '../contracts/ledger.ts';
import type { Task } from '../contracts/task-context.ts';
import type { Slot, Tenure } from './slot.ts';

/** Who takes back what was lent. */
export interface LeaseHome<S extends Session> {
  now(): number;
  /** What runs `work` in the borrower's context, who asks for it now. */
  bound(work: () => void): () => void;
  takeBack(lease: Lease<S>, slot: Slot<S>, reason: Error | boolean | null | undefined, now: number): void;
  revoke(lease: Lease<S>, slot: Slot<S>, now: number): void;
}

/** What only few leases ever need. */
interface Extras {
  /** Why it ended, if not by `release()`: the connection died, or the pool took it away. */
  ended: Error | undefined;
  /** When the lease began, if it has ended so: its slot may be lent again. */
  began: number;
  aborter: AbortController | undefined;
  /** Aborts, in the context of whoever asked for the signal: what listens is called in that of whoever aborts. */
  abort: (() => void) | undefined;
}

/** What is told of a lease whose connection died. */
export function lostText(id: number, cause: unknown, whether: string): string {
  return `the connection of lease ${id} was lost: ${cause instanceof Error ? cause.message : String(cause)}; ${whether}`;
}

const OVER: Readonly<Tenure> = { over: true };

type LeaseOf<S extends Session> = Lease<S>;

/** What a borrower holds. */
export interface Lease<S extends Session> extends LeaseRecord {
  readonly session: S;
  /** For how long it has been held, in milliseconds; stands still after the release. */
  readonly heldMs: number;
  /** Whether `release()` was called. */
  readonly released: boolean;
  /** Why the lease cannot be used, or undefined if it can. */
  readonly fault: Error | undefined;
  /** Aborts when the connection dies or the lease is taken away. Made when first asked for. */
  readonly signal: AbortSignal;
  /** Tells whether it still has the connection, and keeps it as little as the pool does. */
  readonly tenure: Readonly<Tenure>;
  /**
   * Gives the connection back. `undefined`, `null` and `false` mean that it may be used again; anything else has it replaced.
   * A second call throws, and so never harms whoever holds the connection by then.
   */
  release(reason?: Error | boolean | null): void;
  /** Resolves when the connection is clean again or on its way out; at once if `release()` found it clean. */
  whenReturned(): Promise<void>;
  /** Takes the connection away from its borrower, who is told `error` by whatever it does next. Does nothing once it was given back. */
  revoke(error: LeaseError): void;
  /** The engine took the connection away: it died (`CONNECTION_LOST`) or the pool revoked the lease. */
  end(error: Error): void;
}

export type LeaseClass<S extends Session, L extends Lease<S> = Lease<S>> = new (
  home: LeaseHome<S>,
  slot: Slot<S>,
  id: number,
  label: string | undefined,
  origin: object | undefined,
) => L;

function releasedTwice(id: number, agoMs: number): LeaseError {
  const message = `lease ${id} was already released ${Math.round(agoMs)} ms ago; release() must be called once per lease`;
  return new LeaseError('LEASE_RELEASED', message);
}

/**
 * A new class of leases, for a pool to put its own methods on. Not one class to extend: one lease is made for each lend, and making one
 * of a derived class costs a sixth of a whole lend and return more (Node 20).
 */
export function leaseClass<S extends Session>(): LeaseClass<S> {
  // Lean on purpose. Whole milliseconds need no box on the heap.
  const Class = class Lease implements LeaseOf<S> {
    /** First of all, so that whoever posts a lease to another thread is told what to do instead. */
    readonly thread = LEASE_TRAP;
    readonly id: number;
    readonly label: string | undefined;
    origin: object | undefined;
    task: Task | undefined = undefined;
    readonly #home: LeaseHome<S>;
    readonly #slot: Slot<S>;
    /** Negative while it is out; else the monotonic time of the release, and how long it was held. */
    #releasedAt = -1;
    #heldMs = -1;
    #extras: Extras | undefined = undefined;

    constructor(home: LeaseHome<S>, slot: Slot<S>, id: number, label: string | undefined, origin: object | undefined) {
      this.#home = home;
      this.#slot = slot;
      this.id = id;
      this.label = label;
      this.origin = origin;
    }

    get session(): S {
      return this.#slot.session as S;
    }

    /** Monotonic time of the hand-over, in milliseconds. */
    get since(): number {
      if (this.#heldMs < 0) return this.#slot.lentAt;
      return this.#extras?.ended === undefined ? this.#releasedAt - this.#heldMs : this.#extras.began;
    }

    /** For how long it has been held, in milliseconds; stands still after the release. */
    get heldMs(): number {
      return this.#heldMs < 0 ? this.#home.now() - this.#slot.lentAt : this.#heldMs;
    }

    /** Whether `release()` was called. */
    get released(): boolean {
      return this.#releasedAt >= 0;
    }

    /** Why the lease cannot be used, or undefined if it can. */
    get fault(): Error | undefined {
      if (!this.released) {
        const ended = this.#extras?.ended;
        // What comes after the death was never sent.
        return ended instanceof ConnectionLostError
          ? new ConnectionLostError(lostText(this.id, ended.cause, 'this query was not sent'), false, ended.cause)
          : ended;
      }
      const ago = Math.round(this.#home.now() - this.#releasedAt);
      return new LeaseError(
        'LEASE_RELEASED',
        `lease ${this.id} was released ${ago} ms ago and cannot be used any more`,
      );
    }

    /** Aborts when the connection dies or the lease is taken away. Made when first asked for. */
    get signal(): AbortSignal {
      const extras = this.#rare();
      if (extras.aborter === undefined) {
        const aborter = new AbortController();
        extras.aborter = aborter;
        if (extras.ended === undefined) extras.abort = this.#home.bound(() => aborter.abort(extras.ended));
        else aborter.abort(extras.ended);
      }
      return extras.aborter.signal;
    }

    get tenure(): Readonly<Tenure> {
      // By then its slot may be somebody else's.
      if (this.released || this.#extras?.ended !== undefined) return OVER;
      this.#slot.tenure ??= { over: false };
      return this.#slot.tenure;
    }

    /**
     * Gives the connection back. `undefined`, `null` and `false` mean that it may be used again; anything else has it replaced.
     * A second call throws, and so never harms whoever holds the connection by then.
     */
    release(reason?: Error | boolean | null): void {
      const now = this.#home.now();
      if (this.#releasedAt >= 0) throw releasedTwice(this.id, now - this.#releasedAt);
      this.#releasedAt = Math.floor(now);
      if (this.#extras !== undefined && this.#extras.ended !== undefined) return;
      const slot = this.#slot;
      this.#heldMs = Math.round(now - slot.lentAt);
      this.#home.takeBack(this, slot, reason, now);
    }

    /** Resolves when the connection is clean again or on its way out; at once if `release()` found it clean. */
    whenReturned(): Promise<void> {
      const { custody } = this.#slot;
      return this.released && this.#slot.lease === undefined && custody !== undefined
        ? custody.ended
        : Promise.resolve();
    }

    revoke(error: LeaseError): void {
      if (this.released || this.#extras?.ended !== undefined) return;
      this.end(error);
      this.#home.revoke(this, this.#slot, this.#home.now());
    }

    /** The engine took the connection away: it died (`CONNECTION_LOST`) or the pool revoked the lease. */
    end(error: Error): void {
      const extras = this.#rare();
      extras.ended = error;
      extras.began = this.#slot.lentAt;
      this.#heldMs = Math.round(this.#home.now() - this.#slot.lentAt);
      extras.abort?.();
    }

    #rare(): Extras {
      this.#extras ??= { ended: undefined, began: 0, aborter: undefined, abort: undefined };
      return this.#extras;
    }
  };
  // A promise that is resolved with a lease looks for its `then`: so the search is short.
  Object.defineProperty(Class.prototype, 'then', { value: undefined });
  return Class;
}
