// One test for each line of the comparison. Owns that a proof belongs to a line and that no line of a file is left without one;
// what the lines say stands in the table.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { keyOf, LINES, type ProofFile, type Shown } from './lines.ts';

type Proof = (t: TestContext) => void | Promise<void>;

/** The lines that `file` has to prove. */
export function owedBy(file: ProofFile): Shown[] {
  return LINES.filter((line): line is Shown => line.class !== 'not applicable' && line.file === file);
}

/** Registers one test per line of `file`: the proofs by the section and name of their line. */
export function prove(file: ProofFile, proofs: Readonly<Record<string, Proof>>): void {
  const owed = new Map(owedBy(file).map((line) => [keyOf(line), line]));
  for (const [key, proof] of Object.entries(proofs)) {
    const line = owed.get(key);
    if (line !== undefined) test(`${key} (${line.class}): ${line.here}`, proof);
  }
  test(`the lines of ${file} and its proofs are the same`, () => {
    assert.deepEqual(Object.keys(proofs).sort(), [...owed.keys()].sort());
  });
}
