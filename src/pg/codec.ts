// Whose the socket's bytes are: pg's, or those of the one query that the codec speaks (DESIGN, speed). Owns this one state and its only mover:
// the codec takes the socket when pg has nothing to read, and gives it back at the end of its reply; pg sees a query of its own meanwhile and
// keeps whatever it is given waiting. What it cannot read itself (errors, notices, notifications, parameters) it has pg read, so that everybody hears
// of them as ever.

import { EventEmitter } from 'node:events';
import { Socket } from 'node:net';
import type { CodecQuery } from './codec-query.ts';
import type { Exchange } from './exchange.ts';
import { Frames, HEADER, isLength } from './frames.ts';
import type { PgParts } from './known-pg.ts';
import { giveStream, readBy } from './lean-socket.ts';
import type { Outgoing } from './outgoing.ts';
import { Shape } from './row-shape.ts';
import type { PgConnection, PgInternals } from './shapes.ts';

type Listener = (bytes: Buffer) => void;

const READY = Object.fromEntries(
  ['I', 'T', 'E'].map((status) => [status, Object.freeze({ name: 'readyForQuery', length: 5, status })]),
);

/** What pg reads in the middle of a reply: errors, notices, notifications, parameters, and what belongs to a COPY. */
const READ_BY_PG: ReadonlySet<number> = new Set(Buffer.from('ENASGHdc'));

export class Codec {
  readonly #inside: PgInternals;
  readonly #exchange: Exchange;
  readonly #connection: PgConnection;
  readonly #stream: Socket;
  readonly #parts: PgParts;
  readonly #out: Outgoing;
  readonly #pgReads: Listener;
  readonly #encrypted: boolean;
  /** What it reads is gone with the next read, and pg has it from the stream. */
  readonly #lean: boolean;
  readonly #frames = new Frames();
  /** The query whose reply is being read; undefined: pg has the socket. */
  #current: CodecQuery | undefined;
  /** A message that was cut: its bytes so far, in memory for all of it once its length is known. */
  #cut: Buffer | undefined;
  #filled = 0;

  /** Undefined, or why the socket is none that can be shared. */
  static unfit({ stream }: PgConnection): string | undefined {
    if (!(stream instanceof Socket)) return "the connection's stream is not a socket of Node";
    return stream.listenerCount('data') === 1 ? undefined : "somebody else reads the connection's socket";
  }

  constructor(inside: PgInternals, exchange: Exchange, parts: PgParts, out: Outgoing) {
    this.#inside = inside;
    this.#exchange = exchange;
    this.#connection = inside.connection;
    this.#stream = inside.connection.stream;
    this.#parts = parts;
    this.#out = out;
    guard(this.#connection);
    const stream = this.#stream;
    this.#encrypted = Reflect.get(stream, 'encrypted') === true;
    const [pgReads] = stream.listeners('data');
    this.#pgReads = pgReads as Listener;
    this.#lean = readBy(stream, (bytes, end) => this.#data(bytes, end));
    if (!this.#lean) {
      // Ours first: with nobody listening the stream might stop.
      stream.on('data', (bytes: Buffer) => this.#data(bytes, bytes.length));
      stream.removeListener('data', this.#pgReads);
    }
    this.#connection.once('end', () => this.forgo());
  }

  /** pg has nothing to read and nothing to send, and its reader stands between two messages. */
  get free(): boolean {
    const inside = this.#inside;
    return (
      inside.readyForQuery === true &&
      !inside._activeQuery &&
      this.#connection._emitMessage !== true &&
      inside.query === this.#parts.query &&
      this.#parts.Query.prototype.submit === this.#parts.submit &&
      this.#current === undefined &&
      this.#frames.whole &&
      this.#open
    );
  }

  /** Nobody has ended it. */
  get #open(): boolean {
    const inside = this.#inside;
    return inside._queryable === true && inside._ending !== true && this.#stream.writable;
  }

  /** Takes the socket and sends what was put together for `query`. Only when it is free. */
  speak(query: CodecQuery): void {
    const inside = this.#inside;
    inside.readyForQuery = false;
    inside.hasExecuted = true;
    inside._activeQuery = query;
    this.#current = query;
    this.#exchange.asked();
    this.#out.send(this.#stream, this.#encrypted);
  }

  /** What was to be done at the end of the reply is not done: the session is brought to rest, or is gone. */
  forgo(): void {
    this.#current?.forgo();
  }

  /** False if the stream has enough for now. */
  #data(bytes: Buffer, end: number): boolean {
    let at = 0;
    try {
      if (this.#current !== undefined)
        at = this.#cut === undefined ? this.#read(bytes, 0, end) : this.#complete(bytes, end);
      if (this.#lean && at > 0 && this.#stream.listenerCount('data') > 1) this.#letHear(bytes, at);
      // The reply is over: what follows is for whoever has the socket now.
      return at === end || this.#leave(bytes, at, end);
    } catch (error) {
      // Nobody knows what would come next.
      const why = error instanceof Error ? error.message : String(error);
      this.#stream.destroy(new Error(`the server's reply could not be read: ${why}`));
      return true;
    }
  }

  /** Whoever else listens to all that comes hears of the codec's part as well; it is not in the stream. */
  #letHear(bytes: Buffer, end: number): void {
    const part = Buffer.from(bytes.subarray(0, end));
    for (const listener of this.#stream.listeners('data'))
      if (listener !== this.#pgReads) listener.call(this.#stream, part);
  }

  #leave(bytes: Buffer, at: number, end: number): boolean {
    const rest = at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end);
    // Ahead: pg begins its next statement in the middle of this.
    this.#frames.count(rest);
    if (this.#lean) return giveStream(this.#stream, rest);
    this.#pgReads(rest);
    return true;
  }

  /** The rest of a message that was cut, and what comes after it; returns where the reply ended. */
  #complete(bytes: Buffer, end: number): number {
    let at = 0;
    while (this.#cut !== undefined) {
      const cut = this.#cut;
      const taken = bytes.copy(cut, this.#filled, at, end);
      this.#filled += taken;
      at += taken;
      if (this.#filled < cut.length) return at;
      const length = lengthAt(cut, 0);
      if (length <= cut.length) {
        this.#cut = undefined;
        this.#message(cut, 0, length);
      } else {
        this.#cut = Buffer.allocUnsafe(length);
        cut.copy(this.#cut);
      }
    }
    return this.#read(bytes, at, end);
  }

  /** Returns where the reply ended: at the end of the bytes if it goes on. */
  #read(bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (this.#current !== undefined) {
      if (end - at < HEADER) {
        if (end > at) this.#keep(bytes, at, end, HEADER);
        return end;
      }
      const length = lengthAt(bytes, at);
      if (end - at < length) {
        this.#keep(bytes, at, end, length);
        return end;
      }
      this.#message(bytes, at, at + length);
      at += length;
    }
    return at;
  }

  #keep(bytes: Buffer, at: number, end: number, length: number): void {
    this.#cut = Buffer.allocUnsafe(length);
    this.#filled = bytes.copy(this.#cut, 0, at, end);
  }

  #message(bytes: Buffer, at: number, end: number): void {
    const query = this.#current as CodecQuery;
    switch (bytes[at]) {
      case 0x44: // DataRow
        if (query.ahead === 0) query.row(bytes, at + HEADER, end);
        break;
      case 0x43: // CommandComplete
        if (query.ahead > 0) query.passed();
        else query.completed(bytes, at + HEADER, end);
        break;
      case 0x54: // RowDescription
        query.described(this.#shape(query, bytes, at, end));
        break;
      case 0x5a: // ReadyForQuery
        this.#over(query, bytes.toString('latin1', at + HEADER, end));
        break;
      case 0x31: // ParseComplete
        if (query.ahead === 0 && query.name !== undefined)
          this.#connection.parsedStatements[query.name] = query.text.text;
        break;
      case 0x32: // BindComplete
        if (query.ahead === 0) query.bound = true;
        break;
      case 0x49: // EmptyQueryResponse
        query.answered = true;
        break;
      case 0x33: // CloseComplete
      case 0x6e: // NoData
        break;
      default:
        this.#byPg(bytes, at, end);
    }
  }

  #shape({ text }: CodecQuery, bytes: Buffer, at: number, end: number): Shape {
    if (text.shape === undefined || !text.shape.is(bytes, at, end)) text.shape = new Shape(bytes, at, end);
    return text.shape;
  }

  /** Each in a message that is whole: pg's reader would look for its end for ever. */
  #byPg(bytes: Buffer, at: number, end: number): void {
    const kind = bytes[at] as number;
    if (!READ_BY_PG.has(kind)) throw new Error(`a message "${String.fromCharCode(kind)}" has no place in it`);
    const reports = kind === 0x45 || kind === 0x4e;
    if (reports && (bytes[end - 1] !== 0 || (bytes[end - 2] !== 0 && end - at > HEADER + 1)))
      throw new Error('an error or notice in it has no end');
    // What of it is kept by whoever hears of it, as a part of a COPY may be, must not change under him.
    this.#pgReads(Buffer.from(bytes.subarray(at, end)));
  }

  /** Gives the socket back to pg, by what pg takes for the end of a reply of its own. */
  #over(query: CodecQuery, status: string): void {
    const ready = READY[status];
    if (ready === undefined) throw new Error('at its end it does not say what the transaction is like');
    // Whoever asked must not take this for the answer.
    if (!query.answered) throw new Error('it ended before the statement was complete or had failed');
    this.#current = undefined;
    if (query.instead !== undefined && this.#open) {
      // pg does not hear of it: it would begin what is queued behind.
      this.#exchange.answered();
      query.instead();
      if (this.#current !== undefined) return;
      this.#exchange.asked();
    }
    query.forgo();
    this.#connection.emit('readyForQuery', ready);
  }
}

/**
 * What listeners throw is the process's business, and is thrown at it: pg's reader, were it to unwind, would read the same message again with
 * the next bytes, and again, and nothing that comes after it.
 */
function guard(connection: PgConnection): void {
  const emit: (event: string, ...args: unknown[]) => boolean = EventEmitter.prototype.emit.bind(connection as object);
  // Events of pg have one argument; what else there may be costs nothing where it is not.
  const guarded = (event: string, message: unknown, ...more: unknown[]): boolean => {
    try {
      return more.length === 0 ? emit(event, message) : emit(event, message, ...more);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
      return true;
    }
  };
  Object.defineProperty(connection, 'emit', { value: guarded, writable: true, configurable: true });
}

/** Of a whole message, its kind included. */
function lengthAt(bytes: Buffer, at: number): number {
  const length = bytes.readUInt32BE(at + 1);
  if (!isLength(length)) throw new Error(`a message says that it is ${length} bytes long`);
  return length + 1;
}
