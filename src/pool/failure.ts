// What the failure of a query means. Owns what its caller is told: where it asked, and if the connection is gone whether the statement may have run.

import { ConnectionLostError, isOxbowError } from '../contracts/errors.ts';
import { neverRan } from '../pg/classify.ts';
import type { PgSession } from '../pg/session.ts';

/** What the caller is told of a failure: where he asked, and if the connection is gone whether the statement may have run. */
export function failureOf(
  session: PgSession,
  error: unknown,
  sentBefore: number,
  signal: AbortSignal | undefined,
): unknown {
  // It was made where the reply is read. As in pg, what was thrown that cannot be told where it was asked for fails by that.
  if (!isOxbowError(error) && error !== signal?.reason) {
    try {
      Error.captureStackTrace(error as object, failureOf);
    } catch (thrown) {
      return thrown;
    }
  }
  if (session.status !== 'lost' || error instanceof ConnectionLostError || error === signal?.reason) return error;
  // The server had answered, and the connection was lost after that.
  if (isAnswer(error)) return error;
  const why = error instanceof Error ? error.message : String(error);
  const mayHaveExecuted = session.sent !== sentBefore && !neverRan(error);
  const text = mayHaveExecuted
    ? `the connection was lost while a query ran: ${why}; the query may have been executed`
    : `the connection was lost before the query was sent: ${why}; the query was not executed`;
  return new ConnectionLostError(text, mayHaveExecuted, error);
}

/** An error of the server's that is about the statement, and not about the connection. */
export function isAnswer(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const { code, severity } = error as { code?: unknown; severity?: unknown };
  if (typeof code !== 'string' || typeof severity !== 'string') return false;
  // Classes of errors: connections, and an operator who ends them.
  return severity !== 'FATAL' && severity !== 'PANIC' && !code.startsWith('08') && !code.startsWith('57P');
}
