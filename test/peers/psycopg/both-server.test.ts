// The lines of psycopg_pool's two pools together, and of its null pool, that only a real server can prove.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import pg from 'pg';
import type { Lease, Pool, PoolOptions } from '../../../src/doors/index.ts';
import { Pool as NormalPool } from '../../../src/doors/index.ts';
import { NullPool } from '../../../src/doors/null.ts';
import {
  eventually,
  freshName,
  killBackend,
  pidOf,
  type Reports,
  rejection,
  reports,
  withClient,
  withServer,
} from '../../postgres/harness.ts';
import { prove } from './proofs.ts';
import { POOLS, type PoolClass } from './stage.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);

interface Made extends Reports {
  readonly pool: Pool;
}

function made(t: TestContext, Kind: PoolClass, options: PoolOptions = {}): Made {
  const heard = reports();
  const pool = new Kind({ ...server.config, name: freshName(), logger: heard.logger, ...options });
  t.after(() => pool.close({ drainMs: 0, cancelMs: 200 }));
  return { ...heard, pool };
}

class MyClient extends pg.Client {
  readonly greeting: string = 'hello';
}

/** One lent by a null pool with a waiter behind it, given back as `spoil` leaves it; whether the waiter got the same backend. */
async function handOver({ pool }: Made, spoil: (lease: Lease) => Promise<void>): Promise<boolean> {
  const lease = await pool.acquire();
  const pid = await pidOf(lease);
  await spoil(lease);
  const waiter = pool.use(async (next) => {
    await next.query('SELECT 1');
    return pidOf(next);
  });
  assert.equal(pool.waitingCount, 1);
  lease.release();
  return (await waiter) === pid;
}

const codes = ({ said }: Made): string[] => said.map(({ code }) => code);

prove('both-server', {
  '3.2 connection_class': async (t) => {
    for (const Kind of POOLS) {
      const { pool } = made(t, Kind, { Client: MyClient });
      assert.ok(await pool.use(({ client }) => client instanceof MyClient && client.greeting === 'hello'));
      const client = await pool.connect();
      assert.ok(client instanceof MyClient);
      client.release();
    }
  },

  '3.2 kwargs': async (t) => {
    for (const Kind of POOLS) {
      const { pool } = made(t, Kind, {
        application_name: 'from-kwargs',
        statement_timeout: 91_000,
        options: '-c lock_timeout=17s',
      });
      const { rows } = await pool.query(`SELECT current_setting('application_name') AS name,
        current_setting('statement_timeout') AS timeout, current_setting('lock_timeout') AS lock`);
      assert.deepEqual(rows, [{ name: 'from-kwargs', timeout: '91s', lock: '17s' }]);
    }
  },

  '3.2 broken_reconnect': async (t) => {
    for (const Kind of POOLS) {
      const { pool } = made(t, Kind, { max: 1 });
      const first = await pool.use(async (lease) => {
        const pid = await pidOf(lease);
        await lease.client.end();
        return pid;
      });
      assert.notEqual(await pool.use(pidOf), first);
    }
  },

  '3.2 check_connection': async (t) => {
    const { pool } = made(t, NormalPool, { min: 2, max: 2 });
    await pool.open();
    assert.deepEqual(await pool.check(), { tested: 2, kept: 2, replaced: 0, late: 0 });
    const text = 'SELECT pid, state FROM pg_stat_activity WHERE application_name = $1';
    const { rows } = await admin.query<{ pid: number; state: string }>(text, [pool.name]);
    assert.deepEqual(
      rows.map(({ state }) => state),
      ['idle', 'idle'],
    );
    const dead = rows[0]?.pid ?? 0;
    await killBackend(admin, dead);
    // Whether the socket's end or the check finds it first is the network's business; it is never thrown.
    await pool.check();
    await eventually('both are there', () => pool.idleCount === 2);
    assert.equal(pool.stats().connectionsLost, 1);
    assert.notEqual(await pool.use(pidOf), dead);
    const nothing = made(t, NullPool);
    await nothing.pool.query('SELECT 1');
    await eventually('nothing is idle', () => nothing.pool.snapshot().size === 0);
    assert.equal((await nothing.pool.check()).tested, 0);
  },

  '3.3 non_generic_connection_type': async (t) => {
    const { pool } = made(t, NullPool, {
      Client: MyClient,
      types: { getTypeParser: () => (value: string) => `parsed ${value}` },
    });
    await pool.use(async (lease) => {
      assert.ok(lease.client instanceof MyClient);
      assert.deepEqual((await lease.query<{ one: string }>('SELECT 1 AS one')).rows, [{ one: 'parsed 1' }]);
    });
  },

  '3.3 its_no_pool_at_all': async (t) => {
    const { pool } = made(t, NullPool, { max: 2 });
    const nested = await pool.use(async (outer) => [await pidOf(outer), await pool.use(pidOf)]);
    assert.equal(new Set(nested).size, 2);
    await eventually('both are closed', () => pool.snapshot().size === 0);
    assert.equal(nested.includes(await pool.use(pidOf)), false);
    assert.equal(pool.stats().connects, 3);
  },

  '3.3 intrans_rollback': async (t) => {
    const one = made(t, NullPool, { max: 1 });
    await admin.query('CREATE TABLE null_intrans (n int)');
    const same = await handOver(one, async (lease) => {
      await lease.query('BEGIN');
      await lease.query('INSERT INTO null_intrans VALUES (1)');
    });
    assert.deepEqual([same, codes(one)], [true, ['OXBOW_OPEN_TRANSACTION']]);
    assert.deepEqual((await admin.query('SELECT * FROM null_intrans')).rows, []);
  },

  '3.3 inerror_rollback': async (t) => {
    const one = made(t, NullPool, { max: 1 });
    const same = await handOver(one, async (lease) => {
      await lease.query('BEGIN');
      await rejection(lease.query('WAT'), pg.DatabaseError);
    });
    assert.deepEqual([same, codes(one)], [true, ['OXBOW_OPEN_TRANSACTION']]);
    assert.match(one.said[0]?.message ?? '', /a failed transaction/);
  },

  '3.3 active_close': async (t) => {
    const one = made(t, NullPool, { max: 1 });
    let cancelled: Promise<pg.DatabaseError> | undefined;
    const same = await handOver(one, async (lease) => {
      cancelled = rejection(lease.query('COPY (SELECT pg_sleep(60)) TO STDOUT'), pg.DatabaseError);
      const text = `SELECT FROM pg_stat_activity WHERE application_name = $1 AND state = 'active'`;
      await eventually('it runs', async () => (await admin.query(text, [one.pool.name])).rowCount === 1);
    });
    assert.deepEqual([same, codes(one)], [true, ['OXBOW_BUSY_RETURN']]);
    assert.equal((await cancelled)?.code, '57014');
  },
});
