// Orders, with Kysely: what a user writes who forgets, inside a transaction, which of the two objects he talks to.

import { Kysely, PostgresDialect, sql } from 'kysely';

export const open = (pool) => new Kysely({ dialect: new PostgresDialect({ pool }) });

/** Asks the pool as the first thing in the transaction. */
export async function quote(db) {
  // holds: quote
  await db.transaction().execute(async (trx) => {
    // asks: quote
    await db.selectFrom('stock').selectAll().where('item', '=', 'tea').execute();
    await trx.insertInto('orders').values({ item: 'tea' }).execute();
  });
}

/** Asks the pool after an insert. */
export async function order(db) {
  // holds: order
  await db.transaction().execute(async (trx) => {
    await trx.insertInto('orders').values({ item: 'tea' }).execute();
    await reserve(db);
  });
}

/** Knows nothing of a transaction around it. */
async function reserve(db) {
  // asks: order
  await db.updateTable('stock').set({ left: sql`"left" - 1` }).execute();
}

/** A whole second transaction inside the first. */
export async function audit(db) {
  // holds: audit
  await db.transaction().execute(async (trx) => {
    await trx.insertInto('orders').values({ item: 'tea' }).execute();
    // asks: audit
    await db.transaction().execute(async (inner) => {
      await inner.insertInto('orders').values({ item: 'audit' }).execute();
    });
  });
}

/** Returned, and not awaited here. */
export function begin(db, work) {
  // begins
  return db.transaction().execute(work);
}
