// Values of a query that waits for a connection, where reading them calls somebody's code: what that throws is the query's failure, as it is
// where a connection is there at once, and is told where the query was asked for.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Pool } from '../../src/doors/index.ts';
import { withPool, withServer } from './harness.ts';

const server = await withServer(test);

function thrower(): never {
  throw new Error('by the value');
}

/** Made anew for each query. */
const QUERIES: Record<string, (pool: Pool) => Promise<unknown>> = {
  'a Proxy as the list': (pool) =>
    pool.query(
      'SELECT $1::int AS n',
      new Proxy([1], { get: (list, key) => (key === '0' ? thrower() : Reflect.get(list, key)) }),
    ),
  'an accessor in the list': (pool) =>
    pool.query('SELECT $1::int AS n', Object.defineProperty([1], 0, { get: thrower })),
  'an accessor for the list': (pool) =>
    pool.query(Object.defineProperty({ text: 'SELECT $1::int AS n' }, 'values', { get: thrower, enumerable: true })),
  'a value that turns itself into text': (pool) => pool.query('SELECT $1::text AS n', [{ toPostgres: thrower }]),
};

for (const [what, ask] of Object.entries(QUERIES)) {
  for (const waits of [false, true]) {
    test(`${what} throws: the query ${waits ? 'that waits ' : ''}is rejected with that`, async (t) => {
      const pool = withPool(t, { ...server.config, max: 1, speaker: 'auto' });
      await pool.query('SELECT 1');
      const held = waits ? await pool.acquire() : undefined;
      let failure: Error | undefined;
      const theCaller = async (): Promise<void> => {
        // Not awaited on the same line: what is thrown here was not rejected.
        let asked: Promise<unknown> | undefined;
        assert.doesNotThrow(() => {
          asked = ask(pool);
        });
        try {
          await asked;
        } catch (error) {
          failure = error as Error;
        }
      };
      const called = theCaller();
      held?.release();
      await called;
      assert.equal(failure?.message, 'by the value');
      assert.match(failure.stack ?? '', /theCaller/);
      assert.equal(pool.snapshot().lent, 0);
    });
  }
}

test("a list that iterates in its own way is read by its indices, as by pg, and nobody's iterator is called", async (t) => {
  const pool = withPool(t, { ...server.config, max: 1, speaker: 'auto' });
  await pool.query('SELECT 1');
  const held = await pool.acquire();
  const values = Object.assign([1], { [Symbol.iterator]: thrower });
  const asked = pool.query('SELECT $1::int AS n', values);
  held.release();
  assert.deepEqual((await asked).rows, [{ n: 1 }]);
});
