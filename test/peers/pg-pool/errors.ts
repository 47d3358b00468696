// Lines 17 to 28: statements that fail, releases too many, pools that have ended, connections that die.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import pg from 'pg';
import { ConnectionLostError } from '../../../src/doors/index.ts';
import { eventually } from '../../postgres/harness.ts';
import { type Bench, connected, different, failure, same } from './contestants.ts';

const RELEASED = /Release called on client which has already been released to the pool\./;
const CLOSED = /^Cannot use a pool after calling end on the pool/;
const ENDED = /^Called end on pool more than once/;

same(17, async (b) => {
  const pool = b.pool();
  const failed = await Promise.all(Array.from({ length: 5 }, () => failure(pool.query('I am no SQL'))));
  for (const error of failed) assert.equal(Reflect.get(error, 'code'), '42601');
  assert.equal((await pool.query('SELECT 1 AS one')).rows[0]?.one, 1);
});

same(18, async (b) => {
  const pool = b.pool();
  let promise: Promise<unknown> | undefined;
  assert.doesNotThrow(() => {
    promise = Reflect.apply(pool.query, pool, [null]) as Promise<unknown>;
  });
  assert.ok(promise);
  await failure(promise);
  assert.equal((await pool.query('SELECT 1 AS one')).rows[0]?.one, 1);
});

same(19, async (b) => {
  const client = await b.pool().connect();
  client.release();
  for (let n = 0; n < 3; n += 1) assert.throws(() => client.release(), RELEASED);
});

same(20, async (b) => {
  const { done } = await connected(b.pool());
  done();
  for (let n = 0; n < 3; n += 1) assert.throws(() => done(), RELEASED);
});

same(21, async (b) => {
  const pool = b.pool();
  await pool.end();
  assert.match((await failure(pool.connect())).message, CLOSED);
  assert.match((await failure(pool.query('SELECT 1'))).message, CLOSED);
  assert.match((await failure(pool.end())).message, ENDED);
});

same(22, async (b) => {
  const pool = b.pool();
  await pool.end();
  assert.match((await connected(pool)).error?.message ?? '', CLOSED);
  const asked = await new Promise<Error>((resolve) => pool.query('SELECT 1', (error: Error) => resolve(error)));
  assert.match(asked.message, CLOSED);
  const ended = await new Promise<Error>((resolve) => Reflect.apply(pool.end, pool, [resolve]));
  assert.match(ended.message, ENDED);
});

same(23, async (b) => {
  const pool = b.pool();
  const heard: unknown[] = [];
  pool.on('error', (error, client) => heard.push(['pool', error.message, client]));
  const client = await pool.connect();
  client.release();
  client.on('error', (error) => heard.push(['client', error.message]));
  client.emit('error', new Error('line 23'));
  const names = heard.map((entry) => Reflect.get(Object(entry), 0));
  assert.deepEqual(names.sort(), ['client', 'pool']);
  assert.ok(heard.some((entry) => Reflect.get(Object(entry), 2) === client));
  assert.deepEqual([pool.totalCount, pool.idleCount], [0, 0]);
});

async function errorWhileLent(b: Bench): Promise<{ pool: pg.Pool; client: pg.PoolClient; emitted: () => number }> {
  const pool = b.pool({ max: 1 });
  let emitted = 0;
  pool.on('error', () => {
    emitted += 1;
  });
  const client = await pool.connect();
  if (!b.ours) client.on('error', () => {});
  client.emit('error', new Error('line 24'));
  return { pool, client, emitted: () => emitted };
}

different(24, 'an error on a lent client frees its place at once, and the pool does not emit it', {
  theirs: async (b) => {
    const { pool, client, emitted } = await errorWhileLent(b);
    assert.deepEqual([pool.totalCount, emitted()], [1, 0]);
    client.release(new Error('as one has to'));
  },
  ours: async (b) => {
    const { pool, client, emitted } = await errorWhileLent(b);
    assert.deepEqual([pool.totalCount, emitted()], [0, 0]);
    const other = await pool.connect();
    assert.notEqual(other, client, 'a waiter has a place although nobody released');
    other.release();
  },
});

same(25, async (b) => {
  const pool = b.pool();
  const error = await new Promise<unknown>((resolve) => Reflect.apply(pool.query, pool, [resolve]));
  assert.ok(error instanceof Error);
  assert.match(error.message, /Passing a function as the first parameter/);
});

async function badQueries(b: Bench, count: number, options: { max: number }): Promise<pg.Pool> {
  const pool = b.pool(options);
  const failed = await Promise.all(Array.from({ length: count }, () => failure(pool.query('I am no SQL'))));
  for (const error of failed) assert.equal(Reflect.get(error, 'code'), '42601');
  return pool;
}

different(26, 'twenty bad queries on max 1 all reject, on one connection that stays', {
  theirs: async (b) => {
    const pool = await badQueries(b, 20, { max: 1 });
    assert.equal(pool.idleCount, 0);
    await pool.query('SELECT 1');
  },
  ours: async (b) => {
    let connects = 0;
    const pool = b.pool({ max: 1 }).on('connect', () => {
      connects += 1;
    });
    await Promise.all(Array.from({ length: 20 }, () => failure(pool.query('I am no SQL'))));
    await eventually('its last reply is read', () => pool.idleCount === 1);
    assert.equal((await pool.query('SELECT 1 AS one')).rows[0]?.one, 1);
    assert.equal(connects, 1);
  },
});

same(27, async (b) => {
  const rude = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.resetAndDestroy());
  });
  rude.listen(0, '127.0.0.1');
  await once(rude, 'listening');
  const address = rude.address();
  assert.ok(typeof address === 'object' && address !== null);
  const pool = b.pool({ max: 1, host: '127.0.0.1', port: address.port });
  const errors = await Promise.all([failure(pool.connect()), failure(pool.connect())]);
  for (const error of errors) assert.equal(Reflect.get(error, 'code'), 'ECONNRESET');
  await pool.end();
  rude.close();
});

different(28, 'a client that is ended during pool.query rejects that query; it is found through the connect event', {
  theirs: async (b) => {
    const pool = b.pool();
    pool.on('error', () => {});
    const rejected = failure(pool.query('SELECT pg_sleep(5)'));
    const client = theFirst(Reflect.get(pool, '_clients'));
    assert.ok(client);
    await once(client, 'connect');
    client.end();
    await rejected;
  },
  ours: async (b) => {
    const pool = b.pool();
    const lent = once(pool, 'acquire');
    const rejected = failure(pool.query('SELECT pg_sleep(5)'));
    assert.equal(theFirst(Reflect.get(pool, '_clients')), undefined);
    const [client] = await lent;
    assert.ok(client instanceof pg.Client);
    client.end();
    assert.ok((await rejected) instanceof ConnectionLostError);
  },
});

function theFirst(list: unknown): pg.Client | undefined {
  const client: unknown = Array.isArray(list) ? list[0] : undefined;
  return client instanceof pg.Client ? client : undefined;
}

different(59, 'thirty failing queries destroy no connection, then a good one works', {
  theirs: async (b) => {
    const pool = await badQueries(b, 30, { max: 9 });
    assert.deepEqual([pool.totalCount, pool.idleCount], [0, 0]);
    await pool.query('SELECT 1');
  },
  ours: async (b) => {
    const removed: unknown[] = [];
    const pool = b.pool({ max: 9 }).on('remove', (client) => removed.push(client));
    await Promise.all(Array.from({ length: 30 }, () => failure(pool.query('I am no SQL'))));
    assert.ok(pool.totalCount >= 1);
    await eventually('the last reply is read', () => pool.idleCount === pool.totalCount);
    assert.equal((await pool.query('SELECT 1 AS one')).rows[0]?.one, 1);
    assert.deepEqual(removed, []);
  },
});
