// Which leases the sentence of a leak names: others that do nothing as well may be the ones whose place is known.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Evidence } from '../../src/contracts/explain.ts';
import type { Holder } from '../../src/contracts/snapshot.ts';
import { elsewhere, explain } from '../../src/diagnosis/explain.ts';
import { Pool } from '../../src/doors/index.ts';

const nothing = new Pool({ name: 'p', max: 2 }).snapshot();

/** Somebody was refused after `waitedMs` by a pool of two, whose holders have been idle for so long. */
function refused(waitedMs: number, idleMs: readonly number[]): Evidence {
  const holders = idleMs.map((ms, id): Holder => ({ id, heldMs: ms, idleMs: ms, busy: false }));
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

test('if all do nothing, all are named beside the one that has leaked', () => {
  const evidence = refused(30_000, [31_000, 30_010]);
  const [first, second] = evidence.holders;
  assert.ok(first !== undefined && second !== undefined);
  const { summary, verdict: said } = explain({ ...evidence, holders: [first, { ...second, site: 'orders.ts:7' }] });
  assert.equal(said, 'leak');
  assert.match(
    summary,
    /1 lease has had no query .*; held 31 s, idle for 31 s; held 30 s by orders\.ts:7, idle for 30 s$/,
  );
});

test('one that has been idle since whoever waits came is no leak, where both are measured by the same 30 s', () => {
  assert.equal(explain(refused(30_000, [30_040, 30_010])).verdict, 'held-idle');
  assert.equal(explain({ ...refused(30_000, [30_040, 30_010]), timeoutMs: 31_000 }).verdict, 'leak');
});
