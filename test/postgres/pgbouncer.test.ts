// A pool behind PgBouncer, in both of its modes: what works there as it does on the server itself. Faults of the pooler are the
// business of pgbouncer-faults, the option `pooler` of pgbouncer-option.

import assert from 'node:assert/strict';
import nodeTest, { type TestContext } from 'node:test';
import pg from 'pg';
import { type Pool, type PoolOptions, StrayTransactionError } from '../../src/doors/index.ts';
import { NullPool } from '../../src/doors/null.ts';
import { eventually, freshName, pidOf, rejection, reports, withPool } from './harness.ts';
import { behindPgBouncer, type PgBouncerOptions, type PoolMode, test, withPgBouncer } from './pgbouncer.ts';

const { server, admin } = await behindPgBouncer(nodeTest);

/** What a pool is told to go through PgBouncer in this mode. */
async function behind(t: TestContext, mode: PoolMode, settings?: PgBouncerOptions['settings']): Promise<PoolOptions> {
  const bouncer = await withPgBouncer(t, { server: server(), mode, settings });
  return { ...bouncer.config, pooler: mode };
}

for (const mode of ['session', 'transaction'] as const) {
  const through = (t: TestContext): Promise<PoolOptions> => behind(t, mode);

  test(`parameters, types and errors come through as they are (${mode} mode)`, async (t) => {
    const config = await through(t);
    const pool = withPool(t, { ...config, max: 2 });
    const { rows } = await pool.query('SELECT $1::int AS n, $2::text AS s, $3::jsonb AS j, $4::int[] AS a', [
      7,
      "it's",
      { deep: [1] },
      [1, 2],
    ]);
    assert.deepEqual(rows, [{ n: 7, s: "it's", j: { deep: [1] }, a: [1, 2] }]);
    const large = await pool.query<{ s: string }>('SELECT repeat($1, 200000) AS s', ['x']);
    assert.equal(large.rows[0]?.s.length, 200_000);
    assert.equal((await rejection(pool.query('SELECT 1 / $1::int', [0]), pg.DatabaseError)).code, '22012');
  });

  test(`a statement that fails costs no connection (${mode} mode)`, async (t) => {
    const config = await through(t);
    const pool = withPool(t, { ...config, max: 1 });
    for (let n = 0; n < 10; n += 1) {
      await rejection(pool.query('SELECT 1 / 0'), pg.DatabaseError);
      await rejection(pool.query('SELEKT $1', [n]), pg.DatabaseError);
    }
    assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
    assert.equal(pool.stats().connects, 1);
    assert.equal(pool.stats().returnsBad, 0);
  });

  test(`transactions commit, roll back and nest (${mode} mode)`, async (t) => {
    const config = await through(t);
    const pool = withPool(t, { ...config, max: 2 });
    await pool.query(`CREATE TABLE nested_${mode} (n int)`);
    const insert = `INSERT INTO nested_${mode} VALUES ($1)`;
    await pool.transaction(async (tx) => {
      await tx.query(insert, [1]);
      const inner = tx.transaction(async (deeper) => {
        await deeper.query(insert, [2]);
        throw new Error('not this one');
      });
      await rejection(inner, Error);
      await tx.query(insert, [3]);
    });
    const given = pool.transaction(async (tx) => {
      await tx.query(insert, [4]);
      throw new Error('nor this');
    });
    await rejection(given, Error);
    assert.deepEqual((await pool.query(`SELECT n FROM nested_${mode} ORDER BY n`)).rows, [{ n: 1 }, { n: 3 }]);
  });

  test(`settings of a transaction hold in it and not after it (${mode} mode)`, async (t) => {
    const config = await through(t);
    const pool = withPool(t, { ...config, max: 1 });
    const text = "SELECT coalesce(current_setting('app.tenant', true), '') AS tenant";
    const seen = await pool.transaction(async (tx) => (await tx.query(text)).rows, {
      settings: { 'app.tenant': 'seven' },
      isolation: 'serializable',
    });
    assert.deepEqual(seen, [{ tenant: 'seven' }]);
    assert.deepEqual((await pool.query(text)).rows, [{ tenant: '' }]);
  });

  test(`what comes back in a transaction, open or failed, is rolled back before the next borrower has it (${mode} mode)`, async (t) => {
    const config = await through(t);
    const { said, logger } = reports();
    const pool = withPool(t, { ...config, max: 1, logger });
    await pool.query(`CREATE TABLE left_${mode} (n int)`);
    const open = await pool.acquire();
    await open.query(`BEGIN; INSERT INTO left_${mode} VALUES (1)`);
    open.release();
    const failed = await pool.connect();
    await failed.query('BEGIN');
    await rejection(failed.query('SELECT 1 / 0'), pg.DatabaseError);
    failed.release();
    await rejection(pool.query(`BEGIN; INSERT INTO left_${mode} VALUES (2)`), StrayTransactionError);
    assert.deepEqual((await pool.query(`SELECT n FROM left_${mode}`)).rows, []);
    assert.equal(pool.stats().connects, 1);
    const codes = said.map(({ code }) => code).filter((code) => code === 'OXBOW_OPEN_TRANSACTION');
    assert.equal(codes.length, 2);
    const { rows } = await admin().query("SELECT FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'");
    assert.deepEqual(rows, []);
  });

  test(`closing ends every connection to it, and none is left in a transaction (${mode} mode)`, async (t) => {
    const bouncer = await withPgBouncer(t, { server: server(), mode });
    const pool = withPool(t, { ...bouncer.config, pooler: mode, max: 4 });
    await Promise.all([pool.query('SELECT 1'), pool.query('SELECT 2')]);
    const running = pool.query('SELECT pg_sleep(60)').catch((error: unknown) => error);
    await eventually('it runs', () => isRunning(pool));
    await pool.close({ drainMs: 0, cancelMs: 5_000 });
    assert.equal(Reflect.get(Object(await running), 'code'), '57014');
    assert.equal(await isRunning(pool), false);
    const careless = withPool(t, { ...bouncer.config, pooler: mode, max: 4 });
    await (await careless.acquire()).query('BEGIN');
    const { stillHeld } = await careless.close({ drainMs: 0, cancelMs: 50 });
    assert.equal(stillHeld.length, 1);
    const names = [pool.name, careless.name];
    await eventually('PgBouncer has let go of them', async () => {
      const clients = await bouncer.ask('SHOW CLIENTS');
      return !clients.some(({ application_name }) => names.includes(String(application_name)));
    });
    await eventually('the transaction left open is gone', async () => {
      const left = await admin().query("SELECT FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'");
      return left.rowCount === 0;
    });
  });
}

async function isRunning(pool: Pool): Promise<boolean> {
  const text = `SELECT FROM pg_stat_activity WHERE application_name = $1 AND state = 'active' AND query LIKE '%pg_sleep%'`;
  return ((await admin().query(text, [pool.name])).rowCount ?? 0) > 0;
}

test('in session mode a connection is one session of the server, for as long as it lives', async (t) => {
  const config = await behind(t, 'session');
  const pool = withPool(t, { ...config, max: 2 });
  await pool.use(async (lease) => {
    const pid = await pidOf(lease);
    await lease.query("SET application_name = 'kept'");
    // Whoever comes now would get the session that was free last.
    await pool.transaction(async (other) => {
      await other.query('SELECT 1');
      assert.equal(await pidOf(lease), pid);
    });
    assert.deepEqual((await lease.query('SHOW application_name')).rows, [{ application_name: 'kept' }]);
  });
});

for (const reset of ['rollback', 'discard'] as const) {
  test(`named statements work in session mode, for one borrower after the other (reset: '${reset}')`, async (t) => {
    const config = await behind(t, 'session');
    const pool = withPool(t, { ...config, max: 2, reset });
    const twice = (n: number): Promise<unknown> =>
      pool
        .query<{ n: number }>({ name: 'twice', text: 'SELECT 2 * $1::int AS n', values: [n] })
        .then(({ rows }) => rows[0]?.n);
    for (let n = 0; n < 5; n += 1) assert.equal(await twice(n), 2 * n);
    assert.deepEqual(await Promise.all([1, 2, 3, 4, 5, 6].map(twice)), [2, 4, 6, 8, 10, 12]);
    await pool.use(async (lease) => {
      for (const n of [1, 2]) {
        const { rows } = await lease.query({ name: 'thrice', text: 'SELECT 3 * $1::int AS n', values: [n] });
        assert.deepEqual(rows, [{ n: 3 * n }]);
      }
    });
  });
}

test("in session mode reset: 'discard' leaves the next borrower nothing: settings, temporary tables, locks", async (t) => {
  const config = await behind(t, 'session');
  let configured = 0;
  const pool = withPool(t, {
    ...config,
    max: 1,
    reset: 'discard',
    configure: async (client) => {
      configured += 1;
      await client.query("SET lock_timeout = '7s'");
    },
  });
  const first = await pool.use(async (lease) => {
    await lease.query("SET search_path = 'elsewhere'; SET lock_timeout = '1s'; CREATE TEMP TABLE mine (n int)");
    await lease.query('SELECT pg_advisory_lock(4711)');
    return pidOf(lease);
  });
  await pool.use(async (lease) => {
    assert.equal(await pidOf(lease), first);
    assert.deepEqual((await lease.query('SHOW search_path')).rows, [{ search_path: '"$user", public' }]);
    assert.deepEqual((await lease.query('SHOW lock_timeout')).rows, [{ lock_timeout: '7s' }]);
    assert.deepEqual((await lease.query("SELECT to_regclass('pg_temp.mine') AS t")).rows, [{ t: null }]);
  });
  assert.deepEqual((await admin().query("SELECT FROM pg_locks WHERE locktype = 'advisory'")).rows, []);
  assert.ok(configured >= 2, 'configured again after the reset');
});

/** A thousand queries, one in four of them a transaction of three statements, each with the one right answer. */
async function thousandMixed(pool: Pool, table: string): Promise<void> {
  await pool.query(`CREATE TABLE ${table} (owner int, xid text)`);
  let asked = 0;
  const one = async (n: number): Promise<void> => {
    if (n % 4 === 0) {
      await pool
        .transaction(async (tx) => {
          const text = `INSERT INTO ${table} VALUES ($1, pg_current_xact_id()::text) RETURNING xid, pg_backend_pid() AS pid`;
          const begun = (await tx.query<{ xid: string; pid: number }>(text, [n])).rows;
          await tx.query('SELECT pg_sleep(0.001)');
          const ended = (await tx.query<{ xid: string; pid: number }>(text, [n])).rows;
          assert.deepEqual(ended, begun, 'one transaction is one session and one transaction of the server');
          if (n % 8 === 0) throw new Rejected();
        })
        .catch((error: unknown) => {
          if (!(error instanceof Rejected)) throw error;
        });
      asked += 3;
    } else if (n % 4 === 1) {
      const error = await rejection(pool.query('SELECT 1 / ($1::int - $1::int)', [n]), pg.DatabaseError);
      assert.equal(error.code, '22012');
      asked += 1;
    } else {
      assert.deepEqual((await pool.query('SELECT $1::int AS n', [n])).rows, [{ n }]);
      asked += 1;
    }
  };
  let next = 0;
  const borrower = async (): Promise<void> => {
    while (asked < 1_000) await one(next++);
  };
  await Promise.all(Array.from({ length: 24 }, borrower));
  const { rows } = await pool.query(`SELECT owner, xid, count(*)::int AS n FROM ${table} GROUP BY owner, xid`);
  const kept = Array.from({ length: next }, (_, n) => n).filter((n) => n % 4 === 0 && n % 8 !== 0);
  assert.deepEqual(
    rows.map(({ owner }) => Number(owner)).sort((a, b) => a - b),
    kept,
    'each committed transaction is there, none that was rolled back is',
  );
  assert.ok(rows.every(({ n }) => n === 2));
  assert.equal(new Set(rows.map(({ xid }) => xid)).size, kept.length, 'no two borrowers shared a transaction');
}

class Rejected extends Error {}

test('a thousand mixed queries of eight connections over two sessions of the server are all answered right (transaction mode)', async (t) => {
  const config = await behind(t, 'transaction', { default_pool_size: 2 });
  const pool = withPool(t, { ...config, max: 8 });
  await thousandMixed(pool, 'mixed_transaction');
  assert.ok(pool.stats().connects <= 8);
  const { rowCount } = await admin().query('SELECT FROM pg_stat_activity WHERE application_name = $1', [pool.name]);
  assert.ok((rowCount ?? 0) <= 2, `${rowCount} sessions`);
});

test('the same in session mode through a NullPool, which keeps no session that others wait for', async (t) => {
  const config = await behind(t, 'session', { default_pool_size: 2 });
  const options: PoolOptions = { ...config, max: 8, name: freshName(), logger: reports().logger };
  const pool = new NullPool(options);
  t.after(() => pool.close({ drainMs: 0 }));
  await thousandMixed(pool, 'mixed_session');
});
