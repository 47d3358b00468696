// The pool's record of one session: where it stands and what has to be known to decide about it. Owns no behaviour; its links are the
// idle set's, and `state` is written by the state book alone.

import type { Session } from '../contracts/driver.ts';
import type { LeaseRecord } from '../contracts/ledger.ts';
import type { Linked } from '../foundation/intrusive-list.ts';
import type { Custody } from './custody.ts';
import type { Lease } from './lease.ts';
import { State } from './states.ts';

/** How a slot's end was carried out, for the books. */
export type Ending = 'terminated' | 'cancelled' | 'cut';

/** In place of a lease that only its borrower keeps any more. */
export class Loan<S extends Session> {
  readonly lease: WeakRef<Lease<S>>;
  /** What is known of it, also when it is gone. */
  readonly record: LeaseRecord;
  /** It was collected. */
  missing = false;

  constructor(lease: WeakRef<Lease<S>>, record: LeaseRecord) {
    this.lease = lease;
    this.record = record;
  }
}

/** For whatever has to know whether one lease still has the connection, and may not keep that lease. */
export interface Tenure {
  over: boolean;
}

export class Slot<S extends Session> implements Linked<Slot<S>> {
  prev: Slot<S> | null = null;
  next: Slot<S> | null = null;
  readonly id: number;
  state: State = State.opening;
  /** The pool's generation at birth; an older one dies when it comes to rest. */
  readonly generation: number;
  session: S | undefined = undefined;
  /** Who holds it, while lent; when that has lasted, `loan` stands for it. */
  lease: Lease<S> | undefined = undefined;
  loan: Loan<S> | undefined = undefined;
  /** Made when first asked for. */
  tenure: Tenure | undefined = undefined;
  /** The asynchronous work in whose care it is, while opening, returning or being checked. */
  custody: Custody<S> | undefined = undefined;
  /** Ends a connect that nobody wants any longer. */
  attempt: AbortController | undefined = undefined;
  expiresAt: number = Infinity;
  /** When its successor is to be opened. */
  renewAt: number = Infinity;
  /** Its successor is asked for. Written by upkeep alone. */
  expiring = false;
  uses = 0;
  readonly dialledAt: number;
  /** When the session was there. */
  bornAt = 0;
  /** When the present lease began. */
  lentAt = 0;
  /** When it last came back from a borrower: what idle time is counted from. */
  usedAt = 0;
  /** The same as an order that knows no ties. Written by the idle set alone, as is `usedAt`. */
  usedRank = 0;
  /** Its last proof of life: what staleness is counted from. */
  seenAt = 0;
  /** Something happened since `seenAt` that may have killed it. */
  suspect = false;
  /** A liveness check is late and it was put aside; it counts as returning. */
  aside = false;
  ending: Ending = 'terminated';
  /** While its statement runs: what the session's traffic was when it was last seen to change, and when that was. Silence's alone. */
  heard = 0;
  heardAt = 0;

  constructor(id: number, generation: number, dialledAt: number) {
    this.id = id;
    this.dialledAt = dialledAt;
    this.generation = generation;
  }

  /** What is known of whoever holds it. */
  get record(): LeaseRecord | undefined {
    return this.lease ?? this.loan?.record;
  }

  /** The lease itself, unless it was forgotten. */
  get held(): Lease<S> | undefined {
    return this.lease ?? this.loan?.lease.deref();
  }

  /** It is lent no more. */
  parted(): void {
    this.lease = undefined;
    this.loan = undefined;
    if (this.tenure !== undefined) {
      this.tenure.over = true;
      this.tenure = undefined;
    }
  }
}
