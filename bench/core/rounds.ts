// The two ways of borrowing that are timed. Every lend is checked for exclusivity and every round for its sum.

import { give, mustAddUp, take } from '../lib/connection.ts';
import { type Contestant, MAX } from '../lib/contestant.ts';

export type Scenario = 'uncontended' | 'contended';

export const CALLERS = 1_000;

/** One caller, always finding an idle connection: one await each. */
async function uncontended<H>(pool: Contestant<H>, operations: number): Promise<void> {
  for (let done = 0; done < operations; done += 1) {
    const held = await pool.acquire();
    const connection = pool.connectionOf(held);
    take(connection);
    give(connection);
    pool.release(held);
  }
}

/** A thousand callers on ten connections, each holding one for one microtask: two awaits each. */
async function contended<H>(pool: Contestant<H>, operations: number): Promise<void> {
  let left = operations;
  const caller = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const held = await pool.acquire();
      const connection = pool.connectionOf(held);
      take(connection);
      await undefined;
      give(connection);
      pool.release(held);
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
}

/** Runs one round and checks it. */
export async function round<H>(pool: Contestant<H>, scenario: Scenario, operations: number): Promise<void> {
  for (const connection of pool.connections) connection.served = 0;
  if (scenario === 'uncontended') await uncontended(pool, operations);
  else await contended(pool, operations);
  mustAddUp(pool.connections, operations, MAX);
}

/** The same loops around a promise that is there already: what the callers' own awaits cost. */
export async function awaitsOnly(scenario: Scenario, operations: number): Promise<void> {
  const ready = Promise.resolve();
  if (scenario === 'uncontended') {
    for (let done = 0; done < operations; done += 1) await ready;
    return;
  }
  let left = operations;
  const caller = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await ready;
      await undefined;
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
}
