// The corpus's values: everything that pg makes a parameter of, or refuses to. Data only; functions make values that have a state.

import { type Entry, entry, fresh } from './entry.ts';

/** Each is echoed as text, as what the server makes of it, and once more next to others. */
const VALUES: Readonly<Record<string, unknown>> = {
  null: null,
  undefined,
  'an empty string': '',
  'a blank': ' ',
  'a string of one unit': 'a',
  '24 ASCII characters': 'x'.repeat(24),
  '25 ASCII characters': 'x'.repeat(25),
  '24 characters, the last beyond ASCII': `${'x'.repeat(23)}é`,
  'a string with a backslash and quotes': `\\ ' " \\'`,
  'Latin-1': 'ÀÿÆ',
  Chinese: '连接池',
  emoji: '😀👩‍👩‍👧‍👦',
  'a lone high surrogate': 'a\ud83d',
  'a lone low surrogate': '\ude00a',
  'surrogates the wrong way round': '\ude00\ud83d',
  'a byte order mark': '\ufeffx',
  'line separators': '\u2028\u2029',
  'control characters': '\u0001\u001f\u007f\u0080\u009f',
  'a long string': 'abcdefgh'.repeat(10_000),
  'a long string beyond ASCII': '连'.repeat(40_000),
  'the length of one buffer': 'x'.repeat(65_536),
  'one more than the length of one buffer': 'é'.repeat(65_537),
  0: 0,
  '-0': -0,
  1.5: 1.5,
  'a third': 1 / 3,
  '1e21': 1e21,
  '1e-7': 1e-7,
  'the smallest number': 5e-324,
  'the largest number': Number.MAX_VALUE,
  NaN,
  Infinity,
  '-Infinity': -Infinity,
  'the largest safe integer': Number.MAX_SAFE_INTEGER,
  'a bigint': 123_456_789_012_345_678_901_234_567_890n,
  'a negative bigint': -1n,
  true: true,
  false: false,
  'a date': new Date(1_709_164_799_999),
  'the epoch': new Date(0),
  'a date before 1900': new Date(-3_000_000_000_000),
  'the year 1': new Date('0001-01-01T00:00:00.000Z'),
  'the year 1 before our era': new Date('0000-06-15T12:00:00.000Z'),
  'the year 44 before our era': new Date('-000043-03-15T12:00:00.000Z'),
  'the last date': new Date(8_640_000_000_000_000),
  'an invalid date': new Date(Number.NaN),
  'an object': { a: 1, b: [null, 'x'], c: { d: new Date(0) } },
  'an empty object': {},
  'an object without a prototype': Object.assign(Object.create(null), { a: 1 }),
  'an object with toJSON': { toJSON: () => ({ z: 1 }) },
  'an object whose toJSON gives undefined': { toJSON: () => undefined },
  'an object with __proto__': JSON.parse('{"__proto__": 1}'),
  'a map': new Map([[1, 2]]),
  'a set': new Set([1]),
  'an error': new RangeError('no'),
  'a regular expression': /x/g,
  'a String object': new String('boxed'),
  'a Number object': new Number(7),
  'a Boolean object': new Boolean(false),
  'a URL': new URL('http://example.org/?a=b'),
  'a promise': Promise.resolve(1),
  'a frozen object': Object.freeze({ frozen: true }),
  'a symbol': Symbol('s'),
  'a symbol without a description': Symbol(),
  'a function': function given(): number {
    return 1;
  },
  'an arrow function': () => 2,
  'a class': class Given {},
  'a function whose toString gives a number': Object.assign(() => 1, { toString: () => 7 }),
  'a function whose toString gives null': Object.assign(() => 1, { toString: () => null }),
  'a function whose toString gives bytes': Object.assign(() => 1, { toString: () => Buffer.from('bytes') }),
  'a function whose toString throws': Object.assign(() => 1, {
    toString: () => {
      throw new RangeError('refused by toString');
    },
  }),
  'an empty array': [],
  'an array of numbers': [1, -0, Number.NaN, 1e21],
  'an array of strings': ['a', '', 'b,c', 'd"e', 'f\\g', '{h}', 'NULL', 'null', ' i ', "j'k", '😀'],
  'an array with nulls': [null, 1, undefined],
  'an array with holes': Object.assign(new Array<unknown>(3), { 0: 1, 2: 3 }),
  'a sparse array': Object.assign([], { length: 3, 1: 'x' }),
  'a nested array': [
    [1, 2],
    [3, 4],
  ],
  'arrays in arrays in arrays': [
    [[1], [2]],
    [[3], [null]],
  ],
  'an uneven array': [[1, 2], [3]],
  'an array of empty arrays': [[], []],
  'an array of dates': [new Date(0), new Date(1_709_164_799_999)],
  'an array of buffers': [Buffer.from([0, 255]), Buffer.alloc(0), new Uint8Array([1, 2])],
  'an array of objects': [{ a: 'x"y' }, { b: null }],
  'an array of booleans': [true, false],
  'an array of bigints': [1n, -2n],
  'an array of functions': [() => 1],
  'an array of symbols': [Symbol('in')],
  'an array of objects with toPostgres': [{ toPostgres: () => 'p' }, { toPostgres: () => null }],
  'an array whose toPostgres is called never': Object.assign([1], { toPostgres: () => 'never' }),
  'an array of objects that JSON leaves out': [{ toJSON: () => undefined }],
  'an array of a class of its own': class extends Array<number> {}.from([1, 2]),
  'an object with toPostgres': { toPostgres: () => 'from toPostgres' },
  'an object with toPostgres that gives a number': { toPostgres: () => 7 },
  'an object with toPostgres that gives null': { toPostgres: () => null },
  'an object with toPostgres that gives undefined': { toPostgres: () => undefined },
  'an object with toPostgres that gives an array': { toPostgres: () => [1, { toPostgres: () => 'inner' }] },
  'an object with toPostgres that gives another': { toPostgres: () => ({ toPostgres: () => 'second' }) },
  'an object with toPostgres that gives an object': { toPostgres: () => ({ json: true }) },
  'an object with toPostgres that prepares': {
    toPostgres: (prepare: (value: unknown) => unknown) => prepare([1, 'x', null]),
  },
  'an object with toPostgres that throws': {
    toPostgres: () => {
      throw new RangeError('refused by toPostgres');
    },
  },
  'an object with toPostgres that throws a string': {
    toPostgres: () => {
      throw 'a string';
    },
  },
  'an object with toPostgres that throws undefined': {
    toPostgres: () => {
      throw undefined;
    },
  },
  'an object whose toPostgres is no function': { toPostgres: 'x' },
  'a string with NUL': 'a\0b',
};

function circular(): unknown {
  const value = { toPostgres: (): unknown => value, toString: () => 'the circle' };
  return value;
}

function twoInACircle(): unknown {
  const one: Record<string, unknown> = { toString: () => 'one of two' };
  one.toPostgres = () => ({ toPostgres: () => one });
  return one;
}

function circularJson(): unknown {
  const value: Record<string, unknown> = {};
  value.self = value;
  return value;
}

const BYTES: Readonly<Record<string, () => unknown>> = {
  'a buffer': () => Buffer.from([0, 1, 2, 255, 92, 39]),
  'an empty buffer': () => Buffer.alloc(0),
  'a slice of a buffer': () => Buffer.from('abcdefgh').subarray(2, 5),
  'a Uint8Array': () => new Uint8Array([1, 2, 3]),
  'a Uint8Array with an offset': () => new Uint8Array(new Uint8Array([1, 2, 3, 4, 5]).buffer, 1, 3),
  'an Int16Array': () => new Int16Array([1, -1]),
  'an Int16Array with an offset': () => new Int16Array(new Int16Array([1, 2, 3]).buffer, 2, 1),
  'a Float64Array': () => new Float64Array([1.5, Number.NaN]),
  'a BigInt64Array': () => new BigInt64Array([1n]),
  'a Uint8ClampedArray': () => new Uint8ClampedArray([300, -5]),
  'a DataView': () => new DataView(new Uint8Array([1, 2, 3, 4]).buffer, 1, 2),
  'a view of shared memory': () => new Uint8Array(new SharedArrayBuffer(3)),
  'a large buffer': () => Buffer.alloc(200_000, 'oxbow'),
};

const REFUSED: Readonly<Record<string, () => unknown>> = {
  'toPostgres in a circle': circular,
  'toPostgres in a circle of two': twoInACircle,
  'JSON in a circle': circularJson,
  'JSON of a bigint': () => ({ n: 1n }),
  'an object without toString': () => Object.create(null, { toPostgres: { value: () => Object.create(null) } }),
  'a function without toString': () => Object.setPrototypeOf(() => 1, null),
  'a proxy that throws': () =>
    new Proxy(
      {},
      {
        get() {
          throw new TypeError('the proxy refuses');
        },
      },
    ),
  'a getter that throws, in JSON': () => ({
    get a() {
      throw new TypeError('the getter refuses');
    },
  }),
};

/** Not arrays, or arrays that do not fit the text. */
const LISTS: readonly Entry[] = [
  entry('values: an empty array', 'codec', ['select 1 as a', []], { prepared: true }),
  entry('values: null', 'codec', ['select 2 as a', null], { prepared: true }),
  entry('values: undefined', 'codec', ['select 3 as a', undefined], { prepared: true }),
  entry('values: false', 'codec', ['select 4 as a', false], { prepared: true }),
  entry('values: 0', 'codec', ['select 5 as a', 0]),
  entry('values: an empty string', 'codec', ['select 6 as a', '']),
  entry('values: a string', 'either', ['select $1::text as a', 'x']),
  entry('values: a number', 'either', ['select $1::text as b', 7]),
  entry('values: an object', 'either', ['select $1::text as c', { 0: 'x', length: 1 }]),
  entry('values: true', 'either', ['select $1::text as d', true]),
  fresh('values: an iterator', 'either', () => ['select $1::text as e', [1].values()]),
  entry('values: a typed array', 'either', ['select $1::text as f', new Uint8Array([1])]),
  entry('values: an object, to a text without placeholders', 'either', ['select 7 as a', {}]),
  entry('values given without placeholders', 'either', ['select 8 as a', ['x']]),
  entry('three values given for two', 'either', ['select $1::text as a, $2::text as b', ['x', 'y', 'z']]),
  entry('one value given for two', 'either', ['select $1::text as a, $2::text as b', ['x']]),
  entry('no values given for one', 'either', ['select $1::text as a']),
  entry('an empty array given for one', 'either', ['select $1::text as a', []]),
  entry('$2 without $1', 'codec', ['select $2::text as a', ['x', 'y']]),
  entry('$0', 'either', ['select $0::text as a', ['x']]),
  entry('$1 twice', 'codec', ['select $1::int as a, $1::int + 1 as b', [1]]),
  entry('a parameter of no known type', 'codec', ['select $1 as a', ['x']]),
  entry('a parameter of two types', 'codec', ['select $1::int, $1::text', ['x']]),
  entry('a null of no known type', 'codec', ['select $1 is null as a', [null]]),
  entry('a value that is none of its type', 'codec', ['select $1::int as a', ['x']]),
  entry('a value out of range', 'codec', ['select $1::int2 as a', [40_000]]),
  entry('a NaN for an integer', 'codec', ['select $1::int as a', [Number.NaN]]),
  entry('a binary value for an integer', 'codec', ['select $1::int as a', [Buffer.from([0, 0, 0, 7])]]),
  entry('a binary value too short for an integer', 'codec', ['select $1::int as a', [Buffer.from([0, 7])]]),
  entry('a binary value that is no text', 'codec', ['select $1::text as a', [Buffer.from([255, 0])]]),
  entry('an array with holes as the list of values', 'codec', [
    'select $1::text as a, $2::text as b',
    Object.assign(new Array<unknown>(2), { 1: 'x' }),
  ]),
  entry('a list that is longer than its items', 'codec', [
    'select $1::text as a, $2::text as b',
    Object.assign([], { length: 2 }),
  ]),
  entry('a list of a class of its own', 'codec', ['select $1::text as a', class extends Array {}.from(['x'])]),
  entry('1000 values', 'codec', [
    `select array[${Array.from({ length: 1000 }, (_, n) => `$${n + 1}`).join(', ')}]::text[] as a`,
    Array.from({ length: 1000 }, (_, n) => (n % 3 === 0 ? null : `value ${n}`)),
  ]),
  entry('65 535 values', 'either', ['select $1::int as many', Array.from({ length: 65_535 }, () => 1)], {
    doors: ['pool'],
  }),
  entry('65 536 values', 'pg', ['select $1::int as too_many', Array.from({ length: 65_536 }, () => 1)], {
    doors: ['pool'],
  }),
  fresh('a list that grows while it is read', 'either', () => {
    const values: unknown[] = [
      {
        toPostgres() {
          values.push('more');
          return 'x';
        },
      },
      'y',
    ];
    return ['select $1::text as a, $2::text as b', values];
  }),
  fresh('a list that shrinks while it is read', 'either', () => {
    const values: unknown[] = [
      {
        toPostgres() {
          values.pop();
          return 'x';
        },
      },
      'y',
    ];
    return ['select $1::text as a, $2::text as b', values];
  }),
];

/** The codec looks at what it is given before it sends anything. */
function said(name: string): { unlike?: string } {
  if (name === 'a function whose toString gives a number') return { unlike: 'it is refused in words of the codec' };
  return name.endsWith('throws undefined')
    ? { unlike: 'with pg the query resolves with nothing, and was not sent' }
    : {};
}

export const PARAMETERS: readonly Entry[] = [
  ...Object.entries(VALUES).flatMap(([name, value]) => [
    entry(`the value ${name}`, 'either', ['select $1::text as v', [value]], said(name)),
    entry(
      `the value ${name} among others`,
      'either',
      ['select $1::text as a, $2::text as v, $3::int as c, $4::bytea as d', ['before', value, 3, Buffer.from([4])]],
      said(name),
    ),
  ]),
  ...Object.entries(BYTES).flatMap(([name, make]) => [
    fresh(`the value ${name}`, 'codec', () => ['select $1::bytea as v', [make()]]),
    fresh(`the value ${name} among others`, 'codec', () => [
      'select $1::text as a, $2::bytea as v, $3::bytea as w, $4::text as b',
      ['before', make(), make(), 'after'],
    ]),
  ]),
  ...Object.entries(REFUSED).map(([name, make]) =>
    fresh(`the value ${name}`, 'either', () => ['select $1::text as v', [make()]]),
  ),
  ...LISTS,
];

/** Run once more with `pg.defaults.parseInputDatesAsUTC`. */
export const DATES: readonly Entry[] = Object.entries(VALUES)
  .filter(([, value]) => value instanceof Date || (Array.isArray(value) && value[0] instanceof Date))
  .map(([name, value]) => entry(`as UTC: the value ${name}`, 'codec', ['select $1::text as v', [value]]));
