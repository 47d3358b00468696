// The lines of psycopg_pool's normal pool, and of what is to be better, that only a real server can prove.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import pg from 'pg';
import { LeaseError, type Pool, type PoolOptions, TransactionRolledBackError } from '../../../src/doors/index.ts';
import {
  eventually,
  killBackend,
  pidOf,
  type Reports,
  rejection,
  reports,
  runProgram,
  withClient,
  withPool,
  withServer,
} from '../../postgres/harness.ts';
import { prove } from './proofs.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);

function made(t: TestContext, options: PoolOptions = {}): Reports & { pool: Pool } {
  const heard = reports();
  return { ...heard, pool: withPool(t, { ...server.config, logger: heard.logger, ...options }) };
}

const codesOf = (said: Reports['said']): string[] => said.map(({ code }) => code);

/** The states of the pool's sessions, as the server sees them. */
async function states(pool: Pool): Promise<string[]> {
  const text = 'SELECT state FROM pg_stat_activity WHERE application_name = $1 ORDER BY pid';
  const { rows } = await admin.query<{ state: string }>(text, [pool.name]);
  return rows.map(({ state }) => state);
}

async function running(pool: Pool, like: string): Promise<boolean> {
  const text = `SELECT FROM pg_stat_activity WHERE application_name = $1 AND state = 'active' AND query LIKE $2`;
  return (await admin.query(text, [pool.name, like])).rowCount === 1;
}

prove('server', {
  '3.1 non_generic_connection_type': async (t) => {
    class MyClient extends pg.Client {
      readonly greeting: string = 'hello';
    }
    const { pool } = made(t, {
      max: 1,
      Client: MyClient,
      configure: (client) => client.query("SET statement_timeout = '91s'"),
      types: { getTypeParser: () => (value: string) => `parsed ${value}` },
    });
    await pool.use(async ({ client, query }) => {
      assert.equal(typeof query, 'function');
      assert.ok(client instanceof MyClient);
      assert.equal(client.greeting, 'hello');
      const { rows } = await client.query('SELECT 1 AS one, current_setting($1) AS timeout', ['statement_timeout']);
      assert.deepEqual(rows, [{ one: 'parsed 1', timeout: 'parsed 91s' }]);
    });
  },

  '3.1 its_really_a_pool': async (t) => {
    const { pool } = made(t, { min: 2, max: 4 });
    await pool.open();
    const [first, second, nested] = await pool.use(async (outer) => {
      const inner = await pool.use(pidOf);
      return [await pidOf(outer), inner, await pool.use(pidOf)];
    });
    assert.notEqual(first, second);
    assert.equal(nested, second);
    const third = await pool.use(pidOf);
    assert.ok([first, second].includes(third));
  },

  '3.1 configure': async (t) => {
    let configured = 0;
    const { pool } = made(t, {
      min: 1,
      max: 1,
      configure: async (client) => {
        configured += 1;
        await client.query("SET application_name = 'configured'");
      },
    });
    const shown = (): Promise<unknown> =>
      pool.use(async (lease) => {
        const { rows } = await lease.query<{ application_name: string }>('SHOW application_name');
        return rows[0]?.application_name;
      });
    assert.deepEqual([await shown(), configured], ['configured', 1]);
    assert.deepEqual([await shown(), configured], ['configured', 1]);
    await pool.use((lease) => lease.client.end());
    assert.deepEqual([await shown(), configured], ['configured', 2]);
  },

  '3.1 reset': async (t) => {
    let resets = 0;
    const { pool } = made(t, {
      min: 1,
      max: 1,
      reset: async (client) => {
        resets += 1;
        await client.query('RESET statement_timeout');
      },
    });
    const pids: number[] = [];
    for (let n = 0; n < 2; n += 1) {
      await pool.use(async (lease) => {
        pids.push(await pidOf(lease));
        assert.equal(resets, n);
        assert.deepEqual((await lease.query('SHOW statement_timeout')).rows, [{ statement_timeout: '0' }]);
        await lease.query("SET statement_timeout = '91s'");
      });
    }
    assert.equal(resets, 2);
    assert.equal(pids[0], pids[1]);
  },

  '3.1 intrans_rollback': async (t) => {
    const { pool, said } = made(t, { min: 1, max: 1 });
    await admin.query('CREATE TABLE intrans (n int)');
    const lease = await pool.acquire();
    const pid = await pidOf(lease);
    await lease.query('BEGIN');
    await lease.query('INSERT INTO intrans VALUES (1)');
    lease.release();
    await pool.use(async (next) => {
      assert.equal(await pidOf(next), pid);
      assert.deepEqual((await next.query('SELECT * FROM intrans')).rows, []);
    });
    assert.deepEqual(codesOf(said), ['OXBOW_OPEN_TRANSACTION']);
    assert.match(said[0]?.message ?? '', /an open transaction/);
  },

  '3.1 inerror_rollback': async (t) => {
    const { pool, said } = made(t, { min: 1, max: 1 });
    const lease = await pool.acquire();
    const pid = await pidOf(lease);
    await lease.query('BEGIN');
    await rejection(lease.query('WAT'), pg.DatabaseError);
    lease.release();
    assert.equal(await pool.use(pidOf), pid);
    assert.deepEqual(codesOf(said), ['OXBOW_OPEN_TRANSACTION']);
    assert.match(said[0]?.message ?? '', /a failed transaction/);
  },

  '3.1 active_close': async (t) => {
    const { pool, said } = made(t, { min: 1, max: 1 });
    const lease = await pool.acquire();
    const pid = await pidOf(lease);
    const copy = rejection(lease.query('COPY (SELECT pg_sleep(60)) TO STDOUT'), pg.DatabaseError);
    await eventually('the COPY runs', () => running(pool, 'COPY%'));
    lease.release();
    assert.equal(await pool.use(pidOf), pid);
    assert.equal((await copy).code, '57014');
    assert.equal(await running(pool, 'COPY%'), false, 'nothing of it is left on the server');
    assert.deepEqual(codesOf(said), ['OXBOW_BUSY_RETURN']);
    assert.deepEqual([pool.stats().cancelled, pool.stats().connects], [1, 1]);
  },

  '3.1 del_no_warning': async () => {
    const program = `
      await (async () => {
        const dropped = await new Pool({ ...config, min: 2 }).open();
        await dropped.query('SELECT 1');
      })();
      console.log('dropped');`;
    const ended = await runProgram(program, server.config);
    assert.deepEqual(ended, { code: 0, signal: null, stdout: 'dropped\n', stderr: '' });
  },

  '3.1 check_idle': async (t) => {
    const { pool } = made(t, { min: 2, max: 2 });
    await pool.open();
    assert.deepEqual(await pool.check(), { tested: 2, kept: 2, replaced: 0, late: 0 });
    assert.deepEqual(await states(pool), ['idle', 'idle']);
  },

  '3.1 connect_no_check': async (t) => {
    const { pool } = made(t, { min: 2, max: 2, check: 'never' });
    await pool.open();
    const pids = await Promise.all([pool.use(pidOf), pool.use(pidOf)]);
    await killBackend(admin, pids[0]);
    await eventually('its socket told the pool', () => pool.stats().connectionsLost === 1);
    for (let n = 0; n < 3; n += 1) assert.notEqual(await pool.use(pidOf), pids[0]);
  },

  '3.1 connect_check': async (t) => {
    for (const check of ['always', (client: pg.Client) => client.query('SELECT 1')] as const) {
      const { pool, said } = made(t, { min: 2, max: 2, check, acquireTimeoutMs: 5_000 });
      await pool.open();
      const pids = await pool.use(async (lease) => [await pidOf(lease), await pool.use(pidOf)]);
      const [dead = 0, alive = 0] = pids;
      assert.notEqual(dead, alive);
      await killBackend(admin, dead);
      const seen = await pool.use(async (lease) => [await pidOf(lease), await pool.use(pidOf)]);
      assert.ok(seen.includes(alive) && !seen.includes(dead), `${pids} before, ${seen} after`);
      await eventually('all are idle', async () => (await states(pool)).join() === 'idle,idle');
      // Whether the end of the socket or a user's check comes first is the network's business: what the check refuses is no death.
      const died = pool.stats().connectionsLost;
      assert.ok(check !== 'always' || died === 1);
      assert.deepEqual(codesOf(said), died === 1 ? ['OXBOW_CONNECTION_LOST'] : []);
    }
  },

  '3.1 getconn_check': async (t) => {
    const { pool, said } = made(t, { min: 2, max: 2, check: 'always' });
    await pool.open();
    const both = async (): Promise<number[]> => {
      const lease = await pool.acquire();
      const client = await pool.connect();
      const pids = [await pidOf(lease), await pidOf(client)];
      lease.release();
      client.release();
      return pids;
    };
    const [dead = 0, alive = 0] = await both();
    await killBackend(admin, dead);
    const seen = await both();
    assert.ok(seen.includes(alive) && !seen.includes(dead), `${seen}`);
    assert.deepEqual(codesOf(said), ['OXBOW_CONNECTION_LOST']);
  },

  '3.1 override_close': async (t) => {
    const { pool } = made(t, { min: 1, max: 1 });
    const first = await pool.connect();
    const pid = await pidOf(first);
    first.release();
    const second = await pool.connect();
    assert.equal(await pidOf(second), pid);
    await second.end();
    second.release();
    const third = await pool.connect();
    assert.notEqual(await pidOf(third), pid);
    third.release();
  },

  '3.1 close_returns_custom_class': async (t) => {
    let ended = 0;
    class MyClient extends pg.Client {
      override end(): Promise<void>;
      override end(callback: (error: Error) => void): void;
      override end(callback?: (error: Error) => void): Promise<void> | undefined {
        ended += 1;
        if (callback === undefined) return super.end();
        super.end(callback);
        return undefined;
      }
    }
    const { pool } = made(t, { min: 1, max: 1, Client: MyClient });
    const client = await pool.connect();
    assert.ok(client instanceof MyClient);
    const pid = await pidOf(client);
    client.release();
    assert.deepEqual([await pool.use(pidOf), ended], [pid, 0]);
    assert.equal((await pool.close()).closed, 1);
    assert.equal(ended, 1);
  },

  '3.1 override_close_no_loop_subclass': async (t) => {
    class MyClient extends pg.Client {
      giveBack(): void {
        const release: unknown = Reflect.get(this, 'release');
        if (typeof release === 'function') release();
      }
    }
    const { pool } = made(t, { min: 1, max: 1, maxUses: 1, Client: MyClient });
    const client = await pool.connect();
    assert.ok(client instanceof MyClient);
    client.giveBack();
    await eventually('it is replaced', () => pool.idleCount === 1 && pool.stats().connects === 2);
    assert.throws(() => client.giveBack(), LeaseError);
    assert.deepEqual([pool.stats().connects, pool.stats().retired], [2, { uses: 1 }]);
    assert.equal((await states(pool)).length, 1);
  },

  '3.1 get_config_rotates_connections': async (t) => {
    let asked = 0;
    const { pool } = made(t, {
      max: 3,
      connection: async () => {
        asked += 1;
        return { ...server.config, application_name: `rotated-${asked}` };
      },
    });
    const leases = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
    const names = new Set<unknown>();
    for (const lease of leases) {
      const { rows } = await lease.query<{ application_name: string }>('SHOW application_name');
      names.add(rows[0]?.application_name);
      lease.release();
    }
    await pool.query('SELECT 1');
    assert.deepEqual([asked, pool.stats().connects], [3, 3]);
    assert.deepEqual([...names].sort(), ['rotated-1', 'rotated-2', 'rotated-3']);
  },

  'better 14': async (t) => {
    const { pool } = made(t, {
      max: 1,
      reset: 'discard',
      configure: (client) => client.query("SET lock_timeout = '91s'"),
    });
    const lease = await pool.acquire();
    const pid = await pidOf(lease);
    await lease.query("SET statement_timeout = '17s'; CREATE TEMP TABLE leftover (n int); LISTEN leftover");
    await lease.query('SELECT pg_advisory_lock(4711)');
    lease.release();
    // Each of these reached the next borrower there.
    await pool.use(async (next) => {
      assert.equal(await pidOf(next), pid);
      const { rows } = await next.query(`SELECT current_setting('statement_timeout') AS timeout,
        current_setting('lock_timeout') AS own, to_regclass('pg_temp.leftover') AS temp,
        (SELECT count(*)::int FROM pg_listening_channels()) AS channels,
        (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory') AS locks`);
      assert.deepEqual(rows, [{ timeout: '0', own: '91s', temp: null, channels: 0, locks: 0 }]);
      // Use after release and double release, with a new holder on the same connection.
      assert.equal((await rejection(lease.query('SELECT 1'), LeaseError)).kind, 'LEASE_RELEASED');
      assert.throws(() => lease.release(), { kind: 'LEASE_RELEASED' });
      assert.equal(pool.snapshot().lent, 1);
    });
    const client = await pool.connect();
    client.release();
    assert.throws(() => client.release(), LeaseError);
  },

  'better 15': async (t) => {
    const { pool } = made(t, { max: 1 });
    await admin.query('CREATE TABLE aborted (n int)');
    // There the body swallowed the error and nobody heard that its work was undone.
    const swallowed = pool.transaction(async (tx) => {
      await tx.query('INSERT INTO aborted VALUES (1)');
      await tx.query('SELECT 1 / 0').catch(() => {});
    });
    const error = await rejection(swallowed, TransactionRolledBackError);
    assert.equal(error.kind, 'TRANSACTION_ROLLED_BACK');
    assert.equal(Reflect.get(error.cause ?? {}, 'code'), '22012');
    await pool.use(async (lease) => {
      await lease.query('BEGIN');
      await rejection(lease.query('SELECT 1 / 0'), pg.DatabaseError);
      await rejection(lease.query('COMMIT'), TransactionRolledBackError);
    });
    assert.deepEqual((await admin.query('SELECT * FROM aborted')).rows, []);
  },
});
