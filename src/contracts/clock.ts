// The port through which the pool asks for time and chance. Owns no state.
// Nobody above `foundation/system-clock` touches the machine's clock, timers or random numbers, so a whole pool can
// run in virtual time and a test runner's fake timers can neither freeze nor trip it.

/** One pending call. Cancelling twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Monotonic time in milliseconds, fractions allowed. Only differences have a meaning. */
  now(): number;
  /** The wall clock in milliseconds. Used for one thing: to notice that the process slept (DESIGN B14). */
  wall(): number;
  /**
   * Calls `fire` once, not before `ms` milliseconds have passed, and never synchronously. The machine may be late; whoever
   * cares compares `now()` with the time it asked for.
   * `holdsProcess` (default false): the pending timer alone keeps the process alive.
   */
  timer(ms: number, fire: () => void, holdsProcess?: boolean): Timer;
  /** Calls `then` after one poll phase of the event loop, so that input and output which is already complete comes in first. */
  pollPhase(then: () => void): void;
  /** Milliseconds of the processor that the process has used; undefined where nobody knows. Tells work from standing still. */
  cpu?(): number | undefined;
  /** A number in [0, 1). */
  random(): number;
}
