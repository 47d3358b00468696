// Probes of borrowing and giving back: waiters, releases, the end of a pool, and which connection the next one gets. Knows no
// transaction and no protocol.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type pg from 'pg';
import { LeaseError, type Pool, PoolClosedError, type PoolOptions } from '../../../src/doors/index.ts';
import { Pool as PgPool } from '../../../src/doors/pg.ts';
import { eventually, freshName, pidOf, rejection, reports, withPool } from '../../postgres/harness.ts';
import {
  admin,
  codeOf,
  pendingAfter,
  probe,
  server,
  slonikSql,
  statesOf,
  watch,
  withPgPool,
  withProxy,
  withSlonik,
} from './stage.ts';

/** A pool of one connection. */
function single(t: TestContext, options: PoolOptions = {}): Pool {
  return withPool(t, { ...server.config, max: 1, ...options });
}

function thrownBy(work: () => void): Error | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

probe(1, {
  ours: async (t) => {
    const { proxy, config } = await withProxy(t);
    // Far above the second that a goodbye may take.
    const pool = single(t, { ...config, acquireTimeoutMs: 8_000 });
    const holder = await pool.acquire();
    const pid = await pidOf(holder);
    await proxy.connections[0]?.hangClose();
    const served: string[] = [];
    const borrow = (who: string): Promise<number> =>
      pool.use((lease) => {
        served.push(who);
        return pidOf(lease);
      });
    const waiter = borrow('waiter');
    holder.release(new Error('broken'));
    const newcomer = borrow('newcomer');
    const pids = await Promise.all([waiter, newcomer]);
    assert.deepEqual(served, ['waiter', 'newcomer']);
    assert.ok(!pids.includes(pid));
  },
  theirs: {
    'pg-pool': async (t, stillSo) => {
      const { proxy, config } = await withProxy(t);
      const pool = withPgPool(t, config);
      const holder = await pool.connect();
      await proxy.connections[0]?.hangClose();
      const waiter = watch(pool.connect());
      holder.release(new Error('broken'));
      const newcomer = watch(pool.connect());
      await Promise.race([waiter.settled, newcomer.settled]);
      stillSo('who is still waiting', [waiter.pending, newcomer.pending], [true, false]);
      stillSo(
        'the waiter is not served while nothing is lent but to the newcomer',
        await pendingAfter(200, waiter),
        true,
      );
    },
  },
});

probe(2, {
  ours: async (t) => {
    const rejecting = single(t);
    const holder = await rejecting.acquire();
    const waiter = rejection(rejecting.acquire(), PoolClosedError);
    const ended = rejecting.end();
    await waiter;
    holder.release();
    await ended;
    const serving = single(t);
    const first = await serving.acquire();
    const second = serving.use((lease) => lease.query('SELECT 1 AS one'));
    const closed = serving.close({ waiting: 'serve' });
    first.release();
    assert.deepEqual((await second).rows, [{ one: 1 }]);
    assert.equal((await closed).rejected, 0);
    // The face for pg's own users serves whoever was there before the end.
    const pgs = new PgPool({ ...server.config, max: 1, name: freshName(), logger: reports().logger });
    t.after(() => pgs.close({ drainMs: 0, cancelMs: 200 }));
    const client = await pgs.connect();
    const queued = pgs.query('SELECT 1 AS one');
    const over = pgs.end();
    client.release();
    assert.deepEqual((await queued).rows, [{ one: 1 }]);
    await over;
  },
  theirs: {
    'pg-pool': async (t, stillSo) => {
      const pool = withPgPool(t);
      const holder = await pool.connect();
      const waiter = watch(pool.connect());
      const ended = watch(pool.end());
      holder.release();
      await Promise.race([ended.settled, waiter.settled]);
      stillSo('the waiter is pending after the end', [ended.pending, await pendingAfter(200, waiter)], [false, true]);
    },
  },
});

probe(3, {
  ours: async (t) => {
    const pool = single(t);
    const stale = await pool.acquire();
    const { client } = stale;
    stale.release();
    const owner = await pool.acquire();
    assert.equal(owner.client, client);
    assert.throws(() => stale.release(), { kind: 'LEASE_RELEASED' });
    assert.equal(pool.tryAcquire(), undefined);
    assert.equal(pool.snapshot().lent, 1);
    assert.deepEqual((await owner.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
    owner.release();
    // The same by a release that was kept. What nobody can tell is who calls `client.release()` on a client that two have held: there
    // our raw clients are as pg's, and the lease is the remedy.
    const { release } = await pool.connect();
    release();
    const second = await pool.connect();
    const thrown = thrownBy(() => release());
    assert.ok(thrown instanceof LeaseError);
    assert.equal(pool.snapshot().lent, 1);
    assert.deepEqual((await second.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
    second.release();
    assert.equal(pool.stats().connects, 1);
  },
  theirs: {
    'pg-pool': async (t, stillSo) => {
      const pool = withPgPool(t);
      const careless = await pool.connect();
      careless.release();
      const owner = await pool.connect();
      stillSo('the second release is accepted', thrownBy(() => careless.release())?.message, undefined);
      stillSo('what the owner uses is idle', pool.idleCount, 1);
      const third = await pool.connect();
      stillSo('a third one gets it too', third, owner);
      third.release();
      stillSo('the innocent owner is the one who is told', thrownBy(() => owner.release()) instanceof Error, true);
    },
  },
});

probe(4, {
  ours: async (t) => {
    for (const end of [(pool: Pool) => pool.end(), (pool: Pool) => pool.close()]) {
      const pool = single(t, { max: 2 });
      const clients: pg.PoolClient[] = await Promise.all([pool.connect(), pool.connect()]);
      for (const client of clients) client.release();
      await end(pool);
      assert.deepEqual(
        clients.map(({ connection }) => connection.stream.closed),
        [true, true],
      );
    }
  },
  theirs: {
    'pg-pool': async (t, stillSo) => {
      const pool = withPgPool(t);
      const client = await pool.connect();
      client.release();
      await pool.end();
      stillSo('the socket is open after the end', client.connection.stream.closed, false);
    },
  },
});

/** pg's own deadline, of one query. */
function sleeper(seconds: number): pg.QueryConfig & { query_timeout: number } {
  return { text: `SELECT pg_sleep(${seconds})`, query_timeout: 100 };
}

probe(7, {
  ours: async (t) => {
    const pool = single(t);
    const client = await pool.connect();
    const error = await rejection(client.query(sleeper(60)), Error);
    assert.match(error.message, /timeout/i);
    client.release();
    assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
    await eventually('nothing sleeps any more', async () => !(await statesOf(pool.name)).includes('active'));
  },
  theirs: {
    'pg-pool': async (t, stillSo) => {
      const pool = withPgPool(t);
      const client = await pool.connect();
      const pid = await pidOf(client);
      const began = performance.now();
      await rejection(client.query(sleeper(0.8)), Error);
      client.release();
      const next = await pidOf(pool);
      const waitedForIt = performance.now() - began > 700;
      stillSo('the next query waits for it, on the same connection', [next === pid, waitedForIt], [true, true]);
    },
  },
});

probe(8, {
  ours: async (t) => {
    const pool = single(t);
    const pid = await pidOf(pool);
    assert.equal(await codeOf(pool.query('SELECT 1 / 0')), '22012');
    assert.equal(await pidOf(pool), pid);
    assert.equal(pool.stats().connects, 1);
  },
  theirs: {
    'pg-pool': async (t, stillSo) => {
      const pool = withPgPool(t);
      const pid = await pidOf(pool);
      assert.equal(await codeOf(pool.query('SELECT 1 / 0')), '22012');
      stillSo('the connection is the same', (await pidOf(pool)) === pid, false);
    },
    slonik: async (t, stillSo) => {
      const pool = await withSlonik(t);
      const pid = await pool.oneFirst(slonikSql.unsafe`SELECT pg_backend_pid()`);
      assert.equal(typeof pid, 'number');
      await rejection(pool.query(slonikSql.unsafe`SELECT 1 / 0`), Error);
      const next = await pool.oneFirst(slonikSql.unsafe`SELECT pg_backend_pid()`);
      stillSo('the connection is the same', next === pid, false);
      const { rowCount } = await admin.query('SELECT FROM pg_stat_activity WHERE pid = $1', [next]);
      assert.equal(rowCount, 1);
    },
  },
});
