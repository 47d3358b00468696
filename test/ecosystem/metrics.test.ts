// What the real SDK of OpenTelemetry exports and the real prom-client scrapes of pools under traffic, on a real server: held against the
// pools' own figures and against what the traffic was.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { metrics } from '@opentelemetry/api';
import { Registry } from 'prom-client';
import { Engine } from '../../src/core/engine.ts';
import { ConnectError, type Pool, PoolTimeoutError } from '../../src/doors/index.ts';
import { measurePool } from '../../src/doors/otel.ts';
import { collectPool, renderText } from '../../src/doors/prometheus.ts';
import { type Figure, startSdk } from '../kit/otel.ts';
import { readText } from '../kit/prometheus-text.ts';
import {
  eventually,
  killBackend,
  rejection,
  unusedPort,
  withClient,
  withPool,
  withServer,
} from '../postgres/harness.ts';

const server = await withServer(test, { url: false });
const admin = await withClient(test, server.config);

type Figures = ReadonlyMap<string, Figure>;

/** What was exported of one pool, by the metric's name and the value of its other attribute. */
function read(figures: Figures, pool: string, name: string, value?: string): Figure | undefined {
  const found = [...figures].filter(
    ([key]) =>
      key.startsWith(`${name}{db.client.connection.pool.name=${pool}`) &&
      (value === undefined ? /^[^,]*\}$/.test(key) : key.endsWith(`=${value}}`)),
  );
  assert.ok(found.length < 2, name);
  return found[0]?.[1];
}

/** How many values a histogram has, and their sum in seconds. */
function distribution(figures: Figures, pool: string, name: string): { count: number; sum: number } {
  const value = read(figures, pool, `db.client.connection.${name}`);
  return typeof value === 'object' ? { count: value.count, sum: value.sum ?? NaN } : { count: 0, sum: 0 };
}

/** Six queries at once, a transaction, one borrower who holds everything until another's time is up, one who leaves a transaction open. */
async function traffic(pool: Pool): Promise<void> {
  await Promise.all(Array.from({ length: 6 }, () => pool.query('SELECT pg_sleep(0.02)')));
  await pool.transaction((tx) => tx.query('SELECT 1'));
  const held = await Promise.all(Array.from({ length: pool.snapshot().max }, () => pool.acquire()));
  await rejection(pool.acquire({ acquireTimeoutMs: 50 }), PoolTimeoutError);
  await held[0]?.query('BEGIN');
  for (const lease of held) lease.release();
  await eventually('all are back', () => pool.snapshot().idle === held.length);
}

/** One of the pool's connections is ended by the server. */
async function loss(pool: Pool): Promise<void> {
  await pool.use(async (lease) => {
    const { rows } = await lease.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    await killBackend(admin, rows[0]?.pid ?? 0);
    await eventually('it is known to be lost', () => pool.stats().connectionsLost === 1);
  });
}

test('the SDK exports of two pools under traffic what each of them did, and of a third that its server is down', async (t) => {
  const sdk = startSdk(t);
  const { meterProvider } = sdk;
  const orders = withPool(t, { ...server.config, name: 'orders', max: 2, min: 1 });
  const reports = withPool(t, { ...server.config, name: 'reports', max: 3 });
  const lost = withPool(t, { host: '127.0.0.1', port: await unusedPort(), name: 'lost', acquireTimeoutMs: 300 });
  for (const pool of [orders, reports, lost]) measurePool(pool, { meterProvider });
  lost.on('error', () => {});
  await Promise.all([traffic(orders), traffic(reports), rejection(lost.query('SELECT 1'), PoolTimeoutError)]);
  await traffic(reports);
  await loss(reports);
  const holding = await orders.acquire();
  // After a loss all that were idle are asked, and some may be opened anew.
  await eventually('the pools are at rest', () =>
    [orders, reports].every((pool) => pool.snapshot().idle + pool.snapshot().lent === pool.snapshot().size),
  );
  const figures = await sdk.collect();

  for (const pool of [orders, reports]) {
    const { name } = pool;
    const stats = pool.stats();
    const now = pool.snapshot();
    const of = (metric: string, value?: string): Figure | undefined => read(figures, name, metric, value);
    assert.equal(of('db.client.connection.count', 'idle'), now.idle, name);
    assert.equal(of('db.client.connection.count', 'used'), now.lent, name);
    assert.equal(of('db.client.connection.limit'), now.max, name);
    assert.equal(of('db.client.connection.idle.min'), now.min, name);
    assert.equal(of('db.client.connection.pending_requests'), 0, name);
    assert.equal(of('oxbow.lease.returned', 'rolled-back'), stats.rolledBack, name);
    assert.equal(of('oxbow.connection.lost'), stats.connectionsLost, name);
    assert.equal(of('oxbow.server.down'), 0, name);
    assert.equal(
      Number(of('oxbow.query.spoken', 'codec')) + Number(of('oxbow.query.spoken', 'pg')),
      spoken(stats),
      name,
    );
    assert.ok(spoken(stats) > 0);
    for (const [metric, own] of [
      ['wait_time', stats.waitMs],
      ['use_time', stats.useMs],
      ['create_time', stats.connectMs],
    ] as const) {
      const { count, sum } = distribution(figures, name, metric);
      assert.equal(count, own.count, `${name} ${metric}`);
      // The pool's histogram counts whole microseconds.
      const own_s = (own.mean * own.count) / 1_000;
      assert.ok(Math.abs(sum - own_s) <= 0.001 + 0.01 * own_s, `${name} ${metric}: ${sum} and ${own_s}`);
    }
  }
  const told = (pool: string, name: string, value?: string): Figure | undefined => read(figures, pool, name, value);
  assert.deepEqual(
    [told('orders', 'db.client.connection.timeouts'), told('reports', 'db.client.connection.timeouts')],
    [1, 2],
  );
  assert.deepEqual([told('orders', 'oxbow.connection.lost'), told('reports', 'oxbow.connection.lost')], [0, 1]);
  // Six queries and a transaction, those who were held, and the one that is out.
  assert.equal(distribution(figures, 'orders', 'wait_time').count, 6 + 1 + 2 + 1);
  assert.equal(distribution(figures, 'orders', 'use_time').count, 6 + 1 + 2);
  assert.equal(told('lost', 'oxbow.server.down'), 1);
  assert.equal(told('lost', 'oxbow.request.refused', 'timeout'), 1);
  assert.ok(Number(told('lost', 'oxbow.connection.failed')) > 0);
  assert.ok(Number(told('lost', 'oxbow.connection.last_failure_age')) < 60);
  assert.equal(distribution(figures, 'lost', 'create_time').count, 0);
  holding.release();
});

function spoken({ queriesByCodec = 0, queriesByPg = 0 }: { queriesByCodec?: number; queriesByPg?: number }): number {
  return queriesByCodec + queriesByPg;
}

test('prom-client scrapes what renderText says, under traffic, and counters survive popStats()', async (t) => {
  const register = new Registry();
  const pools = ['orders', 'reports'].map((name) => withPool(t, { ...server.config, name, max: 2 }));
  for (const pool of pools) {
    collectPool(pool, { register });
    renderText(pool);
  }
  await Promise.all(pools.map(traffic));
  const scraped = register.metrics();
  const first = readText(renderText(...pools));
  assert.deepEqual(settled(readText(await scraped)), settled(first));
  for (const pool of pools) pool.popStats();
  await Promise.all(pools.map(traffic));
  const second = readText(renderText(...pools));
  for (const { name } of pools) {
    const key = `db_client_connection_timeouts_total{db_client_connection_pool_name="${name}"}`;
    assert.deepEqual([first.get(key), second.get(key)], [1, 2]);
    const waits = `db_client_connection_wait_time_seconds_count{db_client_connection_pool_name="${name}"}`;
    assert.deepEqual([first.get(waits), second.get(waits)], [6 + 1 + 2, 2 * (6 + 1 + 2)]);
  }
});

/** Ages run on between two readings. */
function settled(series: ReadonlyMap<string, number>): [string, number][] {
  return [...series].filter(([key]) => !/_age_|oldest_wait/.test(key));
}

test('after the undo nobody listens at the pool, and a pool that was closed is told as closed until then', async (t: TestContext) => {
  const told = t.mock.method(Engine.prototype, 'tellTraffic');
  const listening = (): unknown => told.mock.calls.at(-1)?.arguments[0];
  const sdk = startSdk(t);
  const pool = withPool(t, { ...server.config, name: 'gone' });
  const undo = measurePool(pool, { meterProvider: sdk.meterProvider });
  assert.equal(listening(), true);
  await pool.query('SELECT 1');
  await pool.close();
  const closed = await sdk.collect();
  assert.equal(read(closed, 'gone', 'oxbow.pool.phase', 'closed'), 1);
  assert.equal(read(closed, 'gone', 'db.client.connection.count', 'idle'), 0);
  assert.equal(read(closed, 'gone', 'oxbow.connection.retired', 'closed'), 1);
  undo();
  assert.equal(listening(), false);
  assert.equal(read(await sdk.collect(), 'gone', 'oxbow.pool.phase', 'closed'), 0);
});

test('without a meter it is the registered provider that is told, and of a connect that is refused for good it is told as well', async (t) => {
  const sdk = startSdk(t);
  metrics.setGlobalMeterProvider(sdk.meterProvider);
  t.after(() => metrics.disable());
  const pool = withPool(t, { ...server.config, name: 'stranger', database: 'there_is_none' });
  measurePool(pool);
  await rejection(pool.query('SELECT 1'), ConnectError);
  const figures = await sdk.collect();
  assert.equal(read(figures, 'stranger', 'oxbow.request.refused', 'connect'), 1);
  assert.equal(read(figures, 'stranger', 'oxbow.connection.failed'), pool.stats().connectsFailed);
});
