// One process of a fleet: a pool with a budget, told by its parent what to do. `process.env.OXBOW_MEMBER` has the pool's options and the
// budget's as JSON.

import { Pool } from '../../src/doors/index.ts';
import { postgresBudget } from '../../src/sharing/postgres-budget.ts';

const { options, budget } = JSON.parse(process.env.OXBOW_MEMBER ?? '{}');
// What is lost by a test's doing is reported, and nobody reads it.
const logger = { debug() {}, info() {}, warn() {}, error() {} };
const pool = new Pool({ ...options, logger, budget: postgresBudget(budget) });
let ops = 0;
const failures: string[] = [];
let until = 0;

async function work(): Promise<void> {
  while (performance.now() < until) {
    try {
      await pool.query('SELECT pg_sleep(0.005)');
      ops += 1;
    } catch (error) {
      failures.push(String(error));
    }
  }
}

async function answer({ op, tasks = 0, ms = 0 }: { op: string; tasks?: number; ms?: number }): Promise<unknown> {
  switch (op) {
    case 'hungry':
      ops = 0;
      until = performance.now() + ms;
      await Promise.all(Array.from({ length: tasks }, work));
      return { ops, failures };
    case 'ops':
      return ops;
    case 'one': {
      const since = performance.now();
      const lease = await pool.acquire();
      lease.release();
      return performance.now() - since;
    }
    case 'fill': {
      const leases = await Promise.all(Array.from({ length: tasks }, () => pool.acquire()));
      for (const lease of leases) lease.release();
      return tasks;
    }
    case 'close':
      await pool.close();
      return 'closed';
    default:
      return { held: pool.snapshot().budget?.held, connects: pool.stats().connects };
  }
}

process.on('message', (asked: { id: number; op: string; tasks?: number; ms?: number }) => {
  answer(asked).then(
    (value) => process.send?.({ id: asked.id, value }),
    (error: unknown) => process.send?.({ id: asked.id, error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.({ id: 0 });
