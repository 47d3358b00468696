// In whose asynchronous context a query runs that had to wait, was left to pg or went to another connection: always its caller's, who may have
// put a request's id or a span there.

import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import test from 'node:test';
import pg from 'pg';
import { eventually, rejection, withClient, withPool, withServer } from './harness.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);
const caller = new AsyncLocalStorage<number>();

const CALLERS = [1, 2, 3, 4, 5, 6, 7, 8];

/** Each as a caller of its own, all at once, so that all but one have to wait; who each was before its answer and after. */
function each<T>(ask: (who: number) => Promise<T>): Promise<(number | undefined)[]> {
  return Promise.all(
    CALLERS.map((who) =>
      caller.run(who, async () => {
        await ask(who).catch(() => {});
        return caller.getStore();
      }),
    ),
  );
}

test('the answer, or the error, comes in the context of whoever asked', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  await pool.query('SELECT 1');
  assert.deepEqual(await each((who) => pool.query('SELECT $1::int', [who])), CALLERS);
  assert.deepEqual(await each((who) => pool.query('SELECT 1 / ($1::int - $1::int)', [who])), CALLERS);
  assert.deepEqual(await each(() => pool.query('SELECT 1; SELECT 2')), CALLERS);
  assert.deepEqual(await each((who) => pool.transaction((tx) => tx.query('SELECT $1::int', [who]))), CALLERS);
});

test('a value is turned into a parameter in the context of whoever asked', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  await pool.query('SELECT 1');
  const seen: [number, number | undefined][] = [];
  const value = (who: number): object => ({
    toPostgres() {
      seen.push([who, caller.getStore()]);
      return String(who);
    },
  });
  const asBefore = CALLERS.map((who) => [who, who]);
  await each((who) => pool.query('SELECT $1::int', [value(who)]));
  assert.deepEqual(seen, asBefore);
  seen.length = 0;
  await each((who) => pool.query({ text: 'SELECT $1::int', values: [value(who)] }));
  assert.deepEqual(seen, asBefore);
  seen.length = 0;
  // By pg: a name that this connection does not know yet.
  await each((who) => pool.query({ name: `n${who}`, text: 'SELECT $1::int', values: [value(who)] }));
  assert.deepEqual(seen, asBefore);
});

test('whoever replaces query() while queries wait is called in the context of each', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1, speaker: 'auto' });
  await pool.query('SELECT 1');
  const { queriesByCodec } = pool.stats();
  assert.equal(queriesByCodec, 1);
  const own: unknown = Reflect.get(pg.Client.prototype, 'query');
  assert.ok(typeof own === 'function');
  const seen: (number | undefined)[] = [];
  t.after(() => Reflect.set(pg.Client.prototype, 'query', own));
  const asked = each((who) => pool.query('SELECT $1::int', [who]));
  Reflect.set(pg.Client.prototype, 'query', function query(this: pg.Client, ...args: unknown[]) {
    seen.push(caller.getStore());
    return Reflect.apply(own, this, args);
  });
  assert.deepEqual(await asked, CALLERS);
  // The first had the connection before.
  assert.deepEqual(seen, CALLERS.slice(1));
});

test('a query that goes to another connection goes there in the context of whoever asked', async (t) => {
  const pool = withPool(t, { ...server.config, max: 2, application_name: 'contexts' });
  const seen: (number | undefined)[] = [];
  const value = {
    toPostgres() {
      seen.push(caller.getStore());
      return '0.3';
    },
  };
  const slow = caller.run(7, async () => {
    await pool.query({ text: 'SELECT pg_sleep($1::float)', values: [value], idempotent: true });
    return caller.getStore();
  });
  await eventually('it runs, and its connection is ended', async () => {
    const { rowCount } = await admin.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'contexts' AND query LIKE '%pg_sleep%' AND state = 'active'",
    );
    return rowCount === 1;
  });
  assert.equal(await slow, 7);
  assert.deepEqual(seen, [7, 7]);
});

test('the stack of an error of a query that waited leads to where it was asked', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  await pool.query('SELECT 1');
  async function whoAsked(): Promise<unknown> {
    return await pool.query('SELECT 1 / 0');
  }
  const errors = await Promise.all(CALLERS.map(() => rejection(whoAsked(), pg.DatabaseError)));
  for (const { stack } of errors) assert.match(stack ?? '', /whoAsked/);
});

test('a query that waits is sent in the very turn in which the connection comes back', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1, speaker: 'auto' });
  await pool.query('SELECT 1');
  const held = await pool.acquire();
  const waiting = pool.query('SELECT $1::int AS n', [2]);
  assert.equal(pool.stats().queriesByCodec, 1);
  held.release();
  assert.equal(pool.stats().queriesByCodec, 2);
  assert.deepEqual((await waiting).rows, [{ n: 2 }]);
});

for (const [speaker, lean] of [
  ['auto', true],
  ['pg', false],
] as const) {
  test(`the sockets that read into shared memory are those on which the codec may speak: speaker ${speaker}, ${lean}`, async (t) => {
    const pool = withPool(t, { ...server.config, max: 1, speaker });
    // Such a one has a way of its own to pause.
    await pool.use(({ client }) => assert.equal(Object.hasOwn(client.connection.stream, 'pause'), lean));
  });
}
