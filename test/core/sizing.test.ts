// B4 as a table: how many to dial is a pure function of a few figures.

import assert from 'node:assert/strict';
import test from 'node:test';
import { type Demand, HOLD_OFF_MS, howManyToDial } from '../../src/core/sizing.ts';

const NONE: Demand = {
  waiting: 0,
  oldestWaitMs: 0,
  opening: 0,
  checking: 0,
  lent: 0,
  size: 0,
  living: 0,
  floor: 0,
  max: 10,
  concurrency: 3,
  holdMs: undefined,
  connectMs: undefined,
};

const lent = (n: number): Partial<Demand> => ({ lent: n, size: n, living: n });

const ROWS: [string, Partial<Demand>, number, number | undefined][] = [
  ['nothing is wanted', {}, 0, undefined],
  ['the floor is filled', { floor: 2 }, 2, undefined],
  ['the floor is filled within the concurrency', { floor: 9 }, 3, undefined],
  ['what is opening counts for the floor', { floor: 2, opening: 1, size: 1, living: 1 }, 1, undefined],
  ['what is closing does not count for the floor', { floor: 2, size: 2, living: 0 }, 2, undefined],
  ['what is closing counts for max', { floor: 2, size: 9, living: 0 }, 1, undefined],
  ['a full pool dials nothing', { waiting: 5, ...lent(10) }, 0, undefined],
  ['a pool full of closing ones dials nothing', { waiting: 5, size: 10, living: 0 }, 0, undefined],
  ['a cold pool dials for each waiter', { waiting: 2 }, 2, undefined],
  ['… up to the concurrency', { waiting: 9 }, 3, undefined],
  ['… up to max', { waiting: 9, max: 2 }, 2, undefined],
  ['… less what is under way', { waiting: 3, opening: 2, size: 2, living: 2 }, 1, undefined],
  ['… less what is being checked', { waiting: 2, checking: 2, size: 2, living: 2 }, 0, undefined],
  ['… and nothing while the governor forbids it', { waiting: 2, concurrency: 0 }, 0, undefined],
  [
    'more under way than allowed is not negative',
    { waiting: 5, opening: 3, concurrency: 1, size: 3, living: 3 },
    0,
    undefined,
  ],
  ['more open than max (after a resize) is not negative', { waiting: 5, max: 2, ...lent(5) }, 0, undefined],
  ['unknown times: the hold-off', { waiting: 1, ...lent(2) }, 0, HOLD_OFF_MS],
  ['unknown connect time: the hold-off', { waiting: 1, ...lent(2), holdMs: 1 }, 0, HOLD_OFF_MS],
  ['unknown hold time: the hold-off', { waiting: 1, ...lent(2), connectMs: 100 }, 0, HOLD_OFF_MS],
  ['… the rest of it', { waiting: 1, oldestWaitMs: 20, ...lent(2) }, 0, HOLD_OFF_MS - 20],
  ['… is over', { waiting: 1, oldestWaitMs: HOLD_OFF_MS, ...lent(2) }, 1, undefined],
  ['returns are faster', { waiting: 50, ...lent(5), holdMs: 2, connectMs: 150 }, 0, 150],
  ['… but did not come', { waiting: 1, oldestWaitMs: 150, ...lent(5), holdMs: 2, connectMs: 150 }, 1, undefined],
  ['connects are faster', { waiting: 1, ...lent(5), holdMs: 5_000, connectMs: 150 }, 1, undefined],
  ['a long queue tips it', { waiting: 400, ...lent(5), holdMs: 2, connectMs: 150 }, 3, undefined],
  ['a tie is left to the returns', { waiting: 5, ...lent(5), holdMs: 150, connectMs: 150 }, 0, 150],
  ['the floor does not wait for returns', { waiting: 5, ...lent(5), holdMs: 2, connectMs: 150, floor: 7 }, 2, 150],
];

for (const [name, figures, dial, againInMs] of ROWS) {
  test(`dialling: ${name}`, () => {
    assert.deepEqual(howManyToDial({ ...NONE, ...figures }), { dial, againInMs });
  });
}
