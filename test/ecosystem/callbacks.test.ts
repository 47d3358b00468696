// Code in pg's older style gives its client back inside the callback of its last statement, as @fastify/postgres and TypeORM do. pg
// calls it while it still handles the server's answer: what the pool makes of the return must be what that very answer says.

import assert from 'node:assert/strict';
import test from 'node:test';
import type pg from 'pg';
import { reports, withPool, withServer } from '../postgres/harness.ts';

const server = await withServer(test);

/** Runs these statements, one in the callback of the other, and gives the client back in the last callback. */
function inCallbacks(pool: pg.Pool, [first, ...rest]: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    pool.connect((error, client, done) => {
      if (client === undefined) return reject(error);
      const next = (text: string | undefined, later: string[]): void => {
        if (text === undefined) {
          done();
          resolve();
        } else client.query(text, () => next(later[0], later.slice(1)));
      };
      next(first, rest);
    });
  });
}

const TRANSACTION =
  'SELECT now() = statement_timestamp() AS fresh, pg_current_xact_id_if_assigned() IS NULL AS unwritten';

test('a client given back in the callback of its COMMIT is clean: nothing is reported', async (t) => {
  const { logger, said } = reports();
  const pool = withPool(t, { ...server.config, max: 1, logger });
  await inCallbacks(pool, ['BEGIN', 'SELECT 1', 'COMMIT']);
  await pool.query('SELECT 1');
  assert.deepEqual(said, []);
  assert.equal(pool.stats().rolledBack, 0);
});

test('a client given back in the callback of its BEGIN is rolled back before it is lent again', async (t) => {
  const { logger, said } = reports();
  const pool = withPool(t, { ...server.config, max: 1, logger });
  await inCallbacks(pool, ['SELECT 1', 'BEGIN']);
  const { rows } = await pool.query<{ fresh: boolean }>(TRANSACTION);
  assert.deepEqual(rows, [{ fresh: true, unwritten: true }], 'a transaction of its own');
  assert.equal(pool.stats().rolledBack, 1);
  assert.deepEqual(
    said.map(({ code }) => code),
    ['OXBOW_OPEN_TRANSACTION'],
  );
});

test('a client given back in the callback of a write in an open transaction takes the write back', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  await pool.query('CREATE TEMP TABLE written (n int)');
  await inCallbacks(pool, ['BEGIN', 'INSERT INTO written VALUES (1)']);
  assert.equal((await pool.query('SELECT FROM written')).rowCount, 0);
});

test('a client given back in the callback of a failed statement is whole, inside a transaction and outside', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  for (const statements of [['SELECT 1 / 0'], ['BEGIN', 'SELECT 1 / 0']]) {
    await inCallbacks(pool, statements);
    assert.equal((await pool.query('SELECT 1')).rowCount, 1);
  }
  assert.equal(pool.stats().connects, 1, 'and is the same connection');
});
