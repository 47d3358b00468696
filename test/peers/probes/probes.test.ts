// The regression probes: for each fault that was seen with another pool or driver, that ours does what it must, and that the peer still
// has the fault. Knows no probe; that each row of the table has its tests is looked at here.

import assert from 'node:assert/strict';
import test from 'node:test';
import { lines } from './lines.ts';
import { registered } from './stage.ts';
import './lending.ts';
import './sessions.ts';
import './sharing.ts';
import './statements.ts';

test('each probe is shown on ours and on each peer that it faults', () => {
  assert.equal(lines.length, 18);
  for (const { number, theirs } of lines) {
    assert.deepEqual(registered.get(number)?.toSorted(), ['ours', ...Object.keys(theirs)].toSorted(), `row ${number}`);
  }
});
