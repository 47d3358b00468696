// The pool as a genuine `pg.Pool`: each overload of query, connect and end on a real server, compared with what pg's own pool
// answers. What a borrower's mistakes cost stands in misuse.test.ts.

import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import test, { type TestContext } from 'node:test';
import pg from 'pg';
import { Pool, PoolClosedError, type PoolOptions } from '../../src/doors/index.ts';
import { backends, eventually, pidOf, rejection, withClient, withPool, withServer } from './harness.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);

function pool(t: TestContext, options: PoolOptions = {}): Pool {
  return withPool(t, { ...server.config, ...options });
}

/** pg's own, beside which ours must look the same. */
function pgPool(t: TestContext): pg.Pool {
  const own = new pg.Pool({ ...server.config, max: 1 });
  own.on('error', () => {}); // only its answers matter here
  t.after(() => own.end());
  return own;
}

type Called = { readonly returned: unknown; readonly args: readonly unknown[] };

/** What a function that takes a callback returned, and what it called back with. */
function calledBack(start: (callback: (...args: unknown[]) => void) => unknown): Promise<Called> {
  return new Promise((resolve) => {
    let calls = 0;
    const returned: unknown = start((...args) => {
      calls += 1;
      assert.equal(calls, 1, 'called back once');
      queueMicrotask(() => resolve({ returned, args }));
    });
  });
}

const SQL = 'SELECT n, n * 2.5 AS dec, $1::text AS txt FROM generate_series(1, 3) AS n';

const parsed = (raw: unknown): string => `parsed ${String(raw)}`;
const OWN_TYPES: pg.CustomTypesConfig = { getTypeParser: () => parsed };

/** One of each way to ask with a promise for the answer. */
const PROMISED: Record<string, (asked: pg.Pool | Pool) => Promise<unknown>> = {
  text: (asked) => asked.query('SELECT 1 AS one, now() IS NOT NULL AS yes, NULL AS nothing'),
  'text and values': (asked) => asked.query(SQL, ['a']),
  config: (asked) => asked.query({ text: SQL, values: ['b'] }),
  'config and values apart': (asked) => asked.query({ text: SQL }, ['c']),
  'rowMode array': (asked) => asked.query({ text: SQL, values: ['d'], rowMode: 'array' }),
  'a named statement': (asked) => asked.query({ name: 'stmt', text: SQL, values: ['e'] }),
  'its own type parsers': (asked) => asked.query({ text: 'SELECT 42 AS n', types: OWN_TYPES }),
  'several statements': (asked) => asked.query('SELECT 1 AS a; SELECT 2 AS b, 3 AS c'),
  'no rows': (asked) => asked.query('SELECT 1 WHERE false'),
  nothing: (asked) => asked.query(''),
  'a command': (asked) => asked.query("SET application_name = 'x'; RESET application_name"),
  'awkward values': (asked) =>
    asked.query('SELECT $1::jsonb AS j, $2::int[] AS a, $3::bytea AS b, $4::date AS d, $5::text AS n', [
      { deep: ['é', null] },
      [1, 2, 3],
      Buffer.from([0, 255]),
      new Date(2024, 1, 29),
      null,
    ]),
};

for (const [form, ask] of Object.entries(PROMISED)) {
  test(`query with ${form} resolves with pg's own result`, async (t) => {
    const ours: unknown = await ask(pool(t));
    assert.deepStrictEqual(ours, await ask(pgPool(t)));
    const first: unknown = Array.isArray(ours) ? ours[0] : ours;
    assert.equal(Object(first).constructor, pg.Result);
  });
}

const CALLED: Record<string, (asked: pg.Pool, callback: (error: Error, result: pg.QueryResult) => void) => unknown> = {
  text: (asked, callback) => asked.query('SELECT 1 AS one', callback),
  'text and values': (asked, callback) => asked.query(SQL, ['a'], callback),
  'text, no values': (asked, callback) => Reflect.apply(asked.query, asked, ['SELECT 2 AS two', undefined, callback]),
  config: (asked, callback) => asked.query({ text: SQL, values: ['b'] }, callback),
  'config and values apart': (asked, callback) =>
    Reflect.apply(asked.query, asked, [{ text: 'SELECT $1::int AS n' }, [7], callback]),
  'a statement that fails': (asked, callback) => asked.query('SELECT nonsense', callback),
};

for (const [form, ask] of Object.entries(CALLED)) {
  test(`query with ${form} and a callback calls back as pg does and returns nothing`, async (t) => {
    const ours = await calledBack((callback) => ask(pool(t), callback));
    const theirs = await calledBack((callback) => ask(pgPool(t), callback));
    assert.equal(ours.returned, undefined);
    assert.equal(theirs.returned, undefined);
    assert.deepStrictEqual(ours.args.slice(1), theirs.args.slice(1));
    const [error] = ours.args;
    const [expected] = theirs.args;
    if (expected instanceof Error) {
      assert.ok(error instanceof pg.DatabaseError);
      assert.equal(error.message, expected.message);
      assert.equal(error.code, '42703');
    } else {
      assert.equal(error, expected);
    }
  });
}

test('a statement that fails rejects with the very DatabaseError of pg, and costs no connection', async (t) => {
  const one = pool(t, { max: 1 });
  const before = await pidOf(one);
  const error = await rejection(one.query('SELECT nonsense FROM nowhere'), pg.DatabaseError);
  const theirs = await rejection(pgPool(t).query('SELECT nonsense FROM nowhere'), pg.DatabaseError);
  assert.deepEqual({ ...error }, { ...theirs });
  assert.equal(error.message, theirs.message);
  assert.equal(await pidOf(one), before);
  assert.equal(one.stats().connects, 1);
});

test('a function in first place is called back with an error, later and with nothing lent', async (t) => {
  const one = pool(t, { max: 1 });
  let sync = true;
  const { returned, args } = await calledBack((callback) => {
    const result: unknown = Reflect.apply(one.query, one, [
      (...given: unknown[]) => {
        assert.equal(sync, false);
        callback(...given);
      },
    ]);
    sync = false;
    return result;
  });
  assert.equal(returned, undefined);
  assert.match(String(args[0]), /Passing a function as the first parameter to pool\.query is not supported/);
  assert.equal(one.phase, 'created');
});

test('what is no query at all is rejected, not thrown, and costs no connection', async (t) => {
  const one = pool(t, { max: 1 });
  const before = await pidOf(one);
  for (const nonsense of [null, undefined]) {
    const asked: unknown = Reflect.apply(one.query, one, [nonsense]);
    assert.ok(asked instanceof Promise);
    await rejection(asked, TypeError);
  }
  assert.equal(await pidOf(one), before);
  assert.equal(one.idleCount, 1);
});

test('a value that cannot be serialised rejects and the connection serves on', async (t) => {
  const one = pool(t, { max: 1 });
  const before = await pidOf(one);
  const bad = {
    toPostgres: () => {
      throw new RangeError('no such value');
    },
  };
  for (let n = 0; n < 3; n += 1) {
    await rejection(one.query({ name: 'same', text: 'SELECT $1::text AS t', values: [bad] }), RangeError);
  }
  assert.equal(await pidOf(one), before);
});

test('a pg.Query resolves with its result, and its connection is back only when it has ended', async (t) => {
  const one = pool(t, { max: 1 });
  const rows: unknown[] = [];
  const query = new pg.Query('SELECT n FROM generate_series(1, 3) AS n');
  query.on('row', (row: unknown) => rows.push(row));
  const ended = new Promise((resolve, reject) => {
    query.on('end', resolve);
    query.on('error', reject);
  });
  one.query(query);
  await ended;
  assert.deepEqual(rows, [{ n: 1 }, { n: 2 }, { n: 3 }]);
  await eventually('the connection is idle again', () => one.idleCount === 1);
  assert.equal(one.stats().cancelled, 0);
  assert.equal(one.stats().connects, 1);
});

test('a pg.Query with a callback calls back as pg does', async (t) => {
  const ask = (asked: pg.Pool): Promise<Called> =>
    calledBack((callback) => Reflect.apply(asked.query, asked, [new pg.Query('SELECT 5 AS five'), callback]));
  const ours = await ask(pool(t));
  const theirs = await ask(pgPool(t));
  assert.deepEqual(Object(ours.args[1]).rows, [{ five: 5 }]);
  assert.deepEqual(ours, theirs);
});

test('a submittable of somebody else runs on a lease and on a raw client, and is what query returns', async (t) => {
  const one = pool(t, { max: 1 });
  const submittable = (done: () => void): pg.Submittable & { rows: number } =>
    Object.assign(Object.create({}), {
      rows: 0,
      submit(connection: pg.Connection) {
        connection.query('SELECT generate_series(1, 4)');
      },
      handleRowDescription() {},
      handleDataRow(this: { rows: number }) {
        this.rows += 1;
      },
      handleCommandComplete() {},
      handleReadyForQuery() {
        done();
      },
      handleError: done,
    });
  for (const face of ['lease', 'client'] as const) {
    const lease = await one.acquire();
    await new Promise<void>((resolve) => {
      const asked = submittable(resolve);
      const runner = face === 'lease' ? lease : lease.client;
      assert.equal(runner.query(asked), asked);
      t.after(() => assert.equal(asked.rows, 4));
    });
    lease.release();
  }
  assert.equal(one.stats().connects, 1);
  assert.equal(one.stats().cancelled, 0);
});

test('connect lends the genuine pg.Client, the same object for the life of a connection', async (t) => {
  const one = pool(t, { max: 1 });
  const client = await one.connect();
  assert.ok(client instanceof pg.Client);
  assert.deepEqual((await client.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  client.release();
  const again = await one.connect();
  assert.equal(again, client);
  again.release();
  const lease = await one.acquire();
  assert.equal(lease.client, client);
  lease.release(true);
  const other = await one.connect();
  assert.notEqual(other, client);
  other.release();
});

test('connect with a callback returns nothing and never calls back in the same turn', async (t) => {
  const one = pool(t, { max: 1 });
  await one.query('SELECT 1');
  let sync = true;
  const { returned, args } = await calledBack((callback) => {
    const result: unknown = one.connect((error, client, done) => {
      assert.equal(sync, false);
      callback(error, client, done);
    });
    sync = false;
    return result;
  });
  assert.equal(returned, undefined);
  const [error, client, done] = args;
  assert.equal(error, undefined);
  assert.ok(client instanceof pg.Client);
  assert.ok(typeof done === 'function');
  assert.equal(one.idleCount, 0);
  done();
  assert.equal(one.idleCount, 1);
});

test('connect that fails calls back with the error, no client and a function', async (t) => {
  const one = pool(t);
  await one.end();
  const { args } = await calledBack((callback) => one.connect(callback));
  assert.ok(args[0] instanceof PoolClosedError);
  assert.equal(args[1], undefined);
  assert.ok(typeof args[2] === 'function');
  args[2]();
});

test('end resolves, or calls back, when the sockets are gone, and a second end is refused as in pg', async (t) => {
  for (const form of ['promise', 'callback'] as const) {
    const one = pool(t);
    await Promise.all([one.query('SELECT 1'), one.query('SELECT 2')]);
    if (form === 'promise') assert.equal(await one.end(), undefined);
    else assert.deepEqual(await calledBack((callback) => one.end(callback)), { returned: undefined, args: [] });
    assert.equal(one.snapshot().size, 0);
    assert.equal(one.ended, true);
    assert.equal((await rejection(one.end(), PoolClosedError)).message, 'Called end on pool more than once');
    const { args } = await calledBack((callback) => one.end(callback));
    assert.match(String(args[0]), /Called end on pool more than once/);
    for (const late of [one.query('SELECT 1'), one.connect(), one.acquire()]) {
      assert.match(
        (await rejection(late, PoolClosedError)).message,
        /Cannot use a pool after calling end on the pool$/,
      );
    }
    await eventually('no session is left', async () => (await backends(admin, one.name)) === 0);
  }
});

test('end lets queries that are under way finish first', async (t) => {
  const one = pool(t, { max: 3 });
  const asked = [1, 2, 3].map((n) => one.query('SELECT $1::int AS n FROM pg_sleep(0.1)', [n]));
  await eventually('all three are lent', () => one.snapshot().lent === 3);
  await one.end();
  const results = await Promise.all(asked);
  assert.deepEqual(
    results.map(({ rows }) => rows[0]),
    [{ n: 1 }, { n: 2 }, { n: 3 }],
  );
});

test('end after close resolves when the pool is closed', async (t) => {
  const one = pool(t);
  await one.query('SELECT 1');
  void one.close();
  await one.end();
  assert.equal(one.phase, 'closed');
});

test('the pool is a pg.Pool by class, by name and for the compiler', async (t) => {
  const one: pg.Pool = pool(t);
  assert.ok(one instanceof pg.Pool);
  assert.ok(one instanceof EventEmitter);
  assert.ok(one instanceof Pool);
  assert.equal(Pool.name, 'Pool');
  assert.equal(one.constructor.name, 'Pool');
  assert.deepEqual((await one.query<{ n: number }>('SELECT 1 AS n')).rows, [{ n: 1 }]);
});

test('the counters of pg.Pool tell the state', async (t) => {
  const one = pool(t, { max: 2 });
  const counts = (): number[] => [one.totalCount, one.idleCount, one.waitingCount];
  assert.deepEqual(counts(), [0, 0, 0]);
  const a = await one.connect();
  const b = await one.connect();
  const c = one.connect();
  assert.deepEqual(counts(), [2, 0, 1]);
  a.release();
  assert.deepEqual(counts(), [2, 0, 0]);
  (await c).release();
  assert.deepEqual(counts(), [2, 1, 0]);
  assert.equal(one.ending, false);
  const ended = one.end();
  assert.deepEqual([one.ending, one.ended], [true, false]);
  b.release();
  await ended;
  assert.deepEqual([one.ending, one.ended, ...counts()], [true, true, 0, 0, 0]);
});

test('a class may extend the pool', async (t) => {
  class Counting extends Pool {
    asked = 0;
    count(): Promise<pg.QueryResult> {
      this.asked += 1;
      return this.query('SELECT 7 AS seven');
    }
  }
  const own = new Counting({ ...server.config, max: 1 });
  t.after(() => own.close());
  assert.deepEqual((await own.count()).rows, [{ seven: 7 }]);
  assert.equal(own.asked, 1);
  assert.ok(own instanceof pg.Pool);
  assert.match(own.constructor.name, /Counting/);
});

test('a Client class of the user makes the connections', async (t) => {
  class Marked extends pg.Client {
    readonly mark = 'mine';
  }
  const one = pool(t, { Client: Marked });
  const client = await one.connect();
  assert.ok(client instanceof Marked);
  assert.equal(client.mark, 'mine');
  client.release();
});

test('what the user gave as options is neither changed nor needed later', async (t) => {
  const given = Object.freeze({ ...server.config, max: 2, name: 'frozen', idleTimeoutMillis: 5_000 });
  const before = { ...given };
  const one = new Pool(given);
  t.after(() => one.close());
  await one.query('SELECT 1');
  assert.deepEqual(given, before);
  assert.equal(one.options.max, 2);
  assert.equal(one.options.idleTimeoutMillis, 5_000);
});

test('a connection string alone is enough', async (t) => {
  const one = new Pool(server.url);
  t.after(() => one.close());
  const { rows } = await one.query('SELECT current_database() AS db');
  assert.deepEqual(rows, [{ db: server.config.database }]);
});

test('the name is the application name of the sessions, unless one was given', async (t) => {
  const named = pool(t, { name: 'reporting' });
  const both = pool(t, { name: 'reporting', application_name: 'nightly' });
  const shown = async (asked: Pool): Promise<unknown> => (await asked.query('SHOW application_name')).rows[0];
  assert.deepEqual(await shown(named), { application_name: 'reporting' });
  assert.deepEqual(await shown(both), { application_name: 'nightly' });
});

test('two pools share nothing', async (t) => {
  const a = pool(t, { max: 1 });
  const b = pool(t, { max: 1 });
  assert.notEqual(a.name, b.name);
  const [clientA, clientB] = await Promise.all([a.connect(), b.connect()]);
  assert.notEqual(clientA, clientB);
  let heard = 0;
  b.observe({ phase: () => (heard += 1), lent: () => (heard += 1), returned: () => (heard += 1) });
  clientA.release();
  await a.close();
  assert.equal(heard, 0);
  assert.equal(b.phase, 'open');
  assert.deepEqual((await clientB.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  clientB.release();
  assert.deepEqual([a.stats().returns, b.stats().returns], [1, 1]);
});

test('twenty queries on one connection are served in order and never overlap', async (t) => {
  const one = pool(t, { max: 1 });
  const order: number[] = [];
  const text = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = $1 AND state = 'active'`;
  await Promise.all(
    Array.from({ length: 20 }, async (_, n) => {
      const { rows } = await one.query(text, [one.name]);
      assert.deepEqual(rows, [{ n: 1 }]);
      order.push(n);
    }),
  );
  assert.deepEqual(
    order,
    Array.from({ length: 20 }, (_, n) => n),
  );
});
