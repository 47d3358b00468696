// What is timed: a call of `use()`, and an `await` in code that has nothing to do with the pool. Owns the loops and their sums; knows neither
// processes nor tables.

import type { Pool } from '../../src/doors/index.ts';

/** How far tasks are followed. `fresh`: by default, in a process where nobody has waited for a pool that was all lent. */
export const STATES = ['off', 'off again', 'fresh', 'on'] as const;
export type State = (typeof STATES)[number];

export const SCENARIOS = ['use', 'await', 'await inside use'] as const;
export type Scenario = (typeof SCENARIOS)[number];

async function step(n: number): Promise<number> {
  return n;
}

async function steps(count: number): Promise<number> {
  let sum = 0;
  for (let n = 0; n < count; n += 1) sum += await step(n);
  return sum;
}

async function uses(pool: Pool, count: number): Promise<number> {
  let sum = 0;
  for (let n = 0; n < count; n += 1) sum += await pool.use(() => n);
  return sum;
}

/** One round of so many; a sum that is wrong ends the run. */
export async function round(pool: Pool, scenario: Scenario, count: number): Promise<void> {
  const sum = await (scenario === 'use'
    ? uses(pool, count)
    : scenario === 'await'
      ? steps(count)
      : pool.use(() => steps(count)));
  if (sum !== (count * (count - 1)) / 2) throw new Error(`${scenario}: the sum is ${sum}`);
}
