// docs/runtimes.md has the probes and the runtimes that there are, and the words it is written with. That its answers are so is measured in
// test/slow/runtimes.test.ts and test/slow/node-versions.test.ts.

import assert from 'node:assert/strict';
import test from 'node:test';
import { read } from '../laws/tree.ts';
import { columnOf, headOf, pageOf, probesIn } from '../runtimes/page.ts';
import { PROBES } from '../runtimes/probes.ts';
import { BUN, DENO, NODES } from '../runtimes/runtimes.ts';

const page = read('docs/runtimes.md');
const HOW = 'run `npm run build:all && node scripts/runtimes-reference.mjs`';

test('docs/runtimes.md has a column for each runtime, with a row for each probe', () => {
  const names = PROBES.map(({ name }) => name);
  const { 'tests of the core': count } = columnOf(page, BUN.label);
  for (const { label } of [...NODES, BUN, DENO]) {
    assert.deepEqual(Object.keys(probesIn(page, label)), names, HOW);
    const { version = '', 'tests of the core': core } = columnOf(page, label);
    assert.ok(version.startsWith(`${label.split(' ')[1]}.`), `${label} is ${version}`);
    assert.equal(core, count, label);
  }
});

test('the words above the table are those of its script', () => {
  assert.equal(headOf(page), headOf(pageOf([], 0)), HOW);
});

test('what is put into the table is read out of it as it was, whatever is in it', () => {
  const outcomes = [
    { name: 'one', ok: true, detail: '' },
    { name: 'two', ok: true, detail: 'a | b' },
    { name: 'three', ok: false, detail: 'Error: <no>' },
  ];
  const cells = { one: 'yes', two: 'yes: a \\| b', three: '**no**: Error: &lt;no>' };
  const made = pageOf([{ label: 'Some 1', version: '1.2.3', outcomes }], 7);
  assert.deepEqual(probesIn(made, 'Some 1'), cells);
  assert.deepEqual(columnOf(made, 'Some 1'), { version: '1.2.3', 'tests of the core': 'all 7', ...cells });
  assert.deepEqual(probesIn(made, 'Other 1'), {});
});
