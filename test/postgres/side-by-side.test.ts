// Several statements under way on one lease: giving up one of them ends that one and no other, whether it runs or only waits behind another.

import assert from 'node:assert/strict';
import test from 'node:test';
import Cursor from 'pg-cursor';
import { ConnectionLostError, QueryTimeoutError } from '../../src/doors/index.ts';
import { faultProxy } from '../../src/testing/fault-proxy.ts';
import { eventually, killBackend, pidOf, rejection, runProgram, withClient, withPool, withServer } from './harness.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);

for (const lateMs of [0, 60]) {
  test(`a statement queued behind one that is given up is run, not cancelled (the request takes ${lateMs} ms)`, async (t) => {
    const proxy = await faultProxy({ target: server.config });
    t.after(() => proxy.close());
    const pool = withPool(t, { ...server.config, host: proxy.host, port: proxy.port, max: 1 });
    if (lateMs > 0) proxy.lateCancel(lateMs);
    const lease = await pool.acquire();
    const pid = await pidOf(lease);
    for (let n = 0; n < 8; n += 1) {
      const first = lease.query({ text: 'SELECT pg_sleep(0.03)', timeoutMs: 10 }).then(
        () => 'in time', // as it may be on a busy machine
        (error: unknown) => assert.ok(error instanceof QueryTimeoutError),
      );
      const second = lease.query("SELECT 'B' AS b FROM pg_sleep(0.1)");
      const third = lease.query("SELECT 'C' AS c");
      await first;
      assert.deepEqual((await second).rows, [{ b: 'B' }]);
      assert.deepEqual((await third).rows, [{ c: 'C' }]);
    }
    assert.equal(await pidOf(lease), pid);
    lease.release();
    assert.equal(pool.stats().connects, 1);
  });
}

test('one that is given up while it waits behind another is not sent, and the other runs on', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const lease = await pool.acquire();
  await lease.query('CREATE TEMPORARY TABLE written (w text)');
  const first = lease.query('SELECT 1 AS one FROM pg_sleep(0.3)');
  const abort = new AbortController();
  const aborted = lease.query({ text: "INSERT INTO written VALUES ('aborted')", signal: abort.signal }).catch(String);
  await rejection(lease.query({ text: "INSERT INTO written VALUES ('late')", timeoutMs: 50 }), QueryTimeoutError);
  abort.abort('no longer wanted');
  assert.equal(await aborted, 'no longer wanted');
  assert.deepEqual((await first).rows, [{ one: 1 }]);
  assert.deepEqual((await lease.query('SELECT * FROM written')).rows, []);
  lease.release();
});

test('two that are given up in one turn: the second is not sent when the cancel of the first has ended', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const lease = await pool.acquire();
  await lease.query('CREATE TEMPORARY TABLE unwanted (n int)');
  const aborts = [new AbortController(), new AbortController()] as const;
  const both = Promise.allSettled([
    lease.query({ text: 'SELECT pg_sleep(5)', signal: aborts[0].signal }),
    lease.query({ text: 'INSERT INTO unwanted VALUES (1)', signal: aborts[1].signal }),
  ]);
  for (const abort of aborts) abort.abort();
  await both;
  assert.deepEqual((await lease.query('SELECT * FROM unwanted')).rows, []);
  lease.release();
});

test('what is given up before it is sent leaves no timer of pg behind that would keep the process', async () => {
  const program = `
    const pool = new Pool({ ...config, max: 1, query_timeout: 60_000 });
    const lease = await pool.acquire();
    const aborts = [new AbortController(), new AbortController(), new AbortController()];
    const all = Promise.allSettled(aborts.map(({ signal }) => lease.query({ text: 'SELECT pg_sleep(5)', signal })));
    aborts[2].abort(); // waits in pg's queue
    for (const abort of aborts) abort.abort(); // the second is held back by the cancel of the first
    console.log((await all).map(({ status }) => status).join());
    lease.release();
    await pool.close();`;
  const { code, stdout } = await runProgram(program, server.config);
  assert.deepEqual([code, stdout.trim()], [0, 'rejected,rejected,rejected']);
});

test('a lease that is given back with statements under way and one of them given up is clean for the next', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const lease = await pool.acquire();
  const pid = await pidOf(lease);
  const all = [
    lease.query({ text: 'SELECT pg_sleep(5)', timeoutMs: 20 }).catch(() => 'given up'),
    lease.query('SELECT pg_sleep(5)').catch(() => 'cancelled'),
  ];
  await all[0];
  lease.release();
  assert.equal(await pool.use(pidOf), pid);
  assert.deepEqual(await Promise.all(all), ['given up', 'cancelled']);
});

test('a connection that dies while a statement is held back tells that one too', async (t) => {
  const proxy = await faultProxy({ target: server.config });
  t.after(() => proxy.close());
  const pool = withPool(t, { ...server.config, host: proxy.host, port: proxy.port, max: 1 });
  const lease = await pool.acquire();
  const pid = await pidOf(lease);
  // The cancel of the first is on its way until all is over, and so long the second is held back.
  await proxy.lateCancel(Infinity);
  const givenUp = rejection(lease.query({ text: 'SELECT pg_sleep(5)', timeoutMs: 20 }), QueryTimeoutError);
  let told: unknown;
  lease.query('SELECT 1').catch((error: unknown) => {
    told = error;
  });
  await givenUp;
  assert.equal(lease.signal.aborted, false);
  await killBackend(admin, pid);
  await eventually('the one that was held back is told', () => told !== undefined);
  assert.ok(told instanceof ConnectionLostError, String(told));
  assert.equal(told.mayHaveExecuted, false);
  lease.release();
  assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
});

test('what was asked while a cancel was on its way is begun in the turn in which that has ended: nobody else is lent the connection before', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const lease = await pool.acquire();
  const waiting = pool.query('SELECT 2 AS two');
  await rejection(lease.query({ text: 'SELECT pg_sleep(5)', timeoutMs: 20 }), QueryTimeoutError);
  const asked = [1, 2].map(() => lease.query('SELECT pg_sleep(5)').catch(() => 'cancelled'));
  const session: object = Reflect.get(lease, 'session');
  // As early as anybody can know that the cancel is over.
  let idle = true;
  const settling: Promise<unknown> = Reflect.get(session, 'settling');
  await settling.then(() => {
    idle = Reflect.get(session, 'status') === 'idle';
    lease.release();
  });
  assert.equal(idle, false);
  assert.deepEqual((await waiting).rows, [{ two: 2 }]);
  assert.deepEqual(await Promise.all(asked), ['cancelled', 'cancelled']);
});

test('what is asked while a cancel is on its way is run in the order in which it was asked, by whichever way', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const lease = await pool.acquire();
  await lease.query('CREATE TEMP TABLE seen (n int)');
  await rejection(lease.query({ text: 'SELECT pg_sleep(5)', timeoutMs: 20 }), QueryTimeoutError);
  const count = 'SELECT count(*)::int AS n FROM seen';
  const asked = [
    lease.query('INSERT INTO seen VALUES (1)').then(({ rowCount }) => rowCount),
    lease.client.query(count).then(({ rows }) => rows),
    lease.query({ text: 'INSERT INTO seen VALUES (2)', timeoutMs: 60_000 }).then(({ rowCount }) => rowCount),
    lease.query(new Cursor(count)).read(2),
  ];
  assert.deepEqual(await Promise.all(asked), [1, [{ n: 1 }], 1, [{ n: 2 }]]);
  lease.release();
});
