// The port for what a human should read: a borrower's mistake, a callback that threw, an outage given up.
// Whether that becomes a log line, a process warning or nothing is decided elsewhere.

export type ReportCode =
  | 'OXBOW_LEASE_HELD'
  | 'OXBOW_LEASE_COLLECTED'
  | 'OXBOW_PROBABLE_DEADLOCK'
  | 'OXBOW_OPEN_TRANSACTION'
  | 'OXBOW_BUSY_RETURN'
  | 'OXBOW_RESET_FAILED'
  | 'OXBOW_CALLBACK_FAILED'
  | 'OXBOW_CONNECT_FAILED'
  | 'OXBOW_CONNECTION_LOST'
  | 'OXBOW_SOCKET_STUCK'
  | 'OXBOW_FAILOVER'
  | 'OXBOW_POOLER'
  | 'OXBOW_IMPLICIT_OPEN'
  | 'OXBOW_MANY_POOLS'
  | 'OXBOW_OPTION';

export interface Report {
  readonly code: ReportCode;
  /** One sentence with figures; no secret, no parameter value. */
  readonly message: string;
  /** `file:line` of the borrower, where known. */
  readonly site?: string | undefined;
  readonly error?: unknown;
  /** What became of something that was reported: said although that was said already. */
  readonly sequel?: boolean | undefined;
}

export interface Reporter {
  report(report: Report): void;
}

/** The inert part. */
export const silentReporter: Reporter = { report: () => {} };
