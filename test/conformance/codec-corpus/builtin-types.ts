// The corpus's literals of every type that comes with the server, and of some made from them. Owns no query forms: one text per type asks for
// all its literals, as columns, as rows, in arrays, and as parameters. Data only.

import { type Entry, entry } from './entry.ts';

/** What the file's server has to have first. */
export const TYPES_SETUP = `
  create type mood as enum ('sad', 'ok', 'very "happy"', 'a,b', '{c}', '');
  create type pair as (a int, "b c" text, d pg_catalog.bool);
  create type nest as (p pair, m mood[]);
  create domain positive as int check (value > 0);
  create domain short_text as varchar(3) not null;
  create type float_range as range (subtype = float8);
`;

const LITERALS: Readonly<Record<string, readonly string[]>> = {
  int2: ['0', '-32768', '32767'],
  int4: ['0', '-2147483648', '2147483647'],
  int8: ['0', '-9223372036854775808', '9223372036854775807', '9007199254740993'],
  oid: ['0', '4294967295'],
  float4: ['0', '-0', '1.5', 'NaN', 'Infinity', '-Infinity', '1e-37', '3.4028235e38'],
  float8: ['0', '-0', '0.1', 'NaN', 'Infinity', '-Infinity', '5e-324', '1.7976931348623157e308', '1e21'],
  numeric: ['0', '-0.000', '1e30', 'NaN', 'Infinity', '-Infinity', '123456789012345678901234567890.123456789'],
  'numeric(10,2)': ['0', '-1.005', '99999999.99'],
  money: ['0', '-12.34', '1234567.89'],
  bool: ['t', 'f'],
  text: ['', ' ', 'é', '𝒳 😀', 'a\\b', `quote"s`, '{}', 'NULL', 'a,b', '\n\t', '\u2028', '\ufeff', 'x'.repeat(1000)],
  varchar: ['', 'abc', 'ÿ'],
  'varchar(3)': ['', 'abc'],
  'char(5)': ['', 'abc', 'abcde'],
  '"char"': ['', 'a', '\\377'],
  name: ['', 'abc', 'x'.repeat(63)],
  bytea: ['', '\\x', '\\x00ff5c27', '\\\\000abc\\\\', 'abc'],
  date: ['2024-02-29', 'infinity', '-infinity', '4713-01-01 BC', '0001-01-01', '5874897-12-31', '1969-12-31'],
  timestamp: [
    '2024-02-29 23:59:59.999999',
    'infinity',
    '-infinity',
    '0044-03-15 12:00 BC',
    '294276-12-31 23:59:59',
    '1900-01-01',
    '2024-03-31 02:30:00',
  ],
  'timestamp(0)': ['2024-02-29 23:59:59.5'],
  timestamptz: [
    '2024-02-29 23:59:59.999999+00',
    'infinity',
    '-infinity',
    '0044-03-15 12:00+00 BC',
    '294276-12-31 23:59:59+00',
    '1890-01-01 00:00+00',
    '2024-06-01 12:00:00.001+05:45',
  ],
  time: ['00:00', '24:00', '12:34:56.789012'],
  timetz: ['00:00+00', '24:00-15:59', '12:34:56.789012+05:45'],
  interval: [
    '0',
    '1 year -2 mons +3 days 04:05:06.789',
    '-1 day',
    '178000000 years',
    '@ 1 hour ago',
    '1 microsecond',
    '-00:00:01.5',
  ],
  json: ['null', '{"a": [1, 2.50, "x"], "a": null}', '"\\u0041"', '1', 'true', '[]', '  {}  ', '{"__proto__": 1}'],
  jsonb: ['null', '{"a": [1, 2.50, "x"], "a": null}', '"A"', '1e2', 'true', '[]', '{"__proto__": 1}'],
  jsonpath: ['$.a[*] ? (@ > 1)'],
  uuid: ['00000000-0000-0000-0000-000000000000', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'],
  inet: ['127.0.0.1', '10.0.0.0/8', '::1', '2001:db8::/32'],
  cidr: ['10.0.0.0/8', '2001:db8::/32'],
  macaddr: ['08:00:2b:01:02:03'],
  macaddr8: ['08:00:2b:01:02:03:04:05'],
  point: ['(0,0)', '(1.5,-2)', '(NaN,Infinity)', '(1e300,5e-324)'],
  line: ['{1,2,3}'],
  lseg: ['[(0,0),(1,1)]'],
  box: ['((1,1),(0,0))'],
  path: ['[(0,0),(1,1)]', '((0,0),(1,1))'],
  polygon: ['((0,0),(1,1),(1,0))'],
  circle: ['<(0,0),1>', '<(1.5,-2),0.5>'],
  int4range: ['empty', '[1,5)', '(,5]', '[1,)', '(,)'],
  int8range: ['empty', '[1,5)'],
  numrange: ['empty', '[1.5,2.5]'],
  tsrange: ['empty', '[2024-01-01,2024-02-01)', '[-infinity,infinity]'],
  tstzrange: ['[2024-01-01 00:00+00,)'],
  daterange: ['[2024-01-01,2024-02-01)'],
  float_range: ['[1.5,NaN]'],
  int4multirange: ['{}', '{[1,3),[5,8)}'],
  nummultirange: ['{[1.5,2.5]}'],
  datemultirange: ['{[2024-01-01,2024-02-01)}'],
  tstzmultirange: ['{}'],
  'bit(4)': ['0101'],
  varbit: ['', '1', '0101010101'],
  tsvector: ['', `fat:2,4A cat:3 'it''s'`],
  tsquery: ['fat & !cat:*A | (rat <-> hat)'],
  pg_lsn: ['0/0', '16/B374D848'],
  pg_snapshot: ['10:20:10,14,15'],
  txid_snapshot: ['10:20:10,14,15'],
  xid: ['0', '4294967295'],
  xid8: ['0', '18446744073709551615'],
  cid: ['0'],
  tid: ['(0,1)'],
  regclass: ['pg_class', '0', '-'],
  regtype: ['integer', '0'],
  regproc: ['pg_typeof'],
  regprocedure: ['abs(integer)'],
  regoperator: ['+(integer,integer)'],
  regrole: ['0'],
  regnamespace: ['pg_catalog'],
  regcollation: ['"C"'],
  regconfig: ['simple'],
  regdictionary: ['simple'],
  oidvector: ['', '1 2 3'],
  int2vector: ['', '1 -2 3'],
  refcursor: ['', 'a cursor'],
  mood: ['sad', 'very "happy"', 'a,b', '{c}', ''],
  pair: ['(1,"a ""b""",t)', '(,,)', '(2,"",f)', '(3,"a,b(\\\\",)'],
  nest: ['("(1,x,t)","{sad,\\"a,b\\"}")', '(,)'],
  positive: ['1', '2147483647'],
  short_text: ['', 'abc'],
};

/** The delimiter of their arrays is no comma. */
const SEMICOLON: ReadonlySet<string> = new Set(['box']);

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function element(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

function entriesOf(type: string, literals: readonly string[]): Entry[] {
  const cast = (text: string): string => `${literal(text)}::${type}`;
  const columns = literals.map((text, n) => `${cast(text)} as c${n}`).join(', ');
  const rows = [...literals.map((text) => `(${cast(text)})`), '(null)'].join(', ');
  const parameters = literals.map((_, n) => `$${n + 1}::${type} as "${n}"`).join(', ');
  // With a backslash before a quote the text means something else to some settings: pg speaks.
  const speaks = literals.some((text) => text.endsWith('\\')) ? 'pg' : 'codec';
  const entries = [
    entry(`type ${type}: columns`, speaks, [`select ${columns}, null::${type === 'short_text' ? 'text' : type} as n`], {
      prepared: speaks === 'codec',
    }),
    entry(`type ${type}: rows`, speaks, [`select v, 1 as one from (values ${rows}) as t (v)`]),
    entry(`type ${type}: rows as arrays`, speaks, [
      { text: `select v, v as v from (values ${rows}) as t (v) where true`, rowMode: 'array' },
    ]),
    entry(`type ${type}: parameters`, 'codec', [`select ${parameters}`, literals]),
  ];
  const delimiter = SEMICOLON.has(type) ? ';' : ',';
  const all = literals.map(element).join(delimiter);
  const nulls = type === 'short_text' ? '' : `${delimiter}NULL`;
  const arrays = [
    `'{}'::${type}[] as empty`,
    `${literal(`{${all}${nulls}}`)}::${type}[] as flat`,
    `${literal(`{{${all}}${delimiter}{${all}}}`)}::${type}[] as nested`,
    `${literal(`{{{${all}}}${delimiter}{{${all}}}}`)}::${type}[] as deep`,
    `${literal(`[3:${literals.length + 2}]={${all}}`)}::${type}[] as bounds`,
    `${literal(`[-1:-1][0:${literals.length - 1}]={{${all}}}`)}::${type}[] as odd`,
    `null::${type}[] as none`,
  ];
  entries.push(
    entry(`type ${type}: arrays`, 'codec', [`select ${arrays.join(', ')}`]),
    entry(`type ${type}: arrays as parameters`, 'codec', [`select $1::${type}[] as v`, [`{${all}${nulls}}`]]),
  );
  return entries;
}

const SPECIAL: readonly Entry[] = [
  entry('a function that returns void', 'codec', ['select pg_sleep(0) as v, pg_sleep(0)']),
  entry('an anonymous record', 'codec', [`select row(1, 'a"b', null, row(2)) as r, (1, 2) as s`]),
  entry('an array of records', 'codec', [`select array[row(1, 'x'), row(null, '')] as r`]),
  entry('a whole row', 'codec', ['select t from (values (1, null), (2, 3)) as t (a, b)']),
  entry('unknown literals', 'codec', [`select 'x', null, '' as e`]),
  entry('an access control item', 'codec', [`select null::aclitem as a, '{}'::aclitem[] as b`]),
  entry('catalogue rows', 'codec', [`select * from pg_class where oid in (1259, 1247, 1249) order by oid`]),
  entry('catalogue functions', 'codec', [`select * from pg_proc where proname = 'abs' order by oid`]),
  entry('pg_node_tree', 'codec', [`select ev_action from pg_rewrite order by oid limit 1`]),
  entry('bytea in the older output', 'codec', [`select '\\x00ff5c27'::bytea as v`]),
];

export const BUILTIN_TYPES: readonly Entry[] = [
  ...Object.entries(LITERALS).flatMap(([type, literals]) => entriesOf(type, literals)),
  ...SPECIAL,
];
