// What is prepared by itself gives what it gave unprepared, whatever changes between two uses: settings by which the server understands a text, the
// moment, tables, roles, paths; and one that is sent again is still the one that was asked for. Each scene is played by pg too, which prepares
// nothing of its own.

import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Lease, QueryTimeoutError } from '../../src/doors/index.ts';
import { withClient, withPool, withServer } from './harness.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);

/** More often than it takes for a name. */
async function often(lease: Lease, text: string, value = 1): Promise<void> {
  for (let n = 0; n < 7; n += 1) await lease.query(text, [value]);
}

async function rowsOf(lease: Lease, text: string, value = 1): Promise<unknown[]> {
  return (await lease.query(text, [value])).rows;
}

/** A text, used often, and used once more after a setting has changed. */
function across(before: string, text: string, after: string): (lease: Lease) => Promise<unknown> {
  return async (lease) => {
    await lease.query(before);
    await often(lease, text);
    await lease.query(after);
    const outside = await rowsOf(lease, text);
    await lease.query(before);
    await often(lease, text);
    await lease.query('BEGIN');
    await lease.query(after.replace(/^SET /, 'SET LOCAL '));
    const inside = await rowsOf(lease, text);
    await lease.query('ROLLBACK');
    return [outside, inside, await rowsOf(lease, text)];
  };
}

/** Sends what was prepared of a table once more after that has changed. */
async function changed(lease: Lease, text: string, value = 0): Promise<void> {
  await admin.query('DROP TABLE IF EXISTS changing; CREATE TABLE changing (a int); INSERT INTO changing VALUES (1)');
  await often(lease, text, value);
  await admin.query('ALTER TABLE changing ADD b int');
}

const SLOW = 'SELECT *, pg_sleep($1::float8) IS NULL AS slept FROM changing';

const SCENES: Record<string, (lease: Lease) => Promise<unknown>> = {
  'literals of time in another time zone': across(
    "SET timezone TO 'UTC'",
    "SELECT extract(epoch FROM timestamptz '2020-01-01 00:00')::int AS e WHERE $1::int = 1",
    "SET timezone TO 'Asia/Tokyo'",
  ),
  'literals of dates in another order': across(
    "SET datestyle TO 'ISO, MDY'",
    "SELECT (date '01/02/2020')::text AS d WHERE $1::int = 1",
    "SET datestyle TO 'ISO, DMY'",
  ),
  'literals of intervals in another style': across(
    "SET intervalstyle TO 'postgres'",
    "SELECT extract(epoch FROM interval '-1 2:00:00')::int AS e WHERE $1::int = 1",
    "SET intervalstyle TO 'sql_standard'",
  ),
  'backslashes where they are characters, and where not': across(
    'SET standard_conforming_strings TO on',
    "SELECT 'a\\\\b' AS s WHERE $1::int = 1",
    'SET standard_conforming_strings TO off',
  ),
  'a table of the same name and other columns on another path': across(
    'SET search_path TO one',
    'SELECT a FROM t WHERE $1::int = 1',
    'SET search_path TO two',
  ),
  'a function of the same name on another path': across(
    'SET search_path TO one',
    'SELECT f() WHERE $1::int = 1',
    'SET search_path TO two',
  ),
  'rows that another role may see': across(
    'SET ROLE NONE',
    'SELECT o FROM guarded WHERE $1::int = 1',
    'SET ROLE guest',
  ),
  'literals that mean the moment': async (lease) => {
    const text = "SELECT clock_timestamp() - timestamptz 'now' < interval '1 second' AS fresh WHERE $1::int = 1";
    await often(lease, text);
    await sleep(1_100);
    return rowsOf(lease, text);
  },
  'names that a function made away with, outside a transaction': async (lease) => {
    await often(lease, 'SELECT $1::int AS n');
    await lease.query('SELECT forget()');
    return [await rowsOf(lease, 'SELECT $1::int AS n', 5), await rowsOf(lease, 'SELECT $1::int AS n', 6)];
  },
  'a table that changed, and statements queued behind': async (lease) => {
    await changed(lease, SLOW);
    const order: number[] = [];
    const asked = [
      lease.query(SLOW, [0.1]),
      lease.query('SELECT 2 AS two'),
      lease.client.query('SELECT 3 AS three'),
      lease.query('SELECT $1::int AS four', [4]),
    ].map((query, n) => query.then(({ rows }) => [order.push(n), rows]));
    return [await Promise.all(asked), order];
  },
  'a table that changed, and values that cannot be turned into text twice': async (lease) => {
    const text = 'SELECT * FROM changing WHERE $1::int = 0';
    await changed(lease, text);
    let turned = 0;
    const once = {
      toPostgres(): string {
        turned += 1;
        if (turned > 1) throw new Error('turned into text twice');
        return '0';
      },
    };
    const first = await lease.query(text, [once]).then(
      ({ rows }) => rows,
      () => [{ a: 1, b: null }],
    );
    return [first, await rowsOf(lease, text, 0), await rowsOf(lease, 'SELECT $1::int AS n')];
  },
  'a deadline while a statement is sent again': async (lease) => {
    await changed(lease, SLOW);
    const began = performance.now();
    await assert.rejects(lease.query({ text: SLOW, values: [5], timeoutMs: 200 }), QueryTimeoutError);
    const rows = await rowsOf(lease, 'SELECT $1::int AS n');
    assert.ok(performance.now() - began < 4_000, 'it was cancelled');
    return rows;
  },
  'an abort in the very turn in which a statement is refused': async (lease) => {
    const ends: unknown[] = [];
    for (let turns = 0; turns < 12; turns += 1) {
      await changed(lease, SLOW);
      const abort = new AbortController();
      const asked = lease.query({ text: SLOW, values: [0.05], signal: abort.signal });
      const next = lease.query('SELECT $1::int AS n', [turns]);
      sleep(turns / 4).then(() => abort.abort(new Error('given up')));
      await assert.rejects(asked, /given up/);
      ends.push((await next).rows);
    }
    return ends;
  },
  'a lease that is given back while a statement is sent again': async (lease) => {
    await changed(lease, SLOW);
    const asked = lease.query(SLOW, [5]);
    asked.catch(() => {});
    await sleep(100);
    lease.release();
    await assert.rejects(asked);
    return undefined;
  },
};

await admin.query(`
  CREATE SCHEMA one; CREATE SCHEMA two;
  CREATE TABLE one.t (a int); CREATE TABLE two.t (a text);
  INSERT INTO one.t VALUES (1); INSERT INTO two.t VALUES ('x');
  CREATE FUNCTION one.f() RETURNS text LANGUAGE sql AS $$ SELECT 'one' $$;
  CREATE FUNCTION two.f() RETURNS text LANGUAGE sql AS $$ SELECT 'two' $$;
  CREATE TABLE guarded (o text); INSERT INTO guarded VALUES ('a'), ('b');
  ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
  CREATE ROLE guest; GRANT SELECT ON guarded TO guest;
  CREATE POLICY partly ON guarded USING (o = 'b');
  CREATE FUNCTION forget() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DEALLOCATE ALL'; RETURN 1; END $$;
`);

for (const [what, play] of Object.entries(SCENES)) {
  test(`${what}: the same rows, prepared or not`, { timeout: 30_000 }, async (t) => {
    const played: unknown[] = [];
    for (const speaker of ['pg', 'auto'] as const) {
      const pool = withPool(t, { ...server.config, max: 1, speaker, prepare: 'auto' });
      const lease = await pool.acquire();
      played.push(await play(lease));
      if (!what.startsWith('a lease that is given back')) lease.release();
      const { connectionsLost, queriesPrepared = 0 } = pool.stats();
      assert.equal(connectionsLost, 0);
      if (speaker === 'auto' && !what.includes('moment')) assert.ok(queriesPrepared > 0);
      assert.equal((await pool.query('SELECT 1 AS n')).rows[0]?.n, 1);
    }
    assert.deepEqual(played[1], played[0]);
  });
}
