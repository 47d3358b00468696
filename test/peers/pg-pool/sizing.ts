// Lines 79 to 87: how many clients there are. Line 88 is pending in pg-pool itself.

import assert from 'node:assert/strict';
import type pg from 'pg';
import { eventually, freshName } from '../../postgres/harness.ts';
import { different, quietly, same } from './contestants.ts';

same(79, async (b) => {
  const pool = b.pool({ max: 1 });
  const client = await pool.connect();
  assert.equal((await client.query('SELECT 1 AS one')).rows[0]?.one, 1);
  client.release();
  await pool.end();
});

same(80, async (b) => {
  const pool = b.pool({ max: 1 });
  const client = await pool.connect();
  const waiter = pool.connect();
  assert.equal(pool.waitingCount, 1);
  client.release();
  assert.equal(await waiter, client);
  assert.equal(pool.waitingCount, 0);
  client.release();
});

same(81, async (b) => {
  const name = freshName();
  const pool = b.pool({ max: 1, application_name: name });
  const text = "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = $1 AND state = 'active'";
  const results = await Promise.all(Array.from({ length: 20 }, () => pool.query(text, [name])));
  assert.deepEqual(
    results.map(({ rows }) => rows[0]?.n),
    Array.from({ length: 20 }, () => 1),
  );
});

/** `count` clients, held together and then released in one turn. */
async function released(pool: pg.Pool, count: number): Promise<pg.PoolClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => pool.connect()));
  assert.equal(pool.totalCount, count);
  for (const client of clients) client.release();
  return clients;
}

/** What the pool has taken away so far: to make a new one in its place is not to keep it. */
function removals(pool: pg.Pool): unknown[] {
  const removed: unknown[] = [];
  pool.on('remove', (client) => removed.push(client));
  return removed;
}

same(82, async (b) => {
  const pool = b.pool({ min: 1, idleTimeoutMillis: 10 });
  const removed = removals(pool);
  const clients = await released(pool, 1);
  await quietly(100);
  assert.deepEqual([pool.totalCount, pool.idleCount, removed.length], [1, 1, 0]);
  assert.equal(await pool.connect(), clients[0]);
  clients[0]?.release();
});

different(83, 'maxUses takes a client away although min is 1, and its successor comes by itself', {
  theirs: async (b) => {
    const pool = b.pool({ min: 1, maxUses: 1 });
    await released(pool, 1);
    assert.deepEqual([pool.totalCount, pool.idleCount], [0, 0]);
    await quietly(100);
    assert.equal(pool.totalCount, 0);
  },
  ours: async (b) => {
    const pool = b.pool({ min: 1, maxUses: 1 });
    const [client] = await released(pool, 1);
    assert.equal(pool.idleCount, 0);
    assert.equal(Reflect.get(client as pg.PoolClient, '_ending'), true);
    await eventually('its successor', () => pool.idleCount === 1 && pool.totalCount === 1);
    const next = await pool.connect();
    assert.notEqual(next, client);
    next.release();
  },
});

different(84, 'the end of its lifetime takes a client away although min is 1, and there is a successor', {
  theirs: async (b) => {
    const pool = b.pool({ min: 1, maxLifetimeSeconds: 0.2 });
    await released(pool, 1);
    await eventually('it is gone', () => pool.totalCount === 0);
  },
  ours: async (b) => {
    const pool = b.pool({ min: 1, maxLifetimeSeconds: 0.2 });
    const gone: unknown[] = [];
    const counts: number[] = [];
    pool.on('remove', (client) => {
      gone.push(client);
      counts.push(pool.totalCount);
    });
    const [client] = await released(pool, 1);
    await eventually('it is gone', () => gone.includes(client));
    assert.ok(
      counts.every((count) => count >= 1),
      `${counts} left when one went`,
    );
  },
});

same(85, async (b) => {
  const pool = b.pool({ max: 2, min: 2, idleTimeoutMillis: 10 });
  const removed = removals(pool);
  await released(pool, 2);
  await quietly(100);
  assert.deepEqual([pool.totalCount, pool.idleCount, removed.length], [2, 2, 0]);
});

same(86, async (b) => {
  const pool = b.pool({ max: 2, min: 1, idleTimeoutMillis: 10 });
  const removed = removals(pool);
  const clients = await Promise.all([pool.connect(), pool.connect()]);
  clients[0].release();
  await eventually('the one above min is evicted', () => removed.length >= 1);
  clients[1].release();
  await quietly(100);
  assert.deepEqual([pool.totalCount, pool.idleCount], [1, 1]);
  assert.deepEqual(
    removed.map((client) => client === clients[0]),
    [true],
  );
});

same(87, async (b) => {
  const pool = b.pool({ max: 2, min: 1, idleTimeoutMillis: 10 });
  const removed = removals(pool);
  await released(pool, 2);
  await eventually('one is evicted', () => removed.length >= 1);
  await quietly(100);
  assert.deepEqual([pool.totalCount, pool.idleCount, removed.length], [1, 1, 1]);
});
