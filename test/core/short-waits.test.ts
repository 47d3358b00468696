// What is said to those who wait for less than a second, of holders that do nothing; and of those that do nothing for as long as it takes to be
// called a leak, when others do nothing as well.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Evidence } from '../../src/contracts/explain.ts';
import type { Holder } from '../../src/contracts/snapshot.ts';
import { elsewhere, explain } from '../../src/diagnosis/explain.ts';
import { Pool } from '../../src/doors/index.ts';

const nothing = new Pool({ name: 'p', max: 2 }).snapshot();

/** Somebody was refused after `waitedMs` by a pool of two, whose holders have been idle for so long. */
function refused(waitedMs: number, idleMs: readonly number[], more: Partial<Holder> = {}): Evidence {
  const holders = idleMs.map((ms, id): Holder => ({ id, heldMs: ms, idleMs: ms, busy: false, ...more }));
  return {
    ...elsewhere(nothing, { lives: '', used: '', instead: '' }),
    elsewhere: undefined,
    snapshot: { ...nothing, phase: 'open', size: 2, lent: 2 },
    holders,
    refused: true,
    waitedMs,
    timeoutMs: waitedMs,
    leakAfterMs: 30_000,
  };
}

const verdict = (...args: Parameters<typeof refused>): string => explain(refused(...args)).verdict;

test('holders that were idle for half of a short wait are not said to be at work', () => {
  assert.equal(verdict(400, [200, 410]), 'held-idle');
  assert.equal(verdict(400, [199, 410]), 'exhausted');
  assert.equal(verdict(400, [410, 410], { busy: true }), 'exhausted');
});

test('however short the wait, idle for less than 100 ms is between two statements', () => {
  assert.equal(verdict(20, [99, 99]), 'exhausted');
  assert.equal(verdict(20, [100, 100]), 'held-idle');
});

test('for a wait of two seconds or more, or none, it takes a second', () => {
  for (const waitedMs of [2_000, 30_000, 0]) {
    assert.equal(verdict(waitedMs, [999, 5_000]), 'exhausted');
    assert.equal(verdict(waitedMs, [1_000, 5_000]), 'held-idle');
  }
});

test('if all do nothing, all are named beside the one that has leaked', () => {
  const evidence = refused(30_000, [30_000, 29_990]);
  const [first, second] = evidence.holders;
  assert.ok(first !== undefined && second !== undefined);
  const { summary, verdict: said } = explain({ ...evidence, holders: [first, { ...second, site: 'orders.ts:7' }] });
  assert.equal(said, 'leak');
  assert.match(
    summary,
    /1 lease has had no query .*; held 30 s, idle for 30 s; held 30 s by orders\.ts:7, idle for 30 s$/,
  );
});
