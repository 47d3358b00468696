// Kysely on the pool: rows streamed through a cursor, to the end and left early; transactions; and `destroy()`, which ends the pool.

import assert from 'node:assert/strict';
import { Kysely, PostgresDialect, sql } from 'kysely';
import Cursor from 'pg-cursor';
import { balances, isWhole, lent, pool } from './kit.mjs';

const db = new Kysely({ dialect: new PostgresDialect({ pool, cursor: Cursor }) });

await db.transaction().execute(async (trx) => {
  await sql`INSERT INTO accounts (balance) SELECT generate_series(1, 1000)`.execute(trx);
  assert.equal(lent(), 1);
});
const fault = new Error('no');
await assert.rejects(
  db.transaction().execute(async (trx) => {
    await trx.deleteFrom('accounts').execute();
    throw fault;
  }),
  fault,
);
assert.equal((await balances()).length, 1000);

const streamed = [];
for await (const { balance } of db.selectFrom('accounts').select('balance').orderBy('id').stream(64)) {
  assert.equal(lent(), 1);
  streamed.push(balance);
}
assert.deepEqual(streamed, await balances());

// More often than there are connections: an abandoned cursor must not keep its connection, nor leave it in the middle of a reply.
for (let round = 0; round < 8; round += 1) {
  for await (const { balance } of db.selectFrom('accounts').select('balance').orderBy('id').stream(10)) {
    if (balance === 15) break;
  }
}
await assert.rejects(
  async () => {
    for await (const _ of db.selectFrom('accounts').select(sql`1 / (balance - 50)`.as('n')).stream(10));
  },
  { code: '22012' },
);
assert.equal((await balances()).length, 1000);

assert.ok(isWhole());
await db.destroy();
if (pool.phase !== undefined) assert.equal(pool.phase, 'closed');
assert.equal(pool.totalCount, 0);
console.log('done');
