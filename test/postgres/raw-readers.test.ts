// Whoever reads the socket of a lease by itself, as pg-copy-streams does for COPY TO: it takes pg's listener for "data" away, stops the
// stream, reads by "readable" and `read()`, and gives the rest to pg. Nothing of it may be lost, whoever speaks for the queries beside it.

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import test from 'node:test';
import type pg from 'pg';
import type { Lease } from '../../src/doors/index.ts';
import { rejection, withPool, withServer } from './harness.ts';

const server = await withServer(test);

const HEADER = 5;
const COPY_DATA = 0x64;
const COPY_DONE = 0x63;
const ERROR = 0x45;

type Reader = (bytes: Buffer) => void;

/** COPY TO, read off the socket. */
class RawCopy {
  readonly lines: Promise<string>;
  readonly #text: string;
  readonly #found: Buffer[] = [];
  #stream!: Socket;
  #pgReads!: Reader;
  #bytes: Buffer = Buffer.alloc(0);
  #resolve!: (lines: string) => void;
  #reject!: (error: Error) => void;

  constructor(text: string) {
    this.#text = text;
    this.lines = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  submit(connection: pg.Connection): void {
    this.#stream = connection.stream as Socket;
    const [pgReads, ...others] = this.#stream.listeners('data') as Reader[];
    assert.ok(pgReads !== undefined && others.length === 0, 'pg alone listens for "data"');
    this.#pgReads = pgReads;
    this.#stream.removeListener('data', pgReads);
    this.#stream.pause();
    this.#stream.on('readable', this.#read);
    this.#read();
    connection.query(this.#text);
  }

  readonly #read = (): void => {
    for (;;) {
      const chunk = this.#stream.read() as Buffer | null;
      if (chunk === null) return;
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      while (this.#bytes.length >= HEADER) {
        const length = 1 + this.#bytes.readUInt32BE(1);
        if (this.#bytes[0] === ERROR) {
          this.#giveBack();
          return;
        }
        if (this.#bytes.length < length) break;
        if (this.#bytes[0] === COPY_DATA) this.#found.push(this.#bytes.subarray(HEADER, length));
        const done = this.#bytes[0] === COPY_DONE;
        this.#bytes = this.#bytes.subarray(length);
        if (done) {
          this.#giveBack();
          return;
        }
      }
    }
  };

  #giveBack(): void {
    this.#stream.removeListener('readable', this.#read);
    this.#stream.on('data', this.#pgReads);
    this.#pgReads(this.#bytes);
    process.nextTick(() => this.#stream.resume());
  }

  handleError(error: Error): void {
    this.#reject(error);
  }

  handleCommandComplete(): void {}

  handleReadyForQuery(): void {
    this.#resolve(Buffer.concat(this.#found).toString());
  }
}

function copied(lease: Lease, text: string): Promise<string> {
  const copy = new RawCopy(text);
  lease.client.query(copy as unknown as pg.Submittable);
  return copy.lines;
}

for (const speaker of ['auto', 'pg'] as const) {
  test(`COPY TO is read off the socket by whoever asked for it (speaker: '${speaker}')`, {
    timeout: 10_000,
  }, async (t) => {
    const pool = withPool(t, { ...server.config, max: 1, speaker });
    const lease = await pool.acquire();
    for (const rows of [1, 3, 20_000]) {
      const lines = await copied(
        lease,
        `COPY (SELECT n, repeat('x', 200) FROM generate_series(1, ${rows}) n) TO STDOUT`,
      );
      const wanted = Array.from({ length: rows }, (_, n) => `${n + 1}\t${'x'.repeat(200)}\n`).join('');
      assert.ok(lines === wanted, `${rows} rows are there, byte for byte`);
      assert.deepEqual((await lease.query('SELECT $1::int AS n', [rows])).rows, [{ n: rows }]);
    }
    await rejection(copied(lease, 'COPY (SELECT 1 / 0) TO STDOUT'), Error);
    assert.deepEqual((await lease.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
    lease.release();
    assert.equal(pool.stats().connects, 1);
  });
}
