// Lines 41 to 58: callbacks, promises and options.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type pg from 'pg';
import { eventually, killBackend, pidOf, unusedPort } from '../../postgres/harness.ts';
import { admin, connected, different, same, server } from './contestants.ts';

type Answer = [error: Error | undefined, result: pg.QueryResult | undefined];

same(41, async (b) => {
  const { host, port, user, database, password } = server.config;
  const given = { PGHOST: host, PGPORT: port, PGUSER: user, PGDATABASE: database, PGPASSWORD: password };
  const before = { ...process.env };
  for (const [key, value] of Object.entries(given)) if (value !== undefined) process.env[key] = String(value);
  try {
    const { rows } = await b.bare().query('SELECT current_user AS who, current_database() AS database');
    assert.deepEqual(rows, [{ who: user, database }]);
  } finally {
    for (const key of Object.keys(given)) Reflect.deleteProperty(process.env, key);
    Object.assign(process.env, before);
  }
});

same(42, async (b) => {
  const client = await b.pool({ binary: true }).connect();
  assert.equal(Reflect.get(client, 'binary'), true);
  client.release();
});

same(43, async (b) => {
  const pool = b.pool();
  const [error, result] = await new Promise<Answer>((resolve) => {
    pool.query('SELECT 1 AS one', (...answer: Answer) => resolve(answer));
  });
  assert.ok(!error);
  assert.deepEqual(result?.rows, [{ one: 1 }]);
});

same(44, async (b) => {
  const pool = b.pool();
  const [error, result] = await new Promise<Answer>((resolve) => {
    pool.query('SELECT $1::text AS name', ['hello'], (...answer: Answer) => resolve(answer));
  });
  assert.ok(!error);
  assert.deepEqual(result?.rows, [{ name: 'hello' }]);
});

same(45, async (b) => {
  const pool = b.pool({ port: await unusedPort() });
  const [error, result] = await new Promise<Answer>((resolve) => {
    pool.query('SELECT 1', (...answer: Answer) => resolve(answer));
  });
  assert.equal(Reflect.get(Object(error), 'code'), 'ECONNREFUSED');
  assert.equal(result, undefined);
  assert.equal(pool.totalCount, 0);
});

same(46, async (b) => {
  const { error, client, done } = await connected(b.pool({ port: await unusedPort() }));
  assert.ok(error instanceof Error);
  assert.equal(client, undefined);
  assert.equal(typeof done, 'function');
  done();
});

same(47, async (b) => {
  const pool = b.pool();
  const heard = new Promise<Error>((resolve) => pool.on('error', resolve));
  const client = await pool.connect();
  const closed = once(client.connection.stream, 'close');
  const pid = await pidOf(client);
  client.release();
  await killBackend(admin, pid);
  assert.equal(Reflect.get(await heard, 'client'), client);
  assert.equal(pool.totalCount, 0);
  await closed;
});

same(48, async (b) => {
  const options = { ...server.config, max: 3, idleTimeoutMillis: 1_000 };
  const before = { ...options };
  const pool = b.bare(options);
  await pool.query('SELECT 1');
  assert.deepEqual(options, before);
  assert.notEqual(pool.options, options);
});

same(49, async (b) => {
  const pool = b.pool();
  await new Promise<void>((resolve, reject) => {
    const returned: unknown = pool.connect((error, _client, done) => {
      done();
      if (error) reject(error);
      else resolve();
    });
    assert.equal(returned, undefined);
  });
});

same(50, async (b) => {
  const pool = b.pool();
  await new Promise<void>((resolve) => {
    const returned: unknown = pool.query('SELECT now()', () => resolve());
    assert.equal(returned, undefined);
  });
});

same(51, async (b) => {
  const pool = b.pool();
  await new Promise<void>((resolve) => {
    const returned: unknown = pool.end(() => resolve());
    assert.equal(returned, undefined);
  });
});

same(52, async (b) => {
  const pool = b.pool();
  (await pool.connect()).release();
  assert.equal(pool.idleCount, 1);
  let turn = 'of the call';
  const called = new Promise<string>((resolve) => {
    pool.connect((_error, _client, done) => {
      done();
      resolve(turn);
    });
  });
  turn = 'after it';
  assert.equal(await called, 'after it');
});

same(53, async (b) => {
  const pool = b.pool();
  const client = await pool.connect();
  assert.deepEqual((await client.query('SELECT $1::text AS name', ['hi'])).rows, [{ name: 'hi' }]);
  client.release();
  await pool.end();
});

same(54, async (b) => {
  const pool = b.pool();
  assert.deepEqual((await pool.query('SELECT $1::text AS name', ['hi'])).rows, [{ name: 'hi' }]);
  await pool.end();
});

different(
  55,
  'thirty checkouts at once on poolSize 9 are all served, by as many connections as help and never more than 9',
  {
    theirs: async (b) => {
      const pool = b.pool({ poolSize: 9 });
      await thirtyCheckouts(pool);
      assert.equal(pool.totalCount, 9);
    },
    ours: async (b) => {
      const pool = b.pool({ poolSize: 9 });
      await thirtyCheckouts(pool);
      assert.ok(pool.totalCount >= 1 && pool.totalCount <= 9, `${pool.totalCount} connections`);
      const held = await Promise.all(Array.from({ length: 9 }, () => pool.connect()));
      const tenth = pool.connect();
      assert.deepEqual([pool.totalCount, pool.waitingCount], [9, 1], 'who holds on to them gets as many as pg gives');
      for (const client of held) client.release();
      (await tenth).release();
    },
  },
);

async function thirtyCheckouts(pool: pg.Pool): Promise<void> {
  const answers = Array.from({ length: 30 }, async (_, n) => {
    const client = await pool.connect();
    const { rows } = await client.query('SELECT $1::int AS n', [n]);
    client.release();
    return rows[0]?.n;
  });
  assert.deepEqual(
    await Promise.all(answers),
    Array.from({ length: 30 }, (_, n) => n),
  );
}

same(56, async (b) => {
  const pool = b.pool();
  const answers = Array.from({ length: 30 }, (_, n) => pool.query({ text: 'SELECT $1::int AS n', values: [n] }));
  const results = await Promise.all(answers);
  assert.deepEqual(
    results.map(({ rows }) => rows[0]?.n),
    Array.from({ length: 30 }, (_, n) => n),
  );
});

same(57, async (b) => {
  const client = await b.pool({ pipeline: true }).connect();
  assert.equal(client.pipeline, true);
  const results = await Promise.all([1, 2, 3].map((n) => client.query('SELECT $1::int AS n', [n])));
  assert.deepEqual(
    results.map(({ rows }) => rows[0]?.n),
    [1, 2, 3],
  );
  client.release();
});

same(58, async (b) => {
  const pool = b.pool();
  const client = await pool.connect();
  assert.equal(client.pipeline, false);
  client.release();
  await eventually('it is back', () => pool.idleCount === 1);
});
