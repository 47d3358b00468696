// What can be said about one request to a pool: to borrow, to wait until it is ready, to open and to close it. Types only;
// whatever is left out is the pool's own setting.

/** What can be said about one request for a connection. */
export interface AcquireOptions {
  /** Milliseconds; 0: only if at once; `Infinity`: wait for ever. Default: the pool's. */
  acquireTimeoutMs?: number | undefined;
  /**
   * Ends the wait in the same tick; the call rejects with `signal.reason`. In `use()` and `transaction()` an abort later on takes the
   * connection away: what runs is cancelled, what is open rolled back.
   */
  signal?: AbortSignal | undefined;
  /** Named in errors and in `holders()`. */
  label?: string | undefined;
}

/** What can be said about one transaction. */
export interface TransactionOptions extends AcquireOptions {
  /** Default: the server's (`default_transaction_isolation`, as a rule `read committed`). */
  isolation?: 'read committed' | 'repeatable read' | 'serializable' | undefined;
  /** Whether the server refuses writes. Default: the server's (`default_transaction_read_only`). */
  readOnly?: boolean | undefined;
  /** With `serializable` and `readOnly`: waits until it can run without ever failing. */
  deferrable?: boolean | undefined;
  /** How often it is begun anew after a serialization failure (40001) or a deadlock (40P01). Default 0. The function runs again as a whole. */
  retries?: number | undefined;
  /** Settings for this transaction alone, such as a role or a tenant for row-level security; bound, never part of a text. */
  settings?: Readonly<Record<string, string>> | undefined;
}

export interface CheckOptions {
  /** After so long no further connection is tested. Milliseconds; default: no limit but that of each test. */
  timeoutMs?: number | undefined;
}

export interface WaitOptions {
  /** Milliseconds; default: the pool's `acquireTimeoutMs`. */
  timeoutMs?: number | undefined;
  /** Ends the wait; the call rejects with `signal.reason`. */
  signal?: AbortSignal | undefined;
}

export interface OpenOptions extends WaitOptions {
  /** false: resolve at once and fill in the background. Default true: resolve when the pool is ready. */
  wait?: boolean | undefined;
}

export interface CloseOptions {
  /** How long lent connections are waited for, in milliseconds. Default 30 000. */
  drainMs?: number | undefined;
  /** After that their statements are cancelled, and this long later their sockets cut. Default 1 000. */
  cancelMs?: number | undefined;
  /** Whether those who wait already are turned away (default) or served. */
  waiting?: 'reject' | 'serve' | undefined;
}
