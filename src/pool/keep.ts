// The end of a transaction whose function has settled. Owns that it does not wait for ever behind a cursor or a COPY that the function left open: pg
// would begin it when that has ended, and nobody is there any more to end it.

import { StrayTransactionError } from '../contracts/errors.ts';
import type { PgSession } from '../pg/session.ts';
import type { PoolLease } from './lease.ts';

const LEFT_OPEN =
  'was not sent: the function returned while a cursor or a COPY that it had begun was still open; all of it was rolled back (close what it opens)';

/**
 * Sends COMMIT, or the RELEASE of a savepoint. Looks again as long as a return may take: whoever still reads, though nobody waits for him, may come to
 * an end in that time. Where nobody does, what was done is taken back by `undo`.
 */
export async function keep(lease: PoolLease, text: string, undo: () => Promise<void>): Promise<void> {
  if (lease.session.heldOpen) await keepLate(lease, text, undo);
  else await lease.query(text);
}

async function keepLate(lease: PoolLease, text: string, undoAll: () => Promise<void>): Promise<void> {
  const { session } = lease;
  const given = new AbortController();
  const leftOpen = new StrayTransactionError(text.split(' ', 1)[0] as string, LEFT_OPEN);
  const look = (): void => {
    if (session.heldOpen) given.abort(leftOpen);
    else undo = session.deadline(session.returnTimeoutMs, look);
  };
  let undo = session.deadline(session.returnTimeoutMs, look);
  try {
    await lease.query({ text, signal: given.signal });
  } catch (error) {
    // If even that fails the connection is not at rest, and the return path deals with it.
    if (error === leftOpen) await undoAll().catch(() => {});
    throw error;
  } finally {
    undo();
  }
}

/** Ends what is open, if it is, so that something can be sent behind it. Within a bound: the return path has its own ways with what is left. */
export async function endWhatIsOpen(session: PgSession): Promise<void> {
  if (!session.heldOpen) return;
  let undo = (): void => {};
  const enough = new Promise<void>((resolve) => {
    undo = session.deadline(session.returnTimeoutMs, resolve);
  });
  try {
    await Promise.race([session.settle(), enough]);
  } finally {
    undo();
  }
}
