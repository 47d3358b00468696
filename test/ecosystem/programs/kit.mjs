// What every program here begins and ends with: a pool from the door that is named in the environment (`pg` itself for comparison),
// and the proof that the library gave everything back. A program that reaches its last line says `done`.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

/** A module of pg's shape, for libraries that make the pool themselves. */
const found = await import(process.env.POOL_FROM ?? 'oxbow');
export const namespace = found.default ?? found;

/** The pool that the program gives to its library. */
export const pool = new namespace.Pool({
  connectionString: process.env.DATABASE_URL,
  application_name: process.env.APPLICATION_NAME,
  max: 4,
});

/** How many connections the library has out: proof that it works on this pool and on no other. */
export function lent(of = pool) {
  return of.snapshot?.().lent ?? of.totalCount - of.idleCount;
}

/** Nothing is lent, nobody waits. */
export function isWhole(of = pool) {
  of.assertIdle?.();
  return lent(of) === 0 && of.waitingCount === 0;
}

/** Ends a pool that its library left open: nothing has to be taken from anybody. A connect that nobody needs any more may be cut. */
export async function close() {
  assert.ok(isWhole());
  if (pool.close === undefined) return pool.end();
  const { cancelled, rejected, stillHeld } = await pool.close();
  assert.deepEqual({ cancelled, rejected, stillHeld }, { cancelled: 0, rejected: 0, stillHeld: [] });
}

/** For what a library does in the background. */
export async function until(what, holds) {
  for (let tries = 0; !(await holds()); tries += 1) {
    assert.ok(tries < 500, `not within 10 s: ${what}`);
    await sleep(20);
  }
}

/** The balances of `accounts`, read past the library. */
export async function balances() {
  const { rows } = await pool.query('SELECT balance FROM accounts ORDER BY id');
  return rows.map(({ balance }) => balance);
}

/** The program's own table, empty of what an earlier program left. */
await pool.query('DROP TABLE IF EXISTS accounts');
await pool.query('CREATE TABLE accounts (id serial PRIMARY KEY, balance int NOT NULL)');
