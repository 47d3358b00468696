// Orders, with Prisma: what a user writes who forgets, inside a transaction, which of the two objects he talks to.

import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '@prisma/client';

export const open = (pool) => new PrismaClient({ adapter: new PrismaPg(pool) });

/** Asks the pool as the first thing in the transaction. */
export async function quote(db) {
  // holds: quote
  await db.$transaction(async (tx) => {
    // asks: quote
    await db.stock.findFirst({ where: { item: 'tea' } });
    await tx.order.create({ data: { item: 'tea' } });
  });
}

/** Asks the pool after an insert. */
export async function order(db) {
  // holds: order
  await db.$transaction(async (tx) => {
    await tx.order.createMany({ data: [{ item: 'tea' }] });
    await reserve(db);
  });
}

/** Knows nothing of a transaction around it. */
async function reserve(db) {
  // asks: order
  await db.$executeRaw`update stock set "left" = "left" - 1`;
}

/** A whole second transaction inside the first. */
export async function audit(db) {
  // holds: audit
  await db.$transaction(async (tx) => {
    await tx.order.createMany({ data: [{ item: 'tea' }] });
    // asks: audit
    await db.$transaction(async (inner) => {
      await inner.order.createMany({ data: [{ item: 'audit' }] });
    });
  });
}

/** Returned, and not awaited here. */
export function begin(db, work) {
  // begins
  return db.$transaction(work);
}
