// What the codec sends, byte for byte against what pg's own connection would send for the same, and where messages end in what comes back,
// however it is cut. CODEC_FUZZ_SEED=n repeats a run. No server: pg writes to a stream that keeps what it is given.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { Socket } from 'node:net';
import test from 'node:test';
import pg from 'pg';
import { Frames } from '../../src/pg/frames.ts';
import { Outgoing, type Wire } from '../../src/pg/outgoing.ts';
import { Chance } from '../soak/chance.ts';

const seed = Number(process.env.CODEC_FUZZ_SEED ?? randomInt(2 ** 31));

class Kept {
  readonly chunks: Buffer[] = [];
  /** What is written is not taken at once. */
  slow = false;
  readonly socket: Socket;

  constructor() {
    const write = (bytes: Buffer): boolean => {
      this.chunks.push(bytes);
      return true;
    };
    this.socket = Object.assign(new Socket(), { write });
    Object.defineProperty(this.socket, 'writableLength', { get: () => (this.slow ? 1 : 0) });
  }

  take(): Buffer {
    return Buffer.concat(this.chunks.splice(0));
  }
}

/** pg's own connection on a stream that keeps what it is given. */
function pgSends(): { connection: pg.Connection; take(): Buffer } {
  const chunks: Buffer[] = [];
  const stream = Object.assign(new Socket(), {
    write: (bytes: Buffer): boolean => {
      chunks.push(Buffer.from(bytes));
      return true;
    },
  });
  Object.defineProperty(stream, 'writable', { value: true });
  const connection = new pg.Connection({ stream: () => stream });
  return { connection, take: () => Buffer.concat(chunks.splice(0)) };
}

const ALPHABETS = [
  'abc XYZ_09$',
  'äöüß€',
  '漢字\u2028\u2029',
  '😀🏳️‍🌈',
  '\ud800\udc00\ud800',
  '\udfff\udc00x',
  '\u0001\u007f\u0080\u07ff\u0800\uffff',
];
const EDGES = [0, 1, 2, 7, 22, 23, 24, 25, 26, 100, 21_844, 21_846, 65_534, 65_535, 65_536, 65_537, 200_000];

function string(chance: Chance, length: number): string {
  const alphabet = chance.pick(ALPHABETS);
  const units: string[] = [];
  for (let n = 0; n < length; n += 1)
    units.push(alphabet.charAt(chance.happens(0.02) ? 0 : chance.upTo(alphabet.length)));
  return units.join('');
}

function length(chance: Chance): number {
  return chance.happens(0.2) ? chance.pick(EDGES) : chance.upTo(chance.pick([5, 40, 3_000]));
}

function value(chance: Chance): Wire {
  const kind = chance.upTo(6);
  if (kind === 0) return null;
  if (kind === 1) return Buffer.from(string(chance, length(chance)));
  return string(chance, length(chance));
}

test(`what is sent is what pg sends, byte for byte (seed ${seed})`, () => {
  const chance = new Chance(seed, 'outgoing');
  const out = new Outgoing();
  const kept = new Kept();
  const { connection, take } = pgSends();
  for (let round = 0; round < 150; round += 1) {
    kept.slow = chance.happens(0.3);
    const parts = 1 + chance.upTo(3);
    for (let part = 0; part < parts; part += 1) {
      const text = string(chance, length(chance));
      const name = chance.happens(0.5) ? '' : string(chance, chance.upTo(50));
      const values = Array.from({ length: chance.happens(0.05) ? 300 : chance.upTo(6) }, () => value(chance));
      switch (chance.upTo(4)) {
        case 0:
          out.query(text);
          connection.query(text);
          break;
        case 1:
          out.parse(name, text);
          connection.parse({ name, text, types: [] }, false);
          break;
        case 2:
          out.forget(name);
          connection.close({ type: 'S', name }, false);
          break;
        default:
          out.bind(name, values);
          connection.bind({ statement: name, portal: '', binary: '', values: values as string[] }, false);
          out.rowsAndEnd();
          connection.describe({ type: 'P', name: '' }, false);
          connection.execute({ portal: '', rows: '' }, false);
          connection.sync();
      }
    }
    out.send(kept.socket, false);
    const [one] = kept.chunks;
    assert.equal(kept.chunks.length, 1, 'one write');
    assert.ok(one);
    const ours = kept.take();
    const theirs = take();
    if (!ours.equals(theirs))
      assert.fail(`round ${round}, seed ${seed}: ${ours.length} bytes, pg's are ${theirs.length}`);
  }
});

for (const copied of [false, true]) {
  test(`bytes that were not taken at once stay what they were while more is put together${copied ? ', where the socket does not tell' : ''} (seed ${seed})`, () => {
    const chance = new Chance(seed, 'slow');
    const out = new Outgoing();
    const kept = new Kept();
    kept.slow = !copied;
    const copies: Buffer[] = [];
    for (let round = 0; round < 30; round += 1) {
      out.query(string(chance, length(chance)));
      out.send(kept.socket, copied);
      copies.push(Buffer.from(kept.chunks[round] as Buffer));
    }
    for (const [n, copy] of copies.entries())
      assert.ok(copy.equals(kept.chunks[n] as Buffer), `write ${n}, seed ${seed}`);
  });
}

test('what was dropped does not go out, and what a large statement needed is not kept', () => {
  const out = new Outgoing();
  const kept = new Kept();
  out.query('x'.repeat(1_000_000));
  out.send(kept.socket, false);
  kept.take();
  out.query('never');
  out.drop();
  out.sync();
  out.send(kept.socket, false);
  const [chunk] = kept.chunks;
  assert.deepEqual(chunk, Buffer.from([0x53, 0, 0, 0, 4]));
  assert.ok((chunk?.buffer.byteLength ?? Infinity) < 500_000);
});

test(`whether bytes end between two messages is known however they are cut (seed ${seed})`, () => {
  const chance = new Chance(seed, 'frames');
  for (let round = 0; round < 100; round += 1) {
    const frames = new Frames();
    const ends = new Set<number>([0]);
    const messages: Buffer[] = [];
    let total = 0;
    for (let n = 1 + chance.upTo(20); n > 0; n -= 1) {
      const body = chance.happens(0.3) ? 0 : chance.upTo(chance.pick([3, 20, 70_000]));
      const message = Buffer.alloc(5 + body, chance.pick([0, 0xff, 0x53]));
      message.writeUInt32BE(4 + body, 1);
      messages.push(message);
      total += message.length;
      ends.add(total);
    }
    const bytes = Buffer.concat(messages);
    const most = chance.pick([1, 2, 7, 200, 100_000]);
    for (let at = 0; at < total; ) {
      if (most === 1 && at > 3_000) break;
      const size = Math.min(total - at, chance.happens(0.1) ? 0 : 1 + chance.upTo(most));
      frames.count(bytes.subarray(at, at + size));
      at += size;
      assert.equal(frames.whole, ends.has(at), `round ${round}, after ${at} of ${total}, seed ${seed}`);
    }
  }
});

test('a length that no message can have is refused, wherever its bytes are cut', () => {
  for (const wrong of [0, 3, 2 ** 30 + 5, 2 ** 31, 2 ** 32 - 1]) {
    for (let cut = 0; cut <= 5; cut += 1) {
      const bytes = Buffer.concat([Buffer.from([0x53, 0, 0, 0, 4]), Buffer.alloc(5, 0x5a)]);
      bytes.writeUInt32BE(wrong, 6);
      const frames = new Frames();
      assert.throws(
        () => {
          frames.count(bytes.subarray(0, 5 + cut));
          frames.count(bytes.subarray(5 + cut));
        },
        new RegExp(`${wrong} bytes`),
      );
    }
  }
});
