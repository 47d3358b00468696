// Whether the codec gives what pg gives: type parsers that come with a query, that a client has, that change between two runs of one text.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import pg from 'pg';
import type { Pool, PoolOptions } from '../../src/doors/index.ts';
import { withClient, withPool, withServer } from '../postgres/harness.ts';
import { CUSTOM_TYPES } from './codec-corpus/custom-types.ts';
import { entry } from './codec-corpus/entry.ts';
import { conforms, countsOf } from './codec-doors.ts';
import { portrait } from './codec-portrait.ts';

const server = await withServer(test);

await conforms(CUSTOM_TYPES, { config: server.config });

const { INT4, INT8, TEXT } = pg.types.builtins;

/** The pools that have to give what the first one gives. */
function pools(t: TestContext, options: PoolOptions = {}): readonly [byPg: Pool, ...byCodec: Pool[]] {
  const made = (more: PoolOptions): Pool => withPool(t, { ...server.config, ...options, ...more, max: 1 });
  return [
    made({ speaker: 'pg', prepare: false }),
    made({ speaker: 'auto', prepare: false }),
    made({ speaker: 'auto', prepare: 'auto' }),
    made({ speaker: 'auto', prepare: 'always' }),
  ];
}

test('parsers of the client are those of all its queries', async (t) => {
  const types = { getTypeParser: (oid: number) => (value: string) => `${oid}: ${value}` };
  await conforms(
    [
      entry('the types of the client', 'codec', [`select 1 as n, 'x' as t, null as nothing`], { closures: true }),
      entry('the types of the client, with a value', 'codec', ['select $1::int as n', [1]], { closures: true }),
      entry('the types of the query, before those of the client', 'codec', [
        { text: 'select 1 as n, 2 as m', types: { getTypeParser: () => String } },
      ]),
    ],
    { config: server.config, client: { types }, within: t },
  );
});

test('a parser that is set on a client counts from then on, for that client', async (t) => {
  const query = 'select 1 as n, 2::int8 as big';
  const reference = await withClient(t, server.config);
  const all = pools(t);
  const runs = async (asked: { query(text: string): Promise<unknown> }, client: pg.Client): Promise<unknown[]> => {
    const results: unknown[] = [];
    for (let run = 0; run < 12; run += 1) {
      if (run === 6) client.setTypeParser(INT4, parsed);
      if (run === 9) client.setTypeParser(INT8, parsed);
      results.push(portrait(await asked.query(query)));
    }
    return results;
  };
  const expected = await runs(reference, reference);
  for (const pool of all)
    await pool.use(async (lease) => assert.deepStrictEqual(await runs(lease, lease.client), expected));
  for (const pool of all.slice(1)) assert.equal(countsOf(pool).queriesByCodec, 12);
});

function parsed(value: string): string {
  return `parsed ${value}`;
}

test('a parser that is set on pg counts from then on', async (t) => {
  const before: (value: string) => unknown = pg.types.getTypeParser(TEXT, 'text');
  t.after(() => pg.types.setTypeParser(TEXT, 'text', before));
  const reference = await withClient(t, server.config);
  const asked = [reference, ...pools(t)];
  const query = `select 'x'::text as v`;
  for (let run = 0; run < 12; run += 1) {
    pg.types.setTypeParser(TEXT, 'text', run % 3 === 0 ? before : (value: string) => `${run}: ${value}`);
    const seen: unknown[] = [];
    for (const one of asked) seen.push(portrait(await one.query(query)));
    for (const result of seen) assert.deepStrictEqual(result, seen[0]);
    assert.match(JSON.stringify(seen[0]), run % 3 === 0 ? /"x"/ : new RegExp(`"${run}: x"`));
  }
});

test('a result’s types are those of its client', async (t) => {
  for (const pool of pools(t))
    await pool.use(async (lease) => {
      const result: unknown = await lease.query('select 1 as n');
      assert.equal(Reflect.get(Object(result), '_types'), Reflect.get(lease.client, '_types'));
    });
});

test('two results have nothing in common that their readers could change', async (t) => {
  for (const pool of pools(t)) {
    for (let run = 0; run < 7; run += 1) {
      const result = await pool.query('select 1 as n, 2 as m');
      assert.deepEqual(
        result.fields.map(({ name }) => name),
        ['n', 'm'],
      );
      assert.deepEqual(result.rows, [{ n: 1, m: 2 }]);
      for (const field of result.fields) field.name = 'changed';
      result.fields.length = 1;
      result.rows.length = 0;
      const empty: unknown = Reflect.get(result, '_prebuiltEmptyResultObject');
      Object.assign(Object(empty), { n: 'changed', more: true });
      const parsers: unknown = Reflect.get(result, '_parsers');
      assert.ok(Array.isArray(parsers));
      parsers.length = 0;
    }
  }
});

interface Drizzled {
  readonly TABLE: string;
  answers(pool: Pool): Promise<unknown[]>;
}

test('Drizzle, which brings parsers of its own with each query, gives on the codec what it gives on pg', async (t) => {
  const { TABLE, answers }: Drizzled = await import(
    new URL('../../../test/conformance/codec-drizzle.mjs', import.meta.url).href
  );
  const all = pools(t);
  await all[0].query(TABLE);
  const expected = portrait(await answers(all[0]));
  for (const pool of all.slice(1)) {
    assert.deepStrictEqual(portrait(await answers(pool)), expected);
    const { queriesByCodec } = countsOf(pool);
    assert.ok(queriesByCodec >= 30, `the codec spoke ${queriesByCodec} times`);
  }
});
