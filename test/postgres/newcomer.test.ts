// What a newcomer did to the pool within his first quarter of an hour, and what must come of it.

import assert from 'node:assert/strict';
import test from 'node:test';
import {
  ConnectionLostError,
  LeaseError,
  OptionError,
  PoolTimeoutError,
  StrayTransactionError,
} from '../../src/doors/index.ts';
import {
  eventually,
  freshName,
  killBackend,
  pidOf,
  rejection,
  reports,
  withClient,
  withPool,
  withServer,
} from './harness.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);

/** Calls something untyped, as JavaScript does. */
function call(target: object, name: string, ...args: unknown[]): unknown {
  const method: unknown = Reflect.get(target, name);
  assert.ok(typeof method === 'function');
  return Reflect.apply(method, target, args);
}

/** What a callback was told. */
function called(
  start: (callback: (error: unknown, result?: unknown) => void) => void,
): Promise<{ error: unknown; result: unknown }> {
  return new Promise((resolve) => {
    start((error, result) => resolve({ error, result }));
  });
}

test('a signal that is none is refused before it stands in the queue, and nobody else suffers', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1, acquireTimeoutMs: 1_000 });
  const lease = await pool.acquire();
  for (const signal of [{ aborted: false }, 5, 'x']) {
    for (const [verb, ...before] of [
      ['acquire'],
      ['use', () => 1],
      ['transaction', () => 1],
      ['ready'],
      ['open'],
    ] as const) {
      const error = await rejection(call(pool, verb, ...before, { signal }) as Promise<unknown>, OptionError);
      assert.equal(error.option, 'signal');
    }
    const error = await rejection(call(pool, 'query', { text: 'SELECT 1', signal }) as Promise<unknown>, OptionError);
    assert.equal(error.option, 'signal');
  }
  lease.release();
  assert.equal((await pool.query('SELECT 1 AS one')).rows[0]?.one, 1);
});

test('a slip in what a request says is an error that names it', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const slips: [string, ...unknown[]][] = [
    ['acquire', 5],
    ['acquire', { acquireTimeotMs: 1 }],
    ['acquire', { timeoutMs: 1 }],
    ['acquire', { acquireTimeoutMs: '5' }],
    ['acquire', { acquireTimeoutMs: -1 }],
    ['use', () => 1, 100],
    ['use'],
    ['transaction', 'BEGIN'],
    ['close', { drianMs: 1 }],
    ['close', { waiting: 'x' }],
    ['close', 5],
    ['pause', { borrowers: 'x' }],
    ['resize', { mx: 3 }],
    ['resize', null],
    ['open', { timeoutMs: 'x' }],
    ['trim', { to: -1 }],
    ['trim', { to: 1.5 }],
    ['query', { text: 'SELECT 1', idempotent: 'yes' }],
    ['observe', null],
    ['observe', { lnt: () => {} }],
  ];
  for (const [verb, ...args] of slips) {
    const refused = async (): Promise<unknown> => call(pool, verb, ...args);
    await assert.rejects(refused, { name: 'OptionError' }, `${verb}(${JSON.stringify(args)})`);
  }
  assert.equal(pool.stats().connects, 0);
  assert.equal(pool.phase, 'created');
});

test('a lease and a transaction answer by callback in every form, also when they cannot be used any more', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const lease = await pool.acquire();
  const forms: unknown[][] = [
    ['SELECT 7 AS n'],
    ['SELECT 7 AS n', undefined],
    ['SELECT $1::int AS n', [7]],
    [{ text: 'SELECT $1::int AS n' }, [7]],
  ];
  for (const form of forms) {
    const { error, result } = await called((callback) => call(lease, 'query', ...form, callback));
    assert.equal(error, undefined);
    assert.deepEqual(Reflect.get(result as object, 'rows'), [{ n: 7 }]);
  }
  const bad = await called((callback) => call(lease, 'query', 'SELECT 1 / 0', [], callback));
  assert.equal(Reflect.get(bad.error as object, 'code'), '22012');
  lease.release();
  const late = await called((callback) => call(lease, 'query', 'SELECT 1', callback));
  assert.ok(late.error instanceof LeaseError);
  await pool.transaction(async (tx) => {
    const { result } = await called((callback) => call(tx, 'query', 'SELECT $1::int AS n', [7], callback));
    assert.deepEqual(Reflect.get(result as object, 'rows'), [{ n: 7 }]);
  });
});

test('a callback inside the config is called with the result, and its statement is not cancelled', async (t) => {
  const log = reports();
  const pool = withPool(t, { ...server.config, max: 1, logger: log.logger });
  const { error, result } = await called((callback) =>
    call(pool, 'query', { text: 'SELECT 7 AS n FROM pg_sleep(0.1)', callback }),
  );
  assert.equal(error, undefined);
  assert.deepEqual(Reflect.get(result as object, 'rows'), [{ n: 7 }]);
  assert.deepEqual(log.said, []);
});

test('nothing inside transaction() ends it behind its back', async (t) => {
  const table = freshName().replaceAll('-', '_');
  await admin.query(`CREATE TABLE ${table} (n int)`);
  const pool = withPool(t, { ...server.config, max: 1 });
  for (const text of ['rollback', 'COMMIT', 'end', 'abort', ' -- so\n ROLLBACK WORK', 'BEGIN']) {
    await rejection(
      pool.transaction(async (tx) => {
        await tx.query(`INSERT INTO ${table} VALUES (1)`);
        await tx.query(text);
      }),
      StrayTransactionError,
    );
  }
  await pool.transaction(async (tx) => {
    await tx.query('SAVEPOINT mine');
    await tx.query(`INSERT INTO ${table} VALUES (2)`);
    await tx.query('ROLLBACK TO SAVEPOINT mine');
  });
  await rejection(
    pool.transaction(async (tx) => {
      await tx.client.query('ROLLBACK');
      return 'kept?';
    }),
    StrayTransactionError,
  );
  assert.equal((await admin.query(`SELECT FROM ${table}`)).rowCount, 0);
});

test('what is asked of a lease after its connection died was surely not executed', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const lease = await pool.acquire();
  await killBackend(admin, await pidOf(lease));
  await eventually('the lease knows', () => lease.signal.aborted);
  assert.equal((await rejection(lease.query('SELECT 1'), ConnectionLostError)).mayHaveExecuted, false);
  lease.release();
});

test('a pool whose borrowers never wait finds a connection all the same, and keeps it usable', async (t) => {
  const pool = withPool(t, { ...server.config, max: 2, acquireTimeoutMs: 0, checkAfterIdleMs: 50 });
  await rejection(pool.query('SELECT 1'), PoolTimeoutError);
  await eventually('one was made for the next', async () => (await pool.query('SELECT 1')).rowCount === 1);
  const stale = (): boolean => {
    const lease = pool.tryAcquire();
    lease?.release();
    return lease === undefined;
  };
  await eventually('it is stale', stale, { everyMs: 100 });
  await rejection(pool.query('SELECT 1'), PoolTimeoutError);
  await eventually('it was asked for the next', async () => (await pool.query('SELECT 1')).rowCount === 1);
  assert.equal(pool.stats().connects, 1);
});
