// The fault proxy in front of a real server: pg's own client through it, and our pool.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { sendCancel } from '../../src/pg/cancel.ts';
import { type FaultProxy, faultProxy } from '../../src/testing/fault-proxy.ts';
import {
  backends,
  eventually,
  freshName,
  pidOf,
  rejection,
  withClient,
  withPool,
  withServer,
} from '../postgres/harness.ts';

const server = await withServer(test, { url: false });
const admin = await withClient(test, server.config);

async function proxied(t: TestContext): Promise<{ proxy: FaultProxy; config: pg.ClientConfig }> {
  const proxy = await faultProxy({ target: server.config });
  // After the clients, which were asked for later and say goodbye through it.
  t.after(() => proxy.close());
  return { proxy, config: { ...server.config, host: proxy.host, port: proxy.port } };
}

/** `count` queries at once. */
function many(count: number, query: (n: number) => Promise<pg.QueryResult>): Promise<number[]> {
  const asked = Array.from({ length: count }, async (_, n) =>
    Number(Reflect.get(Object((await query(n)).rows[0]), 'n')),
  );
  return Promise.all(asked);
}

test("pg's client connects, asks and says goodbye through it", async (t) => {
  const { proxy, config } = await proxied(t);
  const client = await withClient(t, config);
  assert.deepEqual((await client.query('SELECT 1 AS n')).rows, [{ n: 1 }]);
  const [connection] = proxy.connections;
  assert.equal(connection?.kind, 'session');
  assert.deepEqual([proxy.open, proxy.peak, proxy.accepted, proxy.cancels], [1, 1, 1, 0]);
  await client.end();
  await proxy.until(() => proxy.connections.length === 0);
  assert.deepEqual([proxy.open, connection?.goodbye, connection?.open], [0, true, false]);
});

test('a server behind a Unix socket is reached too', { skip: process.platform === 'win32' }, async (t) => {
  const target = `${server.folder}/.s.PGSQL.${server.config.port}`;
  const proxy = await faultProxy({ target });
  t.after(() => proxy.close());
  const client = await withClient(t, { ...server.config, host: proxy.host, port: proxy.port });
  assert.deepEqual((await client.query('SELECT 1 AS n')).rows, [{ n: 1 }]);
});

test('a reply cut in the middle fails the query', async (t) => {
  const { proxy, config } = await proxied(t);
  const client = await withClient(t, config);
  const [connection] = proxy.connections;
  assert.ok(connection !== undefined);
  const before = connection.toClient.passed;
  const cut = proxy.cutAfter(1_000);
  await assert.rejects(client.query("SELECT repeat('x', 100000)"), /terminated unexpectedly/);
  await cut;
  assert.equal(connection.toClient.passed - before, 1_000);
});

test('a connection that is reset, stalled or dropped fails or waits as the wire does', async (t) => {
  const { proxy, config } = await proxied(t);
  const client = await withClient(t, config);
  await proxy.stall();
  let answered = false;
  const asked = client.query('SELECT 1 AS n').finally(() => {
    answered = true;
  });
  await proxy.until(() => (proxy.connections[0]?.toServer.held ?? 0) > 0);
  assert.equal(answered, false);
  await proxy.resume();
  assert.deepEqual((await asked).rows, [{ n: 1 }]);

  await proxy.drop('toServer');
  const lost = client.query('SELECT 1');
  lost.catch(() => {});
  await proxy.until(() => (proxy.connections[0]?.toServer.lost ?? 0) > 0);
  await proxy.reset();
  await assert.rejects(lost, { code: 'ECONNRESET' });
});

test('a late cancel request comes when it is let through, and counts as no session', async (t) => {
  const { proxy, config } = await proxied(t);
  const client = await withClient(t, { ...config, application_name: freshName() });
  await proxy.lateCancel(Infinity);
  const pid = await pidOf(client);
  const running = client.query('SELECT pg_sleep(600)');
  const outcome = assert.rejects(running, { code: '57014' });
  await eventually('the server runs it', async () => {
    const { rowCount } = await admin.query("SELECT FROM pg_stat_activity WHERE pid = $1 AND query LIKE '%pg_sleep%'", [
      pid,
    ]);
    return rowCount === 1;
  });
  const secretKey: unknown = Reflect.get(client, 'secretKey');
  assert.ok(typeof secretKey === 'number' || Buffer.isBuffer(secretKey));
  let sent = false;
  const cancel = sendCancel({ host: proxy.host, port: proxy.port, pid, secretKey }).then(() => {
    sent = true;
  });
  await proxy.until(() => proxy.cancels === 1);
  assert.deepEqual([sent, proxy.open, proxy.peak, proxy.accepted], [false, 1, 1, 2]);
  await proxy.heal();
  await Promise.all([cancel, outcome]);
  assert.deepEqual((await client.query('SELECT 1 AS n')).rows, [{ n: 1 }]);
});

test('a hung close: the server lets the session go, the client waits', async (t) => {
  const { proxy, config } = await proxied(t);
  const name = freshName();
  const client = await withClient(t, { ...config, application_name: name });
  await proxy.hangClose();
  let ended = false;
  const ending = client.end().then(() => {
    ended = true;
  });
  await eventually('the session is gone', async () => (await backends(admin, name)) === 0);
  assert.deepEqual([ended, proxy.connections.length], [false, 1]);
  await proxy.cut();
  await ending;
});

test("a half-open connection hides the server's death, and heal tells it", async (t) => {
  const { proxy, config } = await proxied(t);
  const client = await withClient(t, config);
  let ended = false;
  client.on('end', () => {
    ended = true;
  });
  await proxy.halfOpen('toClient');
  const pid = await pidOf(client);
  const told = new Promise<void>((resolve) => {
    const undo = proxy.observe((event) => {
      if (event.type !== 'ended') return;
      undo();
      resolve();
    });
  });
  await admin.query('SELECT pg_terminate_backend($1)', [pid]);
  await told;
  assert.equal(ended, false);
  await proxy.heal();
  await eventually('the client knows', () => ended);
});

test('pool: after idle connections were cut the next query is served', async (t) => {
  const { proxy, config } = await proxied(t);
  const pool = withPool(t, { ...config, max: 3 });
  const fill = (): Promise<number[]> => many(3, () => pool.query('SELECT 1 AS n FROM pg_sleep(0.05)'));
  await fill();
  assert.ok(proxy.open > 0);
  await proxy.cut();
  await eventually('the pool has noticed', () => pool.snapshot().size === 0, { everyMs: 2 });
  assert.deepEqual((await pool.query('SELECT 2 AS n')).rows, [{ n: 2 }]);

  // In the turn of the cut nobody can know: what may run twice goes on to a living connection.
  await fill();
  await proxy.cut();
  const again = await pool.query({ text: 'SELECT 3 AS n', idempotent: true });
  assert.deepEqual(again.rows, [{ n: 3 }]);
  assert.ok(proxy.peak <= 3, `the peak was ${proxy.peak}`);
});

test('pool: an idle connection whose bytes vanish costs its borrower one check, not the query', async (t) => {
  const { proxy, config } = await proxied(t);
  const pool = withPool(t, { ...config, max: 2, checkAfterIdleMs: 0, checkTimeoutMs: 100 });
  const first = await pidOf(pool);
  await proxy.connections[0]?.drop();
  assert.notEqual(await pidOf(pool), first);
});

for (const check of ['stale', 'always'] as const) {
  test(`pool: a stall of 500 ms costs no reconnect (check: ${check})`, async (t) => {
    const { proxy, config } = await proxied(t);
    const pool = withPool(t, { ...config, max: 3, min: 3, check, acquireTimeoutMs: 20_000 });
    await pool.open();
    assert.equal(proxy.accepted, 3);
    await proxy.stall();
    const asked = many(12, (n) => pool.query('SELECT $1::int AS n', [n]));
    await sleep(500); // the stall itself
    await proxy.resume();
    assert.deepEqual(await asked, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert.deepEqual([proxy.accepted, proxy.peak, pool.snapshot().size], [3, 3, 3]);
  });
}

test('pool: the sockets at the proxy never exceed max, however connections come and go', async (t) => {
  const { proxy, config } = await proxied(t);
  const pool = withPool(t, { ...config, max: 4, maxUses: 3, acquireTimeoutMs: 30_000 });
  const answers = await many(300, async (n) => {
    if (n % 10 === 0) {
      // One of its own kind: destroyed by its borrower, in the middle of nothing or of a statement.
      const lease = await pool.acquire();
      if (n % 20 === 0) lease.client.query('SELECT pg_sleep(600)').catch(() => {});
      lease.release(true);
    }
    return pool.query('SELECT $1::int AS n', [n]);
  });
  assert.deepEqual(
    answers,
    answers.map((_, n) => n),
  );
  t.diagnostic(`${proxy.accepted} accepted, ${proxy.cancels} cancel requests, peak ${proxy.peak}`);
  assert.ok(proxy.accepted > 100, `only ${proxy.accepted} connections`);
  assert.ok(proxy.peak <= 4, `${proxy.peak} sockets at once`);
  await pool.close();
  await proxy.until(() => proxy.open === 0);
});

test('pool: a statement that still runs when its connection is destroyed is cancelled on the server', async (t) => {
  const { proxy, config } = await proxied(t);
  const pool = withPool(t, { ...config, max: 1 });
  const lease = await pool.acquire();
  lease.client.query('SELECT pg_sleep(600)').catch(() => {});
  await eventually('the server runs it', async () => (await backends(admin, pool.name)) === 1);
  lease.release(true);
  await eventually('its session is gone', async () => (await backends(admin, pool.name)) === 0, { withinMs: 3_000 });
  assert.equal(proxy.cancels, 1);
});

test('pool: a refused server is waited for, and one that comes back serves', async (t) => {
  const { proxy, config } = await proxied(t);
  const pool = withPool(t, { ...config, max: 2 });
  await proxy.refuse();
  const asked = pool.query('SELECT 1 AS n');
  await eventually('it was refused', () => pool.snapshot().lastConnectError !== undefined);
  await proxy.serve();
  assert.deepEqual((await asked).rows, [{ n: 1 }]);
});

test('pool: peers that are deaf or never close starve nobody', async (t) => {
  const { proxy, config } = await proxied(t);
  const pool = withPool(t, { ...config, max: 1, maxUses: 1, connectTimeoutMs: 300 });
  await proxy.hangClose();
  await pool.query('SELECT 1');
  await pool.query('SELECT 1');
  assert.equal(proxy.accepted, 2);
  await proxy.deaf();
  const late = await rejection(pool.query({ text: 'SELECT 1', timeoutMs: 700 }), Error);
  t.diagnostic(late.message);
  await proxy.serve();
  await pool.query('SELECT 1');
  assert.ok(proxy.peak <= 1, `${proxy.peak} sockets at once`);
});
