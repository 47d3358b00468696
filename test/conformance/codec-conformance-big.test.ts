// Whether the codec bears what is big as pg does: a hundred megabytes in rows, in one field and in one value, a million rows, many
// columns, and everything cut at every place.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test, { type TestContext } from 'node:test';
import type { Pool, PoolOptions } from '../../src/doors/index.ts';
import { withPool, withServer } from '../postgres/harness.ts';
import { countsOf } from './codec-doors.ts';
import { portrait } from './codec-portrait.ts';

const server = await withServer(test);

const MEGABYTE = 2 ** 20;

const MODES: Readonly<Record<string, PoolOptions>> = {
  'speaker pg': { speaker: 'pg', prepare: false },
  'the codec': { speaker: 'auto', prepare: false },
  'the codec, prepared': { speaker: 'auto', prepare: 'always' },
};

function digest(texts: Iterable<string>): string {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(text).update('|');
  return hash.digest('hex');
}

/** Runs `look` with each kind of pool: what it gives has to be the same. */
async function likewise(t: TestContext, look: (pool: Pool) => Promise<unknown>): Promise<void> {
  let expected: unknown;
  for (const [label, mode] of Object.entries(MODES)) {
    const pool = withPool(t, { ...server.config, ...mode, max: 1 });
    const began = performance.now();
    const seen = await look(pool);
    const ms = performance.now() - began;
    t.diagnostic(`${label}: ${ms.toFixed(0)} ms`);
    expected ??= seen;
    assert.deepStrictEqual(seen, expected, label);
    const { queriesByCodec, queriesByPg } = countsOf(pool);
    assert.equal(mode.speaker === 'pg' ? queriesByCodec : queriesByPg, 0, label);
    await pool.close();
  }
}

test('a hundred megabytes in many rows', (t) =>
  likewise(t, async (pool) => {
    const { rows, rowCount, command } = await pool.query<{ n: number; v: string }>(
      `select n, repeat(md5(n::text), 320) as v from generate_series(1, 10240) as n`,
    );
    return [rowCount, command, rows.length, digest(rows.map(({ n, v }) => `${n} ${v}`))];
  }));

test('a hundred megabytes in one field', (t) =>
  likewise(t, async (pool) => {
    const { rows, rowCount } = await pool.query<{ v: string; one: number }>(
      `select repeat('0123456789abcdef', ${(100 * MEGABYTE) / 16}) as v, 1 as one`,
    );
    const [row] = rows;
    assert.equal(row?.v.length, 100 * MEGABYTE);
    return [rowCount, rows.length, row.one, digest([row.v])];
  }));

test('a million small rows', (t) =>
  likewise(t, async (pool) => {
    const { rows, rowCount } = await pool.query<{ n: number; odd: boolean | null }>(
      `select n, case when n % 3 = 0 then null else n % 2 = 1 end as odd from generate_series(1, 1000000) as n`,
    );
    let sum = 0;
    let odd = 0;
    for (const row of rows) {
      sum += row.n;
      if (row.odd === true) odd += 1;
    }
    return [rowCount, rows.length, sum, odd, portrait(rows.slice(-2))];
  }));

test('a value of ten megabytes there and back, as text and as bytes', (t) =>
  likewise(t, async (pool) => {
    const text = '连接池é0'.repeat(1_000_000);
    const bytes = Buffer.alloc(10 * MEGABYTE, 'oxbow');
    const { rows } = await pool.query<{ a: string; b: Buffer; n: number }>(
      'select $1::text as a, $2::bytea as b, length($1) + length($2) as n',
      [text, bytes],
    );
    const [row] = rows;
    assert.ok(row?.a === text && row.b.equals(bytes));
    // What was large must not linger in what comes next.
    return [row.n, portrait(await pool.query('select $1::text as v', ['small']))];
  }));

test('a value that fills what is sent at once to the last byte, and one more, and one less', (t) =>
  likewise(t, async (pool) => {
    const lengths: unknown[] = [];
    for (let size = 65_536 - 120; size < 65_536 + 40; size += 1) {
      const { rows } = await pool.query('select length($1) as n, md5($1) as h', ['x'.repeat(size)]);
      lengths.push(rows);
    }
    return lengths;
  }));

test('rows of every size around that of a chunk', (t) =>
  likewise(t, async (pool) => {
    const digests: string[] = [];
    for (const size of [65_536, 32_768, 16_384, 8_192, 4_096])
      for (let near = -20; near <= 20; near += 4) {
        const { rows } = await pool.query<{ v: string; m: number }>(
          `select repeat('ab', ($1::int + n) / 2) as v, n as m from generate_series(0, 12) as n`,
          [size + near],
        );
        digests.push(digest(rows.map(({ v, m }) => `${m} ${v}`)));
      }
    return digests;
  }));

test('messages that are cut at every place are read as whole ones', async (t) => {
  const whole = withPool(t, { ...server.config, speaker: 'pg', max: 1 });
  const asked = (pool: Pool): Promise<unknown[]> =>
    Promise.all(
      [
        pool.query(
          `select n, 'é😀' || n as t, null as nothing, repeat('x', n * 3) as v from generate_series(1, 5) as n`,
        ),
        pool.query('select $1::int as a, $2::text as b', [1, 'x']),
        pool.query('select 1 as a where false'),
        pool.query('select 1 / $1::int', [0]).catch((error: unknown) => error),
        pool.query({ text: 'select $1::int as a', values: [2], rowMode: 'array' }),
      ].map(async (answer) => portrait(await answer)),
    );
  const expected = await asked(whole);
  for (let size = 1; size <= 41; size += 1) {
    const pool = withPool(t, { ...server.config, speaker: 'auto', prepare: size % 2 === 0 ? 'always' : false, max: 1 });
    pool.on('connect', (client) => {
      const { stream } = (client as unknown as { connection: { stream: NodeJS.EventEmitter } }).connection;
      const emit = stream.emit.bind(stream);
      stream.emit = (event: string, ...args: unknown[]): boolean => {
        const [bytes] = args;
        if (event !== 'data' || !Buffer.isBuffer(bytes)) return emit(event, ...args);
        for (let at = 0; at < bytes.length; at += size) emit('data', Buffer.from(bytes.subarray(at, at + size)));
        return true;
      };
    });
    assert.deepStrictEqual(await asked(pool), expected, `pieces of ${size} bytes`);
    assert.equal(countsOf(pool).queriesByCodec, 5);
    await pool.close();
  }
});
