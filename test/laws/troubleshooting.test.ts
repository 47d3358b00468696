// docs/troubleshooting.md against the source: every error, report and verdict has one row, no row is about anything else, and what no test
// provokes is written somewhere. That the others come as they are quoted is shown by test/docs/troubleshooting.test.ts.

import assert from 'node:assert/strict';
import test from 'node:test';
import { ERROR_KINDS } from '../../src/contracts/errors.ts';
import { VERDICTS } from '../../src/contracts/explain.ts';
import { CHAPTERS, type Chapter, ELSEWHERE, isWrittenIn, pattern, type Row, rowsOf } from '../docs/messages.ts';
import { filesBelow, read } from './tree.ts';

/** Declared, and reported by nobody. */
const UNUSED = ['OXBOW_OPTION'];

const declared = [...read('src/contracts/reporter.ts').matchAll(/\| '(OXBOW_[A-Z_]+)'/g)].map(([, code = '']) => code);
const sources = filesBelow('src', '.ts');
const chapters = Object.keys(CHAPTERS) as Chapter[];

const codesOf = (rows: readonly Row[]): string[] => rows.flatMap(({ codes }) => codes).sort();

function faultsOf({ quotes, codes, rest }: Row): string[] {
  const name = quotes[0] ?? codes[0] ?? 'a row';
  const faults: string[] = [];
  if (quotes.length === 0) faults.push(`${name}: no message`);
  if (codes.length === 0) faults.push(`${name}: no code`);
  if (rest.length !== 2 || rest.some((cell) => cell === '')) faults.push(`${name}: a cell is empty`);
  // Or whatever somebody pastes would be found in it.
  for (const quote of quotes) if (quote.replaceAll('…', '').length < 10) faults.push(`${name}: ${quote} is no message`);
  return faults;
}

test('every kind of error, every report and every verdict has one row, and no row is about an unknown one', () => {
  assert.deepEqual(codesOf(rowsOf('errors')), [...ERROR_KINDS].sort());
  assert.deepEqual(codesOf(rowsOf('verdicts')), [...VERDICTS].sort());
  const reported = declared.filter((code) => !UNUSED.includes(code));
  assert.ok(reported.length > 10);
  assert.deepEqual(codesOf(rowsOf('reports')), reported.sort());
  const used = sources.filter(({ path }) => path !== 'src/contracts/reporter.ts').map(({ text }) => text);
  assert.deepEqual(
    declared.filter((code) => !used.some((text) => text.includes(`'${code}'`))),
    UNUSED,
  );
});

test('each row has a message, a code, a reason and what to do', () => {
  assert.deepEqual(
    chapters.flatMap((chapter) => rowsOf(chapter).flatMap(faultsOf)),
    [],
  );
});

test('each message that no test provokes is quoted by a row, and is written where it is said to be', () => {
  const quoted = chapters.flatMap((chapter) => rowsOf(chapter)).flatMap(({ quotes }) => quotes);
  const wrong = ELSEWHERE.filter(
    ({ quote, at }) => !quoted.includes(quote) || (at !== undefined && !isWrittenIn(quote, read(at))),
  );
  assert.deepEqual(wrong, []);
  assert.ok(ELSEWHERE.every(({ reason }) => reason !== ''));
  // What is ours is somewhere in the source.
  const foreign = rowsOf('foreign').flatMap(({ quotes }) => quotes);
  assert.deepEqual(
    ELSEWHERE.filter(({ quote, at }) => at === undefined && !foreign.includes(quote)),
    [],
  );
});

test('the law of messages sees a missing row, an empty cell, a message that is none, and a text that nobody wrote', () => {
  const head = '## Verdicts\n\n| message | code | why | what |\n| --- | --- | --- | --- |\n';
  const [good, bad, short] = rowsOf(
    'verdicts',
    `${head}| \`nobody waits\` | \`ok\` | a | b |\n| x |  | a | |\n| \`a … b\` | \`c\` | d | e |\n`,
  );
  assert.deepEqual(codesOf([good as Row]), ['ok']);
  assert.deepEqual(faultsOf(good as Row), []);
  assert.equal(faultsOf(bad as Row).length, 3);
  assert.equal(faultsOf(short as Row).length, 1);
  assert.ok(isWrittenIn('lease … was released', 'text = "lease " + id + " was released"'));
  assert.ok(!isWrittenIn('lease … was released', 'text = "lease " + id + " was revoked"'));
  assert.match('pool-1: lease 3 was released 5 ms ago', pattern('lease … was released … ms ago'));
  assert.doesNotMatch('lease 3 was released', pattern('lease … was released … ms ago'));
});
