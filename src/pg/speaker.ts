// Who speaks for a query on one session: the codec, or pg. Owns the choice, which is pg wherever anything is unusual, and what the codec sends;
// whose the socket's bytes are is known to the codec, what a result looks like to its query.

import type pg from 'pg';
import type { SessionStatus } from '../contracts/driver.ts';
import { type Asked, asking } from './asked.ts';
import type { Codec } from './codec.ts';
import { type Answer, CodecQuery } from './codec-query.ts';
import { declaresReadOnly, type ReadOnly } from './condemn.ts';
import type { Hearer } from './hearer.ts';
import type { PgParts } from './known-pg.ts';
import type { NamedStatements } from './named-statements.ts';
import type { Opening } from './opening.ts';
import type { Outgoing, Wire } from './outgoing.ts';
import { Prepared } from './prepared.ts';
import type { PgInternals, PgQuery, ServerError } from './shapes.ts';
import type { Text, Texts } from './texts.ts';

/** How often who spoke. */
export interface Spoken {
  byCodec: number;
  byPg: number;
  /** By their own, on the server. */
  prepared: number;
}

/** What the codec needs: all of it is shared by the sessions of a pool. */
export interface Speaking {
  readonly parts: PgParts;
  readonly out: Outgoing;
  readonly texts: Texts;
  /** False where a name may reach a server that does not know it. */
  readonly prepares: boolean;
  readonly spoken: Spoken;
  readonly hearer?: Hearer | undefined;
}

export class Speaker {
  readonly #inside: PgInternals;
  readonly #codec: Codec;
  readonly #named: NamedStatements;
  readonly #speaking: Speaking;
  readonly #sending: (text: string, declares: ReadOnly) => void;
  readonly #prepared = new Prepared();
  /** pg has sent something since the session was idle last: it may have changed a definition, so what was prepared may not fit. */
  #unsettled = false;
  #opening: Opening | undefined;

  /** `sending` is told of each statement before it goes. */
  constructor(
    inside: PgInternals,
    codec: Codec,
    named: NamedStatements,
    speaking: Speaking,
    sending: (text: string, declares: ReadOnly) => void,
  ) {
    this.#inside = inside;
    this.#codec = codec;
    this.#named = named;
    this.#speaking = speaking;
    this.#sending = sending;
    inside.connection.on('parameterStatus', ({ parameterName }) => {
      if (PARSED_BY.has(parameterName)) this.#parseAnew();
    });
    const pulse = inside._pulseQueryQueue;
    inside._pulseQueryQueue = () => {
      if (this.#opening !== undefined) this.#openForPg(this.#opening);
      pulse.call(inside);
    };
  }

  /** pg sends something. */
  pgSends(): void {
    this.#unsettled = true;
  }

  /** At rest outside a transaction. */
  atRest(): void {
    this.#unsettled = false;
  }

  /** A transaction is begun with the first statement that comes, whoever sends it. Only on a session that is idle. */
  open(opening: Opening): void {
    this.#opening = opening;
  }

  /** It is not to be begun any more. */
  leave(opening: Opening): void {
    if (this.#opening === opening) this.#opening = undefined;
  }

  /**
   * Has the codec speak the query, and answer; false if that is not possible, and nothing was done. `atRest`: how the
   * session is.
   */
  speak(query: unknown, values: unknown, atRest: SessionStatus, answer: Answer): boolean {
    if (this.#opening?.obsolete === true) this.#opening = undefined;
    const opening = this.#opening;
    if (opening?.state === 'failed') {
      answer.failed(opening.error);
      return true;
    }
    if (!this.#codec.free) return false;
    const { parts, spoken, texts } = this.#speaking;
    let asked: Asked | undefined;
    try {
      asked = asking(query, values, texts, this.#inside, parts.prepareValue);
    } catch (error) {
      answer.failed(error);
      return true;
    }
    // Turning a value into a parameter may do anything, and ask something else meanwhile.
    if (asked === undefined || !this.#codec.free) return false;
    if (opening !== undefined && asked.text.ruled) return false;
    spoken.byCodec += 1;
    const { hearer } = this.#speaking;
    if (hearer?.wanted === true) this.#sendHeard(hearer, asked, atRest, opening, answer);
    else this.#send(asked, atRest === 'idle', opening, answer, atRest === 'failed');
    return true;
  }

  /** Apart: what is captured here is on the heap, and hardly any query needs it. */
  #sendHeard(hearer: Hearer, asked: Asked, atRest: SessionStatus, opening: Opening | undefined, answer: Answer): void {
    hearer.hears(asked.text.text, this.#inside, answer, (told) => {
      this.#send(asked, atRest === 'idle', opening, told, atRest === 'failed');
    });
  }

  /** pg is about to begin what is queued. What begins the transaction goes ahead; where that has failed nothing goes at all. */
  #openForPg(opening: Opening): void {
    const queue = this.#inside._queryQueue ?? [];
    if (queue.length === 0) return;
    if (opening.obsolete) this.#opening = undefined;
    else if (opening.state === 'failed') {
      for (const query of queue.splice(0) as PgQuery[])
        queueMicrotask(() => query.handleError(opening.error as Error, this.#inside.connection));
    } else if (opening.state === 'wanted') {
      opening.state = 'sent';
      const { begin, settings } = opening.beginning;
      const done = (error: unknown): void => (error ? opening.failed(error) : opening.begun());
      const { Query } = this.#speaking.parts;
      const last = settings === undefined ? undefined : new Query(settings.text, [...settings.values], done);
      const first = new Query(begin, [], last === undefined ? done : (error) => error && opening.failed(error));
      queue.unshift(...(last === undefined ? [first] : [first, last]));
    }
  }

  #send(asked: Asked, idle: boolean, opening: Opening | undefined, answer: Answer, plain: boolean): CodecQuery {
    const { text } = asked;
    const { parts, prepares, spoken, texts } = this.#speaking;
    const outside = idle && opening === undefined;
    // Inside a transaction a plan that does not fit any more would cost all of it.
    const prepared =
      prepares && asked.fits && !plain && asked.name === undefined && !this.#unsettled && (outside || !text.starred);
    const own = prepared ? texts.use(text) : undefined;
    const name = asked.name ?? own;
    const query = new CodecQuery(parts, text, name, asked.rowMode, asked.types, answer);
    if (own !== undefined) {
      spoken.prepared += 1;
      query.failed = ({ code = '' }) => {
        if (DEFINITIONS.has(code.slice(0, 2))) this.#forget(query);
      };
      if (outside) query.refused = (error) => this.#again(error, query, asked, answer);
    }
    this.#put(query, asked.values, opening);
    this.#sending(text.text, text.declares);
    this.#codec.speak(query);
    return query;
  }

  /**
   * What was prepared here without having been asked for must not fail for that reason. The server refused it before it ran, outside a
   * transaction, so it is sent again by its text at the end of the reply; if that goes well, it was for the name.
   */
  #again(error: ServerError, query: CodecQuery, asked: Asked, answer: Answer): boolean {
    const { code } = error;
    if (code === undefined || !(DEFINITIONS.has(code.slice(0, 2)) || FORMS.has(code))) return false;
    if (code === '26000' || code === '42P05') this.#speaking.texts.vanished();
    const answered = (result: pg.QueryResult): void => {
      this.#forget(query);
      answer.answered(result);
    };
    const failed = (late: unknown): void => answer.failed(late);
    query.instead = () => {
      query.become(this.#send(asked, true, undefined, { answered, failed }, true));
    };
    return true;
  }

  /** It may be that it fails for what was kept of it on the server: a function it calls, a type that has changed. */
  #forget({ name }: CodecQuery): void {
    if (name !== undefined && name in this.#inside.connection.parsedStatements) this.#named.doubt(name);
  }

  #parseAnew(): void {
    const { parsedStatements } = this.#inside.connection;
    for (const name of this.#prepared.names) if (name in parsedStatements) this.#named.doubt(name);
  }

  #put(query: CodecQuery, values: readonly Wire[], opening: Opening | undefined): void {
    const { out } = this.#speaking;
    const { name, text } = query;
    // Should putting together ever fail half-way, that must not go out with this, on whatever connection.
    out.drop();
    if (name === undefined && values.length === 0 && opening === undefined) {
      out.query(text.text);
      return;
    }
    const parsed = name !== undefined && this.#inside.connection.parsedStatements[name] === text.text;
    if (parsed && name === text.name) this.#prepared.touch(text);
    // Ahead of all that may fail: what is closed here has to be closed there.
    if (!parsed && name !== undefined) this.#makeRoom(name, text);
    if (opening !== undefined) this.#open(query, opening);
    if (!parsed) out.parse(name ?? '', text.text);
    out.bind(name ?? '', values);
    out.rowsAndEnd();
  }

  #makeRoom(name: string, text: Text): void {
    const { out } = this.#speaking;
    const forgotten = this.#prepared.add(text);
    if (forgotten !== undefined) {
      out.forget(forgotten);
      delete this.#inside.connection.parsedStatements[forgotten];
    }
    if (this.#named.doubted(name)) out.forget(name);
  }

  /** In one reply with the statement: the server passes over that if one of these fails. */
  #open(query: CodecQuery, opening: Opening): void {
    const { begin, settings } = opening.beginning;
    query.opening = opening;
    query.ahead = opening.put(this.#speaking.out);
    opening.state = 'sent';
    this.#sending(begin, declaresReadOnly(begin));
    if (settings !== undefined) this.#sending(settings.text, 'no');
  }
}

/**
 * By these the server understands a text when it parses it: literals of dates, times and strings, and (reported from PostgreSQL 18 on) names. What was
 * prepared under others would go on meaning what it meant.
 */
const PARSED_BY: ReadonlySet<string> = new Set([
  'DateStyle',
  'IntervalStyle',
  'TimeZone',
  'standard_conforming_strings',
  'search_path',
]);

/** Classes of errors that may come of definitions which have changed: of access rules and syntax, of names, of features, of the server itself. */
const DEFINITIONS: ReadonlySet<string> = new Set(['42', '26', '0A', 'XX']);

/** A value is not of the form that the type of its parameter was to have when the text was parsed: out of range, a date, a text for another type. */
const FORMS: ReadonlySet<string> = new Set(['22003', '22007', '22008', '22P02', '22P03']);
