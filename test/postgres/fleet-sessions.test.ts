// What a fleet budget does with its sessions on a real server: one lock each, what is set, what a reset and a borrower may do to it, and
// who shares with whom.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import type pg from 'pg';
import { OptionError, type Pool, type PoolOptions } from '../../src/doors/index.ts';
import { postgresBudget } from '../../src/sharing/postgres-budget.ts';
import { holdersOf, look } from './fleet-processes.ts';
import { eventually, freshName, killBackend, pidOf, reports, withClient, withPool, withServer } from './harness.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);

interface Fleet {
  readonly key: string;
  readonly name: string;
  pool(options?: PoolOptions): Pool;
  /** Permits that are taken. */
  slots(): Promise<number>;
}

function fleet(t: TestContext, limit: number, floor = 0): Fleet {
  const key = freshName();
  const options = { ...server.config, application_name: key, max: 5 };
  return {
    key,
    name: key,
    pool: (more = {}) => withPool(t, { ...options, ...more, budget: postgresBudget({ limit, key, floor }) }),
    slots: async () => (await look(admin, key, key)).slots,
  };
}

test('each session takes exactly one permit, 200 times, whatever is taken already', async (t) => {
  const { pool, key, name } = fleet(t, 37);
  const one = pool({ max: 40 });
  for (let round = 0; round < 8; round += 1) {
    const leases = await Promise.all(Array.from({ length: 25 }, () => one.acquire()));
    const pids = await Promise.all(leases.map((lease) => pidOf(lease)));
    assert.deepEqual((await holdersOf(admin, key)).toSorted(), pids.toSorted());
    const { slots, doubles, sessions } = await look(admin, key, name);
    assert.deepEqual([slots, doubles, sessions], [25, 0, 25]);
    for (const lease of leases) lease.release(true);
    await eventually('they are gone', async () => (await look(admin, key, name)).slots === 0);
  }
  assert.equal(one.stats().connects, 200);
});

test('a session that sought has one permit, and says no longer that it seeks', async (t) => {
  const { pool, slots, key } = fleet(t, 1);
  const [one, other] = [pool(), pool()];
  const lease = await one.acquire();
  const asked = other.acquire();
  const seekers = async (): Promise<number> => {
    const text = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid::bigint > 2147483648";
    return (await admin.query(text)).rowCount ?? 0;
  };
  await eventually('it seeks', async () => (await seekers()) === 1);
  lease.release(true);
  const had = await asked;
  assert.deepEqual(await holdersOf(admin, key), [await pidOf(had)]);
  assert.equal(await slots(), 1);
  assert.equal(await seekers(), 0);
  had.release();
});

test('the server looks every half a second whether the client of a busy session is still there, unless somebody set that', async (t) => {
  const { pool } = fleet(t, 4);
  const shown = async (one: Pool): Promise<unknown> =>
    (await one.query('SHOW client_connection_check_interval')).rows[0];
  assert.deepEqual(await shown(pool()), { client_connection_check_interval: '500ms' });
  const options = '-c client_connection_check_interval=7s';
  assert.deepEqual(await shown(pool({ options })), { client_connection_check_interval: '7s' });
});

for (const reset of ['discard', 'tracked'] as const) {
  test(`reset: '${reset}' leaves the permit where it was, and what the others say is heard`, async (t) => {
    const { pool, slots, key } = fleet(t, 2);
    const [one, other] = [pool({ reset, max: 2 }), pool()];
    const leases = [await one.acquire(), await one.acquire()];
    for (const lease of leases) {
      await lease.query("SET work_mem = '1MB'");
      lease.release();
    }
    await eventually('both are clean', () => one.snapshot().idle === 2);
    assert.equal(await slots(), 2);
    assert.equal(one.stats().connects, 2);
    assert.deepEqual((await one.query('SHOW work_mem')).rows.length, 1);
    const shown = await one.query('SHOW client_connection_check_interval');
    assert.deepEqual(shown.rows, [{ client_connection_check_interval: '500ms' }]);
    const since = performance.now();
    const asked = await other.acquire();
    // It heard the appeal: nothing else would have it give one.
    assert.ok(performance.now() - since < 1_000);
    assert.equal(one.stats().retired.budget, 1);
    assert.equal((await holdersOf(admin, key)).length, 2);
    asked.release();
  });
}

test('a borrower hears what it listens to and nothing of what the pools say to each other', async (t) => {
  const { pool, key } = fleet(t, 2);
  const [one, other] = [pool(), pool()];
  const heard: pg.Notification[] = [];
  const lease = await one.acquire();
  const listener = (message: pg.Notification): void => void heard.push(message);
  lease.client.on('notification', listener);
  await lease.query('LISTEN mine');
  const second = await one.acquire();
  const asked = other.acquire();
  await eventually('the other asked', () => Number(other.snapshot().budget?.members) === 2);
  await admin.query("NOTIFY mine, 'hello'");
  await eventually('the message is there', () => heard.length > 0);
  second.release(true);
  (await asked).release();
  await lease.query('SELECT 1');
  assert.deepEqual(
    heard.map(({ channel, payload }) => [channel, payload]),
    [['mine', 'hello']],
  );
  lease.client.off('notification', listener);
  await lease.query('UNLISTEN mine');
  lease.release();
  assert.deepEqual([one.stats().returnsBad, (await holdersOf(admin, key)).length], [1, 2]);
});

for (const text of ['SELECT pg_advisory_unlock_all()', 'DISCARD ALL', 'UNLISTEN *']) {
  test(`a connection whose borrower ran ${text} is replaced: its permit, or its ear, is gone`, async (t) => {
    const { pool, slots, key } = fleet(t, 2);
    const { logger } = reports();
    const one = pool({ logger, max: 1 });
    const lease = await one.acquire();
    const pid = await pidOf(lease);
    await lease.query(text);
    lease.release();
    const again = await one.acquire();
    assert.notEqual(await pidOf(again), pid);
    assert.equal(one.stats().retired.condemned, 1);
    assert.deepEqual(await holdersOf(admin, key), [await pidOf(again)]);
    again.release();
    await eventually('one permit', async () => (await slots()) === 1);
  });
}

test("a borrower's own advisory locks do not disturb, and are not disturbed", async (t) => {
  const { pool, slots } = fleet(t, 2);
  const one = pool();
  const lease = await one.acquire();
  await lease.query('SELECT pg_advisory_lock(1), pg_advisory_lock(1, 1)');
  assert.equal(await slots(), 1);
  const { rows } = await lease.query('SELECT pg_advisory_unlock(1) AS one, pg_advisory_unlock(1, 1) AS two');
  assert.deepEqual(rows, [{ one: true, two: true }]);
  assert.equal(await slots(), 1);
  lease.release();
});

test('a session that is killed gives back its permit, and another takes it', async (t) => {
  const { pool, slots } = fleet(t, 1);
  const { logger } = reports();
  const [one, other] = [pool({ logger }), pool()];
  const lease = await one.acquire();
  const asked = other.acquire();
  await killBackend(admin, await pidOf(lease));
  const had = await asked;
  assert.equal(await slots(), 1);
  lease.release();
  had.release();
});

test('budgets with different keys do not share, nor do databases', async (t) => {
  const [one, other] = [fleet(t, 1), fleet(t, 1)];
  const first = await one.pool().acquire();
  const second = await other.pool().acquire();
  const database = freshName().replaceAll('-', '_');
  await admin.query(`CREATE DATABASE ${database}`);
  const away = one.pool({ database });
  const third = await away.acquire({ acquireTimeoutMs: 5_000 });
  for (const lease of [first, second, third]) lease.release();
  await away.close();
  await admin.query(`DROP DATABASE ${database}`);
});

test('who waits too long is told how the budget stands', async (t) => {
  const { pool } = fleet(t, 1);
  const [one, other] = [pool(), pool()];
  const lease = await one.acquire();
  await assert.rejects(
    other.acquire({ acquireTimeoutMs: 1_000 }),
    /1 of 1 permits of the fleet budget taken, 0 of them here, shared by 2 pools/,
  );
  lease.release();
});

test('what cannot be meant is refused when the budget is made', () => {
  const wrong: [string, unknown][] = [
    ['options', undefined],
    ['options', null],
    ['options', 'k'],
    ['limit', { key: 'k' }],
    ['limit', { key: 'k', limit: 0 }],
    ['limit', { key: 'k', limit: 1.5 }],
    ['limit', { key: 'k', limit: 10_001 }],
    ['limit', { key: 'k', limit: '8' }],
    ['key', { limit: 8 }],
    ['key', { limit: 8, key: '' }],
    ['key', { limit: 8, key: 'x'.repeat(201) }],
    ['floor', { limit: 8, key: 'k', floor: 9 }],
    ['floor', { limit: 8, key: 'k', floor: -1 }],
  ];
  for (const [option, options] of wrong) {
    const make = (): unknown => Reflect.apply(postgresBudget, undefined, [options]);
    assert.throws(make, (error) => error instanceof OptionError && error.option === option, JSON.stringify(options));
  }
});

test('a pool that closes leaves no lock and no session', async (t) => {
  const { pool, key, name } = fleet(t, 3);
  const [one, other] = [pool(), pool()];
  const leases = await Promise.all([one.acquire(), one.acquire(), one.acquire()]);
  const seeking = other.acquire().catch((error: unknown) => error);
  await eventually('it seeks', async () => (await look(admin, key, name)).sessions === 4);
  await other.close();
  assert.ok((await seeking) instanceof Error);
  await eventually('the seeker is gone', async () => (await look(admin, key, name)).sessions === 3);
  for (const lease of leases) lease.release();
  await one.close();
  await eventually('all are gone', async () => {
    const { slots, sessions } = await look(admin, key, name);
    return slots === 0 && sessions === 0;
  });
});
