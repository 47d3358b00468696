// One server session behind a genuine `pg.Client`. Owns what can be read off the wire about it (status byte, statement, end) and
// the pool's own round trips; knows nothing of slots, leases or limits.

import type pg from 'pg';
import type { Clock } from '../contracts/clock.ts';
import type { SetDeadline } from '../contracts/deadline.ts';
import type { Condemnation, Doing, Inquiry, Session, SessionStatus } from '../contracts/driver.ts';
import { PgBond } from './bond.ts';
import { Canceller } from './canceller.ts';
import { Codec } from './codec.ts';
import { type Answer, CodecQuery } from './codec-query.ts';
import { declaresReadOnly, type ReadOnly } from './condemn.ts';
import { Exchange } from './exchange.ts';
import { doingsOf, inquiryAbout } from './inquiry.ts';
import { NamedStatements } from './named-statements.ts';
import type { Opening } from './opening.ts';
import { Outstanding } from './outstanding.ts';
import { deadlineBy } from './plain-deadline.ts';
import type { PgSessionParts } from './session-parts.ts';
import { internals, type PgConnection, type PgInternals } from './shapes.ts';
import { shownText } from './shown-text.ts';
import { destroyed, endWithServer } from './socket-end.ts';
import { Speaker, type Spoken } from './speaker.ts';
import { step } from './steps.ts';
import type { Tracks } from './tracks.ts';
import { roleOf, Verdict } from './verdict.ts';

const STATUS: Record<string, SessionStatus> = { I: 'idle', T: 'transaction', E: 'failed' };

export class PgSession implements Session {
  readonly client: pg.Client;
  readonly clock: Clock;
  /** For whoever runs a query. */
  readonly deadline: SetDeadline;
  readonly queryTimeoutMs: number;
  readonly returnTimeoutMs: number;
  quietSince: number | undefined = undefined;
  /** pg has a timer of its own for each statement, which would leave it running. */
  readonly pgTimesOut: boolean;
  readonly pool: string | undefined;
  /** How many statements have gone to the server. */
  sent = 0;
  readonly #inside: PgInternals;
  readonly #connection: PgConnection;
  readonly #outstanding: Outstanding;
  readonly #named: NamedStatements;
  readonly #verdict: Verdict;
  readonly #tracks: Tracks | undefined;
  readonly #watch: PgSessionParts['watch'];
  readonly #backend: number | null | undefined;
  readonly #canceller: Canceller;
  readonly #exchange: Exchange;
  readonly #codec: Codec | undefined;
  readonly #speaker: Speaker | undefined;
  readonly #spoken: Spoken | undefined;
  #atRest: SessionStatus = 'idle';
  #statement: string | undefined;
  #fatal = false;
  #bond: PgBond | undefined;
  /** Goodbye was said on the wire. */
  #ended = false;
  #lost: Error | undefined;
  #leaving = false;
  #onLost: ((error: Error) => void) | undefined;

  /** `client` is connected and has its error listener already. */
  constructor(client: pg.Client, parts: PgSessionParts) {
    const { clock } = parts;
    this.client = client;
    this.clock = clock;
    this.deadline = parts.deadline ?? deadlineBy(clock);
    this.queryTimeoutMs = parts.queryTimeoutMs ?? Infinity;
    this.returnTimeoutMs = parts.returnTimeoutMs ?? Infinity;
    this.pool = parts.pool;
    this.#inside = internals(client);
    this.pgTimesOut = Boolean(this.#inside.connectionParameters?.query_timeout);
    this.#connection = this.#inside.connection;
    this.#outstanding = new Outstanding(this.#inside);
    this.#named = new NamedStatements(this.#connection, this.#outstanding);
    this.#verdict = new Verdict(roleOf(parts.parameters ?? new Map()), parts.condemn ?? {});
    this.#tracks = parts.tracks;
    this.#watch = parts.watch;
    this.#spoken = parts.spoken;
    this.#backend = parts.backend;
    this.#exchange = new Exchange(this.#connection, this.#outstanding);
    const busy = (): boolean => this.status === 'busy';
    this.#canceller = new Canceller(this.#inside, this.#outstanding, this.#exchange, clock, parts.stream, busy);
    // Ahead of pg's own listener: that calls the borrower's callback, who may give the client back in it.
    this.#connection.prependListener('readyForQuery', (message) => {
      this.#atRest = STATUS[message.status ?? ''] ?? 'lost';
      if (this.#atRest === 'idle') {
        this.#verdict.atRest();
        this.#speaker?.atRest();
      }
      this.quietSince = clock.now();
      this.#exchange.replied();
      this.#named.replied();
    });
    this.#connection.prependListener('errorMessage', (message) => {
      if (message.severity === 'FATAL' || message.severity === 'PANIC') this.#fatal = true;
      this.#verdict.error(message);
    });
    client.on('error', (error) => this.#end(error));
    client.on('end', () => this.#end(new Error('the connection was ended')));
    this.#noteStatements();
    const { speaking } = parts;
    if (speaking === undefined) return;
    this.#codec = new Codec(this.#inside, this.#exchange, speaking.parts, speaking.out);
    const sending = (text: string, declares: ReadOnly): void => this.#sending(text, declares);
    this.#speaker = new Speaker(this.#inside, this.#codec, this.#named, speaking, sending);
  }

  get pid(): number | undefined {
    if (this.#backend === null) return undefined;
    return this.#backend ?? this.#inside.processID ?? undefined;
  }

  get condemned(): Condemnation | undefined {
    return this.#verdict.condemnation ?? this.#bond?.condemnation;
  }

  get dirty(): boolean | undefined {
    return this.#tracks?.dirty;
  }

  get traffic(): number | undefined {
    const { stream } = this.#connection;
    // Its reader has stopped it, as a slow consumer of a COPY does: what is not read tells nothing of the line.
    if (stream.isPaused?.() === true) return undefined;
    const { bytesRead } = stream;
    return typeof bytesRead === 'number' ? bytesRead + this.sent : undefined;
  }

  get status(): SessionStatus {
    const inside = this.#inside;
    if (this.#fatal || this.#lost !== undefined || inside._ending === true || inside._queryable === false)
      return 'lost';
    // Ended or cut by its borrower a moment ago: pg hears of it later.
    if (this.#ended || !this.#connection.stream.writable) return 'lost';
    if (inside.readyForQuery !== true || this.#outstanding.queued > 0 || this.settling !== undefined) return 'busy';
    return this.condemned === undefined ? this.#atRest : 'condemned';
  }

  get lastStatement(): string | undefined {
    return this.#statement === undefined ? undefined : shownText(this.#statement);
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
    // Through a pooler that has another server for each transaction it would clean somebody else's.
    if (this.#backend === null) return;
    await step('query', this.client.query('DISCARD ALL'));
    await step('query', this.#renewed());
    this.#tracks?.clear();
  }

  async restore(): Promise<void> {
    if (this.#tracks === undefined) return;
    await step('query', this.client.query(this.#tracks.remedy));
    await step('query', this.#renewed());
    this.#tracks.clear();
  }

  get bond(): PgBond | undefined {
    if (this.#backend !== null) this.#bond ??= new PgBond(this.client, this.#backend ?? undefined);
    return this.#bond;
  }

  async #renewed(): Promise<void> {
    await step('query', this.#bond?.renewed() ?? Promise.resolve());
  }

  baseline(): void {
    this.#tracks?.clear();
  }

  async inquire(others: readonly Inquiry[]): Promise<readonly Doing[]> {
    const result = await step('query', this.client.query(inquiryAbout(others)));
    return doingsOf(result.rows, others);
  }

  /** Has the codec ask; false if pg has to ask, and nothing was done. */
  speak(query: unknown, values: unknown, answer: Answer): boolean {
    const can = !this.#ended && this.settling === undefined && this.#outstanding.queued === 0;
    return can && this.#speaker?.speak(query, values, this.#atRest, answer) === true;
  }

  /** pg is asked instead. */
  leftToPg(): void {
    if (this.#spoken !== undefined) this.#spoken.byPg += 1;
  }

  /** Has a transaction begun with its first statement; false where that has to be done by one of its own. */
  open(opening: Opening): boolean {
    // Who has come to see each query sees this one too.
    if (this.#speaker === undefined || this.status !== 'idle' || this.#codec?.free !== true) return false;
    this.#speaker.open(opening);
    return true;
  }

  leave(opening: Opening): void {
    this.#speaker?.leave(opening);
  }

  settle(): Promise<boolean> {
    this.#codec?.forgo();
    return this.#canceller.settle();
  }

  /** A cursor or a COPY is open on it, which only its owner can continue or end; what is asked meanwhile waits for that. */
  get heldOpen(): boolean {
    return this.#outstanding.active && this.#exchange.open;
  }

  /** A cancel under way. Nothing may be started before it has ended: it would hit that instead. */
  get settling(): Promise<boolean> | undefined {
    return this.#canceller.settling;
  }

  /** Calls `begin` at once, or when the cancel under way has arrived. */
  whenSettled(begin: () => void): void {
    this.#canceller.whenSettled(begin);
  }

  /** What pg was given last, to be told later which statement is meant. */
  get latest(): unknown {
    return this.#outstanding.latest;
  }

  /** Ends one statement and no other; resolves when that is done. */
  giveUp(statement: unknown): Promise<unknown> {
    if (!(statement instanceof CodecQuery)) return this.#canceller.giveUp(statement);
    const { last } = statement;
    last.forgo();
    return this.#canceller.giveUp(last);
  }

  /** Resolves when pg has nothing left to read; rejects if the session ends before. */
  atRest(): Promise<void> {
    return this.#outstanding.none();
  }

  /** Resolves at the end of the next reply; rejects if the session ends before. */
  nextReply(): Promise<void> {
    return this.#outstanding.next();
  }

  async end(): Promise<void> {
    this.#leaving = true;
    if (this.#bond !== undefined) await step('query', this.#bond.parting());
    endWithServer(this.#connection);
    await step('gone', this.client.end());
  }

  async destroy(why?: Error): Promise<void> {
    this.#leaving = true;
    this.#canceller.stop();
    // Who has ended already has said why himself.
    await step('gone', destroyed(this.#connection, this.#lost === undefined ? why : undefined));
  }

  /** Cuts the line; everybody hears of it as of any other loss, with this reason. */
  sever(why: Error): void {
    this.#canceller.stop();
    this.#connection.stream.destroy(why);
  }

  #end(error: Error): void {
    if (this.#lost !== undefined) return;
    this.#lost = error;
    if (!this.#leaving) this.#onLost?.(error);
  }

  /** Sees each statement go, whoever sends it: for reports, for errors, and for what it may leave behind. */
  #noteStatements(): void {
    const connection = this.#connection;
    const { query, parse, bind, end } = connection;
    // Not pg's own flag for it: before 8.17 each parameterised statement sets that.
    connection.end = () => {
      this.#ended = true;
      end.call(connection);
    };
    connection.query = (text) => {
      this.#note(text);
      this.#tracks?.running(text);
      query.call(connection, text);
    };
    /** Of what was parsed and is to be bound next. */
    let parsed: string | undefined;
    connection.parse = (prepared, more) => {
      parsed = prepared.text;
      this.#note(prepared.text);
      this.#named.parsing(prepared.name);
      parse.call(connection, prepared, more);
    };
    connection.bind = (statement, more) => {
      const text = parsed ?? this.#named.textOf(statement.statement);
      // A name that the server knows is executed without being parsed again: it is sent, and may have run, all the same.
      if (parsed === undefined) this.#note(text ?? this.#statement ?? '');
      parsed = undefined;
      this.#tracks?.running(text);
      try {
        bind.call(connection, statement, more);
      } catch (error) {
        this.#named.unbound(statement.statement);
        throw error;
      }
    };
  }

  #note(text: string): void {
    this.#verdict.sending(declaresReadOnly(text));
    this.#speaker?.pgSends();
    this.#noted(text);
  }

  /** The codec sends it. */
  #sending(text: string, declares: ReadOnly): void {
    this.#verdict.sending(declares);
    this.#tracks?.running(text);
    this.#noted(text);
  }

  #noted(text: string): void {
    this.#statement = text;
    this.#watch?.sending(text);
    this.#bond?.sending(text);
    // What is given to a dead socket is not sent; that it is dead shows a turn later.
    if (this.#connection.stream.writable) this.sent += 1;
  }
}
