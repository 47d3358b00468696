// Orders, with Drizzle: what a user writes who forgets, inside a transaction, which of the two objects he talks to.

import { eq, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { integer, pgTable, text } from 'drizzle-orm/pg-core';

const orders = pgTable('orders', { item: text() });
const stock = pgTable('stock', { item: text(), left: integer() });

export const open = (pool) => drizzle({ client: pool });

/** Asks the pool as the first thing in the transaction. */
export async function quote(db) {
  await db.transaction(async (tx) => { // holds: quote
    await db.select().from(stock).where(eq(stock.item, 'tea')); // asks: quote
    await tx.insert(orders).values({ item: 'tea' });
  });
}

/** Asks the pool after an insert. */
export async function order(db) {
  await db.transaction(async (tx) => { // holds: order
    await tx.insert(orders).values({ item: 'tea' });
    await reserve(db);
  });
}

/** Knows nothing of a transaction around it. */
async function reserve(db) {
  await db.update(stock).set({ left: sql`"left" - 1` }); // asks: order
}

/** A whole second transaction inside the first. */
export async function audit(db) {
  await db.transaction(async (tx) => { // holds: audit
    await tx.insert(orders).values({ item: 'tea' });
    await db.transaction(async (inner) => { // asks: audit
      await inner.insert(orders).values({ item: 'audit' });
    });
  });
}
