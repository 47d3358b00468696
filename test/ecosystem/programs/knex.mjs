// Knex on the pool, given as `connectionPool`: transactions that commit and that fail, a nested one, and `destroy()`, which leaves the
// pool to whoever made it.

import assert from 'node:assert/strict';
import knex from 'knex';
import { balances, close, lent, pool } from './kit.mjs';

const db = knex({ client: 'pg', connectionPool: pool });

await db.transaction(async (trx) => {
  await trx('accounts').insert([{ balance: 1 }, { balance: 2 }]);
  assert.equal(lent(), 1);
});
const fault = new Error('no');
await assert.rejects(
  db.transaction(async (trx) => {
    await trx('accounts').update({ balance: 99 });
    throw fault;
  }),
  fault,
);
assert.deepEqual(await balances(), [1, 2]);

await db.transaction(async (trx) => {
  await trx('accounts').insert({ balance: 3 });
  await assert.rejects(
    trx.transaction((inner) => inner('accounts').insert({ id: 1, balance: 0 })),
    { code: '23505' },
  );
});
assert.deepEqual(await balances(), [1, 2, 3]);

// More at once than there are connections.
const found = await Promise.all(Array.from({ length: 12 }, () => db('accounts').where('balance', '>', 1)));
assert.ok(found.every((rows) => rows.length === 2));

await db.destroy();
assert.equal((await balances()).length, 3, 'the pool goes on');
await close();
console.log('done');
