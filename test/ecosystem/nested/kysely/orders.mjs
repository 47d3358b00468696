// Orders, with Kysely: what a user writes who forgets, inside a transaction, which of the two objects he talks to.

import { Kysely, PostgresDialect, sql } from 'kysely';

export const open = (pool) => new Kysely({ dialect: new PostgresDialect({ pool }) });

/** Asks the pool as the first thing in the transaction. */
export async function quote(db) {
  await db.transaction().execute(async (trx) => { // holds: quote
    await db.selectFrom('stock').selectAll().where('item', '=', 'tea').execute(); // asks: quote
    await trx.insertInto('orders').values({ item: 'tea' }).execute();
  });
}

/** Asks the pool after an insert. */
export async function order(db) {
  await db.transaction().execute(async (trx) => { // holds: order
    await trx.insertInto('orders').values({ item: 'tea' }).execute();
    await reserve(db);
  });
}

/** Knows nothing of a transaction around it. */
async function reserve(db) {
  await db.updateTable('stock').set({ left: sql`"left" - 1` }).execute(); // asks: order
}

/** A whole second transaction inside the first. */
export async function audit(db) {
  await db.transaction().execute(async (trx) => { // holds: audit
    await trx.insertInto('orders').values({ item: 'tea' }).execute();
    await db.transaction().execute(async (inner) => { // asks: audit
      await inner.insertInto('orders').values({ item: 'audit' }).execute();
    });
  });
}
