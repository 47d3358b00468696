// pg's own options `verify` and `log` on our pool, and what listeners added at the last moment hear.

import assert from 'node:assert/strict';
import test from 'node:test';
import { ConnectError, OptionError, Pool, type PoolOptions } from '../../src/doors/index.ts';
import { Pool as PgPool } from '../../src/doors/pg.ts';
import { eventually, rejection, reports, withPool, withServer } from './harness.ts';

const server = await withServer(test);

test('verify comes after configure, once in the life of a connection, also when a reset configures again', async (t) => {
  const calls: string[] = [];
  const pool = withPool(t, {
    ...server.config,
    max: 1,
    reset: 'discard',
    configure: () => void calls.push('configure'),
    verify: (_client, done) => {
      calls.push('verify');
      done();
    },
  });
  for (let n = 0; n < 2; n += 1) await pool.query('SELECT 1');
  await eventually('it was reset twice', () => pool.stats().reset === 2);
  assert.deepEqual(calls, ['configure', 'verify', 'configure', 'configure']);
});

test('a connection that verify refuses, throws at or leaves in a transaction is not lent', async (t) => {
  const why = new Error('a standby');
  const refusals: PoolOptions[] = [
    { verify: (_client, done) => done(why) },
    {
      verify: () => {
        throw why;
      },
    },
    { verify: (client, done) => void client.query('BEGIN').then(() => done()) },
    { verify: () => {}, connectTimeoutMs: 200 },
  ];
  const messages: string[] = [];
  for (const options of refusals) {
    const pool = new PgPool({ ...server.config, logger: reports().logger, ...options });
    t.after(() => pool.close());
    messages.push((await rejection(pool.connect(), ConnectError)).message);
    await eventually('it is gone', () => pool.snapshot().size === 0);
  }
  assert.match(messages[0] ?? '', /^a standby/);
  assert.match(messages[1] ?? '', /^a standby/);
  assert.match(messages[2] ?? '', /transaction/);
  assert.match(messages[3] ?? '', /connectTimeoutMs/);
});

test('in oxbow a connection that verify refuses costs the borrower nothing but time', async (t) => {
  let asked = 0;
  const pool = withPool(t, {
    ...server.config,
    verify: (_client, done) => {
      asked += 1;
      done(asked < 3 ? new Error('not yet') : undefined);
    },
  });
  assert.equal((await pool.query('SELECT 1 AS one')).rows[0]?.one, 1);
  assert.equal(asked, 3);
});

test('verify and log that are no functions are refused by name, and falsy ones are none', () => {
  for (const name of ['verify', 'log']) {
    assert.throws(
      () => new Pool(Object.assign({ ...server.config }, { [name]: 5 })),
      (error) => error instanceof OptionError && error.option === name,
    );
    assert.doesNotThrow(() => new Pool(Object.assign({ ...server.config }, { [name]: null })));
  }
});

test('log is told of connections and of reports, and one that throws harms nobody', async (t) => {
  const said: unknown[] = [];
  const pool = withPool(t, { ...server.config, max: 1, log: (...messages) => void said.push(messages[0]) });
  const client = await pool.connect();
  await client.query('BEGIN');
  client.release();
  assert.equal((await pool.query('SELECT 1 AS one')).rows[0]?.one, 1);
  assert.ok(said.includes('connecting new client') && said.includes('new client connected'));
  assert.ok(said.some((text) => /came back in an open transaction/.test(String(text))));
  const angry = withPool(t, {
    ...server.config,
    log: () => {
      throw new Error('the disk is full');
    },
  });
  assert.equal((await angry.query('SELECT 1 AS one')).rows[0]?.one, 1);
});

test('a listener of acquire or release hears of the lend in the very turn in which it was added, and nothing after it was taken away', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  (await pool.connect()).release();
  const told: string[] = [];
  const acquired = (): void => void told.push('acquire');
  pool.on('acquire', acquired);
  pool.once('release', () => void told.push('release'));
  const client = pool.connect();
  assert.deepEqual(told, ['acquire']);
  (await client).release();
  assert.deepEqual(told, ['acquire', 'release']);
  pool.off('acquire', acquired);
  (await pool.connect()).release();
  assert.deepEqual(told, ['acquire', 'release']);
});
