// The port by which whoever runs something for a borrower sets a deadline for it: types only. Behind it stands the one mechanism that
// gives lost time back when the event loop was blocked (DESIGN B14).

/** Calls `ring` once `ms` have passed, time given back included; an infinite deadline is none. Returns the undo. */
export type SetDeadline = (ms: number, ring: () => void) => () => void;
