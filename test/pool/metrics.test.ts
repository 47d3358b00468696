// What a pool on the virtual clock tells of itself: each figure of the catalogue in a story whose figures are known, through both doors.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { Registry } from 'prom-client';
import type { PoolStats } from '../../src/contracts/snapshot.ts';
import { Engine } from '../../src/core/engine.ts';
import { OptionError, Pool, type PoolOptions } from '../../src/doors/index.ts';
import { type MeasuredPool, measurePool } from '../../src/doors/otel.ts';
import { collectPool, renderText } from '../../src/doors/prometheus.ts';
import { scriptedDriver, scriptedError, VirtualClock } from '../../src/doors/testing.ts';
import { METRICS } from '../../src/telemetry/metrics.ts';
import { familyName } from '../../src/telemetry/prometheus-families.ts';
import type { Script, ScriptedDriver } from '../../src/testing/scripted-driver.ts';
import { startSdk } from '../kit/otel.ts';
import { readText, type SeriesRead } from '../kit/prometheus-text.ts';

interface Rig {
  readonly pool: Pool;
  readonly clock: VirtualClock;
  readonly driver: ScriptedDriver;
}

const silent = { debug() {}, info() {}, warn() {}, error() {} };

function rig(options: PoolOptions = {}, script?: Script, clock: VirtualClock = new VirtualClock()): Rig {
  const driver = scriptedDriver(clock, script);
  return { clock, driver, pool: new Pool({ max: 1, name: 'shop', clock, driver, logger: silent, ...options }) };
}

/** A series of the pool `shop`, or of another one; `rest` are further labels, in the order of the alphabet before or after the name. */
function of(series: SeriesRead, name: string, rest: Readonly<Record<string, string>> = {}, pool = 'shop'): number {
  const labels = { db_client_connection_pool_name: pool, ...rest };
  const text = Object.entries(labels)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([label, value]) => `${label}="${value}"`);
  const key = `${name}{${text.join(',')}}`;
  return series.get(key) ?? assert.fail(`no ${key}`);
}

const failing = (promise: Promise<unknown>): void => {
  promise.catch(() => {});
};

/** Connects in 20 ms; one borrower for 300 ms, one waits for it, one in vain. */
async function story({ pool, clock }: Rig): Promise<void> {
  const first = pool.acquire();
  await clock.advance(20);
  const lease = await first;
  const second = pool.acquire({ acquireTimeoutMs: 10_000 });
  failing(pool.acquire({ acquireTimeoutMs: 200 }));
  await clock.advance(300);
  lease.release();
  await clock.settle();
  (await second).release();
  await clock.settle();
}

const slow: Script = (call) => (call === 'open' ? { afterMs: 20 } : undefined);

/** How often the engine was told, last. */
function traffic(t: TestContext): () => unknown {
  const told = t.mock.method(Engine.prototype, 'tellTraffic');
  return () => told.mock.calls.at(-1)?.arguments[0];
}

test('each duration lands in its bucket, a wait that did not happen as zero', async () => {
  const scene = rig({}, slow);
  renderText(scene.pool);
  await story(scene);
  // At once: it is there.
  (await scene.pool.acquire()).release();
  await scene.clock.settle();
  const text = readText(renderText(scene.pool));
  const buckets = (name: string): number[] =>
    ['0.001', '0.005', '0.01', '0.05', '0.1', '0.5', '1', '5', '10', '+Inf'].map((le) =>
      of(text, `db_client_connection_${name}_seconds_bucket`, { le }),
    );
  assert.deepEqual(buckets('create_time'), [0, 0, 0, 1, 1, 1, 1, 1, 1, 1]);
  assert.deepEqual(buckets('wait_time'), [1, 1, 1, 2, 2, 3, 3, 3, 3, 3]);
  assert.deepEqual(buckets('use_time'), [2, 2, 2, 2, 2, 3, 3, 3, 3, 3]);
  assert.equal(of(text, 'db_client_connection_create_time_seconds_sum'), 0.02);
  assert.equal(of(text, 'db_client_connection_use_time_seconds_sum'), 0.3);
  assert.ok(Math.abs(of(text, 'db_client_connection_wait_time_seconds_sum') - 0.32) < 1e-9);
});

test('what is open, used, idle, opening, waited for and allowed is as it stands when it is read', async () => {
  const { pool, clock } = rig({ min: 1, max: 3 }, slow);
  const read = (): SeriesRead => readText(renderText(pool));
  const state = (text: SeriesRead): number[] => [
    ...['idle', 'used'].map((state) => of(text, 'db_client_connection_count', { db_client_connection_state: state })),
    ...['opening', 'closing'].map((name) => of(text, `oxbow_connection_${name}`)),
    of(text, 'db_client_connection_pending_requests'),
  ];
  const created = read();
  assert.deepEqual(state(created), [0, 0, 0, 0, 0]);
  assert.equal(of(created, 'oxbow_pool_phase', { oxbow_phase: 'created' }), 1);
  assert.equal(of(created, 'oxbow_pool_phase', { oxbow_phase: 'open' }), 0);
  const asked = [pool.acquire(), pool.acquire(), pool.acquire(), pool.acquire()];
  await clock.advance(10);
  assert.deepEqual(state(read()), [0, 0, 3, 0, 4]);
  assert.equal(of(read(), 'oxbow_request_oldest_wait_seconds'), 0.01);
  await clock.advance(10);
  const full = read();
  assert.deepEqual(state(full), [0, 3, 0, 0, 1]);
  assert.equal(of(full, 'oxbow_pool_phase', { oxbow_phase: 'open' }), 1);
  assert.deepEqual(
    ['limit', 'idle_max', 'idle_min'].map((name) => of(full, `db_client_connection_${name}`)),
    [3, 3, 1],
  );
  const leases = await Promise.all(asked.slice(0, 3));
  await clock.advance(1_000);
  assert.equal(of(read(), 'oxbow_lease_oldest_age_seconds'), 1);
  for (const lease of leases) lease.release();
  await clock.settle();
  assert.deepEqual(state(read()), [2, 1, 0, 0, 0]);
  pool.resize({ max: 2 });
  assert.equal(of(read(), 'db_client_connection_limit'), 2);
});

test('an outage is seen as failed connects, as a server that is down, and by its age; it ends with the first connect', async () => {
  let up = true;
  const { pool, clock, driver } = rig({}, (call) =>
    call === 'open' && !up ? { fail: scriptedError('ECONNREFUSED') } : undefined,
  );
  const read = (): SeriesRead => readText(renderText(pool));
  const down = (): number => of(read(), 'oxbow_server_down');
  assert.deepEqual([down(), of(read(), 'oxbow_connection_failed_total')], [0, 0]);
  assert.ok(![...read().keys()].some((key) => key.startsWith('oxbow_connection_last_failure_age')), 'there was none');
  const lease = await pool.acquire();
  assert.equal(down(), 0);
  up = false;
  driver.sessions[0]?.kill();
  lease.release();
  const asked = pool.acquire({ acquireTimeoutMs: 60_000 });
  await clock.advance(5_000);
  const during = read();
  assert.equal(down(), 1);
  assert.equal(of(during, 'oxbow_connection_lost_total'), 1);
  const failed = of(during, 'oxbow_connection_failed_total');
  assert.equal(failed, pool.stats().connectsFailed);
  assert.ok(failed > 1);
  const age = of(during, 'oxbow_connection_last_failure_age_seconds');
  assert.equal(age, (pool.snapshot().lastConnectError?.agoMs ?? NaN) / 1_000);
  up = true;
  await clock.advance(30_000);
  (await asked).release();
  assert.equal(down(), 0);
  await clock.settle();
  assert.equal(await pool.trim(), 1);
  assert.deepEqual([pool.snapshot().size, down()], [0, 0], 'whoever needs no connection has a server all the same');
});

test('refusals, returns and retirements are counted under their reasons, all of which are there from the beginning', async () => {
  const { pool, clock } = rig({ maxWaiting: 1, maxUses: 2, acquireTimeoutMs: 100 });
  const first = readText(renderText(pool));
  const reasons = (text: SeriesRead, name: string): Record<string, number> =>
    Object.fromEntries(
      [...text]
        .filter(([key]) => key.startsWith(`${name}{`))
        .map(([key, value]) => [/(?:reason|outcome)="([^"]+)"/.exec(key)?.[1] ?? '', value]),
    );
  assert.equal(Object.keys(reasons(first, 'oxbow_request_refused_total')).length, 8);
  assert.equal(Object.keys(reasons(first, 'oxbow_connection_retired_total')).length, 12);
  assert.ok(Object.values(reasons(first, 'oxbow_request_refused_total')).every((value) => value === 0));
  const lease = await pool.acquire();
  failing(pool.acquire());
  failing(pool.acquire());
  failing(pool.acquire({ signal: AbortSignal.abort() }));
  await clock.advance(100);
  lease.release();
  await clock.settle();
  const second = await pool.acquire();
  second.release(new Error('bad'));
  await clock.settle();
  await pool.close();
  const last = readText(renderText(pool));
  assert.equal(of(last, 'db_client_connection_timeouts_total'), 1);
  assert.deepEqual(reasons(last, 'oxbow_request_refused_total'), {
    ...reasons(first, 'oxbow_request_refused_total'),
    ...pool.stats().requestsFailed,
  });
  assert.deepEqual(pool.stats().requestsFailed, { 'queue-full': 1, aborted: 1, timeout: 1 });
  assert.deepEqual(reasons(last, 'oxbow_connection_retired_total'), {
    ...reasons(first, 'oxbow_connection_retired_total'),
    ...pool.stats().retired,
  });
  assert.deepEqual(reasons(last, 'oxbow_lease_returned_total'), {
    clean: 1,
    'rolled-back': 0,
    reset: 0,
    cancelled: 0,
    condemned: 1,
  });
  assert.equal(of(last, 'oxbow_pool_phase', { oxbow_phase: 'closed' }), 1);
});

test('counters that are told go on when popStats() zeroes what the pool has counted', async () => {
  const scene = rig({}, slow);
  renderText(scene.pool);
  await story(scene);
  const before = readText(renderText(scene.pool));
  scene.pool.popStats();
  const after = readText(renderText(scene.pool));
  assert.deepEqual(after, before);
  await story(scene);
  scene.pool.popStats();
  const later = readText(renderText(scene.pool));
  assert.equal(of(later, 'db_client_connection_timeouts_total'), 2);
  assert.equal(of(later, 'db_client_connection_wait_time_seconds_count'), 4);
});

/** A pool of which only the figures are true. */
function pretended(scene: Rig, figures: () => Partial<PoolStats>): MeasuredPool {
  const { pool } = scene;
  return {
    name: pool.name,
    snapshot: () => ({ ...pool.snapshot(), budget: figures().budget ?? { kind: 'threads', limit: 9, held: 1 } }),
    stats: () => ({ ...pool.stats(), ...figures() }),
    observe: (observer) => pool.observe(observer),
  };
}

test('what only stats() counts rises from the first reading on, and a zeroing in between is no fall', () => {
  let figures: Partial<PoolStats> = {
    leaksReported: 4,
    leasesReclaimed: 1,
    queriesByCodec: 100,
    queriesByPg: 7,
    requests: 50,
  };
  const pool = pretended(rig(), () => figures);
  const read = (): number[] => {
    const text = readText(renderText(pool));
    return [
      of(text, 'oxbow_lease_leaked_total'),
      of(text, 'oxbow_lease_reclaimed_total'),
      of(text, 'oxbow_query_spoken_total', { oxbow_speaker: 'codec' }),
      of(text, 'oxbow_query_spoken_total', { oxbow_speaker: 'pg' }),
    ];
  };
  assert.deepEqual(read(), [0, 0, 0, 0]);
  figures = { leaksReported: 6, leasesReclaimed: 2, queriesByCodec: 150, queriesByPg: 7, requests: 80 };
  assert.deepEqual(read(), [2, 1, 50, 0]);
  // Zeroed, and then more queries than ever; that there were fewer requests gives it away.
  figures = { leaksReported: 1, leasesReclaimed: 2, queriesByCodec: 200, queriesByPg: 8, requests: 10 };
  assert.deepEqual(read(), [3, 3, 250, 8]);
});

test('a budget is told, as far as it is known; queries are not, where the driver is of the user', () => {
  const scene = rig();
  const pool = pretended(scene, () => ({}));
  const text = readText(renderText(pool));
  assert.equal(of(text, 'oxbow_budget_limit'), 9);
  const has = (name: string): boolean => [...text.keys()].some((key) => key.startsWith(name));
  assert.deepEqual([has('oxbow_budget_used'), has('oxbow_query_spoken')], [false, false]);
});

test('reports are counted by their codes', async () => {
  const { pool } = rig({ dev: true });
  renderText(pool);
  await pool.acquire();
  const text = readText(renderText(pool));
  assert.equal(of(text, 'oxbow_report_made_total', { oxbow_code: 'OXBOW_IMPLICIT_OPEN' }), 1);
});

test('pools of one name are one: counts are added, of ages the oldest is told', async () => {
  const clock = new VirtualClock();
  const one = rig({ max: 3 }, undefined, clock);
  const other = rig({ max: 4 }, undefined, clock);
  renderText(one.pool, other.pool);
  await one.pool.acquire();
  await clock.advance(2_000);
  await other.pool.acquire();
  await clock.advance(1_000);
  const text = readText(renderText(one.pool, other.pool, one.pool));
  assert.equal(of(text, 'db_client_connection_limit'), 7);
  assert.equal(of(text, 'db_client_connection_count', { db_client_connection_state: 'used' }), 2);
  assert.equal(of(text, 'oxbow_lease_oldest_age_seconds'), 3);
  assert.equal(of(text, 'db_client_connection_wait_time_seconds_count'), 2);
  assert.equal(of(text, 'oxbow_pool_phase', { oxbow_phase: 'open' }), 2);
});

test('a name with quotes, backslashes and line breaks is told so that it can be read', () => {
  const { pool } = rig({ name: 'a "b" \\ c\nd' });
  const text = readText(renderText(pool));
  assert.equal(of(text, 'db_client_connection_limit', {}, 'a \\"b\\" \\\\ c\\nd'), 1);
});

test('the text has every metric of the catalogue, and no pool makes no series', () => {
  const names = (text: string): string[] => [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name);
  assert.deepEqual(names(renderText()), METRICS.map(familyName));
  assert.equal(readText(renderText()).size, 0);
});

test('lends are told to nobody before a pool is measured, and to nobody after the undo', (t) => {
  const told = traffic(t);
  const { meterProvider } = startSdk(t);
  const register = new Registry();
  const { pool } = rig();
  assert.equal(told(), false);
  for (const start of [() => measurePool(pool, { meterProvider }), () => collectPool(pool, { register })]) {
    const undos = [start(), start()];
    assert.equal(told(), true);
    undos[0]?.();
    undos[0]?.();
    assert.equal(told(), true, 'the other one still listens');
    undos[1]?.();
    assert.equal(told(), false);
  }
});

test('a pool that is measured twice through one meter, or collected twice on one register, is counted once', async (t) => {
  const sdk = startSdk(t);
  const register = new Registry();
  const { pool } = rig();
  for (let times = 0; times < 2; times += 1) {
    measurePool(pool, { meterProvider: sdk.meterProvider });
    collectPool(pool, { register });
  }
  (await pool.acquire()).release();
  const name = 'db.client.connection';
  const figures = await sdk.collect();
  const key = `{${name}.pool.name=shop}`;
  assert.equal(figures.get(`${name}.limit${key}`), 1);
  const waits = figures.get(`${name}.wait_time${key}`);
  assert.ok(typeof waits === 'object' && 'buckets' in waits);
  assert.equal(waits.count, 1);
  assert.deepEqual(waits.buckets, {
    boundaries: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10],
    counts: [1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  });
  const text = readText(await register.metrics());
  assert.equal(of(text, 'db_client_connection_limit'), 1);
  assert.equal(of(text, 'db_client_connection_wait_time_seconds_count'), 1);
});

test('the register of prom-client has in values what the text has, for all pools on it', async () => {
  const clock = new VirtualClock();
  const register = new Registry();
  const scenes = ['shop', 'reports "b"'].map((name) => rig({ name, max: 2 }, slow, clock));
  for (const { pool } of scenes) {
    collectPool(pool, { register });
    renderText(pool);
  }
  for (const scene of scenes) await story(scene);
  const text = readText(renderText(...scenes.map(({ pool }) => pool)));
  assert.deepEqual(readText(await register.metrics()), text);
  register.resetMetrics();
  assert.deepEqual(readText(await register.metrics()), text, 'there is nothing to reset');
  const json = await register.getMetricsAsJSON();
  assert.deepEqual(
    json.map(({ name }) => name),
    METRICS.map(familyName),
  );
});

test('a register of OpenMetrics names counters once', async () => {
  const register = new Registry<typeof Registry.OPENMETRICS_CONTENT_TYPE>();
  register.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  const stop = collectPool(rig().pool, { register });
  const text = await register.metrics();
  assert.match(text, /^# TYPE db_client_connection_timeouts counter$/m);
  assert.match(text, /^db_client_connection_timeouts_total\{db_client_connection_pool_name="shop"\} 0$/m);
  assert.match(text, /# EOF\n$/);
  stop();
  assert.deepEqual(register.getMetricsAsArray(), []);
});

test('with the last pool the metrics leave the register, and with the first they come back; what the user has on it stays', async () => {
  const register = new Registry();
  const pools = [rig(), rig({ name: 'other' })].map(({ pool }) => pool);
  const undos = pools.map((pool) => collectPool(pool, { register }));
  const limit = 'db_client_connection_limit';
  assert.deepEqual([...readText(await register.metrics()).keys()].filter((key) => key.startsWith(limit)).length, 2);
  undos[0]?.();
  const left = readText(await register.metrics());
  assert.equal(of(left, limit, {}, 'other'), 1);
  assert.ok(![...left.keys()].some((key) => key.includes('"shop"')));
  undos[1]?.();
  assert.deepEqual(register.getMetricsAsArray(), []);
  pools.map((pool) => collectPool(pool, { register }));
  // A user's own doing, after which a pool may come.
  register.clear();
  collectPool(rig({ name: 'third' }).pool, { register });
  assert.equal(of(readText(await register.metrics()), limit, {}, 'shop'), 1);
});

test('a register that has another metric of such a name is refused before anything is put on it', (t) => {
  const told = traffic(t);
  const register = new Registry();
  const { pool } = rig();
  const name = 'db_client_connection_limit';
  register.registerMetric(Object.assign(new Registry(), { name, get: async () => ({}), reset() {} }) as never);
  assert.throws(() => collectPool(pool, { register }), OptionError);
  assert.equal(register.getMetricsAsArray().length, 1);
  assert.equal(told(), false);
});

test('what cannot be measured, or where it cannot be told, is an OptionError at once', () => {
  const { pool } = rig();
  const loose: (verb: (...given: never[]) => unknown, ...given: unknown[]) => unknown = (verb, ...given) =>
    Reflect.apply(verb, undefined, given);
  const refused = [
    () => loose(measurePool, {}),
    () => loose(measurePool, { ...pool, name: 'x' }),
    () => loose(measurePool, pool, 'meter'),
    () => loose(measurePool, pool, { meter: {} }),
    () => loose(measurePool, pool, { meterProvider: 1 }),
    () => loose(measurePool, pool, { limitAlias: 'yes' }),
    () => loose(measurePool, pool, { provider: undefined }),
    () => loose(collectPool, undefined, { register: new Registry() }),
    () => loose(collectPool, pool),
    () => loose(collectPool, pool, { register: {} }),
    () => loose(renderText, pool, {}),
  ];
  for (const call of refused) assert.throws(call, OptionError, call.toString());
});

test('the instruments have the names, kinds and units of the catalogue, and the alias of the limit only where it is asked for', async (t) => {
  const sdk = startSdk(t);
  const { meterProvider } = sdk;
  measurePool(rig().pool, { meterProvider });
  const names = (await sdk.data()).map(({ descriptor: { name, unit } }) => `${name} ${unit}`);
  const silent = [
    'oxbow.connection.last_failure_age',
    'oxbow.query.spoken',
    'oxbow.budget.limit',
    'oxbow.budget.used',
    'oxbow.report.made',
  ];
  const expected = METRICS.filter((metric) => metric.instrument !== 'histogram' && !silent.includes(metric.name));
  assert.deepEqual(names.sort(), expected.map(({ name, unit }) => `${name} ${unit}`).sort());
  const undo = measurePool(rig({ name: 'old', max: 5 }).pool, { meterProvider, limitAlias: true });
  const aliases = async (): Promise<[string, unknown][]> =>
    [...(await sdk.collect())].filter(([key]) => key.startsWith('db.client.connection.max{'));
  assert.deepEqual(await aliases(), [['db.client.connection.max{db.client.connection.pool.name=old}', 5]]);
  undo();
  assert.deepEqual(await aliases(), [['db.client.connection.max{db.client.connection.pool.name=old}', 0]]);
});

test('after an undo everything but counters is told as nothing, once, and then a collection asks nobody anything', async (t) => {
  const sdk = startSdk(t);
  const meter = sdk.meterProvider.getMeter('mine');
  const removed = t.mock.method(meter, 'removeBatchObservableCallback');
  const { pool } = rig({ max: 4 });
  let asked = 0;
  const counting: MeasuredPool = {
    name: 'counting',
    snapshot: () => {
      asked += 1;
      return { ...pool.snapshot(), name: 'counting' };
    },
    stats: () => pool.stats(),
    observe: (observer) => pool.observe(observer),
  };
  const undo = measurePool(counting, { meter });
  assert.equal(asked, 0);
  const lease = await pool.acquire();
  failing(pool.acquire({ acquireTimeoutMs: 0, signal: AbortSignal.abort() }));
  const before = await sdk.collect();
  assert.equal(asked, 1, 'one reading serves all instruments');
  const figures = (from: typeof before): unknown[] => [
    from.get('db.client.connection.limit{db.client.connection.pool.name=counting}'),
    from.get('db.client.connection.count{db.client.connection.pool.name=counting,db.client.connection.state=used}'),
    from.get('oxbow.pool.phase{db.client.connection.pool.name=counting,oxbow.phase=open}'),
    from.get('oxbow.request.refused{db.client.connection.pool.name=counting,oxbow.reason=aborted}'),
  ];
  assert.deepEqual(figures(before), [4, 1, 1, 1]);
  undo();
  lease.release();
  for (let times = 0; times < 3; times += 1) assert.deepEqual(figures(await sdk.collect()), [0, 0, 0, 1]);
  assert.equal(asked, 1);
  assert.equal(removed.mock.callCount(), 1);
});

test('a pool that comes under the name of one that went is told, and not taken back', async (t) => {
  const sdk = startSdk(t);
  const { meterProvider } = sdk;
  const undo = measurePool(rig({ max: 4 }).pool, { meterProvider });
  await sdk.collect();
  undo();
  measurePool(rig({ max: 5 }).pool, { meterProvider });
  const limit = 'db.client.connection.limit{db.client.connection.pool.name=shop}';
  for (let times = 0; times < 2; times += 1) assert.equal((await sdk.collect()).get(limit), 5);
});
