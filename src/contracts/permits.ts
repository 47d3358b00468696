// The port for leave to have a session: the engine's own `max` is one limit, a budget shared with other pools another. Types, and the
// part that limits nothing. Nothing is assigned across a border: a freed permit is announced, and the engine takes it itself (DESIGN
// section 4). How this grew out of the sketch there: docs/decisions/004 and 021.

import type { Clock } from './clock.ts';
import type { Session } from './driver.ts';

/** One engine's side of a budget. */
export interface Permits {
  /** Takes one permit if one is free now. */
  tryTake(): boolean;
  /**
   * Waits for a permit. Resolves true with one taken, or false if `wanted` answered 0 or the budget is gone. `wanted` tells how many
   * sessions could be used now; it must be asked in the same turn in which the permit is taken.
   */
  take(wanted: () => number): Promise<boolean>;
  /**
   * Has a session that was just opened prove its permit where that can be seen by the others, before anybody uses it. Resolves true when it
   * has; false if it is wanted no longer, and then the session is ended. May wait as long as it is wanted, and gives up when `signal`
   * aborts. Rejects if it cannot be proven: that attempt to connect has failed.
   */
  readonly admit?: ((session: Session, wanted: () => number, signal: AbortSignal) => Promise<boolean>) | undefined;
  /** Gives one back, for this session if there was one. Called exactly once for each taken, when the session's socket is gone. */
  give(session: Session | undefined): void;
  /** How many permits starving pools would take from us now. 0 for a pool that shares with nobody. Read at each return: must be cheap. */
  readonly pressure: number;
  /**
   * Asked of a session at rest, while there is pressure. True: it goes now, and is not counted in `pressure` any longer. `needed`: somebody
   * here waits for it. `heldMs` is how long it has existed, `idleMs` for how long nobody has used it.
   */
  yields(needed: boolean, heldMs: number, idleMs: number): boolean;
  /** Calls `listener` when `pressure` may have risen, and again as long as it lasts. Returns the undo. */
  onPressure(listener: () => void): () => void;
  /** The pool has closed: everything was given back, and nothing is asked any more. */
  leave?(): void;
  /** How the budget stands, for whoever reads a snapshot or an error. */
  figures?(): BudgetFigures | undefined;
}

/** How a budget stands, as far as can be seen from here. */
export interface BudgetFigures {
  /** What shares it: `threads`, `fleet`, `workers`, or a name of the user's. */
  readonly kind: string;
  readonly limit: number;
  /** Permits that are taken, by all. Undefined where only the server knows. */
  readonly used?: number | undefined;
  /** Of these, ours. */
  readonly held: number;
  /** Who shares it now, us included. Undefined where only the server knows. */
  readonly members?: number | undefined;
}

/** What a budget is told of a pool that joins it. */
export interface Member {
  /** The pool's name. */
  readonly name: string;
  readonly clock: Clock;
  /** The pool's own limit. */
  readonly max: number;
  /** How many of its sessions it cannot do without now: those that are not idle, and as many as it keeps warm. */
  needs(): number;
  /** How many borrowers wait there now. Whoever only keeps warm may have what is free, and takes it from nobody. */
  waiting?(): number;
  /** Runs `fn` in nobody's asynchronous context, so that what it creates belongs to no borrower (DESIGN B17). */
  detached<T>(fn: () => T): T;
}

/** A source of permits shared by several pools: the option `budget`. */
export interface Budget {
  /** Called once by each pool that is made with it. Does nothing that anybody could see: the first permit is what counts. */
  join(member: Member): Permits;
}

/** The inert part: no limit but the pool's own. */
export const unlimitedPermits: Permits = {
  tryTake: () => true,
  take: () => Promise.resolve(true),
  give: () => {},
  pressure: 0,
  yields: () => false,
  onPressure: () => () => {},
};
