// The pool for Workers in Node, where there is one context for ever: one module serves both.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createWorkersPool } from '../../src/doors/workers.ts';
import { withServer } from './harness.ts';

const server = await withServer(test);

test('in Node a workers pool is one ordinary pool: one connection is used again and again, by each way to borrow', async () => {
  await using pool = createWorkersPool({ connectionString: server.url, max: 3 });
  const pids = new Set<number>();
  const text = 'SELECT pg_backend_pid() AS pid';
  const note = ({ rows }: { rows: { pid: number }[] }): void => {
    for (const { pid } of rows) pids.add(pid);
  };
  note(await pool.query(text));
  note(await pool.use((lease) => lease.query(text)));
  note(await pool.transaction((tx) => tx.query(text)));
  const client = await pool.connect();
  note(await client.query(text));
  client.release();
  await new Promise((resolve) => setTimeout(resolve, 100));
  note(await pool.query({ text, timeoutMs: 5_000 }));
  const { connects, returns } = pool.stats();
  assert.deepEqual([pids.size, connects, returns, pool.idleCount, pool.phase], [1, 1, 5, 1, 'open']);
});

test('in Node many queries at once take at most max connections, and the text of a full pool tells of the budget', async () => {
  await using pool = createWorkersPool({ connectionString: server.url, max: 2, name: 'full' });
  await Promise.all(Array.from({ length: 20 }, () => pool.query('SELECT 1')));
  assert.equal(pool.stats().connects, 2);
  const leases = await Promise.all([pool.acquire(), pool.acquire()]);
  await assert.rejects(pool.acquire({ acquireTimeoutMs: 100 }), {
    kind: 'POOL_TIMEOUT',
    message: /^full: .*2 of 2 permits of the workers budget/,
  });
  for (const lease of leases) lease.release();
});
