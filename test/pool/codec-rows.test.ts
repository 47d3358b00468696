// Rows and columns as the codec makes them of the server's bytes, against what pg's own parser and result make of the same: whatever columns
// are called, below and above the number of uses from which a row maker is compiled, and where code from strings is forbidden.
// CODEC_FUZZ_SEED=n repeats a run. No server: the bytes are made here.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { EventEmitter } from 'node:events';
import test from 'node:test';
import pg from 'pg';
import { recognise } from '../../src/pg/known-pg.ts';
import { Shape } from '../../src/pg/row-shape.ts';
import type { PgField, TypeParser } from '../../src/pg/shapes.ts';
import { Chance } from '../soak/chance.ts';
import { type Column, dataRow, rowDescription } from './codec-bytes.ts';

const seed = Number(process.env.CODEC_FUZZ_SEED ?? randomInt(2 ** 31));

const found = recognise(new pg.Client());
assert.ok('parts' in found, JSON.stringify(found));
const { parts } = found;

/** The half of pg's `Result` that makes rows. */
interface Rows {
  readonly fields: PgField[];
  readonly _parsers: TypeParser[] | undefined;
  readonly _prebuiltEmptyResultObject: object | null;
  addFields(fields: readonly object[]): void;
  parseRow(values: readonly (string | null)[]): unknown;
}

interface Read {
  readonly rows: unknown[];
  readonly fields: readonly object[];
  readonly empty: unknown;
  readonly thrown: unknown;
}

/** pg's connection reads what comes from a stream; nobody else is needed for that. */
function byPg(described: Buffer, rows: readonly Buffer[], rowMode: string | undefined, types: typeof pg.types): Read {
  const result = new parts.Result(rowMode, types) as unknown as Rows;
  const read: unknown[] = [];
  let thrown: unknown;
  const stream = new EventEmitter();
  const connection = Object.assign(new EventEmitter(), { _emitMessage: false });
  connection.on('rowDescription', ({ fields }: { fields: object[] }) => result.addFields(fields));
  connection.on('dataRow', ({ fields }: { fields: (string | null)[] }) => {
    try {
      if (thrown === undefined) read.push(result.parseRow(fields));
    } catch (error) {
      thrown = error;
    }
  });
  const attach: unknown = Reflect.get(pg.Connection.prototype, 'attachListeners');
  assert.ok(typeof attach === 'function');
  attach.call(connection, stream);
  stream.emit('data', Buffer.concat([described, ...rows]));
  return { rows: read, fields: result.fields, empty: result._prebuiltEmptyResultObject, thrown };
}

function byCodec(
  shape: Shape,
  rows: readonly Buffer[],
  rowMode: string | undefined,
  types: Parameters<Shape['parsers']>[0],
): Read {
  const parsers = shape.parsers(types);
  const make = shape.maker(parsers, rowMode === 'array');
  const read: unknown[] = [];
  let thrown: unknown;
  // As they stand in the socket's bytes: one behind the other.
  const bytes = Buffer.concat(rows);
  let at = 0;
  for (const row of rows) {
    try {
      if (thrown === undefined) read.push(make(bytes, at + 7, at + row.length, parsers));
    } catch (error) {
      thrown = error;
    }
    at += row.length;
  }
  return { rows: read, fields: shape.fields(parts.Field), empty: shape.empty(), thrown };
}

const NAMES = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'prototype',
  '',
  ' ',
  '0',
  '1',
  '7',
  '-1',
  '4294967295',
  '4294967294',
  '01',
  '1.5',
  '?column?',
  "it's",
  '"quoted"',
  '`$' + '{x}`',
  '\\',
  '\\u0041',
  '*/ //',
  '\u2028',
  '\u2029',
  '\n\r\t',
  '漢字',
  '😀',
  'a',
  'b',
  'A',
  'v0',
  'b[p]',
  'get',
  'await',
  'x'.repeat(63),
];
const TYPES = [
  26, 16, 17, 20, 21, 23, 25, 114, 600, 700, 701, 1007, 1009, 1043, 1082, 1114, 1184, 1700, 3802, 4_000_000_000,
];
const WHOLE = [21, 23, 26];
const VALUES = [
  '',
  '0',
  't',
  '1',
  '-1.5',
  '{1,2,NULL}',
  '{"a":1}',
  '\\x00ff',
  '2026-11-28 00:00:00+00',
  'NaN',
  'ä漢😀',
  '\u0000',
];

function columns(chance: Chance): Column[] {
  const count = chance.happens(0.05) ? 195 + chance.upTo(12) : chance.upTo(9);
  return Array.from({ length: count }, (_, n) => ({
    name: chance.happens(0.8) ? chance.pick(NAMES) : `c${n}`,
    tableID: chance.pick([0, 1, 2 ** 31, 2 ** 32 - 1]),
    columnID: chance.pick([0, 1, 1600, -6, 32_767]),
    dataTypeID: chance.happens(0.5) ? 25 : chance.pick(TYPES),
    dataTypeSize: chance.pick([-1, -2, 4, 32_767]),
    dataTypeModifier: chance.pick([-1, 0, 2 ** 31 - 1, -(2 ** 31)]),
  }));
}

function values(chance: Chance, described: readonly Column[]): (string | null)[] {
  return described.map(({ dataTypeID }) => {
    if (chance.happens(0.25)) return null;
    // The server writes these in digits, and nothing else.
    if (dataTypeID !== undefined && WHOLE.includes(dataTypeID))
      return chance.pick(['0', '1', '-1', '32767', '-2147483648', '4294967295']);
    if (chance.happens(0.01)) return 'long '.repeat(40_000);
    // A type parser may throw for what is no value of its type; it does so for pg and for us.
    return dataTypeID === 25 || chance.happens(0.02) ? chance.pick(VALUES) : '1';
  });
}

/** What deepEqual passes over: the order of keys, and whether a key is the row's own. */
function keysOf(rows: readonly unknown[]): unknown[] {
  return rows.map((row) => [Reflect.ownKeys(Object(row)), Object.getPrototypeOf(row) === Object.prototype]);
}

test(`rows, columns and what is thrown are pg's, at each of the first uses and later ones (seed ${seed})`, () => {
  const chance = new Chance(seed, 'rows');
  let threw = 0;
  for (let round = 0; round < 400; round += 1) {
    const described = columns(chance);
    const message = rowDescription(described);
    // It need not stand at the beginning.
    const offset = chance.upTo(20);
    const shape = new Shape(Buffer.concat([Buffer.alloc(offset, 0xff), message]), offset, offset + message.length);
    for (let use = 0; use < 6; use += 1) {
      const rowMode = chance.happens(0.3) ? 'array' : undefined;
      const rows = Array.from({ length: chance.upTo(5) }, () => dataRow(values(chance, described)));
      const theirs = byPg(message, rows, rowMode, pg.types);
      const ours = byCodec(shape, rows, rowMode, pg.types as Parameters<Shape['parsers']>[0]);
      const where = `round ${round}, use ${use}, seed ${seed}`;
      assert.deepStrictEqual(ours, theirs, where);
      assert.deepStrictEqual(keysOf(ours.rows), keysOf(theirs.rows), where);
      assert.deepStrictEqual(Reflect.ownKeys(Object(ours.empty)), Reflect.ownKeys(Object(theirs.empty)), where);
      if (theirs.thrown !== undefined) threw += 1;
    }
  }
  assert.ok(threw > 0, 'some values were none of their type');
});

test('a shape is told from another by each byte of what the server says of it', () => {
  const message = rowDescription([
    { name: 'a', tableID: 1, columnID: 2, dataTypeID: 23, dataTypeSize: 4, dataTypeModifier: -1 },
  ]);
  const shape = new Shape(message, 0, message.length);
  assert.equal(shape.is(Buffer.concat([Buffer.from('xx'), message]), 2, message.length + 2), true);
  for (let n = 0; n < message.length; n += 1) {
    const other = Buffer.from(message);
    other[n] = (message[n] ?? 0) ^ 1;
    assert.equal(shape.is(other, 0, other.length), false, `byte ${n}`);
  }
  assert.equal(shape.is(message, 0, message.length - 1), false);
});

test('type parsers are asked for at each use, and one that is none fails at each', () => {
  const message = rowDescription([
    { name: 'a', tableID: 0, columnID: 0, dataTypeID: 23, dataTypeSize: 4, dataTypeModifier: -1 },
  ]);
  const shape = new Shape(message, 0, message.length);
  for (let use = 0; use < 6; use += 1) {
    const types = { getTypeParser: () => (text: string) => `${use}: ${text}` };
    assert.deepEqual(byCodec(shape, [dataRow(['x'])], undefined, types).rows, [{ a: `${use}: x` }]);
  }
  const other = new Shape(message, 0, message.length);
  for (let use = 0; use < 6; use += 1) {
    const types = { getTypeParser: () => undefined as unknown as TypeParser };
    for (const rowMode of ['array', undefined])
      assert.ok(byCodec(other, [dataRow(['x'])], rowMode, types).thrown instanceof TypeError, `use ${use}, ${rowMode}`);
  }
});

test('what the caller of one query does to its columns and rows, another does not see', () => {
  const message = rowDescription([
    { name: 'a', tableID: 0, columnID: 0, dataTypeID: 25, dataTypeSize: -1, dataTypeModifier: -1 },
  ]);
  const shape = new Shape(message, 0, message.length);
  for (let use = 0; use < 6; use += 1) {
    const read = byCodec(shape, [dataRow(['x'])], undefined, pg.types as Parameters<Shape['parsers']>[0]);
    assert.deepEqual(read.rows, [{ a: 'x' }]);
    assert.equal(Reflect.get(Object(read.fields[0]), 'name'), 'a');
    for (const one of [read.rows[0], read.fields[0], read.empty]) Object.assign(Object(one), { a: 'y', name: 'z' });
  }
});

test('where code from strings is forbidden all of this holds too', {
  skip: process.execArgv.some((arg) => arg.includes('code-generation')),
}, () => {
  const file = new URL(import.meta.url).pathname;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--disallow-code-generation-from-strings', '--test-reporter=tap', file],
    {
      encoding: 'utf8',
      env: { ...process.env, NODE_TEST_CONTEXT: '', CODEC_FUZZ_SEED: String(seed) },
      timeout: 50_000,
    },
  );
  assert.equal(status, 0, `${stdout}${stderr}`);
  assert.match(stdout, /# pass 4/);
});
