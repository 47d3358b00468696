// The seam between the pool and whatever speaks to the server: types only.
// A driver opens sessions and judges errors; it knows nothing of slots, leases, waiters or limits.

/**
 * What a session may be used for right now.
 * `idle`: at rest, outside a transaction. `transaction`: at rest inside one. `failed`: at rest inside an aborted one.
 * `busy`: a reply is outstanding. `condemned`: at rest and its socket lives, but it must not be used again. `lost`: its socket is gone
 * or it can no longer be trusted.
 */
export type SessionStatus = 'idle' | 'transaction' | 'failed' | 'busy' | 'condemned' | 'lost';

/** Why a session must not be used again, and what that means for the others. */
export interface Condemnation {
  /** In words, for a report. */
  readonly why: string;
  /**
   * `keep`: nothing. `suspect`: those at rest are asked for a proof of life. `replace`: they answer, and are of no use all the same:
   * all of them are made anew.
   */
  readonly others: 'keep' | 'suspect' | 'replace';
}

/** What the server says that a session of its does. `unknown`: it does not tell. */
export type Doing = 'working' | 'idle' | 'gone' | 'unknown';

/** Which session that is. */
export interface Inquiry {
  readonly pid: number;
  /** For how long it has existed, in milliseconds: a process id is used again. */
  readonly ageMs: number;
}

/** What a budget may do with a session, at rest: before anybody uses it, or at its end. */
export interface Bond {
  /** The server's process, and the one that the session's key names: they differ behind a pooler. Undefined where they are not known. */
  readonly pid: number | undefined;
  readonly keyPid: number | undefined;
  /**
   * Has the server end what runs on the session soon after its client has gone, where it knows how to: the permit of a thread or process
   * that died is given to another at once.
   */
  fence(): Promise<void>;
  /** Asks the server something; rows of texts, those of the last statement if there are several. */
  ask(text: string): Promise<readonly (readonly (string | null)[])[]>;
  /** Calls `listener` with what is sent to this channel. The session's borrowers do not hear of it. Called once at most. */
  hear(channel: string, listener: (payload: string) => void): void;
  /** Asked when the session is ended politely: a last text for the server, or undefined. That it failed is nobody's concern any more. */
  farewell: (() => string | undefined) | undefined;
  /** Called at the end of each `discard()` and `restore()`, which have undone what the budget had done. What it throws, they throw. */
  renew: (() => Promise<void>) | undefined;
}

/**
 * One server session. Every method that returns a promise must settle at some time, but the pool never waits for it longer
 * than a bound of its own, and calls nothing but `destroy` on a session that has disappointed it.
 */
export interface Session {
  /** Must be cheap: it is read at each return. */
  readonly status: SessionStatus;
  /** The server's process id, if the server told it. */
  readonly pid?: number | undefined;
  /** The text of the statement that ran last, for reports. Never values. */
  readonly lastStatement?: string | undefined;
  /** Monotonic time (of the pool's clock) at which the last statement ended; undefined while none has run on this lease. */
  readonly quietSince?: number | undefined;
  /** A cancel that the borrower itself asked for, by an abort or a timeout, is under way: coming back busy is then no mistake. */
  readonly cancelling?: boolean | undefined;
  /** Why `status` is `condemned`. */
  readonly condemned?: Condemnation | undefined;
  /**
   * Whether its borrower changed, or may have changed, what outlives a transaction, since `baseline()`. Undefined: the driver does not
   * watch for that.
   */
  readonly dirty?: boolean | undefined;
  /** A number that changes whenever something is sent or comes in. Undefined: the driver does not count. Must be cheap. */
  readonly traffic?: number | undefined;
  /** Registers the one listener for the session's unplanned end. Called at most once, also if it ended before. */
  onLost(listener: (error: Error) => void): void;
  /** One round trip that changes nothing. Rejects only if the session is unusable. */
  ping(): Promise<void>;
  /** Ends an open or failed transaction. */
  rollback(): Promise<void>;
  /** Forgets all session state (`DISCARD ALL`). */
  discard(): Promise<void>;
  /** Undoes what made the session dirty, as far as it can tell; at least that. */
  restore?(): Promise<void>;
  /** As it is now is how it shall be: what was changed up to here is no dirt. */
  baseline?(): void;
  /** For budgets; undefined: the driver has nothing for them, or there is no server session of one's own behind a pooler. */
  readonly bond?: Bond | undefined;
  /** Asks the server over this session what it does for others, in their order. Reads only. */
  inquire?(others: readonly Inquiry[]): Promise<readonly Doing[]>;
  /**
   * Brings a busy session to rest. A statement that is over but for the end of its reply is only read to that end: resolves
   * false. One that still runs is cancelled: resolves true when its reply was read *and* the request's own socket is closed, so
   * that it cannot hit a later statement. Rejects if the session cannot be brought to rest.
   */
  settle(): Promise<boolean>;
  /** Says goodbye; resolves when the socket is gone. Only called at rest. */
  end(): Promise<void>;
  /** Cuts the socket; resolves when it is gone. Allowed at any time and more than once. What still runs is told `why`. */
  destroy(why?: Error): Promise<void>;
}

/**
 * What a failed connect means. `transient`: try again later. `permanent`: trying again with the same settings is pointless
 * (wrong password, no such database). `full`: the server has no slot for us now. `host`: this host is going away.
 */
export type Fault = 'transient' | 'permanent' | 'full' | 'host';

export interface OpenAttempt {
  /** 1 for the first attempt of this slot, then counting up while the outage lasts. */
  readonly attempt: number;
  /**
   * Aborts when the pool no longer wants the session. The driver then destroys its socket and settles the promise soon, either
   * way: a session that arrives late is destroyed by the pool.
   */
  readonly signal: AbortSignal;
}

export interface Driver<S extends Session = Session> {
  /** Opens one session: resolve, connect, authenticate. */
  open(attempt: OpenAttempt): Promise<S>;
  /** Judges why `open` (or the pool's `configure`) failed. */
  classify(error: unknown): Fault;
  /** Where it connects to, for errors. Never a password. */
  readonly target?: string | undefined;
  /** The option whose function threw this error out of `open`, if one did. */
  thrownBy?(error: unknown): string | undefined;
}
