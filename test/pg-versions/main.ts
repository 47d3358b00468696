// What is run with each version of pg, in a folder where `pg` is that one: node build/test/pg-versions/main.js codec|pg. Owns what has to hold
// whoever speaks; which versions there are is known to test/slow/pg-versions.test.ts.

import assert from 'node:assert/strict';
import test from 'node:test';
import pg from 'pg';
import { ConnectionLostError, type Lease, Pool, QueryTimeoutError } from '../../src/doors/index.ts';
import { recognise } from '../../src/pg/known-pg.ts';
import { eventually, killBackend, pidOf, rejection, withClient, withPool, withServer } from '../postgres/harness.ts';
import { CORPUS, type Entry, TABLE } from './corpus.ts';

/** As often as it takes for a text to be prepared by itself, and then some. */
const TIMES = 8;
/** Who is to speak. */
const who = process.argv[2];
assert.ok(who === 'codec' || who === 'pg');

const server = await withServer(test);
const admin = await withClient(test, server.config);
await admin.query(`DROP TABLE IF EXISTS kept; ${TABLE}`);

/** How often each has spoken in the pool so far. */
function spoken(pool: Pool): { codec: number; pg: number } {
  const { queriesByCodec = 0, queriesByPg = 0 } = pool.stats();
  return { codec: queriesByCodec, pg: queriesByPg };
}

test('it is known who speaks, why, and of which version pg is', async (t) => {
  // Without a logger of its own: it writes to stderr, where whoever started this looks.
  const pool = new Pool({ ...server.config, name: 'probe' });
  t.after(() => pool.close({ drainMs: 0 }));
  await pool.query('SELECT 1');
  const client = await pool.connect();
  const found = recognise(client);
  client.release();
  const { speaker } = pool.snapshot();
  const { codec, pg: byPg } = spoken(pool);
  // For whoever started this.
  console.log(`# recognised ${JSON.stringify('parts' in found ? { version: found.parts.version } : found)}`);
  console.log(`# speaker ${JSON.stringify(speaker)}`);
  assert.equal(speaker?.who, who);
  assert.deepEqual({ codec, pg: byPg }, who === 'codec' ? { codec: 1, pg: 0 } : { codec: 0, pg: 1 });
});

type Asks = Pick<pg.Client, 'query'> | Pick<Lease, 'query'>;

/** Whatever comes of it, an error with all that it is made of but for its stack. */
async function answer(asks: Asks, { query, values }: Entry): Promise<unknown> {
  const given = typeof query === 'string' ? { text: query } : query;
  const config = values === undefined ? given : { ...given, values: [...values] };
  try {
    return await asks.query(values === undefined && typeof query === 'string' ? query : config);
  } catch (error) {
    assert.ok(error instanceof Error);
    const {
      stack: _,
      message,
      length,
      ...parts
    } = Object.getOwnPropertyDescriptors(error as Error & { length?: number });
    const text = String(message?.value);
    // The server tells the name that it knows the statement by, and how long what it says is: that is all by which preparing shows.
    const plain = text.replace(/"oxbow_\d+"/, '""');
    const long = length?.value === undefined ? undefined : length.value - text.length + plain.length;
    const prototype: unknown = Object.getPrototypeOf(error);
    return { prototype, message: { ...message, value: plain }, length: { ...length, value: long }, parts };
  }
}

async function undone(asks: Asks, entry: Entry): Promise<unknown> {
  if (entry.writes !== true) return await answer(asks, entry);
  await asks.query('BEGIN');
  const came = await answer(asks, entry);
  await asks.query('ROLLBACK');
  return came;
}

test('each entry of the corpus gives what pg gives, however often', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const client = await withClient(t, server.config);
  const lease = await pool.acquire();
  for (const entry of CORPUS) {
    const expected = await undone(client, entry);
    for (let time = 1; time <= TIMES; time += 1) {
      assert.deepStrictEqual(await undone(lease, entry), expected, `${entry.what}, time ${time}`);
    }
  }
  lease.release();
  const { codec, pg: byPg } = spoken(pool);
  t.diagnostic(`of ${CORPUS.length} entries, ${TIMES} times each, the codec spoke ${codec} queries and pg ${byPg}`);
  if (who === 'pg') assert.equal(codec, 0);
  // Some texts are left to pg; and what follows an error closely, for the end of the reply may still be on its way then.
  else assert.ok(codec > 2 * byPg, `the codec spoke ${codec} queries, pg ${byPg}`);
});

test("an error's stack leads to whoever asked", async (t) => {
  const pool = withPool(t, server.config);
  for (const text of ['SELECT nowhere', 'SELECT 1/0']) {
    async function whoeverAsked(): Promise<void> {
      await pool.query(text);
    }
    for (let time = 1; time <= TIMES; time += 1) {
      const error = await rejection(whoeverAsked(), pg.DatabaseError);
      assert.match(error.stack ?? '', /whoeverAsked/);
    }
  }
});

test('transactions commit, roll back, and nest', async (t) => {
  const pool = withPool(t, { ...server.config, max: 2 });
  await pool.query('DROP TABLE IF EXISTS steps');
  await pool.query('CREATE TABLE steps (n int)');
  await pool.transaction(async (tx) => {
    await tx.query('INSERT INTO steps VALUES ($1)', [1]);
    await rejection(
      tx.transaction(async (inner) => {
        await inner.query('INSERT INTO steps VALUES ($1)', [2]);
        await inner.query('SELECT 1/0');
      }),
      pg.DatabaseError,
    );
    await tx.query('INSERT INTO steps VALUES ($1)', [3]);
  });
  const lost = pool.transaction(async (tx) => {
    await tx.query('INSERT INTO steps VALUES ($1)', [4]);
    throw new RangeError('changed my mind');
  });
  await rejection(lost, RangeError);
  const { rows } = await pool.query('SELECT n FROM steps ORDER BY n');
  assert.deepEqual(rows, [{ n: 1 }, { n: 3 }]);
  await pool.query('DROP TABLE steps');
});

test('the raw client asks in between, and everything is answered in its order', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const lease = await pool.acquire();
  const answered: number[] = [];
  const asked = Array.from({ length: 60 }, async (_, n) => {
    const asks = n % 3 === 1 ? lease.client : lease;
    const query = n % 2 === 0 ? `SELECT ${n} AS n` : { text: 'SELECT $1::int AS n', values: [n] };
    const { rows } = await asks.query(query);
    answered.push(n);
    assert.deepEqual(rows, [{ n }]);
  });
  await Promise.all(asked);
  assert.deepEqual(
    answered,
    asked.map((_, n) => n),
  );
  lease.release();
});

test('a query that is late is cancelled, and its connection goes on', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const pid = await pidOf(pool);
  await rejection(pool.query({ text: 'SELECT pg_sleep($1)', values: [30], timeoutMs: 50 }), QueryTimeoutError);
  const given = new AbortController();
  const sleeping = rejection(pool.query({ text: 'SELECT pg_sleep(30)', signal: given.signal }), DOMException);
  await eventually('it sleeps', async () => {
    const { rowCount } = await admin.query(
      "SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active' AND query LIKE '%pg_sleep(30)%'",
      [pid],
    );
    return rowCount === 1;
  });
  given.abort();
  await sleeping;
  assert.equal(await pidOf(pool), pid);
});

test('a lost connection fails what runs on it, and the next is served by another', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const pid = await pidOf(pool);
  const lost = rejection(pool.query('SELECT pg_sleep($1)', [30]), ConnectionLostError);
  await eventually('it sleeps', async () => {
    const { rowCount } = await admin.query("SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active'", [pid]);
    return rowCount === 1;
  });
  await killBackend(admin, pid);
  assert.equal((await lost).mayHaveExecuted, true);
  assert.notEqual(await pidOf(pool), pid);
});
