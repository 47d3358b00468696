// Orders, with Drizzle: what a user writes who forgets, inside a transaction, which of the two objects he talks to.

import { eq, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { integer, pgTable, text } from 'drizzle-orm/pg-core';

const orders = pgTable('orders', { item: text() });
const stock = pgTable('stock', { item: text(), left: integer() });

export const open = (pool) => drizzle({ client: pool });

/** Asks the pool as the first thing in the transaction. */
export async function quote(db) {
  // holds: quote
  await db.transaction(async (tx) => {
    // asks: quote
    await db.select().from(stock).where(eq(stock.item, 'tea'));
    await tx.insert(orders).values({ item: 'tea' });
  });
}

/** Asks the pool after an insert. */
export async function order(db) {
  // holds: order
  await db.transaction(async (tx) => {
    await tx.insert(orders).values({ item: 'tea' });
    await reserve(db);
  });
}

/** Knows nothing of a transaction around it. */
async function reserve(db) {
  // asks: order
  await db.update(stock).set({ left: sql`"left" - 1` });
}

/** A whole second transaction inside the first. */
export async function audit(db) {
  // holds: audit
  await db.transaction(async (tx) => {
    await tx.insert(orders).values({ item: 'tea' });
    // asks: audit
    await db.transaction(async (inner) => {
      await inner.insert(orders).values({ item: 'audit' });
    });
  });
}

/** Returned, and not awaited here. */
export function begin(db, work) {
  // begins
  return db.transaction(work);
}

/** Drizzle inside a transaction of the pool's own, which is a task that the pool follows. */
export async function mixed(db, pool) {
  // holds: mixed
  await pool.transaction(async (tx) => {
    await tx.query("insert into orders (item) values ('tea')");
    // asks: mixed
    await db.insert(orders).values({ item: 'tea' });
  });
}
