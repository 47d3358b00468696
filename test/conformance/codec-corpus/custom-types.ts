// The corpus's type parsers that a query brings with it: odd ones, failing ones, and a new closure for each call, as ORMs do. Data
// only; parsers that are set on clients and on pg itself change with time, and have a test file of their own.

import pg from 'pg';
import { type Entry, fresh } from './entry.ts';

const SQL = `select 1 as n, 'x' as t, null as nothing, '2024-02-29'::date as d, '{"a": 1}'::jsonb as j, array[1, 2] as a, true as b`;

const THREE = 'select n, n::text as t from generate_series(1, 3) as n';

/** Drizzle's way: a closure of its own for each query, which asks pg for what it does not know. */
function likeDrizzle(): pg.CustomTypesConfig {
  return {
    getTypeParser: (oid: number, format?: 'text' | 'binary') => {
      if (oid === pg.types.builtins.DATE) return (value: string) => value;
      if (oid === pg.types.builtins.JSONB) return (value: string) => ({ drizzled: value });
      return pg.types.getTypeParser(oid, format as 'text');
    },
  };
}

class Overrides {
  readonly #prefix = 'overridden';
  getTypeParser(oid: number): (value: string) => string {
    return (value) => `${this.#prefix} ${oid} ${value}`;
  }
}

function parsing(parse: (value: string) => unknown): { getTypeParser: () => (value: string) => unknown } {
  return { getTypeParser: () => parse };
}

function failing(thrown: unknown): { getTypeParser: () => () => never } {
  return parsing(() => {
    throw thrown;
  }) as { getTypeParser: () => () => never };
}

class ParserError extends RangeError {
  override name = 'ParserError';
  readonly code = 'PARSER';
}

const PARSERS: Readonly<Record<string, () => unknown>> = {
  'like Drizzle': likeDrizzle,
  'of a class': () => new Overrides(),
  'of pg itself': () => pg.types,
  'overrides of pg': () => {
    const types = new pg.TypeOverrides();
    types.setTypeParser(pg.types.builtins.INT4, (value: string) => `int ${value}`);
    return types;
  },
  'that give undefined': () => parsing(() => undefined),
  'that give promises': () => parsing((value) => Promise.resolve(value)),
  'that give functions': () => parsing((value) => () => value),
  'that give themselves as an object': () => parsing((value) => ({ value, toString: null })),
  'that tell what they were given': () =>
    parsing(function told(this: unknown, ...given: unknown[]): unknown {
      return { given, of: Array.isArray(this) ? this.length : typeof this };
    }),
  'that count': () => {
    let calls = 0;
    return parsing(() => {
      calls += 1;
      return calls;
    });
  },
  'that tell what they were asked for': () => {
    const asked: unknown[] = [];
    return {
      asked,
      getTypeParser(...given: unknown[]) {
        asked.push([...given, this === undefined ? 'no this' : Object.keys(this as object).length]);
        return (value: string) => [value, asked.length];
      },
    };
  },
  'that are one function for all': () => parsing(String),
  'that change with each column': () => {
    let asked = 0;
    return {
      getTypeParser() {
        asked += 1;
        const mine = asked;
        return (value: string) => `${mine}: ${value}`;
      },
    };
  },
  'with a length of their own': () => ({ length: 0, getTypeParser: () => (value: string) => `long ${value}` }),
  'that are a function': () =>
    Object.assign(() => 1, { getTypeParser: () => (value: string) => `by function ${value}` }),
  'that are frozen': () => Object.freeze(parsing((value) => `frozen ${value}`)),
  'that are no function': () => ({ getTypeParser: () => undefined }),
  'that are a string': () => ({ getTypeParser: () => 'no parser' }),
  'that are null': () => ({ getTypeParser: () => null }),
  'that are bound': () => parsing(((prefix: string, value: string) => prefix + value).bind(null, 'bound ')),
  'that fail': () => failing(new Error('refused by a parser')),
  'that fail with a class of their own': () => failing(new ParserError('refused by a parser')),
  'that fail with a frozen error': () => failing(Object.freeze(new Error('frozen'))),
  'that fail with a string': () => failing('a string'),
  'that fail with an object': () => failing({ message: 'no error', code: 7 }),
  'that fail with null': () => failing(null),
  'that fail with undefined': () => failing(undefined),
  'that fail with 0': () => failing(0),
  'that fail at the second row': () => {
    let calls = 0;
    return parsing((value) => {
      calls += 1;
      if (calls === 3) throw new Error('refused the third value');
      return value;
    });
  },
  'that fail with undefined at the second row': () => {
    let calls = 0;
    return parsing((value) => {
      calls += 1;
      if (calls === 3) throw undefined;
      return value;
    });
  },
};

/** No object that has parsers: pg takes its own, or fails. */
const NO_TYPES: Readonly<Record<string, unknown>> = {
  null: null,
  undefined,
  false: false,
  0: 0,
  'an empty string': '',
};

/** They fail when they are called, with an error that names the place in the code where that is. */
const NOT_CALLABLE: ReadonlySet<string> = new Set(['that are no function', 'that are a string', 'that are null']);

export const CUSTOM_TYPES: readonly Entry[] = [
  ...Object.entries(PARSERS).flatMap(([name, make]) => {
    const rest = {
      closures: true,
      ...(NOT_CALLABLE.has(name) ? { unlike: 'the error names another place' } : {}),
    } as const;
    return [
      fresh(`parsers ${name}`, 'either', () => [{ text: SQL, types: make() }], rest),
      fresh(`parsers ${name}, of rows`, 'either', () => [{ text: THREE, types: make() }], rest),
      fresh(
        `parsers ${name}, of rows as arrays`,
        'either',
        () => [{ text: `${THREE} `, types: make(), rowMode: 'array' }],
        rest,
      ),
      fresh(
        `parsers ${name}, with a value`,
        'either',
        () => [{ text: `${SQL} where $1`, values: [true], types: make() }],
        rest,
      ),
      fresh(
        `parsers ${name}, and an error of the server`,
        'either',
        () => [{ text: 'select 1 / (2 - n) as v from generate_series(1, 2) as n', types: make() }],
        rest,
      ),
    ];
  }),
  ...Object.entries(NO_TYPES).map(([name, types]) =>
    fresh(`types ${name}`, 'codec', () => [{ text: `${SQL}, '${name}'`, types }]),
  ),
  fresh('parsers of a query without columns', 'codec', () => [{ text: 'select', types: likeDrizzle() }], {
    closures: true,
  }),
  fresh('parsers like Drizzle, spoken for', 'codec', () => [{ text: `${SQL}, 'codec'`, types: likeDrizzle() }], {
    closures: true,
    prepared: true,
  }),
];
