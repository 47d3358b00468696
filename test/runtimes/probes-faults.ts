// Probes: what runs too long, what is stopped, and connections that die.

import assert from 'node:assert/strict';
import {
  ConnectError,
  ConnectionLostError,
  isOxbowError,
  type Pool,
  QueryTimeoutError,
} from '../../src/doors/index.ts';
import { eventually, killBackend, pidOf, rejection, unusedPort } from '../postgres/harness.ts';
import type { Probe, Stage } from './probe.ts';

/** The server is at work on a statement of this pool. */
async function running(stage: Stage, pool: Pool): Promise<boolean> {
  const text = "SELECT FROM pg_stat_activity WHERE application_name = $1 AND state = 'active'";
  return (await stage.admin.query(text, [pool.name])).rowCount !== 0;
}

async function started(stage: Stage, pool: Pool): Promise<void> {
  await eventually('the statement runs', () => running(stage, pool));
}

/** Nothing of it runs on any longer, and the connection was kept. */
async function stopped(stage: Stage, pool: Pool): Promise<void> {
  await eventually('the server has stopped', async () => !(await running(stage, pool)), { withinMs: 8_000 });
  await pool.query('SELECT 1');
  assert.equal(pool.stats().connects, 1, 'the connection is used again');
}

function elsewhere(stage: Stage, parts: { port?: string; hostname?: string; pathname?: string }): string {
  return Object.assign(new URL(stage.url), parts).href;
}

export const faults: readonly Probe[] = [
  {
    name: 'a running query that is aborted is stopped on the server, and its connection used again',
    async run(stage) {
      const pool = stage.pool({ max: 1 });
      const stop = new AbortController();
      const refused = assert.rejects(pool.query({ text: 'SELECT pg_sleep(60)', signal: stop.signal }), /enough/);
      await started(stage, pool);
      stop.abort(new Error('enough'));
      await refused;
      await stopped(stage, pool);
    },
  },
  {
    name: 'a query that runs longer than its timeout is stopped on the server, and its connection used again',
    async run(stage) {
      const pool = stage.pool({ max: 1 });
      await pool.query('SELECT 1');
      const began = performance.now();
      await rejection(pool.query({ text: 'SELECT pg_sleep(60)', timeoutMs: 200 }), QueryTimeoutError);
      const ms = performance.now() - began;
      assert.ok(ms >= 190 && ms < 3_000, `after ${Math.round(ms)} ms`);
      await stopped(stage, pool);
    },
  },
  {
    name: 'a cancel from elsewhere reaches the caller as 57014',
    async run(stage) {
      const pool = stage.pool({ max: 1 });
      const pid = await pool.use((lease) => pidOf(lease));
      const refused = assert.rejects(pool.query('SELECT pg_sleep(60)'), { code: '57014' });
      await started(stage, pool);
      await stage.admin.query('SELECT pg_cancel_backend($1)', [pid]);
      await refused;
      await stopped(stage, pool);
    },
  },
  {
    name: 'a connection that is killed while idle is noticed, and the next query served by another',
    async run(stage) {
      const pool = stage.pool({ max: 1 });
      const pid = await pool.use((lease) => pidOf(lease));
      await killBackend(stage.admin, pid);
      await eventually('the pool knows', () => pool.stats().connectionsLost === 1);
      assert.equal(pool.totalCount, 0);
      assert.notEqual(await pool.use((lease) => pidOf(lease)), pid);
    },
  },
  {
    name: 'a connection that is killed while lent: ConnectionLostError, the process lives, the pool serves on',
    async run(stage) {
      const pool = stage.pool({ max: 1 });
      const lease = await pool.acquire();
      const { signal } = lease;
      await killBackend(stage.admin, await pidOf(lease));
      await eventually('the lease is told', () => signal.aborted);
      const error = await rejection(lease.query('SELECT 1'), ConnectionLostError);
      assert.equal(error.code, '57P01');
      lease.release();
      await pool.query('SELECT 1');
    },
  },
  {
    name: 'a connection that is killed during a query: ConnectionLostError that says it may have been executed',
    async run(stage) {
      const pool = stage.pool({ max: 1 });
      const pid = await pool.use((lease) => pidOf(lease));
      const lost = rejection(pool.query('SELECT pg_sleep(60)'), ConnectionLostError);
      await started(stage, pool);
      await killBackend(stage.admin, pid);
      const error = await lost;
      assert.deepEqual([error.code, error.mayHaveExecuted], ['57P01', true]);
      await pool.query('SELECT 1');
    },
  },
  {
    name: 'a raw client that is killed while lent does not end the process',
    async run(stage) {
      const pool = stage.pool({ max: 1 });
      const client = await pool.connect();
      await killBackend(stage.admin, await pidOf(client));
      await assert.rejects(client.query('SELECT 1'));
      client.release();
      await pool.query('SELECT 1');
    },
  },
  {
    name: 'where nobody listens, open() rejects with the ConnectError or the timeout that has ECONNREFUSED in it',
    async run(stage) {
      const connectionString = elsewhere(stage, { port: String(await unusedPort()), hostname: '127.0.0.1' });
      const pool = stage.pool({ connectionString });
      const error: unknown = await pool.open({ timeoutMs: 500 }).catch((reason: unknown) => reason);
      assert.ok(isOxbowError(error), String(error));
      const cause: unknown = error instanceof ConnectError ? error : error.cause;
      assert.equal(Reflect.get(Object(cause), 'code'), 'ECONNREFUSED');
    },
  },
  {
    name: 'the errors of another copy of the package are recognised by isOxbowError',
    async run(stage) {
      const error = await rejection(
        stage.pool({ connectionString: elsewhere(stage, { pathname: '/not_there' }) }).open(),
        ConnectError,
      );
      assert.deepEqual([error.code, error.transient, isOxbowError(error)], ['3D000', false, true]);
      const foreign = Object.assign(new Error('as if'), { [Symbol.for('oxbow.error')]: true });
      assert.ok(isOxbowError(foreign));
      assert.ok(!isOxbowError(new Error('no')));
    },
  },
];
