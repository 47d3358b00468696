// What a user of pg finds on the pool: its events with its arguments, its counts, its options; `oxbow/pg` with its manners, `oxbow/null`.

import assert from 'node:assert/strict';
import test from 'node:test';
import pg, * as pgNames from 'pg';
import { ConnectError, OptionError, Pool, PoolClosedError, PoolTimeoutError } from '../../src/doors/index.ts';
import { NullPool } from '../../src/doors/null.ts';
import * as door from '../../src/doors/pg.ts';
import {
  eventually,
  killBackend,
  pidOf,
  rejection,
  reports,
  unusedPort,
  withClient,
  withPool,
  withServer,
} from './harness.ts';

const { default: oxbowPg, Pool: PgPool } = door;
const server = await withServer(test);
const admin = await withClient(test, server.config);

test('connect, acquire, release and remove come in pg’s order with pg’s arguments', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const seen: unknown[][] = [];
  for (const name of ['connect', 'acquire', 'release', 'remove'] as const) {
    pool.on(name, (...args: unknown[]) => seen.push([name, ...args]));
  }
  let sizeAtRemove: number | undefined;
  pool.on('remove', () => {
    sizeAtRemove = pool.snapshot().size;
  });
  await new Promise(setImmediate);
  const client = await pool.connect();
  client.release();
  const again = await pool.connect();
  const why = new Error('I do not like it');
  again.release(why);
  await eventually('it is gone', () => pool.snapshot().size === 0);
  assert.deepEqual(
    seen.map(([name]) => name),
    ['connect', 'acquire', 'release', 'acquire', 'release', 'remove'],
  );
  assert.deepEqual(seen[2], ['release', undefined, client]);
  assert.deepEqual(seen[4], ['release', why, client]);
  for (const at of [0, 1, 3, 5]) assert.deepEqual(seen[at]?.slice(1), [client]);
  assert.equal(sizeAtRemove, 0, 'not before the socket has gone');
});

test('an idle connection that dies is told of by error, with the client, and only then', async (t) => {
  const pool = withPool(t, { ...server.config, max: 2 });
  const told: [Error, pg.PoolClient][] = [];
  pool.on('error', (error, client) => told.push([error, client]));
  const lease = await pool.acquire();
  const client = await pool.connect();
  const pid = await pidOf(client);
  client.release();
  await killBackend(admin, pid);
  await eventually('the pool says so', () => told.length === 1);
  assert.equal(told[0]?.[1], client);
  await killBackend(admin, await pidOf(lease));
  await eventually('the lease ends', () => lease.signal.aborted);
  lease.release();
  assert.equal(told.length, 1);
});

test('a listener that throws harms nobody', async (t) => {
  const log = reports();
  const pool = withPool(t, { ...server.config, max: 1, logger: log.logger });
  const bad = (): void => {
    throw new Error('bad listener');
  };
  pool.on('connect', bad).on('acquire', bad).on('release', bad).on('error', bad).on('remove', bad);
  await new Promise(setImmediate);
  await killBackend(admin, await pidOf(pool));
  await eventually('its last listener has thrown', () => log.said.length === 5);
  assert.deepEqual(
    log.said,
    ['connect', 'acquire', 'release', 'error', 'remove'].map((name) => ({
      code: 'OXBOW_CALLBACK_FAILED',
      message: `${pool.name}: a listener of "${name}" threw: bad listener`,
    })),
  );
  assert.equal((await pool.query('SELECT 1 AS one')).rows[0]?.one, 1);
  assert.equal(pool.idleCount, 1, 'served by the next one, and that came back');
});

test('options say where a pool given by URL connects to, and keep its secrets', async (t) => {
  const url = `postgres://someone:s3cret@db.example:6543/shop`;
  const pool = withPool(t, { connectionString: url });
  const { host, port, database, user } = pool.options;
  assert.deepEqual(
    { host, port, database, user },
    { host: 'db.example', port: 6543, database: 'shop', user: 'someone' },
  );
  assert.equal(pool.options.password, 's3cret', 'for libraries that make a client of their own');
  assert.doesNotMatch(JSON.stringify(pool.options), /s3cret/);
  assert.ok(!Object.keys({ ...pool.options }).includes('password'));
});

test('health() says up, busy, down', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  assert.equal(pool.health(), 'up');
  const lease = await pool.acquire();
  const waiting = pool.acquire();
  assert.equal(pool.health(), 'busy');
  lease.release();
  (await waiting).release();
  assert.equal(pool.health(), 'up');
  const dead = withPool(t, { ...server.config, port: await unusedPort(), acquireTimeoutMs: 200 });
  await rejection(dead.query('SELECT 1'), PoolTimeoutError);
  assert.equal(dead.health(), 'down');
});

test('assertIdle() says how to learn the place that it does not know', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1, callSites: false });
  const lease = await pool.acquire();
  assert.throws(() => pool.assertIdle(), /taken at an unknown place \(callSites: true shows it\)/);
  lease.release();
});

test('assertIdle() names who took what is still lent, by file and line', async (t) => {
  const pool = withPool(t, { ...server.config, max: 2, callSites: true });
  pool.assertIdle();
  const above = /pg-face\.test\.(?:js|ts):(\d+)/.exec(new Error().stack ?? '');
  const lease = await pool.acquire({ label: 'report' });
  const site = `pg-face\\.test\\.(?:js|ts):${Number(above?.[1]) + 1}`;
  await lease.query('SELECT 42');
  assert.throws(
    () => pool.assertIdle(),
    new RegExp(`1 still lent:\n  lease 1 \\(report\\) taken at .*${site} after SELECT 42$`),
  );
  lease.release();
  pool.assertIdle();
});

test('connection is asked before each attempt, and what it returns wins', async (t) => {
  let asked = 0;
  const pool = withPool(t, {
    host: 'db.invalid',
    max: 2,
    acquireTimeoutMs: 5_000,
    connection: async () => {
      asked += 1;
      return { ...server.config, application_name: `n${asked}` };
    },
  });
  const names = await Promise.all(
    [1, 2].map(() =>
      pool.use(async (lease) => {
        await new Promise((resolve) => setTimeout(resolve, 100));
        return (await lease.query("SELECT current_setting('application_name') AS name")).rows[0]?.name;
      }),
    ),
  );
  assert.deepEqual(names.sort(), ['n1', 'n2']);
  const wrong = withPool(t, { connection: () => 5, acquireTimeoutMs: 2_000 });
  const error = await rejection(wrong.query('SELECT 1'), ConnectError);
  assert.equal(error.transient, false);
  assert.ok(error.cause instanceof OptionError);
});

test('oxbow/pg is pg’s namespace with the pool swapped', async () => {
  assert.equal(oxbowPg.Pool, PgPool);
  assert.notEqual(PgPool, pg.Pool);
  // pg's own would look for another package first, and be that.
  assert.equal(Object.getOwnPropertyDescriptor(oxbowPg, 'native')?.value, null);
  assert.equal(door.native, null);
  // As one object and by its names.
  for (const name of Object.keys(pg)) {
    if (name !== 'Pool' && name !== 'native') assert.equal(Reflect.get(oxbowPg, name), Reflect.get(pg, name), name);
  }
  for (const [name, value] of Object.entries(pgNames)) {
    if (name !== 'Pool' && name !== 'default') assert.equal(Reflect.get(door, name), value, name);
  }
  assert.equal(PgPool.name, 'Pool');
  const pool = new PgPool({ ...server.config, max: 1 });
  assert.ok(pool instanceof pg.Pool && pool instanceof Pool);
  assert.equal(pool.options.idleTimeoutMillis, 10_000);
  assert.equal((await pool.query('SELECT 1 AS one')).rows[0]?.one, 1);
  const held = await pool.connect();
  const waiting = pool.query('SELECT 2 AS two');
  const ended = pool.end();
  held.release();
  assert.equal((await waiting).rows[0]?.two, 2, 'who waited already is served');
  await ended;
  const late = await rejection(pool.query('SELECT 1'), PoolClosedError);
  assert.match(late.message, /^Cannot use a pool after calling end on the pool/);
});

test('oxbow/pg: a failed connect fails the one who waits for it, at once, with pg’s text in front', async (t) => {
  const pool = new PgPool({ ...server.config, port: await unusedPort(), acquireTimeoutMs: 5_000 });
  for (let n = 1; n <= 5; n += 1) {
    const error = await rejection(pool.connect(), ConnectError);
    assert.equal(error.code, 'ECONNREFUSED');
    assert.match(error.message, /^connect ECONNREFUSED/);
    assert.equal(pool.stats().connectsFailed, n, 'not tried again behind its back');
  }
  await pool.end();
  // One connect, one answer: who stands behind has an attempt of his own.
  const narrow = new PgPool({ ...server.config, port: await unusedPort(), acquireTimeoutMs: 5_000, max: 1 });
  t.after(() => narrow.close({ drainMs: 0 }));
  const first = rejection(narrow.connect(), ConnectError);
  const second = rejection(narrow.connect(), ConnectError);
  await first;
  assert.equal(narrow.stats().connectsFailed, 1);
  assert.equal(narrow.waitingCount, 1);
  await second;
  assert.equal(narrow.stats().connectsFailed, 2);
});

test('oxbow/pg takes a Client of yours, as an option or as the second argument', async () => {
  class Mine extends pg.Client {}
  for (const pool of [new PgPool({ ...server.config, Client: Mine }), new PgPool(server.config, Mine)]) {
    const client = await pool.connect();
    assert.ok(client instanceof Mine);
    client.release();
    await pool.end();
  }
});

test('NullPool keeps nothing, hands a returned connection to a waiter, and connects in parallel up to max', async (t) => {
  assert.throws(() => new NullPool({ ...server.config, min: 1 }), OptionError);
  let asked = 0;
  let meet = (): void => {};
  const met = new Promise<void>((resolve) => {
    meet = resolve;
  });
  const pool = new NullPool({
    ...server.config,
    max: 5,
    // One set of options for both kinds of pool: idle timeouts are passed over.
    idleTimeoutMs: 60_000,
    idleTimeoutMillis: 10_000,
    acquireTimeoutMs: 5_000,
    // The proof goes alone; of the five after it none goes on before the last has begun.
    connection: async () => {
      asked += 1;
      if (asked === 6) meet();
      if (asked > 1) await met;
      return {};
    },
  });
  t.after(() => pool.close({ drainMs: 0 }));
  await pool.open();
  await eventually('the proof is gone', () => pool.snapshot().size === 0);
  const wanted = [1, 2, 3, 4, 5].map(() => pool.acquire());
  const sixth = pool.acquire();
  const leases = await Promise.all(wanted);
  assert.equal(pool.waitingCount, 1);
  const pid = await pidOf(leases[0] as (typeof leases)[number]);
  leases[0]?.release();
  assert.equal(await pidOf(await sixth), pid);
  (await sixth).release();
  for (const lease of leases.slice(1)) lease.release();
  await eventually('nothing is kept', () => pool.snapshot().size === 0);
  assert.equal(pool.stats().connects, 6);
});
