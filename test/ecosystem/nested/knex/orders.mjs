// Orders, with Knex: what a user writes who forgets, inside a transaction, which of the two objects he talks to.

import knex from 'knex';

export const open = (pool) => knex({ client: 'pg', connectionPool: pool });

/** Asks the pool as the first thing in the transaction. */
export async function quote(db) {
  await db.transaction(async (trx) => { // holds: quote
    await db('stock').where('item', 'tea'); // asks: quote
    await trx('orders').insert({ item: 'tea' });
  });
}

/** Asks the pool after an insert. */
export async function order(db) {
  await db.transaction(async (trx) => { // holds: order
    await trx('orders').insert({ item: 'tea' });
    await reserve(db);
  });
}

/** Knows nothing of a transaction around it. */
async function reserve(db) {
  await db('stock').decrement('left'); // asks: order
}

/** A whole second transaction inside the first. */
export async function audit(db) {
  await db.transaction(async (trx) => { // holds: audit
    await trx('orders').insert({ item: 'tea' });
    await db.transaction(async (inner) => { // asks: audit
      await inner('orders').insert({ item: 'audit' });
    });
  });
}
