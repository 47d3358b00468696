// What the pool prepares on the server without being asked: from when on, how much, and where not. Whether it then means the same is shown
// in codec-prepared.test.ts.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Pool } from '../../src/doors/index.ts';
import { eventually, withPool, withServer } from './harness.ts';

const server = await withServer(test);

const NAMES = `select name, statement from pg_prepared_statements where name like 'oxbow%' order by prepare_time`;

/** As the server has them, on the one connection of the pool; asked in a way that is never prepared itself. */
async function onServer(pool: Pool): Promise<{ name: string; statement: string }[]> {
  const client = await pool.connect();
  try {
    return (await client.query(NAMES)).rows;
  } finally {
    client.release();
  }
}

async function times(n: number, ask: (n: number) => Promise<unknown>): Promise<void> {
  for (let at = 1; at <= n; at += 1) await ask(at);
}

test('a text is prepared at its fifth use on the pool, whatever asked, and counted from then on', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const text = 'select $1::int as n';
  await times(4, (n) => pool.query(text, [n]));
  assert.deepEqual(await onServer(pool), []);
  await pool.use((lease) => lease.query(text, [5]));
  assert.deepEqual(
    (await onServer(pool)).map(({ statement }) => statement),
    [text],
  );
  await pool.transaction(async (tx) => assert.equal((await tx.query(text, [6])).rows[0].n, 6));
  assert.equal(pool.stats().queriesPrepared, 2);
});

test('with prepare: "always" at its first use, with false never', async (t) => {
  const always = withPool(t, { ...server.config, max: 1, prepare: 'always' });
  await always.query('select $1::int as n', [1]);
  assert.equal((await onServer(always)).length, 1);
  const never = withPool(t, { ...server.config, max: 1, prepare: false });
  await times(9, (n) => never.query('select $1::int as n', [n]));
  assert.deepEqual(await onServer(never), []);
});

test('a connection keeps the hundred that were used last, and the server forgets the others', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1, prepare: 'always' });
  await times(100, (n) => pool.query(`select ${n} as n, $1::int as v`, [n]));
  await pool.query('select 1 as n, $1::int as v', [1]);
  await times(20, (n) => pool.query(`select ${100 + n} as n, $1::int as v`, [n]));
  const kept = await onServer(pool);
  assert.equal(kept.length, 100);
  const numbers = new Set(kept.map(({ statement }) => Number(/select (\d+)/.exec(statement)?.[1])));
  assert.ok(numbers.has(1), 'it was used again');
  assert.ok(!numbers.has(2) && numbers.has(120));
});

test('nothing is prepared where each transaction may have another server', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1, prepare: 'always', pooler: 'transaction' });
  await times(3, (n) => pool.query('select $1::int as n', [n]));
  assert.deepEqual(await onServer(pool), []);
  assert.equal(pool.stats().queriesPrepared, 0);
});

test('when what was prepared is gone three times, nothing is prepared any more', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1, prepare: 'always' });
  const forget = `do $$ begin execute 'deallocate all'; end $$`;
  for (let n = 1; n <= 3; n += 1) {
    await pool.query('select $1::int as n', [n]);
    await pool.query(forget);
    assert.equal((await pool.query('select $1::int as n', [n])).rows[0].n, n);
  }
  await pool.query('select $1::int as m', [1]);
  await eventually('nothing is prepared', async () =>
    (await onServer(pool)).every(({ statement }) => !statement.includes('as m')),
  );
  assert.equal((await pool.query('select $1::int as n', [7])).rows[0].n, 7);
});

test('what defines, and what a rule may answer, is not prepared; nor is a star inside a transaction', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1, prepare: 'always' });
  await pool.query('create table kept (a int)');
  await pool.query('insert into kept values (1)');
  await pool.query('select 1 as a into copied');
  await pool.transaction((tx) => tx.query('select * from kept where a = $1', [1]));
  assert.deepEqual(await onServer(pool), []);
  await pool.query('insert into kept values ($1)', [2]);
  await pool.query('select * from kept where a = $1', [1]);
  assert.equal((await onServer(pool)).length, 2);
});
