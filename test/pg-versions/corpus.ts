// What is asked of the pool and of pg's own client alike, in the suite `pg-versions`: some of each kind of value, of result, of parameter, of
// form of a query and of error. What comes back is compared by whoever asks. Each entry leaves nothing behind.

import type pg from 'pg';

export interface Entry {
  readonly what: string;
  readonly query: string | pg.QueryConfig | pg.QueryArrayConfig;
  readonly values?: readonly unknown[];
  /** Undone afterwards, so that each who asks finds the same. */
  readonly writes?: boolean;
}

/** For what writes. */
export const TABLE =
  "CREATE TABLE kept (id int PRIMARY KEY, name text NOT NULL CHECK (name <> ''), at timestamptz); INSERT INTO kept VALUES (1, 'one', '2024-05-06 07:08:09Z'), (2, 'two', NULL)";

const shouted = (text: string): string => `${text}!`;
const shout = { getTypeParser: () => shouted };

const point = { toPostgres: () => '(1,2)' };

export const CORPUS: readonly Entry[] = [
  { what: 'a number', query: 'SELECT 1 AS one' },
  { what: 'no column', query: 'SELECT' },
  { what: 'no row', query: 'SELECT 1 AS one WHERE false' },
  { what: 'a column without a name', query: "SELECT 'a' || 'b'" },
  { what: 'a name twice', query: 'SELECT 1 AS a, 2 AS b, 3 AS a' },
  { what: 'names that objects have of their own', query: 'SELECT 1 AS constructor, 2 AS "toString", 3 AS length' },
  { what: 'names of more than one byte', query: 'SELECT 1 AS "größe", 2 AS "名前", 3 AS "it\'s"' },
  { what: 'integers of each size', query: 'SELECT 1::int2 AS a, 2::int4 AS b, 3::int8 AS c, 4::oid AS d' },
  { what: 'numbers with a fraction', query: "SELECT 1.5::float8 AS a, 'NaN'::float4 AS b, 1.50::numeric AS c" },
  { what: 'booleans and nothing', query: 'SELECT true AS a, false AS b, NULL::bool AS c, NULL AS d' },
  {
    what: 'moments',
    query: "SELECT '2024-02-29'::date AS a, '2024-02-29 12:00:00.123456'::timestamp AS b, 'infinity'::timestamptz AS c",
  },
  { what: 'a time span', query: "SELECT '1 year 2 days 03:04:05.678'::interval AS a" },
  { what: 'bytes', query: "SELECT '\\xdeadbeef'::bytea AS a, ''::bytea AS b" },
  { what: 'JSON', query: `SELECT '{"a":[1,null,"x"]}'::json AS a, '{"b":{}}'::jsonb AS b` },
  { what: 'arrays', query: `SELECT '{1,NULL,3}'::int[] AS a, '{{a,"b c"},{d,NULL}}'::text[] AS b, '{}'::int8[] AS c` },
  { what: 'types without a parser', query: "SELECT '10.0.0.1'::inet AS a, '[1,5)'::int4range AS b, ROW(1,'x') AS c" },
  { what: 'a point and a circle', query: "SELECT '(1,2)'::point AS a, '<(1,2),3>'::circle AS b" },
  { what: 'many rows', query: 'SELECT n, n * n AS square FROM generate_series(1, 500) AS n' },
  { what: 'many columns', query: `SELECT ${Array.from({ length: 250 }, (_, n) => `${n} AS c${n}`).join(', ')}` },
  { what: 'a long value', query: "SELECT repeat('äb', 100000) AS long" },
  { what: 'characters beyond the first plane', query: 'SELECT $1::text AS a', values: ['𝄞 é ñ 名'] },
  {
    what: 'parameters of each kind',
    query: 'SELECT $1::int AS a, $2::text AS b, $3::bool AS c',
    values: [1, 'x', true],
  },
  { what: 'parameters that are nothing', query: 'SELECT $1::int AS a, $2::text AS b', values: [null, undefined] },
  { what: 'a moment as a parameter', query: 'SELECT $1::timestamptz AS a', values: [new Date(1_700_000_000_000)] },
  { what: 'bytes as a parameter', query: 'SELECT $1::bytea AS a', values: [Buffer.from([0, 1, 255])] },
  { what: 'an array as a parameter', query: 'SELECT $1::text[] AS a', values: [['a', null, 'b"c', '']] },
  { what: 'an object as a parameter', query: 'SELECT $1::jsonb AS a', values: [{ a: [1, { b: null }] }] },
  { what: 'what writes itself', query: 'SELECT $1::point AS a', values: [point] },
  { what: 'a large integer as a parameter', query: 'SELECT $1::int8 AS a', values: [2n ** 60n] },
  { what: 'rows as arrays', query: { text: 'SELECT 1 AS a, NULL AS b, 3 AS a', rowMode: 'array' } },
  { what: 'a name', query: { name: 'named', text: 'SELECT $1::int + 1 AS next', values: [41] } },
  { what: 'parsers of its own', query: { text: 'SELECT 1 AS a, NULL AS b', types: shout } },
  { what: 'several statements', query: 'SELECT 1 AS a; SELECT 2 AS b, 3 AS c; SELECT 4 AS d WHERE false' },
  { what: 'nothing but a comment', query: '-- nothing' },
  { what: 'an empty text', query: '' },
  { what: 'a setting', query: "SET application_name = 'pg-versions'" },
  { what: 'a table', query: 'SELECT * FROM kept ORDER BY id' },
  { what: 'an insert that returns', query: "INSERT INTO kept VALUES (3, 'three') RETURNING *", writes: true },
  { what: 'an update', query: 'UPDATE kept SET name = $1 WHERE id > 0', values: ['x'], writes: true },
  { what: 'a delete', query: 'DELETE FROM kept', writes: true },
  { what: 'a table made and filled', query: 'CREATE TEMP TABLE made AS SELECT 1 AS a FROM kept', writes: true },
  { what: 'an error of syntax', query: 'SELEC 1' },
  { what: 'an unknown column', query: 'SELECT nowhere FROM kept' },
  { what: 'a division by zero, after some rows', query: 'SELECT 1 / (3 - n) FROM generate_series(1, 5) AS n' },
  { what: 'a key that is there', query: 'INSERT INTO kept VALUES ($1, $2)', values: [1, 'again'], writes: true },
  { what: 'a check that fails', query: "INSERT INTO kept VALUES (9, '')", writes: true },
  { what: 'a parameter that does not fit', query: 'SELECT $1::int AS a', values: ['x'] },
  { what: 'too few parameters', query: 'SELECT $1::int AS a, $2::int AS b', values: [1] },
  { what: 'an error with a hint and a detail', query: "DO $$BEGIN RAISE 'no' USING HINT = 'h', DETAIL = 'd'; END$$" },
  {
    what: 'a cast that fails in the middle of a name',
    query: { name: 'fails', text: 'SELECT $1::int', values: ['y'] },
  },
];
