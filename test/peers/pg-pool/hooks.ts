// Lines 60 to 67 and 89: what the user does to a new connection, `onConnect` and `verify`.

import assert from 'node:assert/strict';
import type pg from 'pg';
import { ConnectError } from '../../../src/doors/index.ts';
import { type Bench, different, failure, type Options, same } from './contestants.ts';

same(60, async (b) => {
  const seen: unknown[] = [];
  const pool = b.pool({ onConnect: (client) => void seen.push(client) });
  const first = await pool.connect();
  assert.deepEqual(seen, [first]);
  first.release();
  const second = await pool.connect();
  assert.equal(second, first);
  assert.deepEqual(seen, [first]);
  second.release();
});

same(61, async (b) => {
  const pool = b.pool({
    onConnect: async (client) => {
      await client.query("SELECT set_config('oxbow.line', '61', false)");
    },
  });
  const client = await pool.connect();
  assert.equal((await client.query("SELECT current_setting('oxbow.line') AS line")).rows[0]?.line, '61');
  client.release();
});

/** What becomes of a connect whose hook says no in this way. */
async function refusedBy(b: Bench, options: Options): Promise<{ error: Error; pool: pg.Pool }> {
  const pool = b.pool(options);
  return { error: await failure(pool.connect()), pool };
}

function wraps(error: Error, why: Error): void {
  assert.ok(error instanceof ConnectError);
  assert.equal(error.cause, why);
  assert.ok(error.message.startsWith(why.message), error.message);
}

const why = new Error('the hook says no');

different(62, 'an onConnect that rejects fails the connect with a ConnectError around that error', {
  theirs: async (b) => assert.equal((await refusedBy(b, { onConnect: () => Promise.reject(why) })).error, why),
  ours: async (b) => wraps((await refusedBy(b, { onConnect: () => Promise.reject(why) })).error, why),
});

same(63, async (b) => {
  let calls = 0;
  const pool = b.pool({
    onConnect: async (client) => {
      calls += 1;
      await client.query("SELECT set_config('oxbow.line', '63', false)");
    },
  });
  assert.equal((await pool.query("SELECT current_setting('oxbow.line') AS line")).rows[0]?.line, '63');
  assert.equal(calls, 1);
});

same(64, async (b) => {
  let calls = 0;
  const pool = b.pool({
    max: 1,
    onConnect: () => {
      calls += 1;
      if (calls === 1) throw why;
    },
  });
  await failure(pool.connect());
  assert.equal((await pool.query('SELECT 1 AS one')).rows[0]?.one, 1);
  assert.equal(calls, 2);
});

same(65, async (b) => {
  const seen: unknown[] = [];
  const pool = b.pool({ max: 2, onConnect: (client) => void seen.push(client) });
  const [first, second] = await Promise.all([pool.connect(), pool.connect()]);
  assert.notEqual(first, second);
  assert.equal(seen.length, 2);
  assert.ok(seen.includes(first) && seen.includes(second));
  first.release();
  second.release();
});

same(66, async (b) => {
  let failing = true;
  const pool = b.pool({
    max: 2,
    onConnect: () => {
      if (failing) throw why;
    },
  });
  for (let n = 0; n < 10; n += 1) await failure(pool.connect());
  assert.deepEqual([pool.totalCount, pool.idleCount], [0, 0]);
  failing = false;
  const clients = await Promise.all([pool.connect(), pool.connect()]);
  assert.equal(pool.totalCount, 2);
  for (const client of clients) client.release();
});

const throwing: Options = {
  onConnect: () => {
    throw why;
  },
};

different(67, 'what onConnect throws at once is the cause of the ConnectError', {
  theirs: async (b) => assert.equal((await refusedBy(b, throwing)).error, why),
  ours: async (b) => wraps((await refusedBy(b, throwing)).error, why),
});

different(89, 'the error of verify is the cause of the ConnectError, and that connection is not lent', {
  theirs: async (b) => {
    const { error, pool } = await refusedBy(b, { verify: (_client, done) => done(why) });
    assert.equal(error, why);
    assert.equal(pool.totalCount, 0);
  },
  ours: async (b) => {
    const { error, pool } = await refusedBy(b, { verify: (_client, done) => done(why) });
    wraps(error, why);
    assert.equal(pool.totalCount, 0);
  },
});
