// What is noted and not yet entered must not be missed by anybody who reads.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Average } from '../../src/foundation/average.ts';
import { Histogram } from '../../src/foundation/histogram.ts';

function filled(values: readonly number[], lately?: Average): Histogram {
  const histogram = new Histogram(lately);
  for (const value of values) histogram.record(value);
  return histogram;
}

function upTo(n: number): number[] {
  return Array.from({ length: n }, (_, index) => index + 1);
}

test('whatever was recorded is seen by the next reading, however few or many there were', () => {
  for (const n of [1, 2, 63, 64, 65, 127, 128, 129, 1_000]) {
    const read = filled(upTo(n)).read();
    assert.deepEqual([read.count, read.mean, read.max], [n, (n + 1) / 2, n], `${n} values`);
    for (const [share, value] of [
      [0.5, read.p50],
      [0.95, read.p95],
      [0.99, read.p99],
    ] as const) {
      const exact = Math.ceil(share * n);
      assert.ok(Math.abs(value - exact) <= exact / 16, `${n} values: ${value} for ${exact}`);
    }
  }
});

test('reading changes nothing, and what comes after it is added', () => {
  const histogram = filled([1, 2]);
  assert.deepEqual(histogram.read(), histogram.read());
  histogram.record(6);
  assert.deepEqual([histogram.read().count, histogram.read().mean, histogram.read().max], [3, 3, 6]);
});

test('the latest are followed one by one, in their order, also before anything was entered', () => {
  for (const n of [1, 5, 64, 100]) {
    const expected = new Average();
    for (const value of upTo(n)) expected.add(value);
    assert.equal(filled(upTo(n), new Average()).lately, expected.value, `${n} values`);
  }
  assert.equal(new Histogram(new Average()).lately, undefined, 'none yet');
  assert.equal(filled([1]).lately, undefined, 'nothing follows them');
});

test('clearing forgets also what was not entered yet, but not what was lately', () => {
  const histogram = filled([3, 3, 3], new Average());
  histogram.clear();
  assert.deepEqual(histogram.read(), { count: 0, mean: 0, p50: 0, p95: 0, p99: 0, max: 0 });
  assert.equal(histogram.lately, 3);
  histogram.record(5);
  assert.deepEqual([histogram.read().count, histogram.read().max], [1, 5]);
});

test('many zeros at once count with those that were noted', () => {
  const histogram = filled([10]);
  histogram.recordZeros(99);
  const { count, mean, p50, p99, max } = histogram.read();
  assert.deepEqual([count, mean, p50, p99, max], [100, 0.1, 0, 0, 10]);
});

test('a pool that has lent more often than a 32-bit number can tell still knows its percentiles', () => {
  const histogram = filled([10]);
  histogram.recordZeros(2 ** 32);
  const { count, p50, p99, max } = histogram.read();
  assert.deepEqual([count, p50, p99, max], [2 ** 32 + 1, 0, 0, 10]);
});

test('what no clock should say spoils nothing: less than nothing and not a number count as nothing', () => {
  const { count, mean, p50, max } = filled([-5, Number.NaN, -0, 4]).read();
  assert.deepEqual([count, mean, p50, max], [4, 1, 0, 4]);
});

test('what is longer than the last bucket is counted there, with its exact maximum and mean', () => {
  const day = 86_400_000;
  const { count, mean, p50, max } = filled([day, 3 * day]).read();
  assert.deepEqual([count, mean, max], [2, 2 * day, 3 * day]);
  assert.ok(p50 >= 2 ** 31 / 1_000 - 2 ** 27 / 1_000 && p50 <= max, `${p50}`);
  assert.equal(filled([1e300]).read().max, 1e300);
});
