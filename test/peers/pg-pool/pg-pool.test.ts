// Every line of pg-pool's own suite, in its class. The lines are data (lines.ts), the tests stand by topic; here is what holds them
// together: no line without its test, no test without its line.

import assert from 'node:assert/strict';
import test from 'node:test';
import { deviations } from '../../../src/doors/pg.ts';
import { registered } from './contestants.ts';
import { type Line, lines } from './lines.ts';
import './connecting.ts';
import './ending.ts';
import './errors.ts';
import './events.ts';
import './idle.ts';
import './basics.ts';
import './hooks.ts';
import './lifetime.ts';
import './sizing.ts';

const LINES = 89;

/** What is wrong between a table and the tests that were registered. */
function gaps(table: readonly Line[], tests: ReadonlyMap<number, readonly string[]>): string[] {
  const found = table.flatMap((line) => {
    const made = tests.get(line.number) ?? [];
    const wanted = line.class === 'not applicable' ? [] : [line.class];
    return made.join() === wanted.join()
      ? []
      : [`line ${line.number} is ${line.class} and has ${made.join() || 'none'}`];
  });
  const known = new Set(table.map((line) => line.number));
  return [...found, ...[...tests.keys()].filter((number) => !known.has(number)).map((number) => `no line ${number}`)];
}

test('each of the 89 lines of pg-pool’s suite has its class, and its one test or a reason', () => {
  assert.deepEqual(
    lines.map((line) => line.number),
    Array.from({ length: LINES }, (_, n) => n + 1),
  );
  assert.deepEqual(gaps(lines, registered), []);
  for (const line of lines) if (line.class !== 'same') assert.ok(line.reason.length > 20, `line ${line.number}: why?`);
  const count = (name: Line['class']): string => `${lines.filter((line) => line.class === name).length} ${name}`;
  console.log(`pg-pool, ${LINES} lines: ${count('same')}, ${count('different')}, ${count('not applicable')}`);
});

test('each line that differs is a row of the table of deviations', () => {
  const known = new Set(deviations.map(({ id }) => id));
  const unknown = lines.filter((line) => line.class === 'different' && !known.has(line.deviation));
  assert.deepEqual(unknown, []);
});

test('a line without a test, a test without a line, and two tests for one line are seen', () => {
  const table: Line[] = [
    { number: 1, does: 'a', class: 'same' },
    { number: 2, does: 'b', class: 'same' },
    { number: 3, does: 'c', class: 'not applicable', reason: 'because' },
  ];
  assert.deepEqual(
    gaps(
      table,
      new Map([
        [1, ['same']],
        [2, ['same']],
      ]),
    ),
    [],
  );
  const wrong = new Map([
    [1, ['same', 'same']],
    [3, ['same']],
    [4, ['same']],
  ]);
  assert.deepEqual(gaps(table, wrong), [
    'line 1 is same and has same,same',
    'line 2 is same and has none',
    'line 3 is not applicable and has same',
    'no line 4',
  ]);
});
