// The messages of the codec to the server, put together in one piece of memory and thus one write. Owns the memory and the wire's format of
// what is sent; when something is sent, and what values mean, is known elsewhere.
// The format: PostgreSQL manual, chapter "Frontend/Backend Protocol", message formats.

import type { Socket } from 'node:net';

/** A parameter as it goes out: text, bytes, or null. */
export type Wire = string | Buffer | null;

const SIZE = 65_536;
/** Up to here a loop over ASCII is faster than a call into the runtime. */
const SHORT = 24;

const DESCRIBE_PORTAL = Buffer.from([0x44, 0, 0, 0, 6, 0x50, 0]);
const EXECUTE_ALL = Buffer.from([0x45, 0, 0, 0, 9, 0, 0, 0, 0, 0]);
const SYNC = Buffer.from([0x53, 0, 0, 0, 4]);
const ROWS_AND_END = Buffer.concat([DESCRIBE_PORTAL, EXECUTE_ALL, SYNC]);

export class Outgoing {
  #bytes: Buffer = Buffer.allocUnsafeSlow(SIZE);
  #at = 0;

  /** A statement in the simple protocol: its reply ends by itself. */
  query(text: string): void {
    const start = this.#open(0x51);
    this.#cstring(text);
    this.#close(start);
  }

  /** Types of parameters are the server's to find out. */
  parse(name: string, text: string): void {
    const start = this.#open(0x50);
    this.#cstring(name);
    this.#cstring(text);
    this.#room(2);
    this.#int16(0);
    this.#close(start);
  }

  /** Binds to the unnamed portal; every column shall come as text. */
  bind(name: string, values: readonly Wire[]): void {
    const start = this.#open(0x42);
    this.#room(1);
    this.#bytes[this.#at++] = 0;
    this.#cstring(name);
    const { length } = values;
    this.#room(length * 2 + 4);
    this.#int16(length);
    let format = this.#at;
    this.#at += length * 2;
    this.#int16(length);
    for (let n = 0; n < length; n += 1) {
      const value = values[n] as Wire;
      const binary = typeof value === 'object' && value !== null;
      // Whatever makes room may move all of it.
      if (value === null) this.#null();
      else if (binary) this.#value(value);
      else this.#text(value);
      this.#bytes[format++] = 0;
      this.#bytes[format++] = binary ? 1 : 0;
    }
    this.#room(4);
    this.#int16(1);
    this.#int16(0);
    this.#close(start);
  }

  /** Runs the unnamed portal to its end, without telling of columns. */
  execute(): void {
    this.#copy(EXECUTE_ALL);
  }

  /** Tells of the columns, runs the unnamed portal to its end, and ends the reply. */
  rowsAndEnd(): void {
    this.#copy(ROWS_AND_END);
  }

  /** The end of the reply. */
  sync(): void {
    this.#copy(SYNC);
  }

  /** Forgets a prepared statement. */
  forget(name: string): void {
    const start = this.#open(0x43);
    this.#room(1);
    this.#bytes[this.#at++] = 0x53;
    this.#cstring(name);
    this.#close(start);
  }

  /** What was put together goes out in one write; `copied` for a socket that reads it later only, as one with TLS does. */
  send(socket: Socket, copied: boolean): void {
    const bytes = this.#bytes;
    const end = this.#at;
    this.#at = 0;
    // What is not taken at once is read later; and one large statement must not hold its memory for ever.
    if (end > SIZE) this.#bytes = Buffer.allocUnsafeSlow(SIZE);
    socket.write(copied && this.#bytes === bytes ? Buffer.from(bytes.subarray(0, end)) : bytes.subarray(0, end));
    if (copied) return;
    if (socket.writableLength > 0 && this.#bytes === bytes) this.#bytes = Buffer.allocUnsafeSlow(SIZE);
  }

  /** What was put together does not go out. */
  drop(): void {
    this.#at = 0;
  }

  #open(kind: number): number {
    this.#room(5);
    const start = this.#at;
    this.#bytes[start] = kind;
    this.#at = start + 5;
    return start;
  }

  #close(start: number): void {
    this.#bytes.writeUInt32BE(this.#at - start - 1, start + 1);
  }

  #room(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#bytes.length) return;
    const wider = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(wider, 0, 0, this.#at);
    this.#bytes = wider;
  }

  #copy(message: Buffer): void {
    this.#room(message.length);
    const bytes = this.#bytes;
    let at = this.#at;
    for (let n = 0; n < message.length; n += 1) bytes[at++] = message[n] as number;
    this.#at = at;
  }

  #int16(value: number): void {
    this.#bytes[this.#at++] = value >> 8;
    this.#bytes[this.#at++] = value;
  }

  #int32(value: number): void {
    this.#bytes[this.#at++] = value >> 24;
    this.#bytes[this.#at++] = value >> 16;
    this.#bytes[this.#at++] = value >> 8;
    this.#bytes[this.#at++] = value;
  }

  #null(): void {
    this.#room(4);
    this.#int32(-1);
  }

  #value(value: Buffer): void {
    this.#room(4 + value.length);
    this.#int32(value.length);
    value.copy(this.#bytes, this.#at);
    this.#at += value.length;
  }

  #text(value: string): void {
    this.#room(4);
    const start = this.#at;
    this.#at = start + 4;
    this.#characters(value);
    const end = this.#at;
    this.#at = start;
    this.#int32(end - start - 4);
    this.#at = end;
  }

  #cstring(text: string): void {
    this.#characters(text);
    this.#room(1);
    this.#bytes[this.#at++] = 0;
  }

  #characters(text: string): void {
    const { length } = text;
    // No character needs more than three bytes for each unit of its string.
    this.#room(length > SIZE ? Buffer.byteLength(text) : length * 3);
    const start = this.#at;
    if (length <= SHORT) {
      const bytes = this.#bytes;
      let n = 0;
      for (; n < length; n += 1) {
        const unit = text.charCodeAt(n);
        if (unit > 0x7f) break;
        bytes[start + n] = unit;
      }
      if (n === length) {
        this.#at = start + length;
        return;
      }
    }
    this.#at = start + this.#bytes.write(text, start);
  }
}
