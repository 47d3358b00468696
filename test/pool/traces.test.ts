// The reading of SQL texts for what they may leave behind in a session. No server: whether these answers are true is asked of one
// elsewhere.

import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { sessionStateIn, Trace, traceOf } from '../../src/pg/traces.ts';
import {
  BOTH,
  CLEAN,
  CLEAN_BUT_NOT_RUNNABLE,
  KNOWN,
  KNOWN_AND_SEEN,
  UNKNOWN,
  UNKNOWN_AND_SEEN,
} from './trace-texts.ts';

const SEED = Number(process.env.TRACES_SEED ?? 20_260_101);

const expected: readonly (readonly [what: string, trace: number, texts: readonly string[]])[] = [
  ['is clean', Trace.none, [...CLEAN, ...CLEAN_BUT_NOT_RUNNABLE]],
  ['leaves what is known', Trace.known, [...KNOWN_AND_SEEN, ...KNOWN]],
  ['may leave anything', Trace.unknown, [...UNKNOWN_AND_SEEN, ...UNKNOWN]],
  ['leaves what is known and may leave anything', Trace.known | Trace.unknown, BOTH],
];

for (const [what, trace, texts] of expected) {
  for (const text of texts) {
    test(`${JSON.stringify(text)} ${what}`, () => {
      assert.equal(traceOf(text), trace);
    });
  }
}

const all = expected.flatMap(([, , texts]) => texts);

test('no text is in the table twice', () => {
  assert.equal(new Set(all).size, all.length);
});

test('a text of a million characters is not read and may leave anything', () => {
  assert.equal(traceOf(`insert into t values ${'(1, 2), '.repeat(125_000)}(1, 2)`), Trace.unknown);
});

test('a text of a hundred thousand characters is read to its end', () => {
  const list = `select ${'1, '.repeat(33_000)}`;
  assert.equal(traceOf(`${list}1`), Trace.none);
  assert.equal(traceOf(`${list}1; listen a`), Trace.known);
});

test('no text up to that length makes the reading repeat itself', () => {
  const fill = (piece: string): string => piece.repeat(Math.floor(99_990 / piece.length));
  const pieces =
    "( ) ' '' '''' \" \"\" $ $$ $a$ /* */ /*/ */* -- E' E'\\ U&' [ a. a.( f( ,( , , . :: 1 1. 1e 0x _ ;".split(' ');
  const phrases = [
    'set_config(',
    'select into ',
    ', y(a) as (',
    'on conflict (a) where ',
    'with x as (',
    'update set (',
    ') over (',
    "'\\' ",
  ];
  // Quadratic work on a text this long would take minutes each: the runner's bound on the file is the assertion.
  for (const piece of [...pieces, ...phrases]) {
    for (const text of [fill(piece), `select ${fill(piece)}`, `select f(${fill(piece)})`]) traceOf(text);
    traceOf(`select ${'('.repeat(20_000)}${piece.repeat(1_000)}${')'.repeat(20_000)}`);
  }
});

const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({ unit: fc.constantFrom(...'\'"$\\/*-();:.,eEuU&aB1_ \n\r\u0000é\ud800'.split('')), maxLength: 40 }),
  fc
    .array(fc.constantFrom(...all.flatMap((text) => text.split(/(?<=[ (),;.'"$])/)), 'constructor', '__proto__'), {
      maxLength: 30,
    })
    .map((pieces) => pieces.join('')),
);

function check(property: fc.IProperty<[string]> | fc.IProperty<[string, string]>, numRuns: number): void {
  fc.assert<unknown>(property, { seed: SEED, numRuns });
}

test(`any text at all has an answer (TRACES_SEED=${SEED})`, () => {
  check(
    fc.property(anyText, (text) => {
      const trace = traceOf(text);
      assert.ok(trace >= 0 && trace <= 3 && Number.isInteger(trace));
      assert.ok(Array.isArray(sessionStateIn(text)));
      // What surely asks for session state cannot be clean.
      if (sessionStateIn(text).length > 0) assert.notEqual(trace, Trace.none);
    }),
    20_000,
  );
});

test(`two texts in one leave what both leave (TRACES_SEED=${SEED})`, () => {
  const whole = fc.constantFrom(...all).filter((text) => !text.includes('--') && isClosed(text));
  check(
    fc.property(whole, whole, (one, other) => {
      assert.equal(traceOf(`${one};${other}`), traceOf(one) | traceOf(other));
      assert.equal(traceOf(`/* ${'/* set */'} ' */${one}\n; -- listen '\n;${other}`), traceOf(one) | traceOf(other));
    }),
    5_000,
  );
});

test(`comments between the words change nothing (TRACES_SEED=${SEED})`, () => {
  const plain = fc.constantFrom(...all).filter((text) => !/['"$/*-]/.test(text));
  check(
    fc.property(
      plain,
      fc.constantFrom('/* ; set x to 1 */', ' -- ; listen\n', ' /*/**/*/ ', '\t\r\n\f\v'),
      (text, gap) => {
        assert.equal(traceOf(text.replaceAll(' ', gap)), traceOf(text));
        assert.equal(traceOf(text.replaceAll('(', `${gap}(${gap}`)), traceOf(text));
        assert.equal(traceOf(text.replace(/[a-z]+/g, (word) => word.toUpperCase())), traceOf(text));
      },
    ),
    3_000,
  );
});

/** All that is opened in it is closed: a text can follow it. */
function isClosed(text: string): boolean {
  return traceOf(`${text}\n; select 1`) === traceOf(text) && (traceOf(text) & Trace.unknown) === 0;
}

const states: readonly (readonly [text: string, kinds: ReturnType<typeof sessionStateIn>])[] = [
  ['', []],
  ['select 1', []],
  ['set x to 1', ['SET']],
  ["set time zone 'UTC'; set role a", ['SET']],
  ['set session characteristics as transaction read only', ['SET']],
  ['set local x to 1; set transaction read only; set constraints all deferred; reset all', []],
  ['set local.x to 1', ['SET']],
  ["select set_config('a', 'b', false)", ['SET']],
  ["select set_config('a', 'b', true), set_config('a', 'b', $1)", []],
  ["select 'set x to 1', other.set_config('a', 'b', false)", []],
  ['listen a; unlisten a', ['LISTEN']],
  ['unlisten *; deallocate all; discard all', []],
  ['prepare p as select 1', ['PREPARE']],
  ['prepare transaction as select 1', ['PREPARE']],
  ["prepare transaction 'a'", []],
  ['execute p', []],
  ['select pg_advisory_lock(1)', ['advisory lock']],
  ['with x as (select pg_catalog.pg_try_advisory_lock_shared(1)) select * from x', ['advisory lock']],
  ['select pg_advisory_xact_lock(1), pg_advisory_unlock(1)', []],
  ['create temp table x (a int)', ['temporary table']],
  ['create local temporary table x as select 1', ['temporary table']],
  ['create temp table x (a int) on commit delete rows', ['temporary table']],
  ['create temp table x (a int) on commit drop', []],
  ['create temp view x as select 1', []],
  ['create table x (a int)', []],
  ['select 1 into temp x', ['temporary table']],
  ['select 1 into temp table x', ['temporary table']],
  ['select 1 into temporary "x"', ['temporary table']],
  ['select 1 into temp from t', []],
  ['select 1 into x', []],
  ['declare c cursor with hold for select 1', ['cursor WITH HOLD']],
  ['declare c scroll cursor without hold for select 1', []],
  ['declare c cursor for with hold as (select 1) select * from hold', []],
  ['set x to 1; listen a; select pg_advisory_lock(1); set y to 2', ['SET', 'LISTEN', 'advisory lock']],
  ['create function f() returns int begin atomic select 1; select pg_advisory_lock(1); end', []],
  ["set x to 'a", []],
  ['do $$ listen a $$', []],
];

for (const [text, kinds] of states) {
  test(`${JSON.stringify(text)} surely asks for ${kinds.join(', ') || 'no session state'}`, () => {
    assert.deepEqual(sessionStateIn(text), kinds);
  });
}
