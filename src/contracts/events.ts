// What happens in a pool, one name, one payload, one sentence each; and the engine's side of it.
// The engine calls `EngineEvents` with plain arguments, so that nothing is allocated when nobody listens.

import type { Session } from './driver.ts';
import type { RefusalReason, RetireReason, ReturnOutcome } from './figures.ts';
import type { Phase } from './phase.ts';

/** A user's observer. Called synchronously; what it throws is reported and has no other effect. */
export interface Observer {
  /** The pool went from one phase to another. */
  phase(e: { from: Phase; to: Phase }): void;
  /** A connect begins; `attempt` counts from 1 within an outage. */
  opening(e: { attempt: number }): void;
  /** A connection is ready; `ms` from dial to configured. */
  opened(e: { id: number; ms: number; pid: number }): void;
  /** A connect failed; tried again after `retryInMs`, if at all. */
  openFailed(e: { error: Error; attempt: number; retryInMs?: number }): void;
  /** A request was queued. */
  waiting(e: { position: number; label?: string }): void;
  /** A connection was handed over. */
  lent(e: { id: number; lease: number; waitedMs: number; label?: string }): void;
  /** A request failed. */
  refused(e: { reason: RefusalReason; error: Error }): void;
  /** A lease came back, and what had to be done to it. */
  returned(e: { id: number; lease: number; heldMs: number; outcome: ReturnOutcome }): void;
  /** A connection is given up on purpose. */
  retired(e: { id: number; reason: RetireReason }): void;
  /** A connection died by itself, in the state it was in. */
  lost(e: { id: number; error: Error; state: string }): void;
  /** A connection's socket is gone. */
  closed(e: { id: number; bySocketDestroyed: boolean }): void;
  /** Something a human should read. */
  report(e: { code: string; message: string; site?: string }): void;
}

/**
 * The engine's side: the same happenings, positional, with the session they happened to. Must not throw: whoever fans them out to
 * users catches for them.
 */
export interface EngineEvents {
  phase(from: Phase, to: Phase): void;
  opening(attempt: number): void;
  opened(id: number, ms: number, session: Session): void;
  openFailed(error: Error, attempt: number, retryInMs: number | undefined): void;
  waiting(position: number, label: string | undefined): void;
  lent(id: number, lease: number, waitedMs: number, label: string | undefined, session: Session): void;
  refused(reason: RefusalReason, error: Error): void;
  /** The borrower let go, with a reason if it does not want the session reused; whether that can be is not known yet. */
  released(session: Session, reason: unknown): void;
  returned(id: number, lease: number, heldMs: number, outcome: ReturnOutcome): void;
  retired(id: number, reason: RetireReason): void;
  lost(id: number, error: Error, state: string, session: Session): void;
  /** A connection at rest was asked for a proof of life. */
  examined(outcome: 'kept' | 'replaced' | 'late', ms: number, session: Session): void;
  /** Without a session the connect never came that far. */
  closed(id: number, bySocketDestroyed: boolean, session: Session | undefined): void;
}

/** What happens at each lend and return: told only while somebody listens. */
export type Traffic = Pick<EngineEvents, 'waiting' | 'lent' | 'released' | 'returned'>;

const nothing = (): void => {};

/** The inert part. */
export const noEvents: EngineEvents = {
  phase: nothing,
  opening: nothing,
  opened: nothing,
  openFailed: nothing,
  waiting: nothing,
  lent: nothing,
  released: nothing,
  refused: nothing,
  returned: nothing,
  retired: nothing,
  lost: nothing,
  examined: nothing,
  closed: nothing,
};
