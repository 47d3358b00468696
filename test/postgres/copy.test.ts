// COPY in both directions (pg-copy-streams) on connections whose socket pg and the codec share: on raw clients, on leases, after and before queries
// of the codec's, with consumers that are slow or go away.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import test, { type TestContext } from 'node:test';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import type { Lease, Pool } from '../../src/doors/index.ts';
import { reports, withPool, withServer } from './harness.ts';

const server = await withServer(test);
const SPEAKERS = ['auto', 'pg'] as const;

const ROWS = 20_000;
const OUT = `COPY (SELECT n, repeat(md5(n::text), 4) FROM generate_series(1, ${ROWS}) n) TO STDOUT`;

async function textOf(stream: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk as Buffer));
  return Buffer.concat(chunks).toString();
}

function checkRows(text: string): void {
  const lines = text.split('\n');
  assert.equal(lines.length, ROWS + 1);
  assert.equal(lines.at(-1), '');
  for (let n = 1; n <= ROWS; n += 997) assert.match(lines[n - 1] ?? '', new RegExp(`^${n}\t[0-9a-f]{128}$`));
}

/** The codec has spoken on it, or would. */
async function askedBefore(lease: Lease): Promise<void> {
  for (let n = 1; n <= 6; n += 1) {
    const { rows } = await lease.query('SELECT $1::int AS n', [n]);
    assert.deepEqual(rows, [{ n }]);
  }
}

async function askedAfter(lease: Lease): Promise<void> {
  const { rows } = await lease.query("SELECT repeat('x', 100000) AS x, $1::int AS n", [7]);
  assert.deepEqual(rows, [{ x: 'x'.repeat(100_000), n: 7 }]);
  const raw = await lease.client.query('SELECT 8 AS n');
  assert.deepEqual(raw.rows, [{ n: 8 }]);
}

for (const speaker of SPEAKERS) {
  const one = (t: TestContext): Pool => withPool(t, { ...server.config, speaker, max: 1 });

  test(`out, speaker ${speaker}: as the first statement, by a raw client, by a lease, again and again`, async (t) => {
    const pool = one(t);
    await pool.use(async (lease) => checkRows(await textOf(lease.client.query(copyTo(OUT)))));
    await pool.use(async (lease) => {
      await askedBefore(lease);
      checkRows(await textOf(lease.query(copyTo(OUT))));
      await askedAfter(lease);
      checkRows(await textOf(lease.client.query(copyTo(OUT))));
      await askedAfter(lease);
    });
    const client = await pool.connect();
    checkRows(await textOf(client.query(copyTo(OUT))));
    client.release();
    await pool.transaction(async (tx) => {
      await tx.query('SELECT 1');
      checkRows(await textOf(tx.client.query(copyTo(OUT))));
    });
  });

  test(`out, speaker ${speaker}: a slow consumer, while others are asked`, async (t) => {
    const pool = withPool(t, { ...server.config, speaker, max: 4 });
    const slow = pool.use(async (lease) => {
      await askedBefore(lease);
      let turns = 0;
      const tired = new Transform({
        transform(chunk, _, done) {
          turns += 1;
          if (turns % 50 === 0) setImmediate(() => done(null, chunk));
          else done(null, chunk);
        },
      });
      const text = textOf(tired);
      await pipeline(lease.client.query(copyTo(OUT)), tired);
      checkRows(await text);
      await askedAfter(lease);
    });
    let over = false;
    const others = [1, 2, 3].map(async (who) => {
      for (let n = 0; !over || n < 100; n += 1) {
        const { rows } = await pool.query('SELECT $1::int AS who, repeat($2, 3000) AS text', [who, String(who)]);
        assert.deepEqual(rows, [{ who, text: String(who).repeat(3_000) }]);
      }
    });
    await slow;
    over = true;
    await Promise.all(others);
  });

  test(`out, speaker ${speaker}: a consumer that goes away in the middle costs no more than the connection`, async (t) => {
    const { logger } = reports();
    const pool = withPool(t, { ...server.config, speaker, max: 1, logger, returnTimeoutMs: 1_000 });
    for (let round = 0; round < 3; round += 1) {
      await pool.use(async (lease) => {
        const stream = lease.client.query(copyTo(OUT));
        stream.on('error', () => {}); // that its connection is gone
        await once(stream, 'readable');
        stream.destroy();
      });
      const { rows } = await pool.query('SELECT $1::int AS n', [round]);
      assert.deepEqual(rows, [{ n: round }]);
    }
  });

  test(`in, speaker ${speaker}: and in again, and refused`, async (t) => {
    const pool = one(t);
    await pool.use(async (lease) => {
      await lease.query('CREATE TEMPORARY TABLE copied (n int, text text)');
      for (let round = 1; round <= 3; round += 1) {
        const lines = Array.from({ length: 5_000 }, (_, n) => `${n}\ttext ${n}\n`);
        await pipeline(Readable.from(lines), lease.client.query(copyFrom('COPY copied FROM STDIN')));
        const { rows } = await lease.query('SELECT count(*)::int AS count, max(n) AS last FROM copied');
        assert.deepEqual(rows, [{ count: 5_000 * round, last: 4_999 }]);
      }
      await assert.rejects(
        pipeline(Readable.from(['no number\tx\n']), lease.client.query(copyFrom('COPY copied FROM STDIN'))),
        /invalid input syntax/,
      );
      await askedAfter(lease);
    });
  });
}
