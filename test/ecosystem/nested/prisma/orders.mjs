// Orders, with Prisma: what a user writes who forgets, inside a transaction, which of the two objects he talks to.

import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '@prisma/client';

export const open = (pool) => new PrismaClient({ adapter: new PrismaPg(pool) });

/** Asks the pool as the first thing in the transaction. */
export async function quote(db) {
  await db.$transaction(async (tx) => { // holds: quote
    await db.stock.findFirst({ where: { item: 'tea' } }); // asks: quote
    await tx.order.create({ data: { item: 'tea' } });
  });
}

/** Asks the pool after an insert. */
export async function order(db) {
  await db.$transaction(async (tx) => { // holds: order
    await tx.order.createMany({ data: [{ item: 'tea' }] });
    await reserve(db);
  });
}

/** Knows nothing of a transaction around it. */
async function reserve(db) {
  await db.$executeRaw`update stock set "left" = "left" - 1`; // asks: order
}

/** A whole second transaction inside the first. */
export async function audit(db) {
  await db.$transaction(async (tx) => { // holds: audit
    await tx.order.createMany({ data: [{ item: 'tea' }] });
    await db.$transaction(async (inner) => { // asks: audit
      await inner.order.createMany({ data: [{ item: 'audit' }] });
    });
  });
}
