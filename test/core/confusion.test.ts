// Every situation of a pool against every verdict: a running engine brings each about in several variants, and the matrix is printed. What
// lies off the expected cell is a failure.

import assert from 'node:assert/strict';
import test from 'node:test';
import { VERDICTS, type Verdict } from '../../src/contracts/explain.ts';
import { SITUATIONS, type Situation, VARIANTS } from '../kit/situations.ts';

interface Row {
  readonly situation: Situation;
  readonly counts: Map<Verdict, number>;
}

const rows: Row[] = [];

for (const situation of SITUATIONS) {
  const { because, expected, is, never } = situation;
  test(`${is}: ${expected}, since ${because}`, async () => {
    const counts = new Map<Verdict, number>();
    rows.push({ situation, counts });
    const wrong: string[] = [];
    for (const variant of VARIANTS.filter(situation.needs ?? (() => true))) {
      for (const { verdict, summary, advice, evidence } of await situation.run(variant)) {
        counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
        if (verdict !== expected) wrong.push(`${JSON.stringify(variant)}: ${verdict}: ${summary}`);
        if (never?.test(summary) === true) wrong.push(`${JSON.stringify(variant)} blames what it must not: ${summary}`);
        assert.equal(advice.length > 0, verdict !== 'ok');
        assert.deepEqual(JSON.parse(JSON.stringify(evidence)), evidence, 'the evidence is plain data');
      }
    }
    assert.ok(counts.size > 0, 'it came about');
    assert.deepEqual(wrong, []);
  });
}

test('every verdict is some situation’s, and at least ten situations have more than one thing wrong', () => {
  const expected = new Set(SITUATIONS.map((one) => one.expected));
  assert.deepEqual(
    VERDICTS.filter((verdict) => !expected.has(verdict)),
    [],
  );
  assert.ok(SITUATIONS.filter(({ mixed }) => mixed === true).length >= 10);
});

test('the whole of it is printed: what came of each situation, and why', () => {
  const seen = VERDICTS.map((verdict) => ({ verdict, wide: Math.max(verdict.length, 4) }));
  const wide = Math.max(...rows.map(({ situation }) => situation.is.length)) + 2;
  console.log(`${''.padEnd(wide)}${seen.map(({ verdict }) => verdict).join('  ')}`);
  let cells = 0;
  for (const { situation, counts } of rows) {
    const line = seen.map(({ verdict, wide: column }) => {
      const count = counts.get(verdict) ?? 0;
      cells += count;
      const cell = count === 0 ? '·' : `${count}${verdict === situation.expected ? '' : '!'}`;
      return cell.padStart(column);
    });
    const name = `${situation.mixed === true ? '+ ' : '  '}${situation.is}`;
    console.log(`${name.padEnd(wide)}${line.join('  ')}   ${situation.because}`);
  }
  assert.equal(rows.length, SITUATIONS.length);
  console.log(`${rows.length} situations, ${cells} explanations; + marks those with more than one thing wrong`);
});
