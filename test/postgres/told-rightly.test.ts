// What a failure is told as: by the input that was wrong, by what the server answered, by what it was that undid a transaction. And who else listens to
// a connection's socket hears all that comes.

import assert from 'node:assert/strict';
import test from 'node:test';
import { ConnectionLostError, OptionError, TransactionRolledBackError } from '../../src/doors/index.ts';
import type { PgSession } from '../../src/pg/session.ts';
import { failureOf } from '../../src/pool/failure.ts';
import { rejection, reports, withPool, withServer } from './harness.ts';

const server = await withServer(test);

test('a name or types that cannot be meant are refused by name, and nothing is sent', async (t) => {
  const { logger, said } = reports();
  const pool = withPool(t, { ...server.config, max: 1, logger });
  const name = { text: 'SELECT 1', name: 5 } as unknown as string;
  const types = { text: 'SELECT 1', types: {} } as unknown as string;
  assert.match((await rejection(pool.query(name), OptionError)).message, /name/);
  assert.match((await rejection(pool.query(types), OptionError)).message, /getTypeParser/);
  assert.deepEqual((await pool.query('SELECT 1 AS n')).rows, [{ n: 1 }]);
  assert.deepEqual(said, []);
});

test('what the server had answered stays the answer when the connection is lost after it; an end of the connection does not', () => {
  const lost = { status: 'lost', sent: 1 } as PgSession;
  const answer = Object.assign(new Error('division by zero'), { severity: 'ERROR', code: '22012' });
  assert.equal(failureOf(lost, answer, 0, undefined), answer);
  const end = Object.assign(new Error('terminated'), { severity: 'FATAL', code: '57P01' });
  assert.ok(failureOf(lost, end, 0, undefined) instanceof ConnectionLostError);
  assert.ok(failureOf(lost, new Error('read ECONNRESET'), 0, undefined) instanceof ConnectionLostError);
});

test('the cause of a transaction that was not kept is what undid it, not what never reached the server', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const work = pool.transaction(async (tx) => {
    await tx.query({ text: 'SELECT 1', timeoutMs: -1 }).catch(() => {});
    await tx.query('SELECT 1 / 0').catch(() => {});
  });
  const { cause } = await rejection(work, TransactionRolledBackError);
  assert.equal(Reflect.get(cause as object, 'code'), '22012');
});

test('a setting that the server refuses, and a function that forgives it, are nobody’s open transaction', async (t) => {
  const { logger, said } = reports();
  const pool = withPool(t, { ...server.config, max: 1, logger });
  const work = pool.transaction(async (tx) => void (await tx.query('SELECT 1').catch(() => {})), {
    settings: { statement_timeout: 'zzz' },
  });
  assert.equal(Reflect.get(await rejection(work, Error), 'code'), '22023');
  assert.deepEqual((await pool.query('SELECT 1 AS n')).rows, [{ n: 1 }]);
  assert.deepEqual(said, []);
});

for (const speaker of ['auto', 'pg'] as const) {
  test(`whoever listens to the socket hears what any query brings, speaker ${speaker}`, async (t) => {
    const pool = withPool(t, { ...server.config, max: 1, speaker });
    await pool.use(async (lease) => {
      let heard = 0;
      const { stream } = lease.client.connection;
      stream.on('data', (bytes: Buffer) => {
        heard += bytes.length;
      });
      const before = Reflect.get(stream, 'bytesRead') as number;
      await lease.query('SELECT $1::int AS n', [1]);
      await lease.client.query('SELECT 2 AS n');
      await lease.query("SELECT repeat('x', 200000)");
      assert.equal(heard, (Reflect.get(stream, 'bytesRead') as number) - before);
      assert.ok(heard > 200_000);
    });
  });
}
