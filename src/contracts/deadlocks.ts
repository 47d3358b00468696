// The port to the graph of who waits for whom, over all pools of the process (DESIGN B21). An engine shows who holds and who waits; whoever
// stands behind the port decides whether that can still move. Types, and the inert part.

import type { Deadlock } from './explain.ts';
import type { Holder } from './snapshot.ts';
import type { Task } from './task-context.ts';

/** A lease that is out. */
export interface Loan {
  /** Whose it is; undefined for one that was taken by hand, and for those of `pool.query()`. */
  readonly task: Task | undefined;
  /** Since when no statement has been running on it, on the monotonic clock. */
  readonly quietSince: number;
}

/** A borrower that waits. */
export interface Wait {
  readonly task: Task | undefined;
  readonly since: number;
}

/** One pool, as the graph sees it. */
export interface Party {
  now(): number;
  /** Every connection there may be is lent and none has a statement running: else something moves by itself. */
  readonly still: boolean;
  /** When one of its waiters was last turned away to end a jam: that is a movement, which its task has the grace to make use of. */
  readonly movedAt: number;
  /** Whether a waiter of it may be turned away to end a jam; a pool that only warns never does that. */
  readonly turnsAway: boolean;
  loans(): Iterable<Loan>;
  waits(): Iterable<Wait>;
  holders(): readonly Holder[];
  /** Turns away the waiter with this `Wait`, or reports it, as the pool's options say. */
  end(wait: Wait, deadlock: Deadlock): void;
}

/** What cannot move any more, and the waiter whose refusal would set it free: the youngest one of a pool that turns any away. */
export interface Jam extends Deadlock {
  readonly victim: { readonly party: Party; readonly wait: Wait };
}

export interface DeadlockGraph {
  join(party: Party): void;
  leave(party: Party): void;
  /** Whether `party` is part of a jam, at this moment. */
  look(party: Party): Jam | undefined;
}

/** The inert part: sees none. */
export const noDeadlocks: DeadlockGraph = { join: () => {}, leave: () => {}, look: () => undefined };
