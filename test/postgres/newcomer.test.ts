// What a newcomer did to the pool within his first quarter of an hour, and what must come of it.

import assert from 'node:assert/strict';
import test from 'node:test';
import {
  ConnectionLostError,
  LeaseError,
  OptionError,
  PoolTimeoutError,
  QueryTimeoutError,
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

/** What a callback was told. Who is answered by callback gets no promise beside it, as in pg. */
function called(
  start: (callback: (error: unknown, result?: unknown) => void) => unknown,
): Promise<{ error: unknown; result: unknown }> {
  return new Promise((resolve) => {
    const beside = start((error, result) => resolve({ error, result }));
    assert.equal(beside, undefined, 'answered beside the callback');
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

test("pg's query_timeout in a query is its timeoutMs: the statement is cancelled, and nobody is blamed", async (t) => {
  const log = reports();
  const pool = withPool(t, { ...server.config, max: 1, logger: log.logger });
  const slow = { text: 'SELECT pg_sleep(30)', query_timeout: 60 };
  const error = await rejection(pool.query(slow), QueryTimeoutError);
  assert.equal(error.timeoutMs, 60);
  const pid = await pidOf(pool);
  const again = await rejection(pool.query(slow), QueryTimeoutError);
  assert.equal(again.kind, 'QUERY_TIMEOUT');
  assert.equal(await pidOf(pool), pid, 'the connection is kept');
  assert.deepEqual(log.said, []);
});

test('a slip in what a request says is an error that names it', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  // The name that the error must give, and the call.
  const slips: [string, string, ...unknown[]][] = [
    ['options', 'acquire', 5],
    ['acquireTimeotMs', 'acquire', { acquireTimeotMs: 1 }],
    ['timeoutMs', 'acquire', { timeoutMs: 1 }],
    ['acquireTimeoutMs', 'acquire', { acquireTimeoutMs: '5' }],
    ['acquireTimeoutMs', 'acquire', { acquireTimeoutMs: -1 }],
    ['label', 'acquire', { label: 7 }],
    ['options', 'use', () => 1, 100],
    ['fn', 'use'],
    ['fn', 'transaction', 'BEGIN'],
    ['isolaton', 'transaction', () => 1, { isolaton: 'serializable' }],
    ['timeout', 'ready', { timeout: 1 }],
    ['drianMs', 'close', { drianMs: 1 }],
    ['waiting', 'close', { waiting: 'x' }],
    ['options', 'close', 5],
    ['borrowers', 'pause', { borrowers: 'x' }],
    ['mx', 'resize', { mx: 3 }],
    ['options', 'resize', null],
    ['timeoutMs', 'open', { timeoutMs: 'x' }],
    ['wait', 'open', { wait: 1 }],
    ['timeout', 'check', { timeout: 1 }],
    ['over', 'replaceAll', { over: 1 }],
    ['to', 'trim', { to: -1 }],
    ['to', 'trim', { to: 1.5 }],
    ['idempotent', 'query', { text: 'SELECT 1', idempotent: 'yes' }],
    ['observer', 'observe', null],
    ['lnt', 'observe', { lnt: () => {} }],
  ];
  for (const [option, verb, ...args] of slips) {
    const refused = async (): Promise<unknown> => call(pool, verb, ...args);
    const expected = { name: 'OptionError', option, message: new RegExp(`"${option}"`) };
    await assert.rejects(refused, expected, `${verb}(${JSON.stringify(args)})`);
  }
  assert.equal(pool.stats().connects, 0);
  assert.equal(pool.phase, 'created');
});

test('what belongs into the query object is refused as a third argument, and nothing is sent', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const { signal } = new AbortController();
  const refuses = async (target: object): Promise<void> => {
    for (const form of [
      ['SELECT 1', [], { signal }],
      ['SELECT 1', undefined, { timeoutMs: 5 }],
      [{ text: 'SELECT 1' }, [], {}],
    ]) {
      const answer = call(target, 'query', ...form);
      assert.ok(answer instanceof Promise);
      const { option, message } = await rejection(answer, OptionError);
      assert.equal(option, 'callback');
      assert.match(message, /signal and timeoutMs go into the query object/);
    }
    for (const nothing of [undefined, null]) {
      const { rows } = (await call(target, 'query', 'SELECT $1::int AS n', [7], nothing)) as { rows: unknown[] };
      assert.deepEqual(rows, [{ n: 7 }]);
    }
  };
  await rejection(call(pool, 'query', 'SELECT 1', [], { signal }) as Promise<unknown>, OptionError);
  assert.equal(pool.phase, 'created');
  await refuses(pool);
  await pool.use(refuses);
  await pool.transaction(refuses);
});

test('a key of a query that is nearly one of ours is refused; what pg reads, and what is far from ours, is not', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const slips = {
    timeout: 'timeoutMs',
    timeoutms: 'timeoutMs',
    signall: 'signal',
    singal: 'signal',
    idempotant: 'idempotent',
  };
  const refuses = async (target: object): Promise<void> => {
    for (const [slip, meant] of Object.entries(slips)) {
      const asked = call(target, 'query', { text: 'SELECT 1', [slip]: 5 });
      const { option, message } = await rejection(asked as Promise<unknown>, OptionError);
      assert.equal(option, slip);
      assert.match(message, new RegExp(`did you mean "${meant}"\\?`));
    }
  };
  await refuses(pool);
  assert.equal(pool.phase, 'created');
  await pool.use(refuses);
  const { rows } = await pool.query({
    text: 'SELECT $1::int',
    values: [7],
    name: 'seven',
    rowMode: 'array',
    types: undefined,
    ...{
      query_timeout: 5_000,
      queryMode: undefined,
      binary: false,
      rows: 0,
      portal: '',
      timeout: undefined,
      note: 'mine',
    },
  });
  assert.deepEqual(rows, [[7]]);
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
  const answers = async (target: object): Promise<void> => {
    for (const form of forms) {
      const { error, result } = await called((callback) => call(target, 'query', ...form, callback));
      assert.equal(error, undefined);
      assert.deepEqual(Reflect.get(result as object, 'rows'), [{ n: 7 }]);
    }
  };
  const refuses = async (target: object, type: typeof LeaseError | typeof StrayTransactionError): Promise<void> => {
    for (const form of [['COMMIT'], ['COMMIT', []], [{ text: 'COMMIT' }, []]]) {
      const { error } = await called((callback) => call(target, 'query', ...form, callback));
      assert.ok(error instanceof type, String(error));
    }
  };
  await answers(lease);
  const bad = await called((callback) => call(lease, 'query', 'SELECT 1 / 0', [], callback));
  assert.equal(Reflect.get(bad.error as object, 'code'), '22012');
  lease.release();
  await refuses(lease, LeaseError);
  const over = await pool.transaction(async (tx) => {
    await answers(tx);
    await refuses(tx, StrayTransactionError);
    return tx;
  });
  await refuses(over, LeaseError);
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
  const words = ['rollback', 'COMMIT', 'end', 'abort', ' -- so\n ROLLBACK WORK', 'BEGIN'];
  for (const text of words) {
    await rejection(
      pool.transaction(async (tx) => {
        await tx.query(`INSERT INTO ${table} VALUES (1)`);
        await tx.query(text);
      }),
      StrayTransactionError,
    );
  }
  // Who goes on after the error is still in the same transaction: none of the words was sent.
  await pool.transaction(async (tx) => {
    const which = 'SELECT pg_current_xact_id()::text AS id';
    const { rows } = await tx.query(which);
    for (const text of words) {
      await rejection(tx.query(text), StrayTransactionError);
      assert.deepEqual((await tx.query(which)).rows, rows, text);
    }
  });
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
  assert.match(
    String(lease.signal.reason),
    /^ConnectionLostError: .*; a statement that ran then may have been executed$/,
  );
  const error = await rejection(lease.query('SELECT 1'), ConnectionLostError);
  assert.equal(error.mayHaveExecuted, false);
  assert.match(error.message, /^the connection of lease \d+ was lost: [^;]*; this query was not sent$/);
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
