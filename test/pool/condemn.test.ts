// The table of errors that cost a connection, as a pure function, and what is remembered for the one that depends on more than its code.

import assert from 'node:assert/strict';
import test from 'node:test';
import { declaresReadOnly, readSentences, sentenceOf } from '../../src/pg/condemn.ts';
import { roleOf, Verdict } from '../../src/pg/verdict.ts';
import { read } from '../laws/tree.ts';

test('a class counts for each of its codes, a code wins over its class, and the user over both', () => {
  assert.equal(sentenceOf('08001', {}), 'replace');
  assert.equal(sentenceOf('57P01', {}), 'suspect');
  assert.equal(sentenceOf('57014', {}), 'keep');
  assert.equal(sentenceOf('08001', { '08001': 'keep' }), 'keep');
  assert.equal(sentenceOf('08003', { '08001': 'keep' }), 'replace');
  assert.equal(sentenceOf('57P01', { '57': 'keep' }), 'keep');
  assert.equal(sentenceOf('57014', { '57': 'replace', '57014': 'suspect' }), 'suspect');
});

test('what the user gives is copied', () => {
  const given: Record<string, 'keep'> = { '08': 'keep' };
  const sentences = readSentences(given);
  delete given['08'];
  assert.equal(sentenceOf('08001', sentences), 'keep');
});

test('a statement that declares its transaction or its session read only is recognised', () => {
  for (const text of [
    'BEGIN READ ONLY',
    'begin isolation level serializable, read only',
    'START TRANSACTION READ ONLY',
  ]) {
    assert.equal(declaresReadOnly(text), 'transaction', text);
  }
  for (const text of [
    'SET TRANSACTION READ ONLY',
    'set local transaction_read_only = on',
    '  SET transaction_read_only TO on',
  ]) {
    assert.equal(declaresReadOnly(text), 'transaction', text);
  }
  for (const text of [
    'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY',
    'SET default_transaction_read_only = on',
  ]) {
    assert.equal(declaresReadOnly(text), 'session', text);
  }
  for (const text of [
    'BEGIN',
    "SELECT 'read only'",
    "BEGIN; SELECT 'read only'",
    'UPDATE settings SET read_only = true',
    'SET x = 1',
  ]) {
    assert.equal(declaresReadOnly(text), 'no', text);
  }
});

const refused = { severity: 'ERROR', code: '25006', message: 'cannot execute INSERT in a read-only transaction' };

function verdictOn(role: 'primary' | 'standby' | 'unknown', ...texts: (string | null)[]): string | undefined {
  const verdict = new Verdict(role, {});
  for (const text of texts) {
    if (text === null) verdict.atRest();
    else verdict.sending(declaresReadOnly(text));
  }
  verdict.error(refused);
  return verdict.condemnation?.others;
}

test('a refused write means a failover on a former primary alone, and nothing where it was asked for', () => {
  assert.equal(verdictOn('primary'), 'replace');
  assert.equal(verdictOn('primary', 'BEGIN READ ONLY'), undefined);
  assert.equal(verdictOn('primary', 'BEGIN READ ONLY', null), 'replace');
  assert.equal(verdictOn('primary', 'SET default_transaction_read_only = on', null), undefined);
  assert.equal(verdictOn('standby'), undefined);
  assert.equal(verdictOn('unknown'), 'keep');
});

test('the first condemnation stays, whatever comes after it', () => {
  const verdict = new Verdict('primary', {});
  verdict.error({ code: '57P01', message: 'first' });
  verdict.error({ code: '25006', message: 'second' });
  assert.deepEqual(verdict.condemnation, { why: 'the server said 57P01: first', others: 'suspect' });
});

test('the role is what the server says at the start; an old server says nothing', () => {
  const role = (...entries: [string, string][]): string => roleOf(new Map(entries));
  assert.equal(role(), 'unknown');
  assert.equal(role(['in_hot_standby', 'off']), 'primary');
  assert.equal(role(['in_hot_standby', 'on']), 'standby');
  assert.equal(role(['in_hot_standby', 'off'], ['default_transaction_read_only', 'on']), 'standby');
});

test('the table in docs/reference/errors.md is the one in the code', () => {
  const rows = [...read('docs/reference/errors.md').matchAll(/^\| `([0-9A-Z]{2}|[0-9A-Z]{5})` \| `([a-z-]+)` \|/gm)];
  assert.ok(rows.length >= 8, `${rows.length} rows`);
  for (const [, code = '', sentence] of rows) {
    assert.equal(sentenceOf(code.length === 2 ? `${code}ZZZ` : code, {}), sentence, code);
  }
  const source = read('src/pg/condemn.ts');
  const defaults = /const DEFAULTS: Sentences = \{([\s\S]*?)\n\};/.exec(source)?.[1] ?? '';
  const inCode = [...defaults.matchAll(/^ {2}'?([0-9A-Z]+)'?: /gm)].map(([, code]) => code);
  assert.deepEqual(rows.map(([, code]) => code).sort(), inCode.sort());
});
