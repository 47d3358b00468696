// The return path on a real server: what state a connection comes back in, and what the next borrower gets. The reset options
// are here too, and statements given up by timeout or abort.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import pg from 'pg';
import Cursor from 'pg-cursor';
import { type Pool, type PoolOptions, QueryTimeoutError, StrayTransactionError } from '../../src/doors/index.ts';
import { eventually, pidOf, type Reports, rejection, reports, withClient, withPool, withServer } from './harness.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);

interface Fixture extends Reports {
  readonly pool: Pool;
  /** How each lease came back. */
  readonly outcomes: string[];
}

/** A pool of one connection, so that the next borrower meets what the last one left. */
/** Whoever waited for the bound on a return would be long in coming. */
const PATIENT = { returnTimeoutMs: 60_000 };

function fixture(t: TestContext, options: PoolOptions = {}): Fixture {
  const heard = reports();
  const outcomes: string[] = [];
  const pool = withPool(t, { ...server.config, max: 1, logger: heard.logger, ...options });
  pool.observe({ returned: ({ outcome }) => outcomes.push(outcome) });
  return { ...heard, pool, outcomes };
}

/** Whether the session is in a transaction, as the server's own view of it says. */
async function inTransaction(lease: { query: pg.Client['query'] }): Promise<boolean> {
  const text =
    'SELECT xact_start IS DISTINCT FROM query_start AS open FROM pg_stat_activity WHERE pid = pg_backend_pid()';
  const { rows } = await lease.query<{ open: boolean }>(text);
  return rows[0]?.open === true;
}

/** How many sessions of the pool run `pg_sleep` at this moment. */
async function sleeping(pool: Pool): Promise<number> {
  const text = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = $1 AND state = 'active' AND query LIKE '%pg_sleep%'`;
  const { rows } = await admin.query<{ n: number }>(text, [pool.name]);
  return rows[0]?.n ?? 0;
}

test('an open transaction is rolled back and reported, and the same connection is lent again', async (t) => {
  const { pool, outcomes, said } = fixture(t);
  const lease = await pool.acquire({ label: 'careless' });
  const pid = await pidOf(lease);
  await lease.query('CREATE TABLE left_open (n int)');
  await lease.query('BEGIN; INSERT INTO left_open VALUES (1)');
  lease.release();
  await pool.use(async (next) => {
    assert.equal(await pidOf(next), pid);
    assert.equal(await inTransaction(next), false);
    assert.deepEqual((await next.query('SELECT * FROM left_open')).rows, []);
  });
  assert.deepEqual(outcomes, ['rolled-back', 'clean']);
  assert.deepEqual(
    said.map(({ code }) => code),
    ['OXBOW_OPEN_TRANSACTION'],
  );
  assert.match(
    said[0]?.message ?? '',
    /\(careless\).*an open transaction after: BEGIN; INSERT INTO left_open VALUES \(1\); rolled back/,
  );
  assert.equal(pool.stats().rolledBack, 1);
});

test('a failed transaction is rolled back too, whoever left it: lease or raw client', async (t) => {
  const { pool, outcomes, said } = fixture(t);
  const lease = await pool.acquire();
  const pid = await pidOf(lease);
  await lease.query('BEGIN');
  await rejection(lease.query('SELECT 1 / 0'), pg.DatabaseError);
  lease.release();
  const client = await pool.connect();
  await client.query('BEGIN');
  await rejection(client.query('SELECT 1 / 0'), pg.DatabaseError);
  client.release();
  assert.equal(await pidOf(pool), pid);
  assert.deepEqual(outcomes, ['rolled-back', 'rolled-back', 'clean']);
  assert.match(said[0]?.message ?? '', /a failed transaction/);
});

test('a BEGIN through pool.query is refused, and what a longer text left open does not reach the next borrower', async (t) => {
  const { pool, outcomes } = fixture(t);
  for (const text of ['BEGIN', '  begin ;', '-- now\n/* really */ START  TRANSACTION READ ONLY']) {
    const refused = await rejection(pool.query(text), StrayTransactionError);
    assert.equal(refused.kind, 'STRAY_TRANSACTION');
    assert.match(refused.message, /not sent/);
  }
  assert.deepEqual(outcomes, [], 'nothing was lent for it');
  const left = await rejection(pool.query('BEGIN; SELECT 1'), StrayTransactionError);
  assert.match(left.message, /rolled back/);
  const failed = await rejection(pool.query('BEGIN; SELECT 1 / 0'), StrayTransactionError);
  assert.equal(Reflect.get(failed.cause ?? {}, 'code'), '22012');
  await pool.query('BEGIN; SELECT 1; COMMIT');
  await pool.use(async (lease) => assert.equal(await inTransaction(lease), false));
  assert.equal(pool.stats().connects, 1);
});

test('a statement still running is cancelled, and the same connection is lent when it is at rest and not before', async (t) => {
  const { pool, outcomes, said } = fixture(t);
  const lease = await pool.acquire();
  const pid = await pidOf(lease);
  const running = rejection(lease.query('SELECT pg_sleep(60)'), pg.DatabaseError);
  await eventually('it runs', async () => (await sleeping(pool)) === 1);
  lease.release();
  assert.equal(pool.snapshot().returning, 1);
  await pool.use(async (next) => {
    assert.equal(await sleeping(pool), 0);
    assert.equal(await pidOf(next), pid);
  });
  assert.equal((await running).code, '57014');
  assert.deepEqual(outcomes, ['cancelled', 'clean']);
  assert.match(said[0]?.message ?? '', /statement still running: SELECT pg_sleep\(60\); cancelled/);
  assert.equal(pool.stats().cancelled, 1);
});

test('statements that are queued behind a running one are dealt with before the connection is lent', async (t) => {
  const { pool } = fixture(t);
  const client = await pool.connect();
  const settled = Promise.allSettled([
    client.query('SELECT pg_sleep(60)'),
    client.query('SELECT 1'),
    client.query('SELECT 2'),
  ]);
  client.release();
  assert.deepEqual((await pool.query('SELECT 3 AS three')).rows, [{ three: 3 }]);
  const outcomes = (await settled).map(({ status }) => status);
  assert.equal(outcomes[0], 'rejected');
  assert.equal(pool.snapshot().size, 1);
});

test('several long statements in a row are all cancelled, and the same connection is lent again', async (t) => {
  const { pool } = fixture(t);
  const client = await pool.connect();
  const pid = await pidOf(client);
  const settled = Promise.all(
    [1, 2, 3].map(() => rejection(client.query('SELECT pg_sleep(60)'), pg.DatabaseError).then(({ code }) => code)),
  );
  client.release();
  assert.equal(await pidOf(pool), pid);
  assert.deepEqual(await settled, ['57014', '57014', '57014']);
});

test('a cancel that overtakes its statement is repeated: given back in the turn in which it was sent', async (t) => {
  const { pool } = fixture(t);
  const pid = await pidOf(pool);
  for (let n = 0; n < 20; n += 1) {
    const lease = await pool.acquire();
    const running = rejection(lease.query('SELECT pg_sleep(60)'), pg.DatabaseError);
    lease.release();
    assert.equal((await running).code, '57014');
  }
  assert.equal(await pidOf(pool), pid);
});

test('a session that cannot be cancelled, for want of a key, is replaced; nothing of that is an unhandled rejection', async (t) => {
  const { pool, outcomes } = fixture(t);
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => void unhandled.push(reason);
  process.on('unhandledRejection', note);
  t.after(() => process.off('unhandledRejection', note));
  const client = await pool.connect();
  const pid = await pidOf(client);
  t.after(() => admin.query('SELECT pg_terminate_backend($1)', [pid]));
  Reflect.set(client, 'secretKey', null);
  const running = rejection(client.query('SELECT pg_sleep(60)'), Error);
  client.release();
  assert.notEqual(await pidOf(pool), pid);
  await running;
  assert.deepEqual(outcomes, ['condemned', 'clean']);
  assert.deepEqual(unhandled, []);
});

test('a statement inside a transaction is cancelled, then the transaction rolled back', async (t) => {
  const { pool } = fixture(t);
  const lease = await pool.acquire();
  const pid = await pidOf(lease);
  await lease.query('BEGIN');
  const running = rejection(lease.query('SELECT pg_sleep(60)'), pg.DatabaseError);
  lease.release();
  await running;
  await pool.use(async (next) => {
    assert.equal(await pidOf(next), pid);
    assert.equal(await inTransaction(next), false);
  });
  assert.equal(pool.stats().rolledBack, 1);
});

test('a statement that cannot be cancelled within returnTimeoutMs costs the connection, and the next borrower is served', async (t) => {
  const { pool, outcomes, said } = fixture(t, { returnTimeoutMs: 200 });
  const lease = await pool.acquire();
  const pid = await pidOf(lease);
  await lease.query(`CREATE FUNCTION pg_temp.stubborn() RETURNS void LANGUAGE plpgsql AS $$
    BEGIN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$`);
  const running = rejection(lease.query('SELECT pg_temp.stubborn()'), Error);
  t.after(() => admin.query('SELECT pg_terminate_backend($1)', [pid]));
  await eventually('it runs', async () => {
    const { rowCount } = await admin.query(`SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active'`, [pid]);
    return rowCount === 1;
  });
  lease.release();
  assert.notEqual(await pidOf(pool), pid);
  await running;
  assert.deepEqual(outcomes, ['condemned', 'clean']);
  assert.match(said.at(-1)?.message ?? '', /could not be cleaned and is replaced: .*returnTimeoutMs \(200 ms\)/);
  assert.equal(pool.stats().returnsBad, 1);
});

test('COPY FROM STDIN left open is ended at its return, and the same connection is lent', async (t) => {
  const { pool, outcomes } = fixture(t, PATIENT);
  const lease = await pool.acquire();
  await lease.query('CREATE TEMP TABLE filled (n int)');
  // pg answers the CopyInResponse of a plain query with CopyFail; a submittable that holds its breath leaves it open.
  const copying: pg.Submittable & { [handler: string]: unknown } = {
    submit: (connection: pg.Connection) => connection.query('COPY filled FROM STDIN'),
    handleCopyInResponse() {},
    handleError() {},
    handleReadyForQuery() {},
    handleCommandComplete() {},
  };
  lease.query(copying);
  await eventually('the server waits for rows', async () => {
    const { rowCount } = await admin.query(
      `SELECT FROM pg_stat_activity WHERE application_name = $1 AND wait_event = 'ClientRead' AND query LIKE 'COPY%' AND state = 'active'`,
      [pool.name],
    );
    return rowCount === 1;
  });
  lease.release();
  assert.deepEqual((await pool.query('SELECT count(*)::int AS n FROM filled')).rows, [{ n: 0 }]);
  assert.equal(pool.stats().connects, 1);
  assert.deepEqual(outcomes, ['cancelled', 'clean']);
});

test('COPY FROM STDIN as a plain query fails and leaves the connection at rest', async (t) => {
  const { pool } = fixture(t);
  await rejection(
    pool.use(async (lease) => {
      await lease.query('CREATE TEMP TABLE filled (n int)');
      await lease.query('COPY filled FROM STDIN');
    }),
    Error,
  );
  assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  assert.equal(pool.stats().connects, 1);
});

test('a query that pg refuses unsent costs no connection, though it is given back in the same turn', async (t) => {
  const { pool } = fixture(t);
  const client = await pool.connect();
  await client.query({ name: 'one', text: 'SELECT 1 AS one' });
  const refused = rejection(client.query({ name: 'one', text: 'SELECT 2 AS two' }), Error);
  const behind = client.query('SELECT 3 AS three').catch(() => {}); // run or given up: it must not be awaited for ever
  client.release();
  assert.match((await refused).message, /unique/);
  await behind;
  const lease = await pool.acquire();
  const worse = rejection(lease.query('SELECT $1::int', 'no array' as never), Error);
  lease.release();
  assert.match((await worse).message, /array/);
  assert.deepEqual((await pool.query('SELECT 4 AS four')).rows, [{ four: 4 }]);
  assert.equal(pool.stats().connects, 1);
});

test('a portal left open with rows to come is ended at its return, and the same connection is lent', async (t) => {
  const { pool, outcomes } = fixture(t, PATIENT);
  const lease = await pool.acquire();
  let suspended = (): void => {};
  const whenSuspended = new Promise<void>((resolve) => {
    suspended = resolve;
  });
  interface Extended {
    parse(query: { text: string }): void;
    bind(config: object): void;
    execute(config: { rows: number }): void;
    flush(): void;
  }
  const portal: pg.Submittable & { [handler: string]: unknown } = {
    submit(connection: pg.Connection) {
      const wire = connection as unknown as Extended;
      wire.parse({ text: 'SELECT generate_series(1, 1000)' });
      wire.bind({});
      wire.execute({ rows: 5 });
      wire.flush();
    },
    handleDataRow() {},
    handlePortalSuspended: () => suspended(),
    handleError() {},
    handleReadyForQuery() {},
    handleCommandComplete() {},
  };
  lease.query(portal);
  await whenSuspended;
  lease.release();
  assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  assert.equal(pool.stats().connects, 1);
  assert.deepEqual(outcomes, ['cancelled', 'clean']);
});

test('a cursor that was opened and never read, and one that is read on after its return, end there and reach nobody else', async (t) => {
  const { pool, outcomes } = fixture(t, PATIENT);
  for (const readFirst of [false, true]) {
    const client = await pool.connect();
    const cursor = client.query(new Cursor('SELECT n FROM generate_series(1, 1000) AS n'));
    if (readFirst) assert.equal((await cursor.read(3)).length, 3);
    client.release();
    const late = rejection(cursor.read(5), Error);
    const next = Array.from({ length: 3 }, (_, n) => pool.query('SELECT $1::int AS n', [n]));
    assert.deepEqual(
      (await Promise.all(next)).map(({ rows }) => rows),
      [[{ n: 0 }], [{ n: 1 }], [{ n: 2 }]],
    );
    assert.match((await late).message, /given up before its end/);
    assert.match((await rejection(cursor.read(5), Error)).message, /given up before its end/);
  }
  assert.equal(pool.stats().connects, 1);
  assert.deepEqual(outcomes, ['cancelled', 'clean', 'clean', 'clean', 'cancelled', 'clean', 'clean', 'clean']);
});

test('a cursor whose rows still come, or fail, when it is given back ends as well, inside a transaction and outside', async (t) => {
  const { pool } = fixture(t, PATIENT);
  for (const begin of ['', 'BEGIN']) {
    for (const text of [
      'SELECT n, pg_sleep(0.05) FROM generate_series(1, 3) AS n',
      'SELECT 1 / (n - 2) FROM generate_series(1, 3) AS n',
    ]) {
      const client = await pool.connect();
      if (begin !== '') await client.query(begin);
      const cursor = client.query(new Cursor(text));
      const rows = cursor.read(10).catch((error: unknown) => error);
      client.release();
      assert.deepEqual((await pool.query("SELECT 'next' AS name")).rows, [{ name: 'next' }]);
      assert.deepEqual((await pool.query({ name: 'mine', text: 'SELECT 2 AS two' })).rows, [{ two: 2 }]);
      await rows;
    }
  }
  assert.equal(pool.stats().connects, 1);
});

test('a statement that failed and whose owner never asks for the end of its reply is ended at its return', async (t) => {
  const { pool, outcomes } = fixture(t, PATIENT);
  const lease = await pool.acquire();
  let failed = (): void => {};
  const whenFailed = new Promise<void>((resolve) => {
    failed = resolve;
  });
  const careless: pg.Submittable & { [handler: string]: unknown } = {
    submit(connection: pg.Connection) {
      const wire = connection as unknown as { parse(query: { text: string }): void; flush(): void };
      wire.parse({ text: 'SELECT nothing_of_that_name' });
      wire.flush();
    },
    handleError: () => failed(),
    handleReadyForQuery() {},
  };
  lease.query(careless);
  await whenFailed;
  lease.release();
  assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  assert.equal(pool.stats().connects, 1);
  assert.deepEqual(outcomes, ['clean', 'clean']);
});

test('a query that fetches its rows in parts is rejected when it is given back in the middle: some rows are not all of them', async (t) => {
  const { pool } = fixture(t, PATIENT);
  const config = { text: 'SELECT n, pg_sleep(0.01) FROM generate_series(1, 1000) AS n', rows: 5 };
  for (const begin of ['SELECT 1', 'BEGIN']) {
    const client = await pool.connect();
    await client.query(begin);
    const parts = client.query(config);
    setTimeout(() => client.release(), 100);
    assert.match((await rejection(parts, Error)).message, /given up before its end|canceling statement/);
    assert.deepEqual((await pool.query("SELECT 'next' AS name")).rows, [{ name: 'next' }]);
  }
  const late = pool.query({ ...config, timeoutMs: 100 });
  await rejection(late, QueryTimeoutError);
  assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  assert.equal(pool.stats().connects, 1);
});

test("with reset: 'rollback' session settings and temporary tables stay", async (t) => {
  const { pool } = fixture(t);
  await pool.query("SET statement_timeout = '77s'; CREATE TEMP TABLE kept (n int)");
  assert.deepEqual((await pool.query('SHOW statement_timeout')).rows, [{ statement_timeout: '77s' }]);
  assert.deepEqual((await pool.query('SELECT * FROM kept')).rows, []);
});

test("reset: 'discard' forgets the session's state, named statements too, and runs configure again", async (t) => {
  let configured = 0;
  const { pool, outcomes } = fixture(t, {
    reset: 'discard',
    configure: async (client) => {
      configured += 1;
      await client.query("SET statement_timeout = '55s'");
    },
  });
  const named = { name: 'same', text: 'SELECT $1::int AS n', values: [1] };
  for (let n = 1; n <= 3; n += 1) {
    await pool.use(async (lease) => {
      assert.deepEqual((await lease.query('SHOW statement_timeout')).rows, [{ statement_timeout: '55s' }]);
      assert.deepEqual((await lease.query(named)).rows, [{ n: 1 }]);
      await lease.query(
        "SET statement_timeout = '1s'; CREATE TEMP TABLE forgotten (n int); SELECT pg_advisory_lock(7)",
      );
    });
    assert.equal(configured, n + 1);
  }
  assert.deepEqual(outcomes, ['reset', 'reset', 'reset']);
  assert.equal(pool.stats().connects, 1);
  const { rowCount } = await admin.query(`SELECT FROM pg_locks WHERE locktype = 'advisory'`);
  assert.equal(rowCount, 0);
});

test("reset: 'discard' copes with an open transaction", async (t) => {
  const { pool } = fixture(t, { reset: 'discard' });
  const pid = await pidOf(pool);
  await pool.use((lease) => lease.query('BEGIN'));
  assert.equal(await pidOf(pool), pid);
  assert.equal(pool.stats().rolledBack, 1);
});

test('a custom reset is given the client after the rollback; one that fails or leaves a transaction open costs the connection', async (t) => {
  let mode: 'good' | 'throws' | 'opens' | 'hangs' = 'good';
  const { pool, outcomes, said } = fixture(t, {
    returnTimeoutMs: 200,
    reset: async (client) => {
      assert.ok(client instanceof pg.Client);
      if (mode === 'throws') throw new Error('I cannot');
      if (mode === 'hangs') await new Promise(() => {});
      await client.query(mode === 'opens' ? 'BEGIN' : "SET work_mem = '5MB'");
    },
  });
  await pool.use((lease) => lease.query('BEGIN'));
  const pids = [await pidOf(pool)];
  assert.deepEqual((await pool.query('SHOW work_mem')).rows, [{ work_mem: '5MB' }]);
  for (const next of ['throws', 'opens', 'hangs'] as const) {
    mode = next;
    await pool.query('SELECT 1');
    mode = 'good';
    pids.push(await pidOf(pool));
  }
  assert.equal(new Set(pids).size, 4);
  assert.equal(outcomes.filter((outcome) => outcome === 'condemned').length, 3);
  const failed = said.filter(({ code }) => code === 'OXBOW_RESET_FAILED').map(({ message }) => message);
  assert.match(failed[0] ?? '', /I cannot/);
  assert.match(failed[1] ?? '', /reset left the connection in state "transaction"/);
  assert.match(failed[2] ?? '', /reset did not end within returnTimeoutMs \(200 ms\)/);
  assert.equal(pool.stats().connects, 4);
});

test("with reset: 'none' nothing is sent, and a connection in a transaction is replaced rather than lent", async (t) => {
  const { pool } = fixture(t, { reset: 'none' });
  const pid = await pidOf(pool);
  assert.equal(await pidOf(pool), pid);
  await pool.use((lease) => lease.query('BEGIN'));
  await pool.use(async (lease) => {
    assert.notEqual(await pidOf(lease), pid);
    assert.equal(await inTransaction(lease), false);
  });
  assert.equal(pool.stats().rolledBack, 0);
});

test('a query that outlives its timeoutMs rejects at once, and its connection is at rest before it is lent again', async (t) => {
  const { pool } = fixture(t);
  const pid = await pidOf(pool);
  const error = await rejection(pool.query({ text: 'SELECT pg_sleep(60)', timeoutMs: 100 }), QueryTimeoutError);
  assert.equal(error.kind, 'QUERY_TIMEOUT');
  assert.ok(error.message.startsWith(`${pool.name}: the query did not end within 100 ms`), error.message);
  assert.equal(error.timeoutMs, 100);
  assert.ok(error.ranMs >= 50 && error.ranMs < 5_000, String(error.ranMs));
  await pool.use(async (lease) => {
    assert.equal(await sleeping(pool), 0);
    assert.equal(await pidOf(lease), pid);
  });
});

test('a lease goes on after a query of it was given up', async (t) => {
  const { pool } = fixture(t, { queryTimeoutMs: 100 });
  await pool.use(async (lease) => {
    const pid = await pidOf(lease);
    await rejection(lease.query('SELECT pg_sleep(60)'), QueryTimeoutError);
    assert.equal(await pidOf(lease), pid);
  });
  assert.equal(pool.stats().connects, 1);
});

test('an abort rejects a running query with its reason and cancels it on the server', async (t) => {
  const { pool } = fixture(t);
  const abort = new AbortController();
  const settled = pool.query({ text: 'SELECT pg_sleep(60)', signal: abort.signal }).catch((error: unknown) => error);
  await eventually('it runs', async () => (await sleeping(pool)) === 1);
  const reason = new Error('the visitor left');
  abort.abort(reason);
  assert.equal(await settled, reason);
  assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  assert.equal(await sleeping(pool), 0);
  assert.equal(pool.stats().connects, 1);
});

test('cancels aimed at short statements never hit a later one', async (t) => {
  const { pool } = fixture(t, { max: 2 });
  for (let n = 0; n < 60; n += 1) {
    const abort = new AbortController();
    const asked = pool.query({ text: 'SELECT pg_sleep(0.001)', signal: abort.signal }).catch(() => {});
    setImmediate(() => abort.abort());
    await asked;
    assert.deepEqual((await pool.query('SELECT $1::int AS n', [n])).rows, [{ n }]);
  }
});

test("pg's own query_timeout leaves a busy client; it is brought to rest before it is lent", async (t) => {
  const { pool } = fixture(t, { query_timeout: 100 });
  const client = await pool.connect();
  const pid = await pidOf(client);
  const error = await rejection(client.query('SELECT pg_sleep(60)'), Error);
  assert.match(error.message, /timeout/i);
  client.release();
  await pool.use(async (lease) => {
    assert.equal(await pidOf(lease), pid);
    assert.equal(await sleeping(pool), 0);
  });
});
