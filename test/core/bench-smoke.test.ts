// The benchmark's own checks must work, or its figures mean nothing. Nothing here is timed.

import assert from 'node:assert/strict';
import test from 'node:test';
import { round } from '../../bench/core/rounds.ts';
import { FakeConnection } from '../../bench/lib/connection.ts';
import type { Contestant } from '../../bench/lib/contestant.ts';
import { Limit } from '../../bench/lib/limit.ts';
import { InstantDriver } from '../../bench/lib/ours.ts';
import { median, medianRatio } from '../../bench/lib/statistics.ts';
import { SCENARIOS, round as tasksRound } from '../../bench/tasks/rounds.ts';
import { Pool } from '../../src/doors/index.ts';

test('a round over honest pools adds up, alone and with a thousand callers', async () => {
  await round(new Limit(), 'uncontended', 50);
  await round(new Limit(), 'contended', 3_000);
});

test('a pool that lends one connection to two borrowers fails its round', async () => {
  const only = new FakeConnection();
  const broken: Contestant<FakeConnection> = {
    connections: [only],
    acquire: async () => only,
    connectionOf: (held) => held,
    release: () => {},
  };
  await assert.rejects(round(broken, 'contended', 100), /two borrowers/);
});

test('a pool that hides a connection fails its round', async () => {
  const hiding: Contestant<FakeConnection> = {
    connections: [],
    acquire: async () => new FakeConnection(),
    connectionOf: (held) => held,
    release: () => {},
  };
  await assert.rejects(round(hiding, 'uncontended', 10), /10 borrowed/);
});

test('a ratio is the median of the ratios within a round', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.equal(medianRatio([10, 200, 30], [20, 400, 60]), 0.5);
});

test('a round of tasks adds up, and one whose calls give something else fails', async () => {
  const pool = new Pool({ driver: new InstantDriver(), dev: false });
  for (const scenario of SCENARIOS) await tasksRound(pool, scenario, 50);
  Object.defineProperty(pool, 'use', { value: async () => 0 });
  await assert.rejects(tasksRound(pool, 'use', 50), /the sum is 0/);
  await pool.close();
});
