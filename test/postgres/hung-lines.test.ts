// Peers that never answer a goodbye, a connect or a cancel request in time: places become free within their bounds, waiters are served,
// and no cancel hits the next borrower's statement. The sockets are counted at the proxy in every test (through-proxy.ts).

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { PoolClosedError, type PoolOptions, PoolTimeoutError, QueryTimeoutError } from '../../src/doors/index.ts';
import type { FaultProxy } from '../../src/testing/fault-proxy.ts';
import { backends, eventually, pidOf, rejection, withClient, withServer } from './harness.ts';
import { type Proxied, throughProxy, timed } from './through-proxy.ts';

const server = await withServer(test, { url: false });
const admin = await withClient(test, server.config);

function proxied(t: TestContext, options: PoolOptions & { max: number }): Promise<Proxied> {
  return throughProxy(t, { config: server.config }, options);
}

test('a hung close holds its place for a second, shown as closing, and then the waiters are served in order', async (t) => {
  const { proxy, pool } = await proxied(t, { max: 1 });
  await proxy.hangClose();
  const destroyed: boolean[] = [];
  pool.observe({ closed: ({ bySocketDestroyed }) => destroyed.push(bySocketDestroyed) });
  const lease = await pool.acquire();
  const order: number[] = [];
  const waiting = [1, 2, 3].map(async (n) => {
    await pool.query('SELECT 1');
    order.push(n);
  });
  lease.release(true);
  const { size, closing, opening, waiting: queued } = pool.snapshot();
  assert.deepEqual([size, closing, opening, queued], [1, 1, 0, 3]);
  const { ms } = await timed(Promise.all(waiting));
  assert.ok(ms < 3_000, `served after ${Math.round(ms)} ms`);
  assert.deepEqual([order, destroyed], [[1, 2, 3], [true]]);
  assert.deepEqual([proxy.accepted, proxy.peak], [2, 1]);
});

test('hung closes of many do not add up: replaceAll and close are each bounded by one second', async (t) => {
  const { proxy, pool } = await proxied(t, { min: 4, max: 4 });
  await pool.open();
  await proxy.hangClose();
  const replaced = await timed(pool.replaceAll());
  assert.ok(replaced.ms < 4_000, `replaceAll() took ${Math.round(replaced.ms)} ms`);
  await eventually('min is idle again', () => pool.idleCount === 4);
  const closed = await timed(pool.close());
  assert.ok(closed.ms < 2_500, `close() took ${Math.round(closed.ms)} ms`);
  assert.deepEqual([closed.value.destroyed, pool.snapshot().size], [4, 0]);
  await proxy.until(() => proxy.open === 0);
});

test('connects that hang: waiters are served by returns, and a newcomer does not overtake them', async (t) => {
  const { proxy, pool } = await proxied(t, { max: 3, connectTimeoutMs: 30_000 });
  const lease = await pool.acquire();
  await proxy.deaf();
  const order: number[] = [];
  const waiting = [1, 2, 3, 4].map(async (n) => {
    assert.deepEqual((await pool.query('SELECT $1::int AS n', [n])).rows, [{ n }]);
    order.push(n);
  });
  await eventually('two connects hang', () => pool.snapshot().opening === 2);
  lease.release();
  const { ms } = await timed(Promise.all(waiting));
  assert.ok(ms < 5_000, `served after ${Math.round(ms)} ms`);
  assert.deepEqual(order, [1, 2, 3, 4]);
  const { value } = await timed(pool.query('SELECT 5 AS n'));
  assert.deepEqual(value.rows, [{ n: 5 }]);
  assert.equal(pool.snapshot().opening, 2);
});

test('a connect that hangs: the deadline of a waiter holds, and its error says what was tried', async (t) => {
  const { proxy, pool } = await proxied(t, { max: 2, acquireTimeoutMs: 500, connectTimeoutMs: 200 });
  await proxy.deaf();
  const asked = [1, 2, 3].map(() => timed(rejection(pool.acquire(), PoolTimeoutError)));
  for (const { value, ms } of await Promise.all(asked)) {
    assert.ok(ms >= 490 && ms < 2_000, `rejected after ${Math.round(ms)} ms`);
    assert.ok(value.cause instanceof Error, 'the last connect error is its cause');
    assert.match(value.cause.message, /connectTimeoutMs/);
  }
  await proxy.serve();
  assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
});

test('connects that hang do not delay close(): waiters are turned away at once, and no socket is left', async (t) => {
  const { proxy, pool } = await proxied(t, { max: 3, connectTimeoutMs: 60_000 });
  const lease = await pool.acquire();
  await proxy.deaf();
  const waiting = [1, 2].map(() => timed(rejection(pool.query('SELECT 1'), PoolClosedError)));
  await eventually('two connects hang', () => pool.snapshot().opening === 2);
  const closing = timed(pool.close());
  await Promise.all(waiting);
  lease.release();
  const { value, ms } = await closing;
  assert.ok(ms < 1_500, `close() took ${Math.round(ms)} ms`);
  assert.deepEqual([value.rejected, value.stillHeld], [2, []]);
  await proxy.until(() => proxy.open === 0);
});

/** Cancel requests that the server has not yet heard and done with. */
function pendingCancels(proxy: FaultProxy): () => number {
  const done = new Set<number>();
  const seen = new Set<number>();
  proxy.observe((event) => {
    if (event.type === 'kind' && event.kind === 'cancel') seen.add(event.id);
    if ((event.type === 'ended' && event.by === 'server') || event.type === 'closed') done.add(event.id);
  });
  return () => [...seen].filter((id) => !done.has(id)).length;
}

test('a late cancel whose statement has ended by itself: nothing is lent before the server has had it, and nothing is hit', async (t) => {
  const { proxy, pool } = await proxied(t, { max: 1 });
  const pid = await pidOf(pool);
  const pending = pendingCancels(proxy);
  const atLend: number[] = [];
  pool.observe({ lent: () => atLend.push(pending()) });
  for (let n = 0; n < 2; n += 1) {
    await proxy.lateCancel(1_000);
    const { ms } = await timed(
      rejection(pool.query({ text: 'SELECT pg_sleep(0.8)', timeoutMs: 150 }), QueryTimeoutError),
    );
    assert.ok(ms < 750, `rejected after ${Math.round(ms)} ms, and not at its deadline`);
    const next = [1, 2, 3].map((one) => pool.query('SELECT $1::int AS n FROM pg_sleep(0.1)', [one]));
    assert.equal(pool.snapshot().lent, 0);
    const served = await Promise.all(next);
    assert.deepEqual(
      served.map(({ rows }) => rows),
      [[{ n: 1 }], [{ n: 2 }], [{ n: 3 }]],
    );
  }
  assert.deepEqual(new Set(atLend), new Set([0]));
  assert.ok(proxy.cancels >= 2);
  assert.equal(await pidOf(pool), pid);
  assert.equal(proxy.accepted - proxy.cancels, 1);
});

test('a late cancel of a statement that runs on: it ends with it, and only then the connection is lent', async (t) => {
  const { proxy, pool } = await proxied(t, { max: 1 });
  const pid = await pidOf(pool);
  await proxy.lateCancel(500);
  const pending = pendingCancels(proxy);
  await rejection(pool.query({ text: 'SELECT pg_sleep(60)', timeoutMs: 100 }), QueryTimeoutError);
  const next = await pool.acquire();
  assert.equal(pending(), 0);
  assert.equal(await pidOf(next), pid);
  next.release();
});

test('a cancel request that never arrives costs the connection within returnTimeoutMs, and the waiters are served', async (t) => {
  const { proxy, pool } = await proxied(t, { max: 1, returnTimeoutMs: 500 });
  const pid = await pidOf(pool);
  await proxy.lateCancel(Infinity);
  await rejection(pool.query({ text: 'SELECT pg_sleep(3)', timeoutMs: 100 }), QueryTimeoutError);
  const { value, ms } = await timed(pidOf(pool));
  assert.notEqual(value, pid);
  assert.ok(ms < 2_500, `served after ${Math.round(ms)} ms`);
  // Only what the client gave up is still there, and not for long.
  await proxy.heal();
  await eventually('its session is gone', async () => (await backends(admin, pool.name)) === 1);
});
