// Whether the codec gives what pg gives when the server refuses: every field, notices, and where the stack leads.

import assert from 'node:assert/strict';
import test from 'node:test';
import pg from 'pg';
import { withClient, withPool, withServer } from '../postgres/harness.ts';
import { ERRORS, ERRORS_SETUP } from './codec-corpus/errors.ts';
import { conforms } from './codec-doors.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);
await admin.query(ERRORS_SETUP);

await conforms(ERRORS, { config: server.config, client: { statement_timeout: 300 } });

interface Asked {
  query(text: string, values?: unknown[]): Promise<unknown>;
}

async function theOneWhoAsks(asked: Asked, text: string, values?: unknown[]): Promise<string> {
  try {
    await asked.query(text, values);
  } catch (error) {
    assert.ok(error instanceof pg.DatabaseError);
    return String(error.stack);
  }
  return assert.fail('it did not fail');
}

for (const speaker of ['pg', 'auto'] as const) {
  const pool = withPool(test, { ...server.config, speaker, max: 1 });

  test(`with speaker ${speaker} the stack of an error leads to whoever asked the pool`, async () => {
    assert.match(await theOneWhoAsks(pool, 'select 1 / 0'), /theOneWhoAsks/);
    assert.match(await theOneWhoAsks(pool, 'select $1::int / 0', [1]), /theOneWhoAsks/);
  });

  test(`with speaker ${speaker} the stack of an error leads to whoever asked a lease`, async () => {
    await pool.use(async (lease) => {
      assert.match(await theOneWhoAsks(lease, 'select 1 / 0'), /theOneWhoAsks/);
      assert.match(await theOneWhoAsks(lease, 'select $1::int / 0', [1]), /theOneWhoAsks/);
    });
  });

  test(`with speaker ${speaker} the stack of an error leads to whoever asked in a transaction`, async () => {
    await pool.transaction(async (tx) => {
      assert.match(await theOneWhoAsks(tx, 'select 1 / 0'), /theOneWhoAsks/);
      await tx.rollback();
    });
  });
}
