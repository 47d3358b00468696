// Transactions whose function leaves a cursor open, of which nobody will ever read again: what ends the transaction must not wait for it.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import Cursor from 'pg-cursor';
import { type Pool, StrayTransactionError } from '../../src/doors/index.ts';
import { freshName, rejection, reports, withClient, withPool, withServer } from './harness.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);

const SERIES = 'SELECT generate_series(1, 1000) AS n';

interface Fixture {
  readonly pool: Pool;
  readonly table: string;
  readonly said: readonly unknown[];
  count(): Promise<number>;
}

async function fixture(t: TestContext, speaker: 'auto' | 'pg', returnTimeoutMs = 300): Promise<Fixture> {
  const table = freshName().replaceAll('-', '_');
  await admin.query(`CREATE TABLE ${table} (n int)`);
  const { logger, said } = reports();
  return {
    pool: withPool(t, { ...server.config, speaker, max: 1, returnTimeoutMs, logger }),
    table,
    said,
    count: async () => (await admin.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table}`)).rows[0]?.n ?? -1,
  };
}

for (const speaker of ['auto', 'pg'] as const) {
  test(`the function returns: it is rolled back, and its caller is told, speaker ${speaker}`, async (t) => {
    const { pool, table, said, count } = await fixture(t, speaker);
    const left = async (): Promise<void> =>
      pool.transaction(async (tx) => {
        await tx.query(`INSERT INTO ${table} VALUES (1)`);
        await tx.client.query(new Cursor(SERIES)).read(2);
      });
    const error = await rejection(left(), StrayTransactionError);
    assert.match(error.message, /^COMMIT was not sent: .* a cursor or a COPY .* was still open/);
    assert.equal(await count(), 0);
    assert.deepEqual((await pool.query('SELECT 1 AS n')).rows, [{ n: 1 }]);
    assert.equal(pool.snapshot().lent, 0);
    assert.deepEqual(said, []);
  });

  test(`the function throws: that is what its caller is told, speaker ${speaker}`, async (t) => {
    const { pool, table, count } = await fixture(t, speaker);
    const broken = pool.transaction(async (tx) => {
      await tx.query(`INSERT INTO ${table} VALUES (1)`);
      await tx.client.query(new Cursor(SERIES)).read(2);
      throw new Error('of its own');
    });
    assert.equal((await rejection(broken, Error)).message, 'of its own');
    assert.equal(await count(), 0);
    assert.deepEqual((await pool.query('SELECT 1 AS n')).rows, [{ n: 1 }]);
  });

  test(`one inside another, and rollback() by hand, speaker ${speaker}`, async (t) => {
    const { pool, table, count } = await fixture(t, speaker);
    await pool.transaction(async (tx) => {
      await tx.query(`INSERT INTO ${table} VALUES (1)`);
      const inner = tx.transaction(async (nested) => {
        await nested.query(`INSERT INTO ${table} VALUES (2)`);
        await nested.client.query(new Cursor(SERIES)).read(2);
        throw new Error('of the inner one');
      });
      assert.equal((await rejection(inner, Error)).message, 'of the inner one');
      const left = tx.transaction(async (nested) => {
        await nested.query(`INSERT INTO ${table} VALUES (2)`);
        await nested.client.query(new Cursor(SERIES)).read(2);
      });
      assert.match((await rejection(left, StrayTransactionError)).message, /^RELEASE was not sent: /);
    });
    assert.equal(await count(), 1);
    await pool.transaction(async (tx) => {
      await tx.query(`INSERT INTO ${table} VALUES (3)`);
      await tx.client.query(new Cursor(SERIES)).read(2);
      await tx.rollback();
    });
    assert.equal(await count(), 1);
  });

  test(`a cursor that is read to its end, though nobody waits for that, is not in the way, speaker ${speaker}`, async (t) => {
    const { pool, table, count } = await fixture(t, speaker, 10_000);
    let rows: Promise<unknown[]> | undefined;
    await pool.transaction(async (tx) => {
      await tx.query(`INSERT INTO ${table} VALUES (1)`);
      rows = tx.client.query(new Cursor(SERIES)).read(5_000);
    });
    assert.equal((await rows)?.length, 1_000);
    assert.equal(await count(), 1);
  });
}
