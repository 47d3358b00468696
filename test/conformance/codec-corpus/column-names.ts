// The corpus's columns with odd names, odd numbers of columns, and rows of odd sizes. Data only.

import { type Entry, entry } from './entry.ts';

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

const ODD_NAMES: readonly string[] = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'valueOf',
  'hasOwnProperty',
  'toJSON',
  'then',
  'length',
  'name',
  '0',
  '1',
  '-1',
  '01',
  '1.5',
  '4294967294',
  '4294967295',
  '9007199254740993',
  'Infinity',
  'NaN',
  'null',
  'undefined',
  ' ',
  'a b',
  'é',
  '𝒳',
  '😀 or not',
  '"',
  "'",
  '`',
  '$' + '{x}',
  '\\',
  '\\u0041',
  '\\"',
  '\n',
  '\r\n',
  '\t',
  '\u2028',
  '\u2029',
  '\ufeff',
  '\u0001',
  '//',
  '*/',
  '];throw 1//',
  'b',
  'p',
  'q',
  'l',
  'v0',
  'v1',
  'this',
  'class',
  'return',
  'x'.repeat(63),
  'é'.repeat(31),
];

const SELECTS: Readonly<Record<string, string>> = {
  'all odd names at once': `select ${ODD_NAMES.map((name, n) => `${n} as ${quoted(name)}`).join(', ')}`,
  'all odd names at once, as nulls': `select ${ODD_NAMES.map((name) => `null as ${quoted(name)}`).join(', ')}`,
  'a name twice': 'select 1 as a, 2 as b, 3 as a',
  'a name twice, the second null': 'select 1 as a, 2 as b, null as a',
  'a name twice, the first null': 'select null as a, 2 as b, 1 as a',
  'a name three times, of three types': `select 1 as a, 'x' as a, now() < now() as a`,
  '__proto__ twice': 'select 1 as "__proto__", 2 as "__proto__"',
  '__proto__ among others': `select 1 as a, '{"x": 1}'::json as "__proto__", 2 as b`,
  '__proto__ as null': 'select null as "__proto__", 2 as b',
  'integers, not in their order': 'select 1 as b, 2 as "10", 3 as "9", 4 as a, 5 as "0"',
  'columns without a name': 'select 1, 2, 3',
  'no columns': 'select',
  'no columns, three rows': 'select from generate_series(1, 3)',
  'no columns, no rows': 'select where false',
  'no rows': 'select 1 as a where false',
  'no rows of two columns of one name': 'select 1 as a, 2 as a where false',
  'one row of nulls': 'select null as a, null::int as b',
  '200 columns': `select ${Array.from({ length: 200 }, (_, n) => `${n} as c${n}`).join(', ')}`,
  '201 columns': `select ${Array.from({ length: 201 }, (_, n) => `${n} as c${n}`).join(', ')}`,
  '1600 columns': `select ${Array.from({ length: 1600 }, (_, n) => `${n % 7 === 0 ? 'null' : n}`).join(', ')}`,
  '1000 rows': `select n, n::text as t, nullif(n % 3, 0) as m from generate_series(1, 1000) as n`,
  'one field of 200 000 bytes': `select repeat('é', 100000) as v, 1 as one`,
  'rows of growing size': `select n, repeat('x', n * 37) as v from generate_series(0, 300) as n`,
};

function entriesOf([name, text]: [string, string]): Entry[] {
  return [
    entry(`columns: ${name}`, 'codec', [text], { prepared: true }),
    entry(`columns, as arrays: ${name}`, 'codec', [{ text: `${text} `, rowMode: 'array' }], { prepared: true }),
    entry(`columns, with a parameter: ${name}`, 'codec', [`select t.* from (${text}) as t where $1`, [true]]),
  ];
}

export const COLUMN_NAMES: readonly Entry[] = [
  ...ODD_NAMES.map((name) =>
    entry(`a column called ${JSON.stringify(name).slice(0, 40)}`, 'codec', [`select 1 as ${quoted(name)}, 2 as other`]),
  ),
  ...Object.entries(SELECTS).flatMap(entriesOf),
];
