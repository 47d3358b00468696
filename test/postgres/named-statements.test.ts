// Named statements: what pg believes that the server knows stays what the server knows, whatever happens to a name on either side.

import assert from 'node:assert/strict';
import * as nodeTest from 'node:test';
import { test } from 'node:test';
import { ConnectionLostError, type Lease, type Pool } from '../../src/doors/index.ts';
import { faultProxy } from '../../src/testing/fault-proxy.ts';
import { eventually, pidOf, rejection, withClient, withPool, withServer } from './harness.ts';

const server = await withServer(nodeTest);

async function borrowed(t: nodeTest.TestContext, options: object = {}): Promise<Lease> {
  const lease = await withPool(t, { ...server.config, max: 1, ...options }).acquire();
  t.after(async () => {
    if (lease.heldMs >= 0) await lease[Symbol.asyncDispose]();
  });
  return lease;
}

const named = { name: 'the one', text: 'SELECT $1::int + 1 AS n' };

async function works(lease: Lease, value = 1): Promise<void> {
  const { rows } = await lease.query({ ...named, values: [value] });
  assert.deepEqual(rows, [{ n: value + 1 }]);
}

/** Names that the server knows. */
async function known(lease: Lease): Promise<string[]> {
  const { rows } = await lease.query<{ name: string }>('SELECT name FROM pg_prepared_statements ORDER BY name');
  return rows.map(({ name }) => name);
}

const unserialisable = {
  toPostgres(): never {
    throw new Error('cannot be written');
  },
};

for (const first of [true, false]) {
  test(`a value that cannot be serialised fails alone, at the ${first ? 'first' : 'second'} use of its name`, async (t) => {
    const lease = await borrowed(t);
    if (!first) await works(lease);
    const error = await rejection(lease.query({ ...named, values: [unserialisable] }), Error);
    assert.match(error.message, /cannot be written/);
    await works(lease);
    await works(lease, 5);
    assert.deepEqual(await known(lease), ['the one']);
  });
}

for (const forget of [
  'DISCARD ALL',
  'DEALLOCATE ALL',
  'DEALLOCATE "the one"',
  'DEALLOCATE PREPARE "the one"',
  'SELECT 1; DEALLOCATE ALL',
]) {
  test(`after ${forget} by its borrower a name is prepared anew`, async (t) => {
    const lease = await borrowed(t);
    await works(lease);
    await lease.query(forget);
    assert.deepEqual(await known(lease), []);
    await works(lease);
  });
}

test('DEALLOCATE of one name leaves the others usable', async (t) => {
  const lease = await borrowed(t);
  await works(lease);
  const other = { name: 'other', text: 'SELECT 2 AS two' };
  await lease.query(other);
  await lease.query('DEALLOCATE other');
  await works(lease);
  assert.deepEqual((await lease.query(other)).rows, [{ two: 2 }]);
  assert.deepEqual(await known(lease), ['other', 'the one']);
});

test('a name that was deallocated where nobody saw it fails once and works then', async (t) => {
  const lease = await borrowed(t);
  await works(lease);
  await lease.query(`DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$`);
  assert.equal(Reflect.get(await rejection(lease.query({ ...named, values: [1] }), Error), 'code'), '26000');
  await works(lease);
});

test('a name that somebody else prepared with SQL fails once and works then', async (t) => {
  const lease = await borrowed(t);
  await lease.query('PREPARE "the one" AS SELECT 7');
  assert.equal(Reflect.get(await rejection(lease.query({ ...named, values: [1] }), Error), 'code'), '42P05');
  await works(lease);
});

test('a plan that no longer fits its table fails once and works then', async (t) => {
  const lease = await borrowed(t);
  await lease.query('CREATE TEMPORARY TABLE changing (a int)');
  await lease.query('INSERT INTO changing VALUES (1)');
  const all = { name: 'all of it', text: 'SELECT * FROM changing' };
  assert.deepEqual((await lease.query(all)).rows, [{ a: 1 }]);
  await lease.query('ALTER TABLE changing ADD b int DEFAULT 2');
  assert.equal(Reflect.get(await rejection(lease.query(all), Error), 'code'), '0A000');
  assert.deepEqual((await lease.query(all)).rows, [{ a: 1, b: 2 }]);
  assert.deepEqual((await lease.query(all)).rows, [{ a: 1, b: 2 }]);
});

test('inside a failed transaction nothing is forgotten wrongly: after the rollback the name works', async (t) => {
  const lease = await borrowed(t);
  await works(lease);
  const prepared = async (): Promise<unknown[]> =>
    (await lease.query('SELECT name, prepare_time::text FROM pg_prepared_statements')).rows;
  const before = await prepared();
  await lease.query('BEGIN');
  await rejection(lease.query('SELECT 1 / 0'), Error);
  assert.equal(Reflect.get(await rejection(lease.query({ ...named, values: [1] }), Error), 'code'), '25P02');
  await lease.query('ROLLBACK');
  await works(lease);
  assert.deepEqual(await prepared(), before, 'it was not prepared anew');
});

for (const [name, reset] of [
  ["reset: 'discard' clears", 'discard'],
  [
    'DISCARD ALL in a reset function clears',
    (client: { query(text: string): Promise<unknown> }) => client.query('DISCARD ALL'),
  ],
] as const) {
  test(`${name} pg's memory with the server's`, async (t) => {
    const pool: Pool = withPool(t, { ...server.config, max: 1, reset });
    const pid = await pool.use(async (lease) => {
      await works(lease);
      return pidOf(lease);
    });
    await pool.use(works);
    assert.equal(await pool.use(pidOf), pid);
  });
}

test('a raw client has the same memory', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const client = await pool.connect();
  await client.query({ ...named, values: [1] });
  await client.query('DISCARD ALL');
  assert.deepEqual((await client.query({ ...named, values: [1] })).rows, [{ n: 2 }]);
  client.release();
});

test('one that was prepared before and loses its reply with the connection may have run: it is not repeated', async (t) => {
  const admin = await withClient(t, server.config);
  await admin.query('CREATE TABLE once (n int)');
  const proxy = await faultProxy({ target: server.config });
  t.after(() => proxy.close());
  const pool = withPool(t, { ...server.config, host: proxy.host, port: proxy.port, max: 1 });
  const insert = { name: 'insert', text: 'INSERT INTO once VALUES ($1)' };
  await pool.query({ ...insert, values: [1] });
  await pool.query('SELECT 1');
  const [line] = proxy.connections;
  assert.ok(line !== undefined);
  await line.stall('toClient');
  const running = rejection(pool.query({ ...insert, values: [2] }), ConnectionLostError);
  await eventually('it has run', async () => (await admin.query('SELECT FROM once WHERE n = 2')).rowCount === 1);
  // What is told of the lease is what it runs, not what it ran before.
  assert.equal(pool.holders()[0]?.lastStatement, insert.text);
  await line.cut();
  assert.equal((await running).mayHaveExecuted, true);
  await pool.query({ ...insert, values: [3] });
  assert.deepEqual((await admin.query('SELECT n FROM once ORDER BY n')).rows, [{ n: 1 }, { n: 2 }, { n: 3 }]);
});
