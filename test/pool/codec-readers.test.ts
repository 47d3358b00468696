// What is read off the bytes of a column against what pg's own parser makes of the same text: as a server writes it, as none does, in zones
// with and without summer time; and whose parser is taken for pg's own. CODEC_FUZZ_SEED=n repeats a run. No server.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import test, { after } from 'node:test';
import pg from 'pg';
import { readerOf } from '../../src/pg/column-readers.ts';
import type { TypeParser } from '../../src/pg/shapes.ts';
import { Chance } from '../soak/chance.ts';

const seed = Number(process.env.CODEC_FUZZ_SEED ?? randomInt(2 ** 31));
const zone = process.env.TZ;

after(() => {
  if (zone === undefined) delete process.env.TZ;
  else process.env.TZ = zone;
});

const INT4 = 23;
const DATE = 1082;
const TIMESTAMP = 1114;
const TIMESTAMPTZ = 1184;
const INT4_ARRAY = 1007;
const TEXT_ARRAY = 1009;

function parserOf(type: number): TypeParser {
  return pg.types.getTypeParser(type, 'text') as TypeParser;
}

/** The reader's value of a text that stands in the middle of other bytes, and how often it asked pg. */
function read(type: number, text: string): { value: unknown; asked: number } {
  const own = parserOf(type);
  const reader = readerOf(type, own);
  assert.ok(reader !== undefined, `type ${type} has a reader`);
  const bytes = Buffer.from(`9{${text}}9`);
  let asked = 0;
  const parser: TypeParser = (given) => {
    asked += 1;
    assert.equal(given, text);
    return own(given);
  };
  return { value: reader(bytes, 2, bytes.length - 2, parser), asked };
}

interface Outcome {
  readonly value?: unknown;
  readonly thrown?: string;
}

/** Two dates that are none differ in `deepEqual`. */
function outcome(make: () => unknown): Outcome {
  try {
    const value = make();
    return { value: value instanceof Date ? { ms: value.getTime() } : value };
  } catch (error) {
    return { thrown: String(error) };
  }
}

function agrees(type: number, text: string, why = ''): void {
  const expected = outcome(() => parserOf(type)(text));
  const got = outcome(() => read(type, text).value);
  assert.deepEqual(got, expected, `${type} ${JSON.stringify(text)} ${why}`);
}

function byItself(type: number, texts: readonly string[]): void {
  for (const text of texts) {
    agrees(type, text);
    assert.equal(read(type, text).asked, 0, `pg's parser was asked for ${text}`);
  }
}

const DATES = ['2026-11-25', '0100-01-01', '1999-12-31', '2024-02-29', '9999-12-31', '1970-01-01'];
const TIMES = [
  '00:00:00',
  '23:59:59',
  '12:34:56.7',
  '12:34:56.789',
  '02:30:00.000001',
  '01:59:59.999999',
  '03:00:00.5',
];
const ZONES = ['+00', '-00', '+02', '-08', '+05:30', '-03:30', '+13:45', '-12'];
/** What a server writes and what is left to pg, and what none writes at all. */
const ODD = [
  '',
  ' ',
  'infinity',
  '-infinity',
  '0044-03-15 BC',
  '0001-01-01',
  '0099-12-31',
  '12026-01-01',
  '12026-01-01 00:00:00+00',
  '0044-03-15 12:00:00+00 BC',
  '1850-01-01 00:00:00+00:53:28',
  '2026-11-25T10:00:00Z',
  '2026-11-25 10:00:00Z',
  '2026-11-25 10:00',
  '2026-11-25 10:00:00.',
  '2026-11-25 10:00:00.1234567',
  '2026-11-25 10:00:00.123456789+02',
  '11/25/2026',
  '25-11-2026',
  '2026-13-45',
  '2026-11-25 25:61:61',
  '2026-11-25 24:00:00',
  '2026-11-25 10:00:00 ',
  '2026-11-25 10:00:00+',
  '2026-11-25 10:00:00+2',
  '2026-11-25 10:00:00+0a',
  '2026-11-25 10:00:00+02:',
  '2026-11-25 10:00:00+02:3',
  '2026-11-25 10:00:00 CET',
  '2O26-11-25',
  '2026-1l-25',
  '2026-11-2x',
  '2026-11-25 1x:00:00',
  '2026_11_25',
  '-026-11-25',
  'Wed Nov 25 10:00:00 2026 UTC',
  '2026-11-25 10:00:00.12a456',
  '2026-11-25 10:00:00.5-',
  '2026-11-25 10:00:00.5+01:00:00',
  '20261125',
  '2026-11-25 10-00-00',
];

for (const where of ['UTC', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kolkata']) {
  test(`dates and timestamps, in ${where}`, () => {
    process.env.TZ = where;
    byItself(DATE, DATES);
    byItself(
      TIMESTAMP,
      DATES.flatMap((date) => TIMES.map((time) => `${date} ${time}`)),
    );
    byItself(
      TIMESTAMPTZ,
      DATES.flatMap((date) => TIMES.flatMap((time) => ZONES.map((offset) => `${date} ${time}${offset}`))),
    );
    for (const type of [DATE, TIMESTAMP, TIMESTAMPTZ]) for (const text of ODD) agrees(type, text);
    // Each hour of two years: what summer time leaves out or has twice.
    for (let hour = 0; hour < 2 * 366 * 24; hour += 1) {
      const at = new Date(Date.UTC(2025, 0, 1, hour, 30)).toISOString().replace('T', ' ').slice(0, 19);
      agrees(TIMESTAMP, at);
      agrees(DATE, at.slice(0, 10));
    }
  });
}

test(`each fraction of a second is the one that pg makes of it (seed ${seed})`, () => {
  const chance = new Chance(seed);
  for (let n = 0; n < 1_000; n += 1) agrees(TIMESTAMPTZ, `2026-11-25 10:00:00.${String(n).padStart(3, '0')}+00`);
  for (let n = 0; n < 20_000; n += 1) {
    const digits = 1 + chance.upTo(6);
    agrees(TIMESTAMPTZ, `2026-11-25 10:00:00.${String(chance.upTo(10 ** digits)).padStart(digits, '0')}+02`);
  }
});

const NUMBERS = ['{}', '{0}', '{1,2,3}', '{-1,2147483647,-2147483648}', '{10,20,30,40,50,60,70,80,90}'];
const ODD_NUMBERS = [
  '',
  '{',
  '}',
  '{NULL}',
  '{1,NULL,3}',
  '{{1,2},{3,4}}',
  '[0:1]={1,2}',
  '{1,}',
  '{,1}',
  '{1,,2}',
  '{-}',
  '{1-2}',
  '{--1}',
  '{1.5}',
  '{ 1}',
  '{"1"}',
  '{12345678901234567890}',
  '{1,2',
  '1,2}',
  '{1}}',
  '{{1}',
  '{+1}',
  '{-,1}',
  '{1,-}',
];

test('arrays of numbers', () => {
  byItself(INT4_ARRAY, NUMBERS);
  for (const text of ODD_NUMBERS) agrees(INT4_ARRAY, text);
});

const TEXTS = [
  '{}',
  '{a}',
  '{a,b,c}',
  '{NULL}',
  '{a,NULL,b}',
  '{"NULL"}',
  '{""}',
  '{"",""}',
  '{a,""}',
  '{"",a}',
  '{"c \\"d\\""}',
  '{"a\\\\b"}',
  '{"a,b",c}',
  '{null,Null}',
  '{ä,日本,🙂}',
  '{"🙂 🙂","ä,ö"}',
  '{"\\🙂"}',
  '{a b}',
  '{"a\nb"}',
  '{1,2}',
];
const ODD_TEXTS = [
  '',
  '{',
  '}',
  '{a,}',
  '{,a}',
  '{a,,b}',
  '{{a,b},{c,d}}',
  '[0:1]={a,b}',
  '{"a{b"}',
  '{"a}b"}',
  '{"a"b}',
  '{a"b"}',
  '{"a}',
  '{"a\\"}',
  '{a\\,b}',
  '{a\\}',
  '{"a",}',
  '{,"a"}',
  '{"a",,"b"}',
  '{"a" ,b}',
  '{a}b',
  'x{a}',
  '{"a""b"}',
  '{"a","b"',
  '{"\\',
];

test('arrays of texts', () => {
  byItself(TEXT_ARRAY, TEXTS);
  for (const text of ODD_TEXTS) agrees(TEXT_ARRAY, text);
});

/** Pieces of what they are made of, at random: mostly nonsense, sometimes not. */
function nonsense(chance: Chance, pieces: readonly string[]): string {
  let text = '';
  for (let left = chance.upTo(12); left > 0; left -= 1) text += pieces[chance.upTo(pieces.length)];
  return text;
}

test(`whatever stands in a column (seed ${seed})`, () => {
  const chance = new Chance(seed);
  const marks = ['{', '}', ',', '"', '\\', 'NULL', 'a', '1', '-', '23', ' ', 'ä', '🙂', '[1:2]='];
  const stamps = ['2026', '-', '11', ':', '00', ' ', '.', '5', '+', 'BC', 'Z', '0', '9', 'x'];
  for (let round = 0; round < 30_000; round += 1) {
    const array = `{${nonsense(chance, marks)}}`;
    agrees(INT4_ARRAY, array, `seed ${seed}`);
    agrees(TEXT_ARRAY, array, `seed ${seed}`);
    const stamp = chance.upTo(2) === 0 ? nonsense(chance, stamps) : `2026-11-25${nonsense(chance, stamps)}`;
    for (const type of [DATE, TIMESTAMP, TIMESTAMPTZ]) agrees(type, stamp, `seed ${seed}`);
    agrees(INT4, nonsense(chance, ['-', '1', '23', '999999', 'x', ' ']), `seed ${seed}`);
  }
});

test('a parser that is not pg’s own is asked, and a type that is none of these has no reader', () => {
  assert.equal(
    readerOf(DATE, (text) => new Date(text)),
    undefined,
  );
  assert.equal(
    readerOf(DATE, (text) => text),
    undefined,
  );
  assert.equal(
    readerOf(INT4, (text) => Number(text)),
    undefined,
  );
  assert.equal(
    readerOf(TEXT_ARRAY, (text) => text.split(',')),
    undefined,
  );
  assert.equal(readerOf(25, parserOf(25)), undefined);
  // pg's own for another type.
  assert.equal(readerOf(INT4, parserOf(DATE)), undefined);
  assert.equal(readerOf(DATE, parserOf(INT4)), undefined);
  assert.notEqual(readerOf(DATE, parserOf(DATE)), undefined);
});
