// The table is complete: every test of psycopg_pool's suite stands in it once, in one class, and each file that owes a proof is
// there. That each line has its one test is looked at in the file that owes it.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import test from 'node:test';
import { keyOf, LINES, PROOF_FILES } from './lines.ts';
import { BETTERS, FUNCTIONS, NAMES, type Section } from './names.ts';
import { owedBy } from './proofs.ts';

const SECTIONS = Object.keys(NAMES) as Section[];

test('every test of the peer stands in the table once, and nothing else does', (t) => {
  for (const section of SECTIONS) {
    const lines = LINES.filter((line) => line.section === section);
    assert.deepEqual(
      lines.map(({ name }) => name),
      NAMES[section],
    );
    assert.equal(new Set(NAMES[section]).size, FUNCTIONS[section], `${section} has as many lines as functions`);
    const count = (wanted: string): number => lines.filter((line) => line.class === wanted).length;
    t.diagnostic(
      `${section}: ${lines.length} lines = ${count('same')} same + ${count('different')} different + ${count('not applicable')} not applicable`,
    );
    assert.equal(lines.length, count('same') + count('different') + count('not applicable'));
  }
  const better = LINES.filter((line) => line.section === 'better').map(({ name }) => Number(name));
  assert.deepEqual(better, BETTERS);
  t.diagnostic(`better: ${better.length} lines`);
  const total = SECTIONS.reduce((sum, section) => sum + FUNCTIONS[section], BETTERS.length);
  assert.equal(LINES.length, total);
  assert.equal(new Set(LINES.map(keyOf)).size, total);
});

test('what differs and what does not apply says why, in words of its own', () => {
  for (const line of LINES) {
    if (line.class === 'same' || line.class === 'better') continue;
    assert.ok((line.why ?? '').length > 10, keyOf(line));
  }
  const absent = LINES.filter((line) => line.class === 'not applicable');
  assert.ok(absent.length <= 2, 'that class stays small');
});

test('each file that owes proofs is there and gives them, and no file proves what nobody asked for', () => {
  const folder = new URL('.', import.meta.url);
  const files = readdirSync(folder).filter((file) => file.endsWith('.test.js') && file !== 'lines.test.js');
  assert.deepEqual(files.sort(), PROOF_FILES.map((file) => `${file}.test.js`).sort());
  for (const file of PROOF_FILES) {
    assert.ok(owedBy(file).length > 0, file);
    const text = readFileSync(new URL(`${file}.test.js`, folder), 'utf8');
    assert.equal(text.split(`\nprove('${file}', {`).length, 2, `${file} proves its lines, once`);
  }
  const shown = LINES.filter((line) => line.class !== 'not applicable').length;
  assert.equal(
    PROOF_FILES.reduce((sum, file) => sum + owedBy(file).length, 0),
    shown,
  );
});
