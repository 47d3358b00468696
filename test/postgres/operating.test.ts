// Operating a living pool on a real server: resize, replaceAll, check, trim, pause; its figures, whose equations must add up; and
// the one promise about the server: never more sessions there than `max`, as somebody who looks all the time sees it.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import {
  type Observer,
  type Pool,
  type PoolOptions,
  PoolPausedError,
  type PoolStats,
  PoolTimeoutError,
} from '../../src/doors/index.ts';
import { backends, eventually, killBackend, pidOf, rejection, withClient, withPool, withServer } from './harness.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);

function pool(t: TestContext, options: PoolOptions = {}): Pool {
  return withPool(t, { ...server.config, ...options });
}

interface Sampling {
  /** Looks no more; how many sessions of the pool there were at most, and how often was looked. */
  stop(): Promise<{ most: number; looks: number }>;
}

/** A session of its own that counts those of the pool, as fast as the server answers. */
async function sampling(t: TestContext, of: Pool): Promise<Sampling> {
  const observer = await withClient(t, server.config);
  let most = 0;
  let looks = 0;
  let stopped = false;
  const done = (async () => {
    while (!stopped) {
      most = Math.max(most, await backends(observer, of.name));
      looks += 1;
    }
  })();
  return {
    async stop() {
      stopped = true;
      await done;
      return { most, looks };
    },
  };
}

function adds(of: Pool): void {
  const { size, opening, idle, lent, returning, closing, max } = of.snapshot();
  assert.equal(size, opening + idle + lent + returning + closing);
  assert.ok(size <= max, `${size} of ${max}`);
}

function sum(parts: Partial<Record<string, number>>): number {
  return Object.values(parts).reduce<number>((total, n) => total + (n ?? 0), 0);
}

/** What is true of the figures of a pool at rest. */
function equations(stats: PoolStats, seen: Record<keyof Observer, number>, lostLeases: number): void {
  assert.equal(stats.requests, seen.lent + sum(stats.requestsFailed), 'requests = served + failed');
  assert.equal(sum(stats.requestsFailed), seen.refused);
  assert.equal(stats.requestsQueued, seen.waiting);
  assert.equal(stats.returns, seen.returned);
  assert.equal(seen.lent, stats.returns + lostLeases + stats.lent, 'served = returned + died while lent + lent');
  assert.equal(stats.connects, seen.opening);
  assert.equal(stats.connectsFailed, seen.openFailed);
  assert.equal(stats.connectionsLost, seen.lost);
  assert.equal(sum(stats.retired), seen.retired);
  assert.equal(
    stats.connects,
    stats.connectsFailed + stats.connectionsLost + sum(stats.retired) + stats.size - stats.closing,
    'opened = failed + lost + retired + open',
  );
  assert.equal(stats.waitMs.count, seen.lent);
  assert.equal(stats.useMs.count, stats.returns);
  assert.equal(stats.connectMs.count, seen.opened);
}

function counting(of: Pool): { seen: Record<keyof Observer, number>; lostLeases(): number } {
  const seen = {
    phase: 0,
    opening: 0,
    opened: 0,
    openFailed: 0,
    waiting: 0,
    lent: 0,
    refused: 0,
    returned: 0,
    retired: 0,
    lost: 0,
    closed: 0,
    report: 0,
  };
  let lostLeases = 0;
  const observer: Partial<Observer> = {};
  const count = (name: keyof Observer) => () => {
    seen[name] += 1;
  };
  for (const name of Object.keys(seen) as (keyof Observer)[]) observer[name] = count(name);
  of.observe(observer);
  of.observe({ lost: ({ state }) => (lostLeases += state === 'lent' ? 1 : 0) });
  return { seen, lostLeases: () => lostLeases };
}

test('the figures add up after everything that can happen to a request and a connection', async (t) => {
  const one = pool(t, { max: 3, maxUses: 7, acquireTimeoutMs: 5_000 });
  const { seen, lostLeases } = counting(one);
  await Promise.all(Array.from({ length: 40 }, (_, n) => one.query('SELECT $1::int', [n])));
  await one.query('SELECT nonsense').catch(() => {});
  await one.use((lease) => lease.query('BEGIN'));
  const leases = await Promise.all([one.acquire(), one.acquire(), one.acquire()]);
  await rejection(one.acquire({ acquireTimeoutMs: 10 }), PoolTimeoutError);
  const abort = new AbortController();
  const aborted = one.acquire({ signal: abort.signal }).catch(() => {});
  abort.abort();
  await aborted;
  for (const lease of leases.slice(0, 2)) await killBackend(admin, await pidOf(lease));
  await eventually('both deaths came in', () => one.stats().connectionsLost === 2);
  for (const [n, lease] of leases.entries()) lease.release(n === 2);
  await Promise.all(Array.from({ length: 10 }, () => one.transaction((tx) => tx.query('SELECT 1'))));
  await eventually('all is at rest', () => {
    const { idle, size } = one.snapshot();
    return idle === size;
  });
  adds(one);
  equations(one.stats(), seen, lostLeases());
  const before = one.popStats();
  const after = one.stats();
  assert.deepEqual(
    [after.requests, after.returns, after.connects, sum(after.retired), after.waitMs.count, after.rolledBack],
    [0, 0, 0, 0, 0, 0],
  );
  assert.equal(after.size, before.size);
  assert.equal(before.rolledBack, 1);
  await one.close();
  assert.equal(seen.closed, before.connects);
  assert.ok(before.retired.uses !== undefined && before.retired.uses > 0);
});

test('snapshot adds up at every event while the pool is busy', async (t) => {
  const one = pool(t, { max: 3, maxUses: 3 });
  const readings: { size: number; parts: number }[] = [];
  const look = (): void => {
    const { size, opening, idle, lent, returning, closing } = one.snapshot();
    readings.push({ size, parts: opening + idle + lent + returning + closing });
  };
  one.observe({ opening: look, opened: look, waiting: look, lent: look, returned: look, retired: look, closed: look });
  await Promise.all(Array.from({ length: 60 }, () => one.query('SELECT 1')));
  assert.ok(readings.length > 180);
  for (const { size, parts } of readings) assert.ok(size === parts && size <= 3, `${parts} parts of ${size}`);
});

test('observe tells each event with its payload, in order, and its undo ends that', async (t) => {
  const one = pool(t, { max: 1 });
  const told: string[] = [];
  const undo = one.observe({
    phase: ({ from, to }) => told.push(`phase ${from} ${to}`),
    opening: ({ attempt }) => told.push(`opening ${attempt}`),
    opened: ({ id, ms, pid }) => told.push(`opened ${id} ${ms > 0} ${pid > 0}`),
    waiting: ({ position, label }) => told.push(`waiting ${position} ${label}`),
    lent: ({ id, lease, waitedMs, label }) => told.push(`lent ${id} ${lease} ${waitedMs >= 0} ${label}`),
    returned: ({ id, lease, outcome }) => told.push(`returned ${id} ${lease} ${outcome}`),
    retired: ({ id, reason }) => told.push(`retired ${id} ${reason}`),
    closed: ({ id, bySocketDestroyed }) => told.push(`closed ${id} ${bySocketDestroyed}`),
  });
  await one.use((lease) => lease.query('SELECT 1'), { label: 'job' });
  assert.equal(await one.trim(), 1);
  assert.deepEqual(told, [
    'phase created open',
    'waiting 1 job',
    'opening 1',
    'opened 1 true true',
    'lent 1 1 true job',
    'returned 1 1 clean',
    'retired 1 trimmed',
    'closed 1 false',
  ]);
  undo();
  undo();
  await one.query('SELECT 1');
  assert.equal(told.length, 8);
});

test('there are never more sessions on the server than max, whatever is done to the pool', async (t) => {
  const max = 4;
  const one = await pool(t, { min: 2, max, maxUses: 25, connectConcurrency: 4 }).open();
  const sampler = await sampling(t, one);
  let stop = false;
  let served = 0;
  const load = Array.from({ length: 8 }, async () => {
    while (!stop) {
      await one.query('SELECT pg_sleep(0.001)');
      served += 1;
    }
  });
  const until = served + 150;
  await eventually('load', () => served >= until);
  await one.replaceAll();
  await one.trim();
  await one.replaceAll({ overMs: 20 });
  one.resize({ max: 2 });
  await eventually('shrunk', () => one.snapshot().size <= 2);
  one.resize({ max });
  await one.check();
  await one.pause();
  assert.equal(one.snapshot().lent, 0);
  one.resume();
  const later = served + 150;
  await eventually('load again', () => served >= later);
  stop = true;
  await Promise.all(load);
  await one.close();
  const { most, looks } = await sampler.stop();
  assert.ok(looks > 50, `${looks} looks`);
  assert.ok(most >= 2 && most <= max, `${most} sessions`);
});

test('a burst opens no more than max, and each of them serves', async (t) => {
  const one = pool(t, { max: 5 });
  const sampler = await sampling(t, one);
  const pids = await Promise.all(
    Array.from({ length: 60 }, async () => {
      const { rows } = await one.query<{ pid: number }>('SELECT pg_backend_pid() AS pid FROM pg_sleep(0.02)');
      return rows[0]?.pid;
    }),
  );
  const { most } = await sampler.stop();
  assert.ok(most <= 5, `${most} sessions`);
  assert.equal(new Set(pids).size, 5);
});

test('resize is exact both ways: idle ones above the new max close, a larger min is filled', async (t) => {
  const one = await pool(t, { min: 4, max: 4 }).open();
  one.resize({ min: 1, max: 2 });
  await eventually('two are left', async () => one.snapshot().size === 2 && (await backends(admin, one.name)) === 2);
  assert.equal(one.options.max, 2);
  one.resize({ min: 3, max: 6 });
  await eventually('three are there', () => one.idleCount === 3);
  assert.deepEqual([one.snapshot().min, one.snapshot().max], [3, 6]);
  assert.throws(() => one.resize({ max: 0 }), { kind: 'INVALID_OPTION' });
  assert.throws(() => one.resize({ min: 7 }), { kind: 'INVALID_OPTION' });
  assert.deepEqual([one.snapshot().min, one.snapshot().max], [3, 6]);
});

test('a lent connection above the new max closes when it comes back', async (t) => {
  const one = pool(t, { max: 2 });
  const leases = await Promise.all([one.acquire(), one.acquire()]);
  one.resize({ max: 1 });
  assert.equal(one.snapshot().size, 2);
  for (const lease of leases) lease.release();
  await eventually('one is left', () => one.snapshot().size === 1);
  assert.equal(one.stats().retired.resized, 1);
});

test('replaceAll resolves when every old session is gone, lent ones at their return', async (t) => {
  const one = await pool(t, { min: 2, max: 3 }).open();
  const lease = await one.acquire();
  const old = await pidOf(lease);
  let replaced = false;
  const all = one.replaceAll().then(() => {
    replaced = true;
  });
  assert.deepEqual((await lease.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  assert.equal(replaced, false);
  lease.release();
  await all;
  const { rowCount } = await admin.query('SELECT FROM pg_stat_activity WHERE pid = $1', [old]);
  assert.equal(rowCount, 0);
  await eventually('min is there again', () => one.idleCount === 2);
  assert.equal(one.stats().retired.replaced, 2);
});

test('check tests the idle ones, finds the dead, and holds up nobody', async (t) => {
  const one = await pool(t, { min: 3, max: 3 }).open();
  assert.deepEqual(await one.check(), { tested: 3, kept: 3, replaced: 0, late: 0 });
  const lease = await one.acquire();
  assert.deepEqual(await one.check(), { tested: 2, kept: 2, replaced: 0, late: 0 });
  lease.release();
  assert.equal(one.snapshot().idle, 3);
});

test('trim closes idle ones down to what is asked and below min, which the next use restores', async (t) => {
  const one = await pool(t, { min: 3, max: 3 }).open();
  assert.equal(await one.trim({ to: 1 }), 2);
  assert.equal(one.snapshot().size, 1);
  assert.equal(await one.trim(), 1);
  assert.equal(await backends(admin, one.name), 0);
  assert.deepEqual((await one.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  await eventually('min is restored', () => one.idleCount === 3);
});

test('pause resolves when nothing is lent; waiters wait until resume, or are refused', async (t) => {
  const one = pool(t, { max: 1 });
  const lease = await one.acquire();
  let quiet = false;
  const paused = one.pause().then(() => {
    quiet = true;
  });
  assert.equal(one.phase, 'paused');
  const waiting = one.query('SELECT 1 AS one');
  assert.deepEqual((await lease.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  assert.equal(quiet, false);
  lease.release();
  await paused;
  assert.equal(one.waitingCount, 1);
  assert.equal(one.tryAcquire(), undefined);
  one.resume();
  assert.deepEqual((await waiting).rows, [{ one: 1 }]);
  await one.pause({ borrowers: 'reject' });
  const error = await rejection(one.query('SELECT 1'), PoolPausedError);
  assert.equal(error.kind, 'POOL_PAUSED');
  one.resume();
  assert.deepEqual((await one.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
});

test('idle connections above min are closed after idleTimeoutMs, and not below', async (t) => {
  const one = await pool(t, { min: 1, max: 4, idleTimeoutMs: 60 }).open();
  const leases = await Promise.all([one.acquire(), one.acquire(), one.acquire(), one.acquire()]);
  for (const lease of leases) lease.release();
  await eventually('one is left', () => one.snapshot().size === 1);
  assert.equal(one.stats().retired.idle, 3);
  assert.equal(await backends(admin, one.name), 1);
});

test('maxUses and maxLifetimeMs end a connection, and there is another one', async (t) => {
  const used = pool(t, { max: 1, maxUses: 2 });
  const pids = [await pidOf(used), await pidOf(used), await pidOf(used), await pidOf(used), await pidOf(used)];
  assert.equal(new Set(pids).size, 3);
  assert.equal(used.stats().retired.uses, 2);
  const old = await pool(t, { min: 1, max: 2, maxLifetimeMs: 200 }).open();
  await eventually('two lifetimes have passed', () => (old.stats().retired.lifetime ?? 0) >= 2);
  await eventually('one is idle', () => old.idleCount >= 1);
});

test('configure runs once per connection, before anybody sees it', async (t) => {
  const configured: unknown[] = [];
  const one = pool(t, {
    max: 2,
    configure: async (client) => {
      configured.push(client);
      await client.query("SET statement_timeout = '91s'");
    },
  });
  for (let n = 0; n < 3; n += 1) {
    await Promise.all([
      one.use(async (lease) => {
        assert.ok(configured.includes(lease.client));
        assert.deepEqual((await lease.query('SHOW statement_timeout')).rows, [{ statement_timeout: '91s' }]);
      }),
      one.use((lease) => lease.query('SELECT pg_sleep(0.01)')),
    ]);
  }
  assert.equal(new Set(configured).size, configured.length);
  assert.equal(configured.length, one.stats().connects);
});
