// Probes: borrowing and giving back, waiting for a turn, transactions.

import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { LeaseError, type Pool, PoolClosedError, PoolTimeoutError } from '../../src/doors/index.ts';
import { backends, eventually, pidOf, rejection } from '../postgres/harness.ts';
import type { Probe, Stage } from './probe.ts';

/** Gone with the session, so nothing is left on a server that was lent to the tests. */
async function withTable(stage: Stage): Promise<Pool> {
  const pool = stage.pool({ max: 1 });
  await pool.query('CREATE TEMP TABLE kept (n int)');
  return pool;
}

async function kept(pool: Pool): Promise<unknown> {
  return (await pool.query('SELECT coalesce(array_agg(n ORDER BY n), $1) AS n FROM kept', [[]])).rows[0]?.n;
}

export const borrowing: readonly Probe[] = [
  {
    name: 'open() connects, close() ends every session and says so',
    async run(stage) {
      const pool = await stage.pool({ min: 2, max: 3 }).open();
      assert.equal(await backends(stage.admin, pool.name), 2);
      const { closed, destroyed, stillHeld } = await pool.close();
      assert.deepEqual([closed + destroyed, stillHeld], [2, []]);
      await eventually('the sessions are gone', async () => (await backends(stage.admin, pool.name)) === 0);
      await rejection(pool.query('SELECT 1'), PoolClosedError);
    },
  },
  {
    name: 'close() waits for what is lent, and tells who still holds when it waits no longer',
    async run(stage) {
      const patient = stage.pool();
      const lease = await patient.acquire();
      const closing = patient.close({ drainMs: 5_000 });
      await sleep(50);
      assert.deepEqual((await lease.query('SELECT 1 AS n')).rows, [{ n: 1 }]);
      lease.release();
      const { cancelled, stillHeld: none } = await closing;
      assert.deepEqual([cancelled, none], [0, []]);
      const hasty = stage.pool();
      await hasty.acquire({ label: 'forgotten' });
      const { stillHeld } = await hasty.close({ drainMs: 50, cancelMs: 50 });
      assert.deepEqual(
        stillHeld.map(({ label }) => label),
        ['forgotten'],
      );
    },
  },
  {
    name: 'a pool and a lease have Symbol.asyncDispose, which closes and gives back',
    async run(stage) {
      const pool = stage.pool();
      const lease = await pool.acquire();
      await lease[Symbol.asyncDispose]();
      assert.equal(pool.idleCount, 1);
      await pool[Symbol.asyncDispose]();
      assert.equal(pool.phase, 'closed');
    },
  },
  {
    name: 'a connection that is given back is lent again',
    async run(stage) {
      const pool = stage.pool();
      const pids: number[] = [];
      for (let n = 0; n < 3; n += 1) {
        const lease = await pool.acquire();
        pids.push(await pidOf(lease));
        lease.release();
      }
      assert.equal(new Set(pids).size, 1);
      assert.equal(await pool.use((lease) => pidOf(lease)), pids[0]);
    },
  },
  {
    name: 'a second release() throws, and a lease that is given back refuses queries',
    async run(stage) {
      const lease = await stage.pool().acquire();
      lease.release();
      assert.throws(() => lease.release(), LeaseError);
      assert.equal((await rejection(lease.query('SELECT 1'), LeaseError)).kind, 'LEASE_RELEASED');
    },
  },
  {
    name: 'who waits too long gets a PoolTimeoutError, in time',
    async run(stage) {
      const pool = stage.pool({ max: 1, acquireTimeoutMs: 300 });
      const lease = await pool.acquire();
      const began = performance.now();
      const error = await rejection(pool.acquire(), PoolTimeoutError);
      const ms = performance.now() - began;
      lease.release();
      assert.equal(error.code, 'POOL_TIMEOUT');
      assert.ok(ms >= 290 && ms < 3_000, `after ${Math.round(ms)} ms`);
      await pool.query('SELECT 1');
    },
  },
  {
    name: 'a waiter that is aborted is refused with the reason and gets nothing',
    async run(stage) {
      const pool = stage.pool({ max: 1 });
      const lease = await pool.acquire();
      const stop = new AbortController();
      const refused = assert.rejects(pool.acquire({ signal: stop.signal }), /enough/);
      stop.abort(new Error('enough'));
      await refused;
      assert.equal(pool.waitingCount, 0);
      lease.release();
      assert.equal(pool.idleCount, 1);
    },
  },
  {
    name: 'the time that a blocked event loop has cost a waiter is given back',
    async run(stage) {
      const pool = stage.pool({ max: 1, acquireTimeoutMs: 400 });
      const lease = await pool.acquire();
      const waiting = pool.acquire();
      const until = performance.now() + 800;
      while (performance.now() < until);
      setTimeout(() => lease.release(), 50);
      (await waiting).release();
    },
  },
  {
    name: '200 queries at once on a pool of 5 never have more than 5 sessions',
    async run(stage) {
      const pool = stage.pool({ max: 5 });
      const answers = Promise.all(
        Array.from({ length: 200 }, (_, n) => pool.query('SELECT $1::int AS n, pg_sleep(0.005)', [n])),
      );
      let most = 0;
      let done = false;
      const watched = (async () => {
        while (!done) most = Math.max(most, await backends(stage.admin, pool.name));
      })();
      const results = await answers;
      done = true;
      await watched;
      assert.deepEqual(
        results.map(({ rows }) => rows[0]?.n),
        Array.from({ length: 200 }, (_, n) => n),
      );
      assert.ok(most >= 1 && most <= 5, `${most} sessions`);
    },
  },
  {
    name: 'a query that waits for its turn goes on in its own AsyncLocalStorage context',
    async run(stage) {
      const pool = stage.pool({ max: 1 });
      const context = new AsyncLocalStorage<number>();
      const seen = await Promise.all(
        Array.from({ length: 20 }, (_, n) =>
          context.run(n, async () => {
            await pool.query('SELECT pg_sleep(0.001)');
            const afterQuery = context.getStore();
            const lease = await pool.acquire();
            const afterWaiting = context.getStore();
            lease.release();
            return [afterQuery, afterWaiting];
          }),
        ),
      );
      assert.deepEqual(
        seen,
        Array.from({ length: 20 }, (_, n) => [n, n]),
      );
    },
  },
  {
    name: 'a transaction is committed when its function resolves, and rolled back when it throws',
    async run(stage) {
      const pool = await withTable(stage);
      const value = await pool.transaction(async (tx) => {
        await tx.query('INSERT INTO kept VALUES (1)');
        await assert.rejects(
          tx.transaction(async (inner) => {
            await inner.query('INSERT INTO kept VALUES (2)');
            throw new Error('not this');
          }),
          /not this/,
        );
        return 'value';
      });
      assert.equal(value, 'value');
      const undone = pool.transaction(async (tx) => {
        await tx.query('INSERT INTO kept VALUES (3)');
        throw new Error('nor this');
      });
      await assert.rejects(undone, /nor this/);
      assert.deepEqual(await kept(pool), [1]);
    },
  },
  {
    name: 'a transaction that was left open is rolled back at the return',
    async run(stage) {
      const pool = await withTable(stage);
      const pid = await pool.use(async (lease) => {
        await lease.query('BEGIN');
        await lease.query('INSERT INTO kept VALUES (1)');
        return pidOf(lease);
      });
      assert.deepEqual(await kept(pool), []);
      assert.equal(await pool.use((lease) => pidOf(lease)), pid);
      assert.equal(pool.stats().rolledBack, 1);
    },
  },
  {
    name: 'a holder is named by file and line',
    async run(stage) {
      const pool = stage.pool({ callSites: true });
      const lease = await pool.acquire();
      const [holder] = pool.holders();
      lease.release();
      assert.match(holder?.site ?? '', /runtimes[\\/]probes-borrowing\.[jt]s:\d+$/);
    },
  },
];
