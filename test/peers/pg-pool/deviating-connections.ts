// Deviations in keeping connections: how many there are, how they age, and when they are gone.

import assert from 'node:assert/strict';
import pg from 'pg';
import { eventually } from '../../postgres/harness.ts';
import { type Bench, deviation, quietly } from './contestants.ts';
import { timed } from './timed.ts';

deviation('min connections are opened and restored by the pool itself', {
  theirs: async (b) => {
    const pool = b.pool({ min: 3 });
    await pool.query('SELECT 1');
    await quietly(100);
    assert.equal(pool.totalCount, 1);
  },
  ours: async (b) => {
    const pool = b.pool({ min: 3 });
    await pool.query('SELECT 1');
    await eventually('min is there', () => pool.idleCount === 3);
    (await pool.connect()).release(new Error('this one goes'));
    await eventually('min is there again', () => pool.idleCount === 3);
  },
});

/** For each client made, whether the sockets of those before it had closed. */
async function succession(b: Bench): Promise<boolean[]> {
  const before: pg.Client[] = [];
  const closed: boolean[] = [];
  class Spy extends pg.Client {
    constructor(config?: pg.ClientConfig) {
      super(config);
      closed.push(before.every((client) => client.connection.stream.closed));
      before.push(this);
    }
  }
  const pool = b.pool({ max: 1, Client: Spy });
  for (let n = 0; n < 3; n += 1) (await pool.connect()).release(true);
  return closed;
}

deviation('the next connection is dialled when the socket before it has closed, with max 1', {
  theirs: async (b) => assert.deepEqual(await succession(b), [true, false, false]),
  ours: async (b) => {
    const closed = await succession(b);
    // Our pool makes one more client, to read from it where the environment leads.
    assert.ok(closed.length >= 3 && closed.every(Boolean), String(closed));
  },
});

/** A waiter behind a client that is given back for good and never closes. */
async function stuck(b: Bench): Promise<{ waiter: Promise<pg.PoolClient>; stream: pg.Connection['stream'] }> {
  const pool = b.pool({ max: 1 });
  const client = await pool.connect();
  const waiter = pool.connect();
  client.end = () => new Promise(() => {});
  client.release(new Error('not this one'));
  return { waiter, stream: client.connection.stream };
}

deviation('a connection that does not close is cut, and the waiter behind it served', {
  theirs: async (b) => {
    const { waiter, stream } = await stuck(b);
    const served = await Promise.race([waiter, quietly(300)]);
    assert.deepEqual([served, stream.destroyed], [undefined, false]);
  },
  ours: async (b) => {
    const { waiter, stream } = await stuck(b);
    const client = await waiter;
    assert.equal(stream.destroyed, true);
    client.release();
  },
});

async function keepsAlive(b: Bench): Promise<unknown> {
  const client = await b.pool().connect();
  client.release();
  return Reflect.get(client.connection, '_keepAlive');
}

deviation('TCP keep-alive is on by default', {
  theirs: async (b) => assert.equal(await keepsAlive(b), false),
  ours: async (b) => assert.equal(await keepsAlive(b), true),
});

function defaultsOf(b: Bench): unknown[] {
  const { options } = b.pool();
  const names = ['connectionTimeoutMillis', 'idleTimeoutMillis', 'maxLifetimeSeconds', 'allowExitOnIdle'];
  return names.map((name) => Reflect.get(options, name) || 0);
}

deviation('the defaults of oxbow are its own', {
  theirs: (b) => assert.deepEqual(defaultsOf(b), [0, 10_000, 0, 0]),
  ours: (b) => assert.deepEqual(defaultsOf(b), [30_000, 60_000, 3_600, true]),
});

deviation('connections that were born together do not expire together', {
  theirs: async (b) => {
    const born = new Map<pg.Client, number>();
    const ages: number[] = [];
    const pool = b.pool({ maxLifetimeSeconds: 0.3 });
    pool.on('connect', (client) => born.set(client, performance.now()));
    pool.on('remove', (client) => ages.push(performance.now() - (born.get(client) ?? 0)));
    for (const client of await Promise.all([1, 2, 3, 4].map(() => pool.connect()))) client.release();
    await eventually('all are gone', () => ages.length === 4);
    assert.ok(
      ages.every((age) => age > 290),
      String(ages),
    );
  },
  ours: async (b) => {
    const { pool, clock } = timed(b, { maxLifetimeSeconds: 100, idleTimeoutMillis: 0 });
    const leases = [1, 2, 3, 4].map(() => pool.acquire());
    await clock.advance(100);
    const born = clock.now();
    for (const lease of leases) (await lease).release();
    const ages: number[] = [];
    for (let left = pool.totalCount; clock.now() < born + 101_000; left = pool.totalCount) {
      await clock.advance(100);
      for (let n = left; n > pool.totalCount; n -= 1) ages.push(clock.now() - born);
    }
    assert.equal(ages.length, 4);
    for (const age of ages) assert.ok(age > 74_800 && age < 100_200, `gone after ${age} ms`);
    assert.ok(Math.max(...ages) - Math.min(...ages) > 5_000, `ages ${ages}`);
  },
});

deviation('an idle timeout is kept within 5 ms', {
  ours: async (b) => {
    const { pool, clock } = timed(b, { idleTimeoutMillis: 1 });
    const lease = pool.acquire();
    await clock.advance(100);
    (await lease).release();
    await clock.advance(4);
    assert.equal(pool.totalCount, 1, 'the sweep does not come sooner than 5 ms after it was asked for');
    await clock.advance(2);
    assert.equal(pool.totalCount, 0);
  },
});

/** What the pool sends, unasked, on a connection that lay idle. */
async function unasked(b: Bench): Promise<number> {
  const pool = b.pool({ max: 1, ...(b.ours && { checkAfterIdleMs: 20 }) });
  const client = await pool.connect();
  client.release();
  await quietly(100);
  let sent = 0;
  const { connection } = client;
  const query: unknown = Reflect.get(connection, 'query');
  Reflect.set(connection, 'query', (text: string) => {
    sent += 1;
    return Reflect.apply(query as (text: string) => unknown, connection, [text]);
  });
  (await pool.connect()).release();
  return sent;
}

deviation('what lay idle for long is asked before it is lent', {
  theirs: async (b) => assert.equal(await unasked(b), 0),
  ours: async (b) => assert.equal(await unasked(b), 1),
});
