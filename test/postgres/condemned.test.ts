// Errors that cost a connection, on a real server: by class, by what the server was when the connection was made, and as the user decides.

import assert from 'node:assert/strict';
import * as nodeTest from 'node:test';
import { test } from 'node:test';
import { OptionError, Pool } from '../../src/doors/index.ts';
import { eventually, pidOf, rejection, reports, withClient, withPool, withServer } from './harness.ts';

// Its settings are changed: a server of its own.
const server = await withServer(nodeTest, { url: false });
const admin = await withClient(nodeTest, server.config);
await admin.query('CREATE TABLE written (n int)');

const raised = (code: string): string => `DO $$ BEGIN RAISE EXCEPTION 'made up' USING ERRCODE = '${code}'; END $$`;

/** Whether a connection is another one after this error, and how many others were made anew with it. */
async function after(pool: Pool, text: string): Promise<{ replaced: boolean; others: number }> {
  const leases = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
  const pids = await Promise.all(leases.map(pidOf));
  for (const lease of leases) lease.release();
  const lease = await pool.acquire();
  const mine = await pidOf(lease);
  const error = await rejection(lease.query(text), Error);
  assert.ok(!(error instanceof OptionError), String(error));
  lease.release();
  await eventually('what is going is gone', () => pool.snapshot().closing + pool.snapshot().returning === 0);
  const again = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
  const now = await Promise.all(again.map(pidOf));
  for (const each of again) each.release();
  return {
    replaced: !now.includes(mine),
    others: pids.filter((pid) => pid !== mine && !now.includes(pid)).length,
  };
}

for (const code of ['08000', '08006', '08P01', '57P01', '57P02', '57P03', '57P04', '57P05', '25P03', '25P04']) {
  test(`an error ${code} costs its connection and no other`, async (t) => {
    const one = withPool(t, { ...server.config, max: 3 });
    assert.deepEqual(await after(one, raised(code)), { replaced: true, others: 0 });
    assert.equal(one.stats().retired.condemned, 1);
  });
}

for (const code of [
  '22012',
  '23505',
  '40001',
  '40P01',
  '42P01',
  '42601',
  '53100',
  '54000',
  '55P03',
  '57014',
  '58030',
  'P0001',
  'XX000',
]) {
  test(`an error ${code} costs no connection`, async (t) => {
    const one = withPool(t, { ...server.config, max: 3 });
    assert.deepEqual(await after(one, raised(code)), { replaced: false, others: 0 });
    assert.equal(one.stats().connects, 3);
  });
}

test('a connection that is condemned inside a transaction is replaced without a rollback, and its work is gone', async (t) => {
  const heard = reports();
  const one = withPool(t, { ...server.config, max: 1, logger: heard.logger });
  const lease = await one.acquire();
  const pid = await pidOf(lease);
  await lease.query('BEGIN');
  await lease.query('INSERT INTO written VALUES (1)');
  await rejection(lease.query(raised('57P01')), Error);
  lease.release();
  assert.notEqual(await one.use(pidOf), pid);
  assert.deepEqual((await one.query('SELECT * FROM written')).rows, []);
  assert.equal(one.stats().rolledBack, 0);
  // A rollback that was tried and failed is not counted, but it is told.
  assert.deepEqual(heard.said, []);
});

test('the user decides otherwise, by SQLSTATE and by class; the SQLSTATE wins', async (t) => {
  const condemn = { '57P01': 'keep', '22': 'replace', '22012': 'keep', '40001': 'replace-all' } as const;
  const heard = reports();
  const one = withPool(t, { ...server.config, max: 3, condemn, logger: heard.logger });
  assert.deepEqual(await after(one, raised('57P01')), { replaced: false, others: 0 });
  assert.deepEqual(await after(one, raised('22012')), { replaced: false, others: 0 });
  assert.deepEqual(await after(one, raised('22023')), { replaced: true, others: 0 });
  assert.deepEqual(await after(one, raised('40001')), { replaced: true, others: 2 });
  assert.deepEqual(
    heard.said.map(({ code }) => code),
    ['OXBOW_FAILOVER'],
  );
  assert.match(heard.said[0]?.message ?? '', /the server said 40001: made up; .* all its connections are replaced/);
});

for (const [condemn, option] of [
  [{ 25006: 'stay' }, 'condemn.25006'],
  [{ '25': true }, 'condemn.25'],
  [{ read_only: 'keep' }, 'condemn.read_only'],
  [['25006'], 'condemn'],
] as const) {
  test(`condemn: ${JSON.stringify(condemn)} is refused by name`, () => {
    assert.throws(
      () => new Pool({ ...server.config, condemn: condemn as never }),
      (error) => error instanceof OptionError && error.option === option,
    );
  });
}

const WRITE = 'INSERT INTO written VALUES (2)';

test('a write refused in a transaction that was declared read only costs no connection', async (t) => {
  const one = withPool(t, { ...server.config, max: 3 });
  const refused = (run: () => Promise<unknown>): Promise<Error> => rejection(run(), Error);
  const pid = await one.use(pidOf);
  await refused(() => one.transaction((tx) => tx.query(WRITE), { readOnly: true }));
  await refused(() => one.query(`BEGIN READ ONLY; ${WRITE}`));
  await refused(() =>
    one.use(async (lease) => {
      await lease.query('BEGIN');
      await lease.query('SET TRANSACTION READ ONLY');
      await lease.query(WRITE);
    }),
  );
  await refused(() =>
    one.use(async (lease) => {
      await lease.query('SET default_transaction_read_only = on');
      await lease.query(WRITE);
    }),
  );
  assert.equal(await one.use(pidOf), pid);
  assert.equal(one.stats().connects, 1);
});

test('a write refused by what was a primary costs all its connections, once: those made after it know what they are on', async (t) => {
  const heard = reports();
  const one = withPool(t, { ...server.config, max: 3, logger: heard.logger });
  await after(one, 'SELECT 1 / 0');
  await admin.query('ALTER SYSTEM SET default_transaction_read_only = on');
  t.after(async () => {
    await admin.query('SET default_transaction_read_only = off');
    await admin.query('ALTER SYSTEM RESET default_transaction_read_only');
    await admin.query('SELECT pg_reload_conf()');
  });
  await admin.query('SELECT pg_reload_conf()');
  await eventually('the sessions have heard of it', async () => {
    const { rows } = await one.query('SHOW default_transaction_read_only');
    return rows[0]?.default_transaction_read_only === 'on';
  });
  assert.deepEqual(await after(one, WRITE), { replaced: true, others: 2 });
  const { connects } = one.stats();
  for (let n = 0; n < 3; n += 1) assert.equal(Reflect.get(await rejection(one.query(WRITE), Error), 'code'), '25006');
  assert.equal(one.stats().connects, connects);
  assert.deepEqual(
    heard.said.map(({ code }) => code),
    ['OXBOW_FAILOVER'],
  );
});
