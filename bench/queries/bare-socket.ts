// The limit of Node: sockets that write a message which is all but ready, and wait for the last byte of its reply. No pool but a list, no results but
// one number. What a pool of one statement at a time could reach if its own code cost nothing.

import type { Duplex } from 'node:stream';
import pg from 'pg';
import type { Target } from './target.ts';
import { type Queries, type Row, SQL } from './workloads.ts';

/** In the order in which they are prepared, with values that change nothing: pg runs what it prepares. */
const STATEMENTS = {
  by_key: { text: SQL.byKey, values: [0] },
  begin: { text: 'BEGIN', values: [] },
  update: { text: SQL.update, values: [0, 0] },
  insert: { text: SQL.insert, values: [0, 0] },
  commit: { text: 'COMMIT', values: [] },
};

function message(kind: string, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(5);
  head.write(kind, 'latin1');
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

/** Bind, Describe, Execute: what pg sends for a statement that is prepared. */
function execution(statement: keyof typeof STATEMENTS, values: readonly number[]): Buffer {
  const wire = values.flatMap((value) => {
    const text = Buffer.from(String(value));
    const length = Buffer.alloc(4);
    length.writeInt32BE(text.length);
    return [length, text];
  });
  const bind = message('B', Buffer.from(`\0${statement}\0`), int16(0), int16(values.length), ...wire, int16(0));
  return Buffer.concat([bind, message('D', Buffer.from('P\0')), message('E', Buffer.from('\0\0\0\0\0'))]);
}

const SYNC = message('S');
const COMMIT = Buffer.concat([execution('commit', []), SYNC]);
const BEGIN = execution('begin', []);

/** As wide as a key can be: all but the digits is written once. */
const DIGITS = 10;

/** A query by key whose message is ready but for the key. */
class ByKey {
  readonly bytes: Buffer = Buffer.concat([execution('by_key', [10 ** (DIGITS - 1)]), SYNC]);
  readonly #at: number = this.bytes.indexOf(String(10 ** (DIGITS - 1)));

  /** With zeros in front, which change no number. */
  of(aid: number): Buffer {
    let rest = aid;
    for (let at = this.#at + DIGITS - 1; at >= this.#at; at -= 1) {
      this.bytes[at] = 0x30 + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    return this.bytes;
  }
}

/** ReadyForQuery is the last message of a reply: six bytes. */
const READY = 6;
const HEADER = 5;

class Line {
  readonly #socket: Duplex;
  readonly byKey: ByKey = new ByKey();
  #read: Buffer | undefined;
  #resolve: ((reply: Buffer) => void) | undefined;

  constructor(socket: Duplex) {
    this.#socket = socket;
    socket.removeAllListeners('data');
    socket.on('data', (bytes: Buffer) => this.#data(bytes));
  }

  ask(bytes: Buffer): Promise<Buffer> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#socket.write(bytes);
    });
  }

  #data(bytes: Buffer): void {
    const read = this.#read === undefined ? bytes : Buffer.concat([this.#read, bytes]);
    const last = read.length - READY;
    if (last < 0 || read[last] !== 0x5a || read.readUInt32BE(last + 1) !== READY - 1) {
      this.#read = read;
      return;
    }
    this.#read = undefined;
    this.#resolve?.(read);
  }
}

/** The one value of the one row in a reply. */
function balanceIn(reply: Buffer): Row[] {
  for (let at = 0; at < reply.length; at += reply.readUInt32BE(at + 1) + 1) {
    if (reply[at] !== 0x44) continue;
    const start = at + HEADER + 2;
    return [{ abalance: reply.toString('latin1', start + 4, start + 4 + reply.readInt32BE(start)) }];
  }
  return [];
}

export async function bareSocket({ config, connections }: Target): Promise<Queries<Buffer>> {
  const clients = Array.from({ length: connections }, () => new pg.Client(config));
  const idle: Line[] = [];
  const waiting: ((line: Line) => void)[] = [];
  for (const client of clients) {
    // It is cut at the end.
    client.on('error', () => {});
    await client.connect();
    for (const [name, { text, values }] of Object.entries(STATEMENTS)) await client.query({ name, text, values });
    idle.push(new Line(client.connection.stream));
  }
  const take = (): Line | Promise<Line> => idle.pop() ?? new Promise((resolve) => void waiting.push(resolve));
  const give = (line: Line): void => {
    const next = waiting.shift();
    if (next === undefined) idle.push(line);
    else next(line);
  };
  const unknown = (): never => {
    throw new Error('no workload of this limit');
  };
  const byKey = async (aid: number): Promise<Buffer> => {
    const line = idle.pop() ?? (await take());
    const reply = await line.ask(line.byKey.of(aid));
    give(line);
    return reply;
  };
  return {
    select1: unknown,
    byKey,
    byText: byKey,
    accounts: unknown,
    wide: unknown,
    insert: unknown,
    failing: unknown,
    async transfer(aid, delta) {
      const line = await take();
      await line.ask(Buffer.concat([BEGIN, execution('update', [delta, aid]), SYNC]));
      const found = await line.ask(line.byKey.of(aid));
      await line.ask(Buffer.concat([execution('insert', [aid, delta]), SYNC]));
      await line.ask(COMMIT);
      give(line);
      return found;
    },
    sqlStateOf: unknown,
    rowsOf: balanceIn,
    countOf: unknown,
    async end() {
      for (const { connection } of clients) connection.stream.destroy();
    },
  };
}
