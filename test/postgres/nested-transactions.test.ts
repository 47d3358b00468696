// One connection has one stack of transactions: what several at a time, or one that outlives the one around it, would do to each
// other's work is refused, and nothing of it is kept in silence.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LeaseError, type Pool, StrayTransactionError, type Transaction } from '../../src/doors/index.ts';
import { freshName, rejection, withClient, withPool, withServer } from './harness.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);

interface Fixture {
  readonly pool: Pool;
  put(tx: Pick<Transaction, 'query'>, word: string): Promise<unknown>;
  words(): Promise<string[]>;
}

async function fixture(t: TestContext): Promise<Fixture> {
  const table = freshName().replaceAll('-', '_');
  await admin.query(`CREATE TABLE ${table} (word text)`);
  return {
    pool: withPool(t, { ...server.config, max: 1, acquireTimeoutMs: 5_000 }),
    put: (tx, word) => tx.query(`INSERT INTO ${table} VALUES ($1)`, [word]),
    words: async () => (await admin.query(`SELECT word FROM ${table} ORDER BY word`)).rows.map(({ word }) => word),
  };
}

test('a second transaction inside the same one is refused while the first is open, and can be had afterwards', async (t) => {
  const { pool, put, words } = await fixture(t);
  await pool.transaction(async (tx) => {
    const first = tx.transaction(async (inner) => {
      await put(inner, 'first');
      await inner.query('SELECT pg_sleep(0.02)');
    });
    const refused = await rejection(
      tx.transaction((inner) => put(inner, 'refused')),
      StrayTransactionError,
    );
    assert.match(refused.message, /SAVEPOINT was not sent: another transaction inside this one is open/);
    await first;
    await tx.transaction((inner) => put(inner, 'second'));
    // … and inside one another, as deep as one likes.
    await tx.transaction((inner) => inner.transaction((innermost) => put(innermost, 'third')));
  });
  assert.deepEqual(await words(), ['first', 'second', 'third']);
});

test('two of them at once: whichever way they end, what is answered as kept is kept', async (t) => {
  for (const [a, b] of [
    [20, 5],
    [5, 20],
    [10, 10],
  ] as const) {
    const { pool, put, words } = await fixture(t);
    const kept: string[] = [];
    await pool.transaction(async (tx) => {
      const one = tx.transaction(async (inner) => {
        await put(inner, 'one');
        await inner.query('SELECT pg_sleep($1)', [a / 1_000]);
        throw new Error('one fails');
      });
      const other = tx.transaction(async (inner) => {
        await put(inner, 'other');
        await inner.query('SELECT pg_sleep($1)', [b / 1_000]);
      });
      const outcomes = await Promise.allSettled([one, other]);
      for (const [n, { status }] of outcomes.entries())
        if (status === 'fulfilled') kept.push(['one', 'other'][n] ?? '');
    });
    assert.deepEqual(await words(), kept);
  }
});

test('a function that returns while a transaction inside it is open keeps nothing, and says so', async (t) => {
  const { pool, put, words } = await fixture(t);
  let late: Promise<unknown> = Promise.resolve();
  const error = await rejection(
    pool.transaction(async (tx) => {
      await put(tx, 'outer');
      late = tx.transaction(async (inner) => {
        await put(inner, 'inner');
        await sleep(20);
        await put(inner, 'too late');
      });
      late.catch(() => {});
      await put(tx, 'outer again');
    }),
    StrayTransactionError,
  );
  assert.match(
    error.message,
    /COMMIT was not sent: the function returned while a transaction inside it was still open/,
  );
  const fault = await rejection(late, LeaseError);
  assert.match(fault.message, /the one around it ended while this one was open/);
  assert.deepEqual(await words(), []);
  // The next one on that connection has nothing to do with it.
  await pool.transaction((tx) => tx.transaction((inner) => put(inner, 'next')));
  assert.deepEqual(await words(), ['next']);
});

test('an inner one that is not awaited by the inner one around it is undone with that alone', async (t) => {
  const { pool, put, words } = await fixture(t);
  await pool.transaction(async (tx) => {
    await put(tx, 'outer');
    await rejection(
      tx.transaction(async (inner) => {
        await put(inner, 'inner');
        inner.transaction(() => sleep(30)).catch(() => {});
      }),
      StrayTransactionError,
    );
    await tx.transaction((inner) => put(inner, 'another'));
  });
  assert.deepEqual(await words(), ['another', 'outer']);
});

test('rollback() of the outer one ends an inner one that is open', async (t) => {
  const { pool, put, words } = await fixture(t);
  let late: Promise<unknown> = Promise.resolve();
  const value = await pool.transaction(async (tx) => {
    late = tx.transaction(async (inner) => {
      await put(inner, 'inner');
      await sleep(10);
      await put(inner, 'too late');
    });
    late.catch(() => {});
    await tx.rollback();
    return 'rolled back';
  });
  assert.equal(value, 'rolled back');
  await rejection(late, LeaseError);
  assert.deepEqual(await words(), []);
});

test('a lease has one transaction at a time, its own or by hand', async (t) => {
  const { pool, put, words } = await fixture(t);
  await pool.use(async (lease) => {
    const first = lease.transaction(async (tx) => {
      await put(tx, 'first');
      await tx.query('SELECT pg_sleep(0.02)');
      const within = await rejection(
        lease.transaction((other) => put(other, 'within')),
        StrayTransactionError,
      );
      assert.match(within.message, /BEGIN was not sent: a transaction is open on this lease/);
    });
    await rejection(
      lease.transaction((tx) => put(tx, 'beside')),
      StrayTransactionError,
    );
    await first;
    await lease.query('BEGIN');
    await rejection(
      lease.transaction((tx) => put(tx, 'by hand')),
      StrayTransactionError,
    );
    await lease.query('ROLLBACK');
    await lease.transaction((tx) => put(tx, 'second'));
  });
  assert.deepEqual(await words(), ['first', 'second']);
});
