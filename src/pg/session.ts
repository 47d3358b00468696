// One server session behind a genuine `pg.Client`. Owns what can be read off the wire about it (status byte, statement, end) and
// the pool's own round trips; knows nothing of slots, leases or limits.

import type pg from 'pg';
import type { Clock } from '../contracts/clock.ts';
import type { Session, SessionStatus } from '../contracts/driver.ts';
import { sendCancel } from './cancel.ts';
import { internals, type PgConnection, type PgInternals } from './shapes.ts';
import { step } from './steps.ts';

/** Statements are kept for reports only: this much of them. */
const STATEMENT_CHARS = 200;

/** After how long without a reply a cancel request is sent again. */
const CANCEL_AGAIN_MS = 100;

const STATUS: Record<string, SessionStatus> = { I: 'idle', T: 'transaction', E: 'failed' };

export class PgSession implements Session {
  readonly client: pg.Client;
  readonly clock: Clock;
  /** The pool's default deadline of a query, for whoever runs one. */
  readonly queryTimeoutMs: number;
  quietSince: number | undefined = undefined;
  /** The name of the pool that it belongs to, for errors. */
  readonly pool: string | undefined;
  /** How many statements have gone to the server. */
  sent = 0;
  /** A cancel under way. Nothing may be started before it has ended: it would hit that instead. */
  settling: Promise<boolean> | undefined = undefined;
  readonly #inside: PgInternals;
  readonly #connection: PgConnection;
  #atRest: SessionStatus = 'idle';
  #statement: string | undefined;
  #fatal = false;
  #lost: Error | undefined;
  #leaving = false;
  #onLost: ((error: Error) => void) | undefined;

  /** `client` is connected and has its error listener already. */
  constructor(client: pg.Client, clock: Clock, queryTimeoutMs: number = Infinity, pool?: string) {
    this.client = client;
    this.clock = clock;
    this.queryTimeoutMs = queryTimeoutMs;
    this.pool = pool;
    this.#inside = internals(client);
    this.#connection = this.#inside.connection;
    // Ahead of pg's own listener: that calls the borrower's callback, who may give the client back in it.
    this.#connection.prependListener('readyForQuery', (message) => {
      this.#atRest = STATUS[message.status ?? ''] ?? 'lost';
      this.quietSince = clock.now();
    });
    this.#connection.on('errorMessage', (message) => {
      if (message.severity === 'FATAL' || message.severity === 'PANIC') this.#fatal = true;
    });
    client.on('error', (error) => this.#end(error));
    client.on('end', () => this.#end(new Error('the connection was ended')));
    this.#noteStatements();
  }

  get pid(): number | undefined {
    return this.#inside.processID ?? undefined;
  }

  get status(): SessionStatus {
    const inside = this.#inside;
    if (this.#fatal || this.#lost !== undefined || inside._ending === true || inside._queryable === false)
      return 'lost';
    // Ended or cut by its borrower a moment ago: pg hears of it later.
    if (this.#connection._ending === true || !this.#connection.stream.writable) return 'lost';
    if (inside.readyForQuery !== true || this.#queued > 0 || this.settling !== undefined) return 'busy';
    return this.#atRest;
  }

  get lastStatement(): string | undefined {
    const text = this.#statement?.replaceAll(/\s+/g, ' ').trim();
    return text === undefined || text.length <= STATEMENT_CHARS ? text : `${text.slice(0, STATEMENT_CHARS)}…`;
  }

  get cancelling(): boolean {
    return this.settling !== undefined;
  }

  onLost(listener: (error: Error) => void): void {
    this.#onLost = listener;
    if (this.#lost !== undefined && !this.#leaving) listener(this.#lost);
  }

  async ping(): Promise<void> {
    await step('query', this.client.query(''));
  }

  async rollback(): Promise<void> {
    await step('query', this.client.query('ROLLBACK'));
  }

  async discard(): Promise<void> {
    await step('query', this.client.query('DISCARD ALL'));
    // The server has forgotten its named statements; so must pg, or it would use a name that is gone.
    this.#connection.parsedStatements = {};
    if (this.#connection.submittedNamedStatements !== undefined) this.#connection.submittedNamedStatements = {};
  }

  settle(): Promise<boolean> {
    this.settling ??= this.#settle().finally(() => {
      this.settling = undefined;
    });
    return this.settling;
  }

  async #settle(): Promise<boolean> {
    if (this.status !== 'busy') return false;
    const over = !this.#active && this.#queued === 0;
    const reply = this.atRest();
    // When the cancel fails nobody waits for it any more, and the end of the session must not become an unhandled rejection.
    reply.catch(() => {});
    if (over) {
      await step('reply', reply);
      return false;
    }
    const { host, port, pid, secretKey } = { ...this.#address(), pid: this.pid, secretKey: this.#inside.secretKey };
    if (pid === undefined || secretKey === null) throw new Error('the server gave no key to cancel with');
    if (this.#inside.ssl) throw new Error('a statement of a TLS session is not cancelled over a socket without TLS');
    // A request that overtook its statement hit nothing, and one hits one of several that are queued: it is sent again until
    // all has been read.
    for (let over = false; !over; ) {
      await step('cancel', sendCancel({ host, port, pid, secretKey }));
      over = await step('reply', this.#within(reply, CANCEL_AGAIN_MS));
    }
    return true;
  }

  /** Whether `reply` came within `ms`; rejects if it never will. */
  #within(reply: Promise<void>, ms: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const late = this.clock.timer(ms, () => resolve(false));
      reply.finally(() => late.cancel()).then(() => resolve(true), reject);
    });
  }

  /** Resolves when pg has nothing left to read; rejects if the session ends before. */
  atRest(): Promise<void> {
    const connection = this.#connection;
    return new Promise((resolve, reject) => {
      const done = (): void => {
        if (this.#active || this.#queued > 0) return;
        connection.removeListener('readyForQuery', done);
        connection.removeListener('end', ended);
        resolve();
      };
      const ended = (): void => {
        connection.removeListener('readyForQuery', done);
        reject(new Error('the connection ended before its reply was read'));
      };
      // pg's own listener came first: by now it has begun the next statement, if there is one.
      connection.on('readyForQuery', done);
      connection.once('end', ended);
    });
  }

  async end(): Promise<void> {
    this.#leaving = true;
    await step('gone', this.client.end());
  }

  async destroy(): Promise<void> {
    this.#leaving = true;
    await step('gone', destroyed(this.#connection));
  }

  get #active(): boolean {
    const inside = this.#inside;
    return '_activeQuery' in inside ? Boolean(inside._activeQuery) : Boolean(inside.activeQuery);
  }

  /** Statements that pg has accepted and not yet begun. */
  get #queued(): number {
    const inside = this.#inside;
    if (inside._queryQueue === undefined) return inside.queryQueue?.length ?? 0;
    return inside._queryQueue.length + (inside._sentQueryQueue?.length ?? 0);
  }

  #address(): { host: string; port: number } {
    return { host: this.#inside.host, port: this.#inside.port };
  }

  #end(error: Error): void {
    if (this.#lost !== undefined) return;
    this.#lost = error;
    if (!this.#leaving) this.#onLost?.(error);
  }

  /** Remembers what was sent last, whoever sent it: a report that cannot name the statement helps nobody. */
  #noteStatements(): void {
    const connection = this.#connection;
    const { query, parse } = connection;
    // What is given to a dead socket is not sent; that it is dead shows a turn later.
    connection.query = (text) => {
      this.#statement = text;
      if (connection.stream.writable) this.sent += 1;
      query.call(connection, text);
    };
    connection.parse = (prepared, more) => {
      this.#statement = prepared.text;
      if (connection.stream.writable) this.sent += 1;
      parse.call(connection, prepared, more);
    };
  }
}

/** Cuts the socket of a connection; resolves when it is closed. */
export function destroyed(connection: PgConnection): Promise<void> {
  const { stream } = connection;
  if (stream.closed) return Promise.resolve();
  return new Promise((resolve) => {
    stream.once('close', () => resolve());
    stream.destroy();
  });
}
