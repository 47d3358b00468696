// Orders, with Knex: what a user writes who forgets, inside a transaction, which of the two objects he talks to.

import knex from 'knex';

export const open = (pool) => knex({ client: 'pg', connectionPool: pool });

/** Asks the pool as the first thing in the transaction. */
export async function quote(db) {
  // holds: quote
  await db.transaction(async (trx) => {
    // asks: quote
    await db('stock').where('item', 'tea');
    await trx('orders').insert({ item: 'tea' });
  });
}

/** Asks the pool after an insert. */
export async function order(db) {
  // holds: order
  await db.transaction(async (trx) => {
    await trx('orders').insert({ item: 'tea' });
    await reserve(db);
  });
}

/** Knows nothing of a transaction around it. */
async function reserve(db) {
  // asks: order
  await db('stock').decrement('left');
}

/** A whole second transaction inside the first. */
export async function audit(db) {
  // holds: audit
  await db.transaction(async (trx) => {
    await trx('orders').insert({ item: 'tea' });
    // asks: audit
    await db.transaction(async (inner) => {
      await inner('orders').insert({ item: 'audit' });
    });
  });
}

/** Returned, and not awaited here. */
export function begin(db, work) {
  // begins
  return db.transaction(work);
}
