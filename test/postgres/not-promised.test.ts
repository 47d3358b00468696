// Where the promises of the pool end, each limit shown on a real server: docs/essays/never-loses.md leads here. A limit that is lifted
// fails its test; then the essay has to say more. What the pool does promise is tested everywhere else.

import assert from 'node:assert/strict';
import test from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import Cursor from 'pg-cursor';
import { ConnectionLostError, QueryTimeoutError } from '../../src/doors/index.ts';
import { backends, eventually, killBackend, pidOf, rejection, withClient, withPool, withServer } from './harness.ts';
import { throughProxy } from './through-proxy.ts';

const server = await withServer(test, { url: false });
const admin = await withClient(test, server.config);

test('a raw client that is used after its release is not noticed, and speaks in the session of its next holder', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const stale = await pool.connect();
  stale.release();
  await pool.use(async (lease) => {
    await lease.query('BEGIN');
    await stale.query("SET LOCAL work_mem = '7MB'");
    assert.deepEqual((await lease.query('SHOW work_mem')).rows, [{ work_mem: '7MB' }]);
    await lease.query('ROLLBACK');
  });
});

test('release called on a client that is lent again gives back the connection of its present holder', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const first = await pool.connect();
  first.release();
  const second = await pool.connect();
  assert.equal(second, first);
  // Whoever says it: there is one object, and it carries the release of its latest checkout.
  first.release();
  assert.deepEqual([pool.snapshot().lent, pool.idleCount], [0, 1]);
  assert.throws(() => second.release(), { kind: 'LEASE_RELEASED' });
});

test("with reset: 'rollback' an advisory lock and a LISTEN stay with the connection", async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  await pool.query('LISTEN news; SELECT pg_advisory_lock(77)');
  const { rows } = await pool.query(
    `SELECT ARRAY(SELECT pg_listening_channels()) AS heard,
            (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks`,
  );
  assert.deepEqual(rows, [{ heard: ['news'], locks: 1 }]);
});

test("with reset: 'tracked' a setting that a trigger makes is not seen, and stays", async (t) => {
  await admin.query(`
    CREATE TABLE triggering (n int);
    CREATE FUNCTION leave_a_trace() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM set_config('app.tenant', 'seven', false); RETURN NEW; END $$;
    CREATE TRIGGER leaves BEFORE INSERT ON triggering FOR EACH ROW EXECUTE FUNCTION leave_a_trace()`);
  const pool = withPool(t, { ...server.config, max: 1, reset: 'tracked' });
  const read = "SELECT current_setting('app.tenant', true) AS tenant";
  await pool.query("SELECT set_config('app.tenant', 'six', false)");
  assert.notDeepEqual((await pool.query(read)).rows, [{ tenant: 'six' }], 'what is in the text is undone');
  await pool.query('INSERT INTO triggering VALUES (1)');
  assert.deepEqual((await pool.query(read)).rows, [{ tenant: 'seven' }]);
});

test('a reset of your own is believed: what it leaves is met by the next borrower', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1, reset: async () => {} });
  await pool.query("SET work_mem = '6MB'");
  assert.deepEqual((await pool.query('SHOW work_mem')).rows, [{ work_mem: '6MB' }]);
});

test('a session that no cancel request reached runs on, on the server, when its socket has been cut and its place is taken', async (t) => {
  const { proxy, pool } = await throughProxy(t, { config: server.config }, { max: 1, returnTimeoutMs: 300 });
  const pid = await pidOf(pool);
  await proxy.lateCancel(Infinity);
  await rejection(pool.query({ text: 'SELECT pg_sleep(60)', timeoutMs: 100 }), QueryTimeoutError);
  assert.notEqual(await pidOf(pool), pid);
  assert.equal(pool.snapshot().size, 1);
  assert.equal(await backends(admin, pool.name), 2);
  // An administrator can still end it.
  await killBackend(admin, pid);
  await eventually('one session is left', async () => (await backends(admin, pool.name)) === 1);
});

test('a cursor whose line goes dead between two reads is not found out: to the server it waits for its reader', async (t) => {
  const { proxy, pool } = await throughProxy(t, { config: server.config, probes: 1 }, { max: 2, silentAfterMs: 400 });
  const leases = [await pool.acquire(), await pool.acquire()] as const;
  const cursor = leases[0].query(new Cursor('SELECT generate_series(1, 1000)'));
  await cursor.read(5);
  await Promise.all(proxy.connections.map((line) => line.stall('toClient')));
  const read = cursor.read(5).catch(String);
  await rejection(leases[1].query('SELECT 1'), ConnectionLostError);
  assert.equal(leases[0].signal.aborted, false, 'a statement without a cursor was found out meanwhile');
  // Whoever bounds it is told, and the connection is replaced.
  leases[0].release(true);
  await read;
  leases[1].release();
});

test('a cursor whose connection died is never closed: pg-cursor waits for the end of a reply, with the pool or without', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const client = await pool.connect();
  const pid = await pidOf(client);
  const cursor = client.query(new Cursor('SELECT generate_series(1, 1000)'));
  await cursor.read(5);
  const end = new Promise<void>((resolve) => client.once('end', resolve));
  await killBackend(admin, pid);
  await end;
  await rejection(cursor.read(5), Error);
  let closed = false;
  cursor.close().then(
    () => {
      closed = true;
    },
    () => {
      closed = true;
    },
  );
  client.release();
  await pool.query('SELECT 1');
  await turn();
  assert.equal(closed, false);
});
