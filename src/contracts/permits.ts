// The port for leave to have a session: the engine's own `max` is one limit, a budget shared with other pools another.
// Nothing is assigned across a border: a freed permit is announced, and the engine takes it itself (DESIGN section 4).

export interface Permits {
  /** Takes one permit if one is free now. */
  tryTake(): boolean;
  /**
   * Waits for a permit. Resolves true with one taken, or false if `stillWanted` answered no or the budget is gone; must ask
   * `stillWanted` in the same turn in which it takes.
   */
  take(stillWanted: () => boolean): Promise<boolean>;
  /** Gives one back. Called exactly once for each taken, when the session's socket is gone. */
  give(): void;
  /** How many permits starving pools would take from us now. 0 for a pool that shares with nobody. */
  readonly pressure: number;
  /** Calls `listener` when `pressure` may have risen. Returns the undo. */
  onPressure(listener: () => void): () => void;
}

/** The inert part: no limit but the pool's own. */
export const unlimitedPermits: Permits = {
  tryTake: () => true,
  take: () => Promise.resolve(true),
  give: () => {},
  pressure: 0,
  onPressure: () => () => {},
};
