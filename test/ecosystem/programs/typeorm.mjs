// TypeORM on the pool, given as a pg-shaped module in `driver`: transactions that commit and that throw, rows as a stream, and
// `destroy()`, which ends the pool that TypeORM made.

import assert from 'node:assert/strict';
import 'reflect-metadata';
import typeorm from 'typeorm';
import { balances, close, isWhole, namespace } from './kit.mjs';

const Account = new typeorm.EntitySchema({
  name: 'Account',
  tableName: 'accounts',
  columns: { id: { type: Number, primary: true, generated: true }, balance: { type: Number } },
});
const { DATABASE_URL: url, APPLICATION_NAME: applicationName } = process.env;
const db = new typeorm.DataSource({
  type: 'postgres',
  driver: namespace,
  url,
  applicationName,
  extra: { max: 3 },
  entities: [Account],
});
await db.initialize();
const pool = db.driver.master;
assert.ok(pool instanceof namespace.Pool);

await db.transaction((tx) => tx.save(Account, [{ balance: 1 }, { balance: 2 }]));
const fault = new Error('no');
await assert.rejects(
  db.transaction(async (tx) => {
    await tx.update(Account, { balance: 1 }, { balance: 99 });
    throw fault;
  }),
  fault,
);
assert.deepEqual(await balances(), [1, 2]);

const streamed = [];
for await (const { a_balance } of await db.getRepository(Account).createQueryBuilder('a').orderBy('a.id').stream()) {
  streamed.push(a_balance);
}
assert.deepEqual(streamed, [1, 2]);

const runner = db.createQueryRunner();
await assert.rejects(runner.query('SELECT 1 / 0'));
assert.equal((await runner.query('SELECT 1')).length, 1);
await runner.release();

assert.ok(isWhole(pool));
await db.destroy();
assert.equal(pool.totalCount, 0);
await close();
console.log('done');
