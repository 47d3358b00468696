// Whose the socket's bytes are: pg's, or those of the one query that the codec speaks (DESIGN, speed). Owns this one state and its only mover:
// the codec takes the socket when pg has nothing to read, and gives it back at the end of its reply; pg sees a query of its own meanwhile and
// keeps whatever it is given waiting. What it cannot read itself (errors, notices, notifications, parameters) it has pg read, so that everybody hears
// of them as ever.

import { Socket } from 'node:net';
import type { CodecQuery } from './codec-query.ts';
import type { Exchange } from './exchange.ts';
import { Frames } from './frames.ts';
import type { PgParts } from './known-pg.ts';
import type { Outgoing } from './outgoing.ts';
import { Shape } from './row-shape.ts';
import type { PgConnection, PgInternals } from './shapes.ts';

type Listener = (bytes: Buffer) => void;

const HEADER = 5;
/** No message of the server is longer (MaxAllocSize): what says so is not its bytes. */
const LONGEST = 2 ** 30 + HEADER;

const READY = Object.fromEntries(
  ['I', 'T', 'E'].map((status) => [status, Object.freeze({ name: 'readyForQuery', length: 5, status })]),
);

export class Codec {
  readonly #inside: PgInternals;
  readonly #exchange: Exchange;
  readonly #connection: PgConnection;
  readonly #stream: Socket;
  readonly #parts: PgParts;
  readonly #out: Outgoing;
  readonly #pgReads: Listener;
  readonly #encrypted: boolean;
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
    const stream = this.#stream;
    this.#encrypted = Reflect.get(stream, 'encrypted') === true;
    const [pgReads] = stream.listeners('data');
    this.#pgReads = pgReads as Listener;
    // Ours first: with nobody listening the stream might stop.
    stream.on('data', (bytes: Buffer) => this.#data(bytes));
    stream.removeListener('data', this.#pgReads);
    this.#connection.once('end', () => this.forgo());
  }

  /** pg has nothing to read and nothing to send, and its reader stands between two messages. */
  get free(): boolean {
    const inside = this.#inside;
    return (
      inside.readyForQuery === true &&
      !inside._activeQuery &&
      inside._queryable === true &&
      inside._ending !== true &&
      this.#connection._emitMessage !== true &&
      inside.query === this.#parts.query &&
      this.#current === undefined &&
      this.#frames.whole &&
      this.#stream.writable
    );
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

  #data(bytes: Buffer): void {
    if (this.#current === undefined) this.#toPg(bytes);
    else if (this.#cut === undefined) this.#read(bytes, 0);
    else this.#complete(bytes);
  }

  #toPg(bytes: Buffer): void {
    // Ahead: pg begins its next statement in the middle of this.
    this.#frames.count(bytes);
    this.#pgReads(bytes);
  }

  /** The rest of a message that was cut, and what comes after it. */
  #complete(bytes: Buffer): void {
    let at = 0;
    while (this.#cut !== undefined) {
      const cut = this.#cut;
      const taken = bytes.copy(cut, this.#filled, at);
      this.#filled += taken;
      at += taken;
      if (this.#filled < cut.length) return;
      const length = lengthAt(cut, 0);
      if (length <= cut.length) {
        this.#cut = undefined;
        if (!this.#isSane(length)) return;
        this.#message(cut, 0, length);
      } else if (this.#isSane(length)) {
        this.#cut = Buffer.allocUnsafe(length);
        cut.copy(this.#cut);
      } else return;
    }
    this.#read(bytes, at);
  }

  #read(bytes: Buffer, start: number): void {
    const end = bytes.length;
    let at = start;
    while (this.#current !== undefined) {
      if (end - at < HEADER) {
        if (end > at) this.#keep(bytes, at, HEADER);
        return;
      }
      const length = lengthAt(bytes, at);
      if (!this.#isSane(length)) return;
      if (end - at < length) {
        this.#keep(bytes, at, length);
        return;
      }
      this.#message(bytes, at, at + length);
      at += length;
    }
    // The reply is over: what follows is for whoever has the socket now.
    if (at < end) this.#toPg(bytes.subarray(at));
  }

  #keep(bytes: Buffer, at: number, length: number): void {
    this.#cut = Buffer.allocUnsafe(length);
    this.#filled = bytes.copy(this.#cut, 0, at);
  }

  #isSane(length: number): boolean {
    if (length >= HEADER && length <= LONGEST) return true;
    this.#stream.destroy(new Error(`the server sent a message of ${length} bytes: these are not its bytes`));
    return false;
  }

  #message(bytes: Buffer, at: number, end: number): void {
    const query = this.#current as CodecQuery;
    switch (bytes[at]) {
      case 0x44: // DataRow
        if (query.ahead === 0) query.row(bytes, at + 7);
        break;
      case 0x43: // CommandComplete
        if (query.ahead > 0) query.passed();
        else query.completed(bytes, at + HEADER, end);
        break;
      case 0x54: // RowDescription
        query.described(this.#shape(query, bytes, at, end));
        break;
      case 0x5a: // ReadyForQuery
        this.#over(query, bytes[at + HEADER] as number);
        break;
      case 0x31: // ParseComplete
        if (query.ahead === 0 && query.name !== undefined)
          this.#connection.parsedStatements[query.name] = query.text.text;
        break;
      case 0x32: // BindComplete
        if (query.ahead === 0) query.bound = true;
        break;
      case 0x33: // CloseComplete
      case 0x49: // EmptyQueryResponse
      case 0x6e: // NoData
        break;
      default:
        this.#outside(() => this.#pgReads(bytes.subarray(at, end)));
    }
  }

  #shape({ text }: CodecQuery, bytes: Buffer, at: number, end: number): Shape {
    if (text.shape === undefined || !text.shape.is(bytes, at, end)) text.shape = new Shape(bytes, at, end);
    return text.shape;
  }

  /** Gives the socket back to pg, by what pg takes for the end of a reply of its own. */
  #over(query: CodecQuery, status: number): void {
    this.#current = undefined;
    const ready = READY[String.fromCharCode(status)] ?? { name: 'readyForQuery', length: 5, status: '' };
    this.#outside(() => this.#connection.emit('readyForQuery', ready));
    query.instead?.();
  }

  /** What listeners throw is the process's business: our place in the bytes is kept. */
  #outside(call: () => void): void {
    try {
      call();
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

/** Of a whole message, its kind included. */
function lengthAt(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at + 1) + 1;
}
