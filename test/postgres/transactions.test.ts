// The simple form of `transaction()` on a real server: commit, rollback, what a failed COMMIT is, and deaths in between.
// Savepoints, isolation and retries come with later work.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import pg from 'pg';
import {
  ConnectionLostError,
  LeaseError,
  type Pool,
  type PoolOptions,
  type Transaction,
  TransactionRolledBackError,
} from '../../src/doors/index.ts';
import { eventually, freshName, killBackend, pidOf, rejection, withClient, withPool, withServer } from './harness.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);

interface Fixture {
  readonly pool: Pool;
  /** An empty table `(n int)`; a `unique` one refuses the same number twice, at COMMIT. */
  readonly table: string;
  rows(): Promise<number[]>;
}

async function fixture(t: TestContext, options: PoolOptions = {}): Promise<Fixture> {
  const table = freshName().replaceAll('-', '_');
  await admin.query(`CREATE TABLE ${table} (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)`);
  return {
    pool: withPool(t, { ...server.config, max: 1, ...options }),
    table,
    rows: async () => (await admin.query<{ n: number }>(`SELECT n FROM ${table} ORDER BY n`)).rows.map(({ n }) => n),
  };
}

test('a transaction commits what its function did and resolves with its value', async (t) => {
  const { pool, table, rows } = await fixture(t);
  const value = await pool.transaction(async (tx) => {
    assert.ok(tx.client instanceof pg.Client);
    await tx.query(`INSERT INTO ${table} VALUES ($1)`, [1]);
    await tx.query({ text: `INSERT INTO ${table} VALUES ($1)`, values: [2] });
    assert.deepEqual(await rows(), []);
    return 'done';
  });
  assert.equal(value, 'done');
  assert.deepEqual(await rows(), [1, 2]);
  assert.equal(pool.idleCount, 1);
});

test('a function that throws, at once or later, rolls back, and its own error is the answer', async (t) => {
  const { pool, table, rows } = await fixture(t);
  const mine = new RangeError('mine');
  for (const asynchronous of [false, true]) {
    const failed: unknown = await pool
      .transaction(async (tx) => {
        await tx.query(`INSERT INTO ${table} VALUES (1)`);
        if (asynchronous) await tx.query('SELECT 1');
        throw mine;
      })
      .catch((error: unknown) => error);
    assert.equal(failed, mine);
  }
  const sync: unknown = await pool
    .transaction(() => {
      throw mine;
    })
    .catch((error: unknown) => error);
  assert.equal(sync, mine);
  assert.deepEqual(await rows(), []);
  assert.equal(pool.stats().connects, 1);
  assert.equal(pool.stats().rolledBack, 0);
});

test('a statement that fails rolls back, and its DatabaseError is the answer', async (t) => {
  const { pool, table, rows } = await fixture(t);
  const error = await rejection(
    pool.transaction(async (tx) => {
      await tx.query(`INSERT INTO ${table} VALUES (1)`);
      await tx.query('SELECT 1 / 0');
    }),
    pg.DatabaseError,
  );
  assert.equal(error.code, '22012');
  assert.deepEqual(await rows(), []);
});

test('a failure that was swallowed makes COMMIT a ROLLBACK, and that is an error which names it', async (t) => {
  const { pool, table, rows } = await fixture(t);
  const error = await rejection(
    pool.transaction(async (tx) => {
      await tx.query(`INSERT INTO ${table} VALUES (1)`);
      await tx.query('SELECT 1 / 0').catch(() => {});
    }),
    TransactionRolledBackError,
  );
  assert.equal(error.kind, 'TRANSACTION_ROLLED_BACK');
  assert.ok(error.cause instanceof pg.DatabaseError);
  assert.equal(error.cause.code, '22012');
  assert.deepEqual(await rows(), []);
  assert.equal(pool.idleCount, 1);
  assert.equal(pool.stats().connects, 1);
});

test('a COMMIT that fails rejects with the error of the server, and the connection serves on', async (t) => {
  const { pool, table, rows } = await fixture(t);
  const error = await rejection(
    pool.transaction(async (tx) => {
      await tx.query(`INSERT INTO ${table} VALUES (1), (1)`);
    }),
    pg.DatabaseError,
  );
  assert.equal(error.code, '23505');
  assert.deepEqual(await rows(), []);
  assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  assert.equal(pool.stats().connects, 1);
});

test('a transaction is of no use after its end', async (t) => {
  const { pool, table, rows } = await fixture(t);
  const [escaped] = await pool.transaction((tx) => [tx]);
  assert.ok(escaped !== undefined);
  const error = await rejection(escaped.query(`INSERT INTO ${table} VALUES (1)`), LeaseError);
  assert.equal(error.kind, 'LEASE_RELEASED');
  assert.deepEqual(await rows(), []);
});

test('a transaction is of no use after its end on a lease that goes on, committed or not', async (t) => {
  const { pool, table, rows } = await fixture(t);
  await pool.use(async (lease) => {
    for (const commits of [true, false]) {
      let escaped: Transaction | undefined;
      await lease
        .transaction((tx) => {
          escaped = tx;
          if (!commits) throw new Error('no');
        })
        .catch(() => {});
      await rejection(escaped?.query(`INSERT INTO ${table} VALUES (1)`) ?? Promise.resolve(), LeaseError);
    }
    assert.deepEqual((await lease.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  });
  assert.deepEqual(await rows(), []);
});

test('a statement that nobody waited for is part of the transaction', async (t) => {
  const { pool, table, rows } = await fixture(t);
  await pool.transaction((tx) => {
    void tx.query(`INSERT INTO ${table} VALUES (1)`);
  });
  assert.deepEqual(await rows(), [1]);
});

test('a lease runs several transactions, one after the other, with the same connection', async (t) => {
  const { pool, table, rows } = await fixture(t);
  await pool.use(async (lease) => {
    await lease.transaction((tx) => tx.query(`INSERT INTO ${table} VALUES (1)`));
    await lease
      .transaction((tx) => tx.query(`INSERT INTO ${table} VALUES (2)`).then(() => Promise.reject(new Error('no'))))
      .catch(() => {});
    await lease.transaction((tx) => tx.query(`INSERT INTO ${table} VALUES (3)`));
    await lease.query(`INSERT INTO ${table} VALUES (4)`);
  });
  assert.deepEqual(await rows(), [1, 3, 4]);
});

test('the label of a transaction is seen in holders', async (t) => {
  const { pool } = await fixture(t);
  await pool.transaction(() => assert.equal(pool.holders()[0]?.label, 'booking'), { label: 'booking' });
});

test('a connection that dies inside a transaction rejects it, leaves no row, and nothing runs outside it later', async (t) => {
  const { pool, table, rows } = await fixture(t);
  let later: unknown;
  const error = await rejection(
    pool.transaction(async (tx) => {
      await tx.query(`INSERT INTO ${table} VALUES (1)`);
      await killBackend(admin, await pidOf(tx));
      // Another borrower makes the pool connect anew; this transaction must not go on there.
      await pool.query('SELECT 1');
      later = await tx.query(`INSERT INTO ${table} VALUES (2)`).catch((failure: unknown) => failure);
      assert.equal(tx.signal.aborted, true);
    }),
    ConnectionLostError,
  );
  assert.equal(error.code, '57P01');
  assert.ok(later instanceof ConnectionLostError);
  assert.deepEqual(await rows(), []);
});

test('a connection that dies inside a statement rejects the transaction with ConnectionLostError', async (t) => {
  const { pool, table, rows } = await fixture(t);
  await rejection(
    pool.transaction(async (tx) => {
      await tx.query(`INSERT INTO ${table} VALUES (1)`);
      const pid = await pidOf(tx);
      await Promise.all([tx.query('SELECT pg_sleep(30)'), killBackend(admin, pid)]);
    }),
    ConnectionLostError,
  );
  assert.deepEqual(await rows(), []);
  assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
});

test('a connection that dies while it commits: the error says that it may have been executed', async (t) => {
  const { pool, table, rows } = await fixture(t);
  // A deferred trigger keeps COMMIT busy for as long as the test needs to end the session.
  await admin.query(`
    CREATE FUNCTION ${table}_slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON ${table} DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION ${table}_slow()`);
  let pid = 0;
  const settled = pool
    .transaction(async (tx) => {
      pid = await pidOf(tx);
      await tx.query(`INSERT INTO ${table} VALUES (1)`);
    })
    .catch((error: unknown) => error);
  await eventually('it commits', async () => {
    const { rowCount } = await admin.query(
      `SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active' AND query = 'COMMIT'`,
      [pid],
    );
    return rowCount === 1;
  });
  await killBackend(admin, pid);
  const error = await settled;
  assert.ok(error instanceof ConnectionLostError, String(error));
  assert.equal(error.mayHaveExecuted, true);
  assert.deepEqual(await rows(), []);
  assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
});

test('fifty transactions over three connections add up, whatever half of them does', async (t) => {
  const { pool, table, rows } = await fixture(t, { max: 3 });
  await Promise.allSettled(
    Array.from({ length: 50 }, (_, n) =>
      pool.transaction(async (tx) => {
        await tx.query(`INSERT INTO ${table} VALUES ($1)`, [n]);
        if (n % 2 === 1) throw new Error('odd');
      }),
    ),
  );
  assert.deepEqual(
    await rows(),
    Array.from({ length: 25 }, (_, n) => 2 * n),
  );
  assert.equal(pool.stats().connects, 3);
});
