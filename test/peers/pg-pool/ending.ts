// Lines 12 to 16: the end of a pool.

import assert from 'node:assert/strict';
import type pg from 'pg';
import { same } from './contestants.ts';

const endedByCallback = (pool: pg.Pool): Promise<void> => new Promise((resolve) => pool.end(() => resolve()));

same(12, async (b) => {
  const pool = b.pool();
  await endedByCallback(pool);
  assert.equal(pool.ended, true);
});

same(13, async (b) => {
  const pool = b.pool();
  await pool.end();
  assert.equal(pool.ended, true);
});

same(14, async (b) => {
  const pool = b.pool();
  assert.equal((await pool.query('SELECT $1::text AS name', ['brianc'])).rows[0]?.name, 'brianc');
  await pool.end();
  assert.deepEqual([pool.ended, pool.totalCount], [true, 0]);
});

same(15, async (b) => {
  const pool = b.pool();
  const answer = pool.query('SELECT $1::text AS name, pg_sleep(0.1)', ['brianc']);
  const ended = pool.end();
  assert.equal((await answer).rows[0]?.name, 'brianc');
  await ended;
});

same(16, async (b) => {
  const pool = b.pool({ max: 20 });
  let completed = 0;
  const queries = Array.from({ length: 20 }, async (_, n) => {
    const { rows } = await pool.query('SELECT $1::int AS n', [n]);
    assert.equal(rows[0]?.n, n);
    completed += 1;
  });
  await pool.end();
  assert.equal(completed, 20);
  await Promise.all(queries);
});
