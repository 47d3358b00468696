// `transaction()` with everything it can be told, on a real server: isolation, savepoints, rollback(), settings, retries, and an abort
// that takes the connection away.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import pg from 'pg';
import {
  LeaseError,
  OptionError,
  type Pool,
  type PoolOptions,
  type Transaction,
  TransactionRolledBackError,
} from '../../src/doors/index.ts';
import { eventually, freshName, pidOf, rejection, reports, withClient, withPool, withServer } from './harness.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);

interface Fixture {
  readonly pool: Pool;
  readonly table: string;
  rows(): Promise<number[]>;
}

async function fixture(t: TestContext, options: PoolOptions = {}): Promise<Fixture> {
  const table = freshName().replaceAll('-', '_');
  await admin.query(`CREATE TABLE ${table} (n int)`);
  return {
    pool: withPool(t, { ...server.config, max: 3, ...options }),
    table,
    rows: async () => (await admin.query<{ n: number }>(`SELECT n FROM ${table} ORDER BY n`)).rows.map(({ n }) => n),
  };
}

async function setting(tx: Transaction, name: string): Promise<string | null> {
  const { rows } = await tx.query<{ value: string | null }>('SELECT current_setting($1, true) AS value', [name]);
  return rows[0]?.value ?? null;
}

test('isolation, readOnly and deferrable reach the server, for this transaction alone', async (t) => {
  const { pool } = await fixture(t, { max: 1 });
  const modes = async (tx: Transaction): Promise<(string | null)[]> => [
    await setting(tx, 'transaction_isolation'),
    await setting(tx, 'transaction_read_only'),
    await setting(tx, 'transaction_deferrable'),
  ];
  const all = { isolation: 'serializable', readOnly: true, deferrable: true } as const;
  assert.deepEqual(await pool.transaction(modes, all), ['serializable', 'on', 'on']);
  assert.deepEqual(await pool.transaction(modes), ['read committed', 'off', 'off']);
  await pool.query('SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE');
  const none = { isolation: 'repeatable read', readOnly: false, deferrable: false } as const;
  assert.deepEqual(await pool.transaction(modes, none), ['repeatable read', 'off', 'off']);
  assert.deepEqual(await pool.transaction(modes), ['serializable', 'on', 'on']);
});

test('settings are bound, local to the transaction, and gone after it', async (t) => {
  const { pool } = await fixture(t, { max: 1 });
  const tenant = "o'brien; DROP TABLE x --";
  const both = async (tx: Transaction): Promise<(string | null)[]> => [
    await setting(tx, 'app.tenant'),
    await setting(tx, 'app.role'),
  ];
  const settings = { 'app.tenant': tenant, 'app.role': 'clerk' };
  assert.deepEqual(await pool.transaction(both, { settings }), [tenant, 'clerk']);
  for (const left of await pool.transaction(both)) assert.ok(!left);
});

test('what cannot be meant is refused before anything is sent', async (t) => {
  const { pool } = await fixture(t);
  const run = (options: object): Promise<unknown> => pool.transaction(() => assert.fail('not called'), options);
  for (const [name, options] of [
    ['isolation', { isolation: 'snapshot' }],
    ['readOnly', { readOnly: 'yes' }],
    ['deferrable', { deferrable: 1 }],
    ['retries', { retries: -1 }],
    ['retries', { retries: 1.5 }],
    ['settings.app.tenant', { settings: { 'app.tenant': 5 } }],
  ] as const) {
    assert.equal((await rejection(run(options), OptionError)).option, name);
  }
  assert.equal(pool.stats().connects, 0);
});

test('an inner transaction that throws is undone alone', async (t) => {
  const { pool, table, rows } = await fixture(t);
  await pool.transaction(async (tx) => {
    await tx.query(`INSERT INTO ${table} VALUES (1)`);
    await assert.rejects(
      tx.transaction(async (inner) => {
        await inner.query(`INSERT INTO ${table} VALUES (2)`);
        await inner.query('SELECT 1 / 0');
      }),
      { code: '22012' },
    );
    await tx.transaction(async (inner) => {
      await inner.query(`INSERT INTO ${table} VALUES (3)`);
      await inner.transaction((deepest) => deepest.query(`INSERT INTO ${table} VALUES (4)`));
      // No statement failed: only the throw says that it is to be undone.
      const why = new Error('I do not like it');
      const thrown = inner.transaction(async (deepest) => {
        await deepest.query(`INSERT INTO ${table} VALUES (5)`);
        throw why;
      });
      assert.equal(await thrown.catch((error: unknown) => error), why);
    });
  });
  assert.deepEqual(await rows(), [1, 3, 4]);
});

test('rollback() undoes and ends it; the value of the function is kept', async (t) => {
  const log = reports();
  const { pool, table, rows } = await fixture(t, { logger: log.logger });
  const isOver = async (tx: Transaction): Promise<void> => {
    await rejection(tx.query('SELECT 1'), LeaseError);
    await rejection(tx.rollback(), LeaseError);
    await rejection(
      tx.transaction(() => 'not called'),
      LeaseError,
    );
  };
  const value = await pool.transaction(async (tx) => {
    await tx.query(`INSERT INTO ${table} VALUES (1)`);
    await tx.rollback();
    const { rows: left } = await tx.client.query('SELECT pg_current_xact_id_if_assigned()::text AS id');
    assert.deepEqual(left, [{ id: null }], 'the server has ended it by now');
    await isOver(tx);
    return 'kept';
  });
  assert.equal(value, 'kept');
  await pool.transaction(async (tx) => {
    await tx.query(`INSERT INTO ${table} VALUES (2)`);
    const inside = await tx.transaction(async (inner) => {
      await inner.query(`INSERT INTO ${table} VALUES (3)`);
      await inner.rollback();
      await isOver(inner);
      return 'kept inside';
    });
    assert.equal(inside, 'kept inside');
  });
  assert.deepEqual(await rows(), [2]);
  assert.deepEqual(log.said, [], 'and the pool found nothing left to undo');
});

test('a serialization failure is tried again as often as asked, and no more', async (t) => {
  const { pool, table } = await fixture(t);
  await admin.query(`INSERT INTO ${table} VALUES (0)`);
  let runs = 0;
  const increment = (retries: number): Promise<void> =>
    pool.transaction(
      async (tx) => {
        runs += 1;
        const { rows } = await tx.query<{ n: number }>(`SELECT n FROM ${table}`);
        // Somebody else is first, each time but the third.
        if (runs < 3) await admin.query(`UPDATE ${table} SET n = n + 10`);
        await tx.query(`UPDATE ${table} SET n = $1`, [(rows[0]?.n ?? 0) + 1]);
      },
      { isolation: 'repeatable read', retries },
    );
  await increment(2);
  assert.equal(runs, 3);
  assert.equal((await admin.query(`SELECT n FROM ${table}`)).rows[0]?.n, 21);
  runs = 0;
  await assert.rejects(increment(1), { code: '40001' });
  assert.equal(runs, 2);
});

test('an error that is not the server asking for another try is not tried again', async (t) => {
  const { pool } = await fixture(t);
  let runs = 0;
  await assert.rejects(
    pool.transaction(
      async (tx) => {
        runs += 1;
        await tx.query('SELECT 1 / 0');
      },
      { retries: 5 },
    ),
    { code: '22012' },
  );
  assert.equal(runs, 1);
});

test('a COMMIT that a lease sends and the server answers with ROLLBACK is an error', async (t) => {
  const { pool } = await fixture(t);
  await pool.use(async (lease) => {
    for (const commit of ['COMMIT', ' -- so\n commit work', 'END', { text: 'COMMIT' }]) {
      await lease.query('BEGIN');
      await rejection(lease.query('SELECT 1 / 0'), pg.DatabaseError);
      await rejection(lease.query(commit), TransactionRolledBackError);
    }
  });
  assert.equal(pool.stats().rolledBack, 0, 'the server had ended it');
});

test('an abort takes the connection away: cancelled, rolled back, lent again, and nobody is blamed', async (t) => {
  const log = reports();
  const { pool, table, rows } = await fixture(t, { max: 1, logger: log.logger });
  const abort = new AbortController();
  const why = new Error('the client went away');
  let after: unknown;
  let pid: number | undefined;
  const aborted = pool.transaction(
    async (tx) => {
      pid = await pidOf(tx);
      await tx.query(`INSERT INTO ${table} VALUES (1)`);
      await tx.query('SELECT pg_sleep(60)').catch(() => {});
      after = await tx.query('SELECT 1').catch((error: unknown) => error);
    },
    { signal: abort.signal },
  );
  await eventually('it sleeps', () => pool.holders()[0]?.lastStatement?.includes('pg_sleep'));
  abort.abort(why);
  assert.equal(await aborted.catch((error: unknown) => error), why);
  assert.ok(after instanceof LeaseError && after.kind === 'LEASE_REVOKED', String(after));
  assert.equal(await pidOf(pool), pid);
  assert.deepEqual(await rows(), []);
  // Between two statements there is nothing to cancel, and the server would commit what it has.
  const between = new AbortController();
  const idle = pool.transaction(
    async (tx) => {
      await tx.query(`INSERT INTO ${table} VALUES (2)`);
      between.abort(why);
    },
    { signal: between.signal },
  );
  assert.equal(await idle.catch((error: unknown) => error), why);
  assert.equal(await pidOf(pool), pid);
  assert.deepEqual(await rows(), []);
  assert.deepEqual(log.said, []);
});

test('a function that never settles does not keep its caller after the abort', async (t) => {
  const { pool } = await fixture(t, { max: 1, returnTimeoutMs: 200, acquireTimeoutMs: 5_000 });
  const signal = AbortSignal.timeout(50);
  let told: unknown;
  pool
    .use(() => new Promise<never>(() => {}), { signal })
    .catch((error: unknown) => {
      told = error;
    });
  await eventually('its caller is told', () => told !== undefined);
  assert.ok(told === signal.reason, String(told));
  assert.equal((await pool.query('SELECT 1 AS one')).rows[0]?.one, 1, 'the connection is back all the same');
});

test('a query that was given up is cancelled, and that is nobody’s mistake either', async (t) => {
  const log = reports();
  const { pool } = await fixture(t, { max: 1, logger: log.logger, returnTimeoutMs: 5_000 });
  // Longer than the pool waits for a connection to come to rest, and not so long that nobody would wait for the end of it.
  const text = 'SELECT pg_sleep(8)';
  await assert.rejects(pool.query({ text, signal: AbortSignal.timeout(50) }), { name: 'TimeoutError' });
  // The deadline below is one over waiting and running: nothing of it may go into the wait for this cancel.
  await eventually('the connection is back', () => pool.idleCount === 1);
  await assert.rejects(pool.query({ text, timeoutMs: 50 }), { name: 'QueryTimeoutError' });
  await pool.query('SELECT 1');
  assert.equal(pool.stats().connects, 1);
  assert.deepEqual(log.said, []);
});
