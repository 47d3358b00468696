// What a member of a fleet concludes from a census, and what it makes of what it hears.

import assert from 'node:assert/strict';
import test from 'node:test';
import {
  type Appeal,
  appealText,
  freedText,
  paceMs,
  readPayload,
  restMs,
  standing,
  staysOn,
  wakes,
} from '../../src/sharing/fleet-rules.ts';
import * as sql from '../../src/sharing/fleet-sql.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';

const ME = 1;
const stands = (
  held: number,
  others: readonly (readonly [member: number, held: number, seeks?: boolean])[],
  { limit = 8, want = 10, floor = 0, turn = 0 } = {},
) =>
  standing(
    others.map(([member, has, seeks = false]) => ({ member, held: has, seeks })),
    { member: ME, held, want },
    limit,
    floor,
    turn,
  );

test('a member alone may have everything it can use', () => {
  assert.deepEqual(stands(2, []), { share: 8, held: 2, members: 1, seekers: 1, used: 2, gives: [] });
  assert.equal(stands(2, [], { want: 3 }).share, 5);
});

test('who has nothing asks the one that has most, and that keeps its share', () => {
  const { share, gives } = stands(0, [[2, 8, true]]);
  assert.deepEqual([share, gives], [4, [[2, 4, 4]]]);
});

test('who is furthest above its share gives first, and nobody gives more than is lacking', () => {
  const { share, gives } = stands(0, [
    [2, 3, true],
    [3, 5, true],
  ]);
  // 8 for three: the one that has least stands first for what is left over.
  assert.equal(share, 3);
  assert.deepEqual(gives, [[3, 3, 2]]);
});

test('whoever does not seek is taken to need what it has, as far as that is within its share', () => {
  assert.deepEqual(stands(0, [[2, 2]]), { share: 6, held: 0, members: 2, seekers: 1, used: 2, gives: [] });
  assert.deepEqual(stands(0, [[2, 7]]).gives, [[2, 3, 4]]);
});

test('with more members than permits one that has none comes before one that has one', () => {
  const { share, gives } = stands(
    0,
    [
      [2, 1, true],
      [3, 1, true],
    ],
    { limit: 2 },
  );
  assert.equal(share, 1);
  assert.deepEqual(gives, [[3, 1, 0]]);
});

test('one that only seeks is a member, and a census of itself counts nobody twice', () => {
  const { members, seekers, used } = stands(1, [
    [ME, 1, true],
    [2, 0, true],
  ]);
  assert.deepEqual([members, seekers, used], [2, 2, 1]);
});

test('nobody is told to give what it needs itself: whoever has less than an even part keeps that', () => {
  const { share, gives } = stands(1, [
    [2, 1],
    [3, 6, true],
  ]);
  assert.equal(share, 4);
  assert.deepEqual(gives, [[3, 3, 3]]);
});

test('of several who have the same, it is not always the same one that gives', () => {
  const others = [2, 3, 4, 5].map((member) => [member, 1, true] as const);
  const givers = new Set<number | undefined>();
  for (let turn = 0; turn < 1e9; turn += 12_345_678) givers.add(stands(0, others, { limit: 4, turn }).gives[0]?.[0]);
  assert.deepEqual([...givers].toSorted(), [2, 3, 4, 5]);
});

test('of a few all look for a permit that was told free, of many two on average', () => {
  for (const chance of [0, 0.5, 0.999]) assert.equal(wakes(4, chance), true);
  for (const seekers of [10, 100, 1_000]) {
    const woken = Array.from({ length: 1_000 }, (_, n) => wakes(seekers, n / 1_000)).filter(Boolean).length;
    assert.ok(Math.abs((woken * seekers) / 1_000 - 2) <= 1, `${woken} of 1000`);
  }
});

test('the larger the crowd, the longer those stay away who have their share', () => {
  assert.deepEqual([9, 50, 200].map(restMs), [1_000, 1_000, 4_000]);
});

test('a few seekers try five times a second each; with many all of them together try at most fifty times a second', () => {
  assert.equal(paceMs(1), 200);
  for (const seekers of [10, 50, 200, 1_000]) assert.ok((seekers * 1_000) / paceMs(seekers) <= 50, String(seekers));
});

test('in a crowd whoever has its share goes away; who lacks something stays in any', () => {
  const of = (seekers: number, held: number) => ({ share: 2, held, members: 99, seekers, used: 9, gives: [] });
  assert.equal(staysOn(of(8, 2)), true);
  assert.equal(staysOn(of(9, 2)), false);
  assert.equal(staysOn(of(500, 1)), true);
});

test('an appeal comes out as it went in', () => {
  for (const [bare, short] of [
    [true, true],
    [false, true],
    [false, false],
  ] as const) {
    const appeal: Appeal = { member: 7, seq: 5, want: 3, bare, short, gives: [[9, 1, 2]] };
    assert.deepEqual(readPayload(appealText(appeal)), { member: 7, seq: 5, appeal });
  }
});

test('an appeal to any number of members stays below what NOTIFY can carry', () => {
  const many = Array.from({ length: 5_000 }, (_, n): [number, number, boolean] => [2 ** 30 - 1 - n, 2, true]);
  const { gives } = standing(
    many.map(([member, held, seeks]) => ({ member, held, seeks })),
    { member: ME, held: 0, want: 10_000 },
    10_000,
    0,
    0,
  );
  assert.ok(appealText({ member: 2 ** 30 - 1, seq: 1e9, want: 10_000, bare: true, short: true, gives }).length < 8_000);
  assert.ok(gives.length > 0);
});

test('what somebody else says on the channel is nothing', () => {
  const bad = ['', 'hello', '5', 'null', '[]', '{}', '[1]', '[1,"2"]', '[1,2,3]', '[1,2,3,0]', '["1",2,3,0,[]]'];
  const strange = [...bad, '[1,2,3,0,[null]]', '[1,2,3,0,[[1]]]', '[1,2,3,0,[["a",1,1]]]'];
  for (const payload of strange) assert.equal(readPayload(payload), undefined, payload);
});

test('a census is read as it comes: permits of several sessions, a seeker beside them', () => {
  const rows = [
    ['5', '2', '0'],
    ['6', '1', '0'],
    ['5', '0', '1'],
  ];
  assert.deepEqual(sql.readCensus(rows), [
    { member: 5, held: 2, seeks: true },
    { member: 6, held: 1, seeks: false },
  ]);
});

test('the same key is the same lock class everywhere, and another key another one', () => {
  const clock = new VirtualClock({ seed: 3 });
  assert.equal(sql.lockClass('orders'), sql.lockClass('orders'));
  const classes = new Set(Array.from({ length: 2_000 }, () => sql.lockClass(`key ${clock.random()}`)));
  assert.equal(classes.size, 2_000);
  for (const one of classes) assert.ok(Number.isInteger(one) && one >= -(2 ** 31) && one < 2 ** 31);
});

test('a permit told free is told as such', () => {
  assert.deepEqual(readPayload(freedText(7, 2)), { member: 7, seq: 2, appeal: undefined });
});
