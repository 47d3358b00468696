// The differences from `pg.Pool` are data; the document says what the data say, and each difference has the test that it names.

import assert from 'node:assert/strict';
import test from 'node:test';
import { type Deviation, deviations } from '../../src/pool/deviations.ts';
import { rows, section } from './document.ts';
import { filesBelow, read, type SourceFile } from './tree.ts';

function cellsOf({ id, pg, ours, why, doors, test }: Deviation): readonly string[] {
  return [`\`${id}\``, pg, ours, why, doors.map((door) => `\`${door}\``).join(', '), test];
}

/** The rows of the documented table, each as a line of it. */
function documented(document: string): string[] {
  return rows(section(document, 'The table')).map((cells) => `| ${cells.join(' | ')} |`);
}

function expected(data: readonly Deviation[]): string[] {
  return data.map((row) => `| ${cellsOf(row).join(' | ')} |`);
}

/** Deviations whose test is in none of the files, or in two. */
function untested(data: readonly Deviation[], files: readonly SourceFile[]): string[] {
  return data
    .filter(
      ({ test }) =>
        files
          .map(({ text }) => text.split(`deviation('${test}'`).length - 1)
          .join('')
          .replaceAll('0', '') !== '1',
    )
    .map(({ id }) => id);
}

const sample: Deviation = {
  id: 'a',
  pg: 'this',
  ours: 'that',
  why: 'so',
  doors: ['oxbow', 'oxbow/pg'],
  test: 'it is so',
};

test('docs/reference/deviations.md has the table of deviations, row for row', () => {
  assert.deepEqual(documented(read('docs/reference/deviations.md')), expected(deviations));
});

test('the law of deviations sees a text that differs, and a row too many', () => {
  const row = '| `a` | this | that | so | `oxbow`, `oxbow/pg` | it is so |';
  const document = (line: string): string =>
    `# D\n\n## The table\n\n| a | b | c | d | e | f |\n|---|---|---|---|---|---|\n${line}\n`;
  assert.deepEqual(documented(document(row)), expected([sample]));
  assert.notDeepEqual(documented(document(row.replace('that', 'this'))), expected([sample]));
  assert.notDeepEqual(documented(document(`${row}\n${row}`)), expected([sample]));
});

test('each deviation has exactly one test of the title that it names', () => {
  assert.ok(deviations.length > 40);
  assert.deepEqual(untested(deviations, filesBelow('test/peers/pg-pool', '.ts')), []);
});

test('the law of their tests sees a title that is not there, and one that is there twice', () => {
  const files = (...texts: string[]): SourceFile[] => texts.map((text, n) => ({ path: `test/${n}.ts`, text }));
  assert.deepEqual(untested([sample], files("deviation('it is so', {", '')), []);
  assert.deepEqual(untested([sample], files("deviation('it is not so', {")), ['a']);
  assert.deepEqual(untested([sample], files("deviation('it is so', {", "deviation('it is so', {")), ['a']);
});
