// Drizzle on the pool: a transaction that commits, one that throws, a savepoint inside one, all on one connection each.

import assert from 'node:assert/strict';
import { sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { integer, pgTable, serial } from 'drizzle-orm/pg-core';
import { balances, close, lent, pool } from './kit.mjs';

const accounts = pgTable('accounts', { id: serial().primaryKey(), balance: integer().notNull() });
const db = drizzle({ client: pool });
const session = async (on) => (await on.execute(sql`SELECT pg_backend_pid() AS pid, txid_current() AS tx`)).rows[0];

await db.transaction(async (tx) => {
  const before = await session(tx);
  assert.equal(lent(), 1);
  await tx.insert(accounts).values([{ balance: 1 }, { balance: 2 }]);
  assert.deepEqual(await session(tx), before, 'one connection, one transaction');
});
assert.deepEqual(await balances(), [1, 2]);

const fault = new Error('no');
await assert.rejects(
  db.transaction(async (tx) => {
    await tx.update(accounts).set({ balance: 99 });
    throw fault;
  }),
  fault,
);
assert.deepEqual(await balances(), [1, 2]);

await db.transaction(async (tx) => {
  await tx.insert(accounts).values({ balance: 3 });
  await assert.rejects(tx.transaction((inner) => inner.insert(accounts).values({ id: 1, balance: 0 })));
});
assert.deepEqual(await balances(), [1, 2, 3]);

// A deferred constraint makes COMMIT itself fail.
await db.execute(sql`ALTER TABLE accounts ADD UNIQUE (balance) DEFERRABLE INITIALLY DEFERRED`);
await assert.rejects(db.transaction((tx) => tx.insert(accounts).values({ balance: 3 })));
assert.deepEqual(await balances(), [1, 2, 3]);

const byBalance = db
  .select()
  .from(accounts)
  .where(sql`balance = ${sql.placeholder('b')}`)
  .prepare('by_balance');
const found = await Promise.all([1, 2, 3, 4, 1].map((b) => byBalance.execute({ b })));
assert.deepEqual(
  found.map((rows) => rows.length),
  [1, 1, 1, 0, 1],
);

await close();
console.log('done');
