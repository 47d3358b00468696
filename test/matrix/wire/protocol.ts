// The bytes of the wire protocol (version 3.0), as far as a scripted server needs them: messages written, and those of a client cut out
// of a stream. Knows no state and no time.

export const PROTOCOL_3 = 196_608;
export const CANCEL = 80_877_102;

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};
const int16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
};
const text = (value: string): Buffer => Buffer.from(`${value}\0`);

function message(type: string, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body]);
}

/** What a backend is between two statements: idle, in a transaction, in a failed one. */
export type Status = 'I' | 'T' | 'E';

export const authenticated = (): Buffer => message('R', int32(0));
export const askPassword = (): Buffer => message('R', int32(3));
export const parameter = (name: string, value: string): Buffer => message('S', text(name), text(value));
export const backendKey = (pid: number, key: number): Buffer => message('K', int32(pid), int32(key));
export const ready = (status: Status): Buffer => message('Z', Buffer.from(status));
export const emptyQuery = (): Buffer => message('I');
export const complete = (tag: string): Buffer => message('C', text(tag));
export const parsed = (): Buffer => message('1');
export const bound = (): Buffer => message('2');
export const noData = (): Buffer => message('n');

const TEXT_OID = 25;

export function rowsDescribed(names: readonly string[]): Buffer {
  const fields = names.map((name) =>
    Buffer.concat([text(name), int32(0), int16(0), int32(TEXT_OID), int16(-1), int32(-1), int16(0)]),
  );
  return message('T', int16(names.length), ...fields);
}

export function row(values: readonly string[]): Buffer {
  const fields = values.map((value) => Buffer.concat([int32(Buffer.byteLength(value)), Buffer.from(value)]));
  return message('D', int16(values.length), ...fields);
}

export function failure(severity: 'ERROR' | 'FATAL', code: string, what: string): Buffer {
  const fields = [`S${severity}`, `V${severity}`, `C${code}`, `M${what}`].map(text);
  return message('E', ...fields, Buffer.from([0]));
}

/** One message of a client. */
export interface Message {
  /** Its letter; a start-up or a cancel request has none. */
  readonly type: string;
  readonly body: Buffer;
}

/** Cuts a client's stream into messages. */
export class Messages {
  #rest: Buffer = Buffer.alloc(0);
  #started = false;

  /** Those that are complete with this piece. */
  add(piece: Buffer): Message[] {
    this.#rest = Buffer.concat([this.#rest, piece]);
    const found: Message[] = [];
    for (let next = this.#next(); next !== undefined; next = this.#next()) found.push(next);
    return found;
  }

  #next(): Message | undefined {
    const letter = this.#started ? 1 : 0;
    if (this.#rest.length < letter + 4) return undefined;
    const end = letter + this.#rest.readInt32BE(letter);
    if (this.#rest.length < end) return undefined;
    const type = this.#rest.toString('latin1', 0, letter);
    const body = this.#rest.subarray(letter + 4, end);
    this.#rest = this.#rest.subarray(end);
    this.#started = true;
    return { type, body };
  }
}

function cut(body: Buffer, from: number): { readonly word: string; readonly next: number } {
  const end = body.indexOf(0, from);
  return { word: body.toString('utf8', from, end), next: end + 1 };
}

/** The text of a simple query. */
export const queryText = (body: Buffer): string => cut(body, 0).word;

export function parseText(body: Buffer): { readonly name: string; readonly text: string } {
  const { word: name, next } = cut(body, 0);
  return { name, text: cut(body, next).word };
}

/** The statement that a Bind names, and its values; pg sends them as text. */
export function bindOf(body: Buffer): { readonly name: string; readonly values: readonly string[] } {
  const portal = cut(body, 0);
  const { word: name, next } = cut(body, portal.next);
  let at = next + 2 + 2 * body.readInt16BE(next);
  const count = body.readInt16BE(at);
  at += 2;
  const values: string[] = [];
  for (let n = 0; n < count; n += 1) {
    const length = body.readInt32BE(at);
    values.push(length < 0 ? '' : body.toString('utf8', at + 4, at + 4 + length));
    at += 4 + Math.max(0, length);
  }
  return { name, values };
}

/** The `user` and all that comes with it are of no interest; a cancel request says whom it means. */
export function openingOf(
  body: Buffer,
): { readonly is: 'start' } | { readonly is: 'cancel'; pid: number; key: number } | { readonly is: 'unknown' } {
  const code = body.readInt32BE(0);
  if (code === PROTOCOL_3) return { is: 'start' };
  if (code === CANCEL) return { is: 'cancel', pid: body.readInt32BE(4), key: body.readInt32BE(8) };
  return { is: 'unknown' };
}
