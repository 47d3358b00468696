// Lines 68 to 78: how a client ends by age, by use, or by its user; and `log`.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type pg from 'pg';
import { eventually, pidOf } from '../../postgres/harness.ts';
import { type Bench, same } from './contestants.ts';

same(68, async (b) => {
  const pool = b.pool({ maxLifetimeSeconds: 0.2 });
  const gone = once(pool, 'remove');
  const { rows } = await pool.query('SELECT pg_backend_pid() AS pid');
  assert.ok(rows[0]?.pid);
  assert.deepEqual([pool.totalCount, pool.idleCount], [1, 1]);
  await gone;
  assert.deepEqual([pool.expiredCount, pool.totalCount, pool.idleCount], [0, 0, 0]);
});

same(69, async (b) => {
  const { pool, removed, work } = await outlives(b);
  await eventually('it has expired', () => pool.expiredCount === 1);
  assert.deepEqual([pool.totalCount, removed.length], [1, 0]);
  await work;
  assert.deepEqual([pool.expiredCount, pool.totalCount], [0, 0]);
  await eventually('it is removed', () => removed.length === 1);
});

async function outlives(b: Bench): Promise<{ pool: pg.Pool; removed: unknown[]; work: Promise<unknown> }> {
  const pool = b.pool({ maxLifetimeSeconds: 0.2 });
  const removed: unknown[] = [];
  pool.on('remove', (client) => removed.push(client));
  const work = pool.query('SELECT pg_sleep(0.5), pg_backend_pid() AS pid').then(({ rows }) => rows[0]?.pid);
  return { pool, removed, work };
}

same(70, async (b) => {
  const { pool, work } = await outlives(b);
  const before = await work;
  const client = await pool.connect();
  assert.notEqual(await pidOf(client), before);
  assert.deepEqual([pool.totalCount, pool.idleCount, pool.expiredCount], [1, 0, 0]);
  client.release();
  assert.deepEqual([pool.totalCount, pool.idleCount], [1, 1]);
});

function logging(): { log: (...messages: unknown[]) => void; said: unknown[][] } {
  const said: unknown[][] = [];
  return { said, log: (...messages) => void said.push(messages) };
}

same(71, async (b) => {
  const { log, said } = logging();
  await b.pool({ log }).query('SELECT now()');
  assert.ok(said.length > 0);
  assert.ok(said.every(([text]) => typeof text === 'string'));
});

same(72, async (b) => {
  const pool = b.pool({ maxUses: 2 });
  const client = await pool.connect();
  client.release();
  assert.deepEqual([Reflect.get(client, '_ending'), pool.totalCount, pool.idleCount], [false, 1, 1]);
  await pool.end();
});

async function usedTwice(pool: pg.Pool): Promise<pg.PoolClient> {
  const first = await pool.connect();
  first.release();
  const second = await pool.connect();
  assert.equal(second, first);
  second.release();
  return second;
}

same(73, async (b) => {
  const pool = b.pool({ maxUses: 2 });
  const client = await usedTwice(pool);
  assert.equal(Reflect.get(client, '_ending'), true);
  assert.deepEqual([pool.totalCount, pool.idleCount], [0, 0]);
});

same(74, async (b) => {
  const pool = b.pool({ maxUses: 2 });
  const client = await usedTwice(pool);
  const third = await pool.connect();
  assert.notEqual(third, client);
  third.release();
});

same(75, async (b) => {
  const pool = b.pool({ max: 1, maxUses: 1 });
  const first = await pool.connect();
  assert.equal(pool.waitingCount, 0);
  const waiter = pool.connect();
  assert.equal(pool.waitingCount, 1);
  first.release();
  const second = await waiter;
  assert.notEqual(second, first);
  assert.equal(pool.waitingCount, 0);
  second.release();
});

same(76, async (b) => {
  const { log, said } = logging();
  const pool = b.pool({ maxUses: 1, log });
  assert.ok(!said.some(([text]) => text === 'remove expended client'));
  (await pool.connect()).release();
  assert.ok(said.some(([text]) => text === 'remove expended client'));
});

same(77, async (b) => {
  const pool = b.pool();
  const client = await pool.connect();
  client.on('error', () => {});
  const ended = new Promise<void>((resolve) => client.on('end', resolve));
  Reflect.apply(Reflect.get(client.connection, 'end'), client.connection, []);
  await ended;
  client.release();
  assert.deepEqual([pool.waitingCount, pool.idleCount, pool.totalCount], [0, 0, 0]);
});

same(78, async (b) => {
  const pool = b.pool();
  const client = await pool.connect();
  await client.end();
  client.release();
  assert.deepEqual([pool.waitingCount, pool.idleCount, pool.totalCount], [0, 0, 0]);
});
