// Whether what is prepared, by the user's name for it or by itself, gives what pg gives when something changes in between: tables, names,
// settings, the path. Each story is told to a bare pg.Client, to the pool on which pg speaks, and to those on which the codec may.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import type pg from 'pg';
import type { Lease, Pool, PoolOptions } from '../../src/doors/index.ts';
import { withClient, withPool, withServer } from '../postgres/harness.ts';
import { countsOf } from './codec-doors.ts';
import { type Step, type Story, TABLE, tell, times } from './codec-stories.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);

const STAR: Step = ['select * from altered'];
const STAR_BY_VALUE: Step = ['select * from altered where a > $1', [0]];
const ADD: Step = { admin: `alter table altered add column added text default 'new'` };
const ADD_MORE: Step = { admin: 'alter table altered add column more int' };

const STORIES: Readonly<Record<string, Story>> = {
  'a column is added by another session': {
    before: TABLE,
    steps: [...times(7, STAR, STAR_BY_VALUE), ADD, ...times(3, STAR, STAR_BY_VALUE), ADD_MORE, ...times(7, STAR)],
  },
  'a column is added by another session, asked through the pool': {
    before: TABLE,
    steps: [...times(7, STAR, STAR_BY_VALUE), ADD, ...times(3, STAR, STAR_BY_VALUE)],
    through: 'pool',
  },
  'a column is added by the session itself': {
    before: TABLE,
    steps: [...times(7, STAR), ['alter table altered add column added text'], ...times(7, STAR)],
  },
  'a column is dropped, and another gets its name': {
    before: TABLE,
    steps: [
      ...times(7, STAR),
      ['alter table altered drop column b'],
      ...times(2, STAR),
      ['alter table altered rename column a to b'],
      ...times(7, STAR),
    ],
  },
  'a column changes its type': {
    before: TABLE,
    steps: [...times(7, STAR_BY_VALUE), { admin: 'alter table altered alter a type text' }, ...times(7, STAR_BY_VALUE)],
  },
  'a column changes its type, and a value is none of the type that it had': {
    before: `drop table if exists typed; create table typed (id uuid); insert into typed values ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')`,
    steps: [
      ...times(7, ['select id::text as v from typed where id = $1', ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']]),
      { admin: 'alter table typed alter id type text' },
      ...times(3, ['select id::text as v from typed where id = $1', ['no uuid']]),
    ],
  },
  'a column changes its type inside a transaction': {
    before: TABLE,
    steps: [
      ...times(7, STAR_BY_VALUE),
      ['begin'],
      ['alter table altered alter a type bigint'],
      STAR_BY_VALUE,
      ['rollback'],
      STAR_BY_VALUE,
    ],
  },
  'the table is dropped and made anew': {
    before: TABLE,
    steps: [
      ...times(7, STAR),
      { admin: 'drop table altered' },
      ...times(2, STAR),
      { admin: `create table altered (z int); insert into altered values (3)` },
      ...times(7, STAR),
    ],
  },
  'what was prepared is thrown away: DEALLOCATE ALL': {
    before: TABLE,
    steps: [...times(7, STAR, STAR_BY_VALUE), ['deallocate all'], ...times(7, STAR, STAR_BY_VALUE)],
  },
  'what was prepared is thrown away: DISCARD ALL': {
    before: TABLE,
    steps: [...times(7, STAR, STAR_BY_VALUE), ['discard all'], ...times(7, STAR, STAR_BY_VALUE)],
  },
  'what was prepared is thrown away among other statements': {
    before: TABLE,
    steps: [...times(7, STAR), ['select 1; deallocate all; select 2'], ...times(7, STAR)],
  },
  'what was prepared is thrown away by a function': {
    before: `${TABLE} create or replace function throws_away() returns void language plpgsql as $$ begin execute 'deallocate all'; end $$`,
    steps: [...times(7, STAR), ['select throws_away()'], ...times(7, STAR)],
  },
  'the path changes': {
    before: TABLE,
    steps: [
      ...times(7, STAR),
      ['set search_path = elsewhere, public'],
      ...times(3, STAR),
      ['set search_path = public'],
      ...times(3, STAR),
      ['reset search_path'],
    ],
  },
  'the path changes inside a transaction': {
    before: TABLE,
    steps: [
      ...times(7, STAR),
      ['begin'],
      STAR,
      ['set local search_path = elsewhere, public'],
      STAR,
      STAR,
      ['rollback'],
      ...times(2, STAR),
    ],
  },
  'the path changes inside a transaction by a function': {
    before: TABLE,
    steps: [
      ...times(7, STAR),
      ['begin'],
      [`select set_config('search_path', $1, true)`, ['elsewhere, public']],
      STAR,
      ['rollback'],
      STAR,
    ],
  },
  'a column is added inside a transaction': {
    before: TABLE,
    steps: [
      ...times(7, STAR),
      ['begin'],
      STAR,
      ['alter table altered add column c int'],
      STAR,
      STAR,
      ['rollback'],
      STAR,
    ],
  },
  'a column is added inside a transaction by a function': {
    before: `${TABLE} create or replace function adds() returns void language plpgsql as $$ begin alter table altered add column c int; end $$`,
    steps: [...times(7, STAR), ['begin'], ['select adds()'], STAR, STAR, ['rollback'], STAR],
  },
  'a column is added by another session during a transaction': {
    before: TABLE,
    steps: [...times(7, STAR), ['begin'], ['select 1 as one'], ADD, STAR, ['select 1 as one'], ['rollback'], STAR],
  },
  'a table of the session takes the place of another': {
    before: TABLE,
    steps: [
      ...times(7, STAR, STAR_BY_VALUE),
      [`create temp table altered as select 9 as a, 'temporary' as t`],
      ...times(3, STAR, STAR_BY_VALUE),
      ['drop table pg_temp.altered'],
      ...times(2, STAR),
    ],
  },
  'a better fitting function is made': {
    before: `drop function if exists fits(text); drop function if exists fits(int);
      create function fits(a text) returns text language sql as $$ select 'text' $$`,
    steps: [
      ...times(7, [`select fits('1') as v`]),
      { admin: `create function fits(a int) returns text language sql as $$ select 'int' $$` },
      ...times(7, [`select fits('1') as v`]),
      ...times(7, ['select fits(1) as v']),
    ],
  },
  'a function is replaced': {
    before: `drop function if exists changes(); create function changes() returns int language sql as 'select 1'`,
    steps: [
      ...times(7, ['select changes() as v']),
      { admin: `create or replace function changes() returns int language sql as 'select 2'` },
      ...times(3, ['select changes() as v']),
      { admin: `drop function changes(); create function changes() returns text language sql as $$ select 'x' $$` },
      ...times(3, ['select changes() as v']),
    ],
  },
  'the time zone changes, and a literal means another time': {
    steps: [
      [`set timezone = 'UTC'`],
      ...times(7, [`select '2024-01-01 00:00'::timestamptz = '2024-01-01 00:00+00'::timestamptz as same`]),
      [`set timezone = 'Asia/Tokyo'`],
      ...times(2, [`select '2024-01-01 00:00'::timestamptz = '2024-01-01 00:00+00'::timestamptz as same`]),
    ],
  },
  'the time zone changes, and values look different': {
    steps: [
      [`set timezone = 'UTC'`],
      ...times(7, ['select $1::timestamptz::text as v, $1::timestamptz as w', ['2024-01-01 00:00']]),
      [`set timezone = 'Asia/Tokyo'`],
      ...times(2, ['select $1::timestamptz::text as v, $1::timestamptz as w', ['2024-01-01 00:00']]),
    ],
  },
  'the style of dates changes, and a literal means another day': {
    steps: [
      ['set datestyle = ISO, MDY'],
      ...times(7, [`select '01/02/2024'::date = date '2024-01-02' as same`]),
      ['set datestyle = ISO, DMY'],
      ...times(2, [`select '01/02/2024'::date = date '2024-01-02' as same`]),
      ['reset datestyle'],
    ],
  },
  'a literal means now': {
    steps: [...times(7, [`select 'now'::timestamptz = now() as same`])],
  },
  'a literal means today': {
    steps: [...times(7, ['select timestamptz $$now$$ = now() as same, $1::int as n', [1]])],
  },
  'the role changes, and with it who may read': {
    before: `${TABLE} do $$ begin create role nobody_may; exception when duplicate_object then null; end $$`,
    steps: [
      ...times(7, STAR),
      ['set role nobody_may'],
      ...times(2, STAR),
      ['select current_user as me'],
      ['reset role'],
      ...times(2, STAR),
    ],
  },
  'a policy for rows reads a setting': {
    before: `${TABLE} do $$ begin create role sees_some; exception when duplicate_object then null; end $$;
      alter table altered enable row level security; grant select on altered to sees_some;
      create policy shown on altered using (a = current_setting('app.a')::int)`,
    steps: [
      ['set role sees_some'],
      [`set app.a = '1'`],
      ...times(7, STAR),
      [`set app.a = '2'`],
      ...times(3, STAR),
      ['reset role'],
      ...times(3, STAR),
    ],
  },
  'values of several kinds for one text': {
    steps: [
      ...times(2, ['select $1 as v', ['x']], ['select $1 as v', [1]], ['select $1 as v', [null]]),
      ...times(6, ['select $1::text as v', [1]], ['select $1::text as v', [Buffer.from('x')]]),
    ],
  },
  'too few and too many values, again and again': {
    steps: times(7, ['select $1::int as a', []], ['select $1::int as a', [1, 2]], ['select $1::int as a', [1]]),
  },
  'a transaction that has failed': {
    before: TABLE,
    steps: [...times(7, STAR, STAR_BY_VALUE), ['begin'], ['select 1 / 0'], ['rollback to savepoint none'], STAR],
  },
  'an error at each run': { steps: times(8, ['select 1 / $1::int as v', [0]]) },
  'an error at some runs': {
    steps: times(4, ['select 1 / $1::int as v', [0]], ['select 1 / $1::int as v', [1]]),
  },
  'a text that never parses': { steps: times(8, ['select nonsense from nowhere']) },
  'one name for one text': {
    steps: times(6, [{ name: 'a', text: 'select $1::int as v', values: [1] }]),
  },
  'one name for two texts': {
    steps: times(
      3,
      [{ name: 'b', text: 'select $1::int as v', values: [1] }],
      [{ name: 'b', text: 'select $1::text as v', values: [1] }],
    ),
  },
  'a name, and the same text without one': {
    steps: times(
      7,
      [{ name: 'c', text: 'select $1::int as v', values: [1] }],
      ['select $1::int as v', [2]],
      [{ text: 'select $1::int as v', values: [3], rowMode: 'array' }],
    ),
  },
  'a name, and DEALLOCATE ALL in between': {
    poolsOnly: true,
    steps: [
      ...times(3, [{ name: 'd', text: 'select $1::int as v', values: [1] }]),
      ['deallocate all'],
      ...times(3, [{ name: 'd', text: 'select $1::int as v', values: [1] }]),
    ],
  },
  'a name, and DEALLOCATE of it in between': {
    poolsOnly: true,
    steps: [
      ...times(3, [{ name: 'e', text: 'select $1::int as v', values: [1] }]),
      ['deallocate e'],
      ...times(3, [{ name: 'e', text: 'select $1::int as v', values: [1] }]),
    ],
  },
  'a name, and DISCARD ALL in between': {
    poolsOnly: true,
    steps: [
      ...times(3, [{ name: 'f', text: 'select $1::int as v', values: [1] }]),
      ['discard all'],
      ...times(3, [{ name: 'f', text: 'select $1::int as v', values: [1] }]),
    ],
  },
  'a name that a function throws away': {
    poolsOnly: true,
    before: `create or replace function throws_away() returns void language plpgsql as $$ begin execute 'deallocate all'; end $$`,
    steps: [
      ...times(3, [{ name: 'g', text: 'select $1::int as v', values: [1] }]),
      ['select throws_away()'],
      ...times(3, [{ name: 'g', text: 'select $1::int as v', values: [1] }]),
    ],
  },
  'a name, and a column is added': {
    before: TABLE,
    poolsOnly: true,
    steps: [
      ...times(3, [{ name: 'h', text: 'select * from altered' }]),
      ADD,
      ...times(3, [{ name: 'h', text: 'select * from altered' }]),
    ],
  },
  'a name, and a column is added inside a transaction': {
    before: TABLE,
    poolsOnly: true,
    steps: [
      ...times(3, [{ name: 'i', text: 'select * from altered' }]),
      ['begin'],
      ['alter table altered add column c int'],
      [{ name: 'i', text: 'select * from altered' }],
      ['rollback'],
      ...times(3, [{ name: 'i', text: 'select * from altered' }]),
    ],
  },
  'a name that a statement of SQL has': {
    poolsOnly: true,
    steps: [
      ['prepare j as select 1 as by_sql'],
      [{ name: 'j', text: 'select 2 as by_name' }],
      ['execute j'],
      [{ name: 'j', text: 'select 2 as by_name' }],
    ],
  },
  'a name that SQL executes': {
    steps: [[{ name: 'k', text: 'select $1::int as v', values: [1] }], ['execute k (2)'], ['deallocate k']],
  },
  'names that pg has from its objects': {
    steps: times(2, [{ name: 'toString', text: 'select 1 as v' }], [{ name: '__proto__', text: 'select 1 as v' }]),
  },
};

for (const [name, story] of Object.entries(STORIES))
  test(`when this happens, what is prepared gives what pg gives: ${name}`, (t) => tell(t, server.config, admin, story));

function pooled(t: TestContext, options: PoolOptions): Pool {
  return withPool(t, { ...server.config, speaker: 'auto', max: 1, ...options });
}

async function names(asked: Pool | Lease): Promise<number> {
  const { rows } = await asked.query<{ n: number }>(
    'select count(*)::int as n from pg_prepared_statements where not from_sql',
  );
  return rows[0]?.n ?? Number.NaN;
}

test('a text is prepared at its fifth use, and counted from then on', async (t) => {
  const pool = pooled(t, {});
  const prepared: number[] = [];
  for (let use = 1; use <= 8; use += 1) {
    await pool.query('select $1::int as v', [use]);
    prepared.push(countsOf(pool).queriesPrepared);
  }
  assert.deepEqual(prepared, [0, 0, 0, 0, 1, 2, 3, 4]);
  assert.deepEqual(countsOf(pool), { queriesByCodec: 8, queriesByPg: 0, queriesPrepared: 4 });
});

test('with prepare always a text is prepared at its first use', async (t) => {
  const pool = pooled(t, { prepare: 'always' });
  for (let use = 1; use <= 3; use += 1) await pool.query('select $1::int as v', [use]);
  assert.deepEqual(countsOf(pool), { queriesByCodec: 3, queriesByPg: 0, queriesPrepared: 3 });
  assert.equal(await names(pool), 2);
});

test('with prepare false nothing is prepared', async (t) => {
  const pool = pooled(t, { prepare: false });
  for (let use = 1; use <= 8; use += 1) await pool.query('select $1::int as v', [use]);
  assert.deepEqual(countsOf(pool), { queriesByCodec: 8, queriesByPg: 0, queriesPrepared: 0 });
  assert.equal(await names(pool), 0);
});

test('with speaker pg the codec never speaks and nothing is prepared', async (t) => {
  const pool = pooled(t, { speaker: 'pg' });
  for (let use = 1; use <= 8; use += 1) await pool.query('select $1::int as v', [use]);
  assert.deepEqual(countsOf(pool), { queriesByCodec: 0, queriesByPg: 8, queriesPrepared: 0 });
});

test('more texts than a connection keeps give what they should, and the server keeps no more than that', async (t) => {
  const pool = pooled(t, { prepare: 'always' });
  const texts = Array.from({ length: 150 }, (_, n) => `select ${n} as c${n}, $1::int as v`);
  for (let round = 0; round < 3; round += 1)
    for (const [n, text] of texts.entries()) {
      const { rows }: pg.QueryResult = await pool.query(text, [round]);
      assert.deepEqual(rows, [{ [`c${n}`]: n, v: round }]);
    }
  assert.ok((await names(pool)) <= 101, `the server keeps ${await names(pool)}`);
});

test('a pool of several connections prepares on each what it uses there', async (t) => {
  const pool = pooled(t, { max: 4 });
  const text = 'select $1::int as v, pg_sleep(0.002)';
  const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => pool.query<{ v: number }>(text, [n])));
  assert.deepEqual(
    answers.map(({ rows }) => rows[0]?.v),
    answers.map((_, n) => n),
  );
  const { queriesByCodec, queriesByPg, queriesPrepared } = countsOf(pool);
  assert.deepEqual({ queriesByCodec, queriesByPg }, { queriesByCodec: 200, queriesByPg: 0 });
  assert.ok(queriesPrepared >= 150, `${queriesPrepared} of 200 were prepared`);
});
