// A socket of Node with a scripted server behind it, in this process: what it "receives" comes in exactly the pieces that the test says. Owns
// the server's half of the protocol as far as a client of pg needs it; what is answered to a statement is the test's business.

import { Socket } from 'node:net';
import { setImmediate } from 'node:timers';
import { setImmediate as turn } from 'node:timers/promises';
import { BOUND, CLOSED, complete, int32, message, PARSED, parameter, ready } from './codec-bytes.ts';

/** A statement as it arrived. */
export interface Arrived {
  readonly socket: ScriptedSocket;
  readonly text: string;
  /** By Parse, Bind and Execute, and under this name. */
  readonly name: string | undefined;
  readonly values: readonly (Buffer | null)[];
}

export interface Script {
  /** What is sent for it between the words that it is parsed and bound, and the end of the reply, that included. Undefined: nothing for now. */
  answer(arrived: Arrived): Buffer | undefined;
  /** The pieces in which bytes arrive. Default: in one. */
  cut?(bytes: Buffer): readonly Buffer[];
}

const CANCEL_REQUEST = 80_877_102;

export class ScriptedSocket extends Socket {
  readonly #script: Script;
  #bytes = Buffer.alloc(0);
  #started = false;
  /** Statements that were parsed here, by name. */
  readonly #parsed = new Map<string, string>();
  /** What is answered at the next Sync. */
  #reply: Buffer[] = [];
  #values: (Buffer | null)[] = [];
  #bound: { text: string; name: string } | undefined;
  /** Pieces on their way: none overtakes another. */
  readonly #coming: Buffer[] = [];
  #due = false;
  #ended = false;

  constructor(script: Script) {
    super();
    this.#script = script;
  }

  override connect(): this {
    setImmediate(() => this.emit('connect'));
    return this;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    while (this.#takeOne()) {}
    done();
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), '', done);
  }

  override _final(done: () => void): void {
    done();
    this.hangUp();
  }

  /** Sends bytes, in pieces as the script says. */
  say(...messages: readonly Buffer[]): void {
    const bytes = Buffer.concat(messages);
    this.#coming.push(...(this.#script.cut?.(bytes) ?? [bytes]));
    this.#deliver();
  }

  /** Resolves when all that was said has arrived. */
  async silence(): Promise<void> {
    do await turn();
    while (this.#coming.length > 0);
    await turn();
  }

  /** The server ends the connection. */
  hangUp(): void {
    setImmediate(() => {
      if (this.#ended || this.destroyed) return;
      this.#ended = true;
      this.push(null);
    });
  }

  #deliver(): void {
    if (this.#due) return;
    this.#due = true;
    setImmediate(() => {
      this.#due = false;
      const piece = this.#coming.shift();
      if (piece === undefined || this.destroyed) return;
      if (piece.length > 0) this.push(piece);
      if (this.#coming.length > 0) this.#deliver();
    });
  }

  #takeOne(): boolean {
    const bytes = this.#bytes;
    if (!this.#started) {
      if (bytes.length < 8 || bytes.length < bytes.readUInt32BE(0)) return false;
      this.#bytes = bytes.subarray(bytes.readUInt32BE(0));
      if (bytes.readUInt32BE(4) === CANCEL_REQUEST) this.hangUp();
      else this.#begin();
      return true;
    }
    if (bytes.length < 5) return false;
    const length = bytes.readUInt32BE(1) + 1;
    if (bytes.length < length) return false;
    this.#bytes = bytes.subarray(length);
    this.#take(String.fromCharCode(bytes[0] ?? 0), bytes.subarray(5, length));
    return true;
  }

  #begin(): void {
    this.#started = true;
    this.say(
      message('R', int32(0)),
      parameter('server_version', '18.0'),
      parameter('client_encoding', 'UTF8'),
      parameter('in_hot_standby', 'off'),
      message('K', int32(1), int32(2)),
      ready(),
    );
  }

  #take(kind: string, body: Buffer): void {
    switch (kind) {
      case 'Q':
        this.#answer(strings(body, 1)[0] ?? '', undefined);
        break;
      case 'P': {
        const [name = '', text = ''] = strings(body, 2);
        this.#parsed.set(name, text);
        this.#reply.push(PARSED);
        break;
      }
      case 'C':
        this.#reply.push(CLOSED);
        break;
      case 'B': {
        const [, name = ''] = strings(body, 2);
        this.#bound = { name, text: this.#parsed.get(name) ?? '' };
        this.#values = values(body, name.length + 2);
        this.#reply.push(BOUND);
        break;
      }
      case 'S':
        if (this.#bound === undefined) this.say(...this.#reply.splice(0), ready());
        else this.#answer(this.#bound.text, this.#bound.name);
        this.#bound = undefined;
        break;
      case 'X':
        this.hangUp();
        break;
      case 'E':
        // Ahead of a statement, in one reply with it: what begins a transaction.
        if (this.#bound === undefined || !isThePools(this.#bound.text)) break;
        this.#reply.push(complete(this.#bound.text.toUpperCase()));
        this.#bound = undefined;
        break;
      default: // Describe: there is one portal.
    }
  }

  #answer(text: string, name: string | undefined): void {
    const ahead = this.#reply.splice(0);
    const answer = isThePools(text)
      ? Buffer.concat([complete(text.toUpperCase()), ready()])
      : this.#script.answer({ socket: this, text, name, values: this.#values.splice(0) });
    if (answer !== undefined) this.say(...ahead, answer);
  }
}

function isThePools(text: string): boolean {
  return /^(rollback|discard all|begin|commit)$/i.test(text);
}

function strings(bytes: Buffer, count: number): string[] {
  const found: string[] = [];
  let at = 0;
  for (let n = 0; n < count; n += 1) {
    const end = bytes.indexOf(0, at);
    found.push(bytes.toString('utf8', at, end));
    at = end + 1;
  }
  return found;
}

/** Of a Bind whose formats begin at `start`. */
function values(body: Buffer, start: number): (Buffer | null)[] {
  const count = body.readUInt16BE(start);
  let at = start + 4 + 2 * count;
  return Array.from({ length: count }, () => {
    const length = body.readInt32BE(at);
    at += 4 + Math.max(0, length);
    return length < 0 ? null : body.subarray(at - length, at);
  });
}
