// Probes of what a session is left in: hooks of new connections, and transactions left open or lost. Knows nothing of several
// queries at once.

import assert from 'node:assert/strict';
import { ConnectionLostError, PoolTimeoutError, StrayTransactionError } from '../../../src/doors/index.ts';
import { Pool as PgPool } from '../../../src/doors/pg.ts';
import { freshName, killBackend, pidOf, rejection, reports, withPool } from '../../postgres/harness.ts';
import {
  admin,
  codeOf,
  pendingAfter,
  probe,
  server,
  slonikSql,
  statesOf,
  watch,
  withPgPool,
  withPostgresJs,
  withSlonik,
} from './stage.ts';

probe(5, {
  ours: async (t) => {
    const never = new Promise<void>(() => {});
    const own = withPool(t, { ...server.config, configure: () => never, acquireTimeoutMs: 500 });
    await rejection(own.acquire(), PoolTimeoutError);
    await rejection(own.query('SELECT 1'), PoolTimeoutError);
    const pgs = new PgPool({
      ...{ ...server.config, name: freshName(), logger: reports().logger },
      ...{ onConnect: () => never, connectionTimeoutMillis: 500 },
    });
    t.after(() => pgs.close({ drainMs: 0, cancelMs: 200 }));
    await rejection(pgs.connect(), PoolTimeoutError);
  },
  theirs: {
    'pg-pool': async (t, stillSo) => {
      const timeoutMs = 500;
      let hooked = false;
      const pool = withPgPool(t, {
        connectionTimeoutMillis: timeoutMs,
        onConnect: () => {
          hooked = true;
          return new Promise((resolve) => setTimeout(resolve, 2 * timeoutMs));
        },
      });
      const began = performance.now();
      const outcome = await codeOf(pool.connect());
      assert.ok(hooked, 'the server was too slow: the hook was never called');
      stillSo('it is served, late', [outcome, performance.now() - began > 1.5 * timeoutMs], ['served', true]);
    },
  },
});

probe(6, {
  ours: async (t) => {
    const { logger, said } = reports();
    const pool = withPool(t, { ...server.config, max: 1, logger });
    const lease = await pool.acquire();
    const pid = await pidOf(lease);
    await lease.query('BEGIN');
    lease.release();
    const client = await pool.connect();
    assert.equal(client.getTransactionStatus(), 'I');
    assert.equal(await pidOf(client), pid);
    client.release();
    assert.deepEqual(
      said.map(({ code }) => code),
      ['OXBOW_OPEN_TRANSACTION'],
    );
    assert.match(said[0]?.message ?? '', /taken at \S*sessions\.[jt]s:\d+/);
  },
  theirs: {
    'pg-pool': async (t, stillSo) => {
      const pool = withPgPool(t);
      const client = await pool.connect();
      await client.query('BEGIN');
      client.release();
      const next = await pool.connect();
      stillSo('the status that the next borrower finds', next.getTransactionStatus(), 'T');
    },
    'postgres.js': async (t, stillSo) => {
      const { sql, name } = withPostgresJs(t, 1);
      await sql`SELECT 1`; // with `fetch_types` off a first use by reserve() is never answered
      const reserved = await sql.reserve();
      await reserved`BEGIN`;
      reserved.release();
      await sql`SELECT 1`;
      stillSo('what the session is in after the next query', await statesOf(name), ['idle in transaction']);
    },
    slonik: async (t, stillSo) => {
      const pool = await withSlonik(t);
      await codeOf(pool.connect((connection) => connection.query(slonikSql.unsafe`BEGIN`)));
      const next = watch(pool.query(slonikSql.unsafe`SELECT 1`));
      stillSo('the next borrower waits', await pendingAfter(500, next), true);
      stillSo('nobody holds anything', pool.state().acquiredConnections, 0);
    },
  },
});

async function rowsOf(table: string): Promise<number> {
  const { rowCount } = await admin.query(`SELECT FROM ${table}`);
  return rowCount ?? 0;
}

probe(10, {
  ours: async (t) => {
    await admin.query('CREATE TABLE kept_by_us (n int)');
    const pool = withPool(t, { ...server.config, max: 1, acquireTimeoutMs: 8_000 });
    let wrote: ConnectionLostError | undefined;
    const transaction = pool.transaction(async (tx) => {
      await tx.query('INSERT INTO kept_by_us VALUES (1)');
      await killBackend(admin, await pidOf(tx));
      await pool.query('SELECT 1');
      wrote = await rejection(tx.query('INSERT INTO kept_by_us VALUES (2)'), ConnectionLostError);
      throw new Error('changed my mind');
    });
    await rejection(transaction, Error);
    assert.ok(wrote, 'the write after the death was not rejected as lost');
    assert.equal(await rowsOf('kept_by_us'), 0);
  },
  theirs: {
    'postgres.js': async (t, stillSo) => {
      await admin.query('CREATE TABLE kept_by_postgres_js (n int)');
      const { sql } = withPostgresJs(t, 1);
      // What it is told of the death is not waited for: the function goes on after `begin` has rejected.
      let note = (_: unknown): void => {};
      const wrote = new Promise<unknown>((resolve) => {
        note = resolve;
      });
      const transaction = sql.begin(async (tx) => {
        const [row] = await tx<{ pid: number }[]>`SELECT pg_backend_pid() AS pid`;
        await killBackend(admin, row?.pid ?? 0);
        await sql`SELECT 1`;
        note(await codeOf(tx`INSERT INTO ${tx(server.schema)}.kept_by_postgres_js VALUES (1)`));
        throw new Error('changed my mind');
      });
      await rejection(transaction, Error);
      stillSo('the write after the death', await wrote, 'served');
      stillSo('the row is there', await rowsOf('kept_by_postgres_js'), 1);
    },
  },
});

probe(11, {
  ours: async (t) => {
    const pool = withPool(t, { ...server.config, max: 2 });
    await rejection(pool.query('BEGIN'), StrayTransactionError);
    assert.equal(pool.stats().connects, 0, 'nothing was even connected for it');
    await pool.query('SELECT 1');
    assert.deepEqual(await statesOf(pool.name), ['idle']);
  },
  theirs: {
    'postgres.js': async (t, stillSo) => {
      const { sql, name } = withPostgresJs(t, 2);
      stillSo('it is refused', await codeOf(sql`BEGIN`), 'UNSAFE_TRANSACTION');
      stillSo('what the session is in', await statesOf(name), ['idle in transaction']);
    },
  },
});
