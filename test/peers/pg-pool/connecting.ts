// Lines 1 to 10: servers that do not answer, waiters that time out, connects that fail. Line 11 needs a native client.

import assert from 'node:assert/strict';
import pg from 'pg';
import { ConnectError, OptionError } from '../../../src/doors/index.ts';
import { deafServer, eventually } from '../../postgres/harness.ts';
import { type Bench, clientAfter, connected, different, failure, quietly, same } from './contestants.ts';

async function deafPool(b: Bench, connectionTimeoutMillis: number): Promise<pg.Pool> {
  const { host, port } = await deafServer(b);
  return b.pool({ host, port, connectionTimeoutMillis });
}

different(1, 'a Client that is not pg’s is refused by name; connectionString reaches pg’s untouched', {
  theirs: async (b) => {
    const { error, seen } = await foreignClient(b);
    assert.equal(error.message, 'as it said');
    assert.deepEqual(seen, ['postgres://a:b@c/d']);
  },
  ours: async (b) => {
    const { error } = await foreignClient(b);
    assert.ok(error instanceof ConnectError && error.cause instanceof OptionError);
    assert.equal(error.cause.option, 'Client');
    const seen: unknown[] = [];
    class Spy extends pg.Client {
      constructor(config?: pg.ClientConfig) {
        super(config);
        seen.push(config?.connectionString);
      }
    }
    const { host, port, user, database, password } = b.pool().options;
    const connectionString = `postgres://${user}:${password ?? ''}@${host}:${port}/${database}`;
    await b.bare({ connectionString, Client: Spy }).query('SELECT 1');
    assert.equal(seen.at(-1), connectionString);
  },
});

/** What a pool says to a Client that is a function and has nothing of pg's. */
async function foreignClient(b: Bench): Promise<{ error: Error; seen: unknown[] }> {
  const seen: unknown[] = [];
  function Foreign(config: pg.ClientConfig): object {
    seen.push(config.connectionString);
    return { on() {}, connect: (done: (error: Error) => void) => setImmediate(() => done(new Error('as it said'))) };
  }
  const pool = b.bare({ connectionString: 'postgres://a:b@c/d', Client: Foreign as unknown as typeof pg.Client });
  return { error: await failure(pool.connect()), seen };
}

same(2, async (b) => {
  const pool = await deafPool(b, 60);
  const { error, client } = await connected(pool);
  assert.match(error?.message ?? '', /timeout/);
  assert.equal(client, undefined);
  assert.equal(pool.idleCount, 0);
});

same(3, async (b) => {
  const pool = await deafPool(b, 60);
  assert.match((await failure(pool.connect())).message, /timeout/);
  assert.equal(pool.idleCount, 0);
});

same(4, async (b) => {
  const pool = await deafPool(b, 1);
  for (let n = 0; n < 15; n += 1) assert.match((await failure(pool.connect())).message, /timeout/);
  assert.deepEqual([pool.idleCount, pool.waitingCount], [0, 0]);
});

same(5, async (b) => {
  const pool = b.pool({ max: 1, connectionTimeoutMillis: 200 });
  const client = await pool.connect();
  assert.match((await failure(pool.connect())).message, /timeout exceeded when trying to connect/);
  client.release();
  await pool.end();
  assert.equal(pool.ended, true);
});

same(6, async (b) => {
  const pool = b.pool({ max: 1, connectionTimeoutMillis: 1_500 });
  const client = await pool.connect();
  const first = failure(pool.connect());
  await quietly(1_000);
  const second = pool.connect();
  assert.match((await first).message, /timeout/);
  client.release();
  assert.equal(await second, client);
  client.release();
});

same(7, async (b) => {
  const pool = b.pool({ max: 1, connectionTimeoutMillis: 100 });
  const client = await pool.connect();
  assert.match((await failure(pool.query('SELECT 1'))).message, /timeout exceeded when trying to connect/);
  client.release();
});

same(8, async (b) => {
  const pool = b.pool({ max: 1, connectionTimeoutMillis: 100 });
  const client = await pool.connect();
  await failure(pool.query('SELECT 1'));
  client.release();
  assert.equal((await pool.query('SELECT $1::text AS name', ['again'])).rows[0]?.name, 'again');
});

different(9, 'the error is a ConnectError around the very object, and the queue goes on', {
  theirs: async (b) => {
    const { why, first, second } = await failFirst(b);
    assert.equal(await first, why);
    (await second).release();
  },
  ours: async (b) => {
    const { why, first, second } = await failFirst(b);
    const error = await first;
    assert.ok(error instanceof ConnectError);
    assert.equal(error.cause, why);
    assert.ok(error.message.startsWith(why.message));
    (await second).release();
  },
});

async function failFirst(b: Bench) {
  const why = new Error('not today');
  const Client = clientAfter((nth) => (nth === 1 ? Promise.reject(why) : Promise.resolve()));
  const pool = b.pool({ max: 1, Client });
  const [first, second] = [failure(pool.connect()), pool.connect()];
  assert.equal(pool.waitingCount + pool.totalCount > 0, true);
  return { why, first, second };
}

same(10, async (b) => {
  let arrived = false;
  const Client = clientAfter(async (nth) => {
    // So long that no stall of a busy machine lets it arrive before the timeout.
    await quietly(nth === 1 ? 300 : 1_500);
    if (nth === 1) throw new Error('the first fails, and so the second dials late');
    arrived = true;
  });
  const pool = b.pool({ max: 1, Client, connectionTimeoutMillis: 350 });
  const first = connected(pool);
  let answers = 0;
  const second = new Promise<Error | undefined>((resolve) => {
    pool.connect((error) => {
      answers += 1;
      resolve(error);
    });
  });
  assert.ok((await first).error);
  assert.match((await second)?.message ?? '', /timeout/);
  assert.equal(arrived, false, 'the connection arrives later than that');
  await eventually('it is kept', () => pool.idleCount === 1 && pool.totalCount === 1);
  assert.equal((await pool.query('SELECT 1 AS one')).rows[0]?.one, 1);
  assert.equal(answers, 1);
});
