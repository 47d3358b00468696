// What a pool tells on diagnostics channels, on the virtual clock: each message once, with what it says it has, and only while somebody
// subscribes.

import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { channel, tracingChannel } from 'node:diagnostics_channel';
import test from 'node:test';
import { silentReporter } from '../../src/contracts/reporter.ts';
import { Pool, type PoolOptions, PoolTimeoutError } from '../../src/doors/index.ts';
import { Observers } from '../../src/pool/observers.ts';
import { Publisher } from '../../src/pool/publisher.ts';
import { scriptedError } from '../../src/testing/scripted-driver.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { listen, listenToTrace, partsOf } from '../kit/listening.ts';
import { TalkingDriver } from './talking-driver.ts';

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

function rig(options: PoolOptions = {}): { pool: Pool; clock: VirtualClock; driver: TalkingDriver } {
  const clock = new VirtualClock();
  const driver = new TalkingDriver(clock);
  return { clock, driver, pool: new Pool({ name: 'shop', max: 1, clock, driver, logger: SILENT, ...options }) };
}

const ASYNC = ['start', 'end', 'asyncStart', 'asyncEnd'];
const FAILED = ['start', 'end', 'error', 'asyncStart', 'asyncEnd'];

/** Each way to borrow, given back at once. */
const WAYS: Readonly<Record<string, (pool: Pool) => Promise<unknown>>> = {
  'acquire()': async (pool) => (await pool.acquire()).release(),
  'acquire() with a label': async (pool) => (await pool.acquire({ label: 'job' })).release(),
  'connect()': async (pool) => (await pool.connect()).release(),
  'connect() with a callback': (pool) =>
    new Promise<void>((resolve) => {
      pool.connect((_error, _client, done) => resolve(done()));
    }),
  'use()': (pool) => pool.use(() => {}),
  'transaction()': (pool) => pool.transaction((tx) => tx.rollback()),
  'query()': (pool) => pool.query('x'),
  'query() with a deadline': (pool) => pool.query({ text: 'x', timeoutMs: 50 }),
  'query() with a callback': (pool) =>
    new Promise<void>((resolve) => {
      pool.query('x', () => resolve());
    }),
};

for (const [way, borrow] of Object.entries(WAYS)) {
  test(`pg:pool:connect traces ${way}, with an idle connection and with none, and pg:pool:release its return`, async (t) => {
    const { pool, clock } = rig();
    const asked = listenToTrace(t, 'pg:pool:connect');
    const released = listen(t, 'pg:pool:release');
    for (const idle of [0, 1]) {
      asked.length = 0;
      released.length = 0;
      const over = borrow(pool);
      await clock.settle();
      await over;
      assert.deepEqual(partsOf(asked), ASYNC);
      const [start, , , last] = asked;
      const place = { poolName: 'shop' };
      const figures = { totalCount: idle, idleCount: idle, waitingCount: 0, maxSize: 1 };
      const label = way.includes('label') ? { label: 'job' } : {};
      assert.deepEqual(start?.message, { ...place, pool: figures, ...label });
      const lease = released[0]?.message.lease;
      const lent = { client: { processID: 1 }, lease, waitedMs: 0 };
      assert.deepEqual(last?.message, { ...place, pool: figures, ...label, ...lent });
      assert.deepEqual(
        released.map(({ message }) => message),
        [{ ...place, client: { processID: 1 }, lease, heldMs: 0 }],
      );
    }
  });
}

test('a borrower that is refused is an error on pg:pool:connect, with the very error', async (t) => {
  const { pool, clock } = rig({ acquireTimeoutMs: 500 });
  const lease = pool.acquire();
  await clock.settle();
  const asked = listenToTrace(t, 'pg:pool:connect');
  const refused = pool.query('x').catch((error: unknown) => error);
  await clock.settle();
  assert.deepEqual(partsOf(asked), ['start', 'end'], 'still waiting');
  await clock.advance(500);
  const error = await refused;
  assert.ok(error instanceof PoolTimeoutError);
  assert.deepEqual(partsOf(asked), FAILED);
  assert.equal(asked.at(-1)?.message.error, error);
  (await lease).release();
});

for (const part of ASYNC) {
  test(`whoever subscribes to ${part} of pg:pool:connect alone hears it`, async (t) => {
    const { pool, clock } = rig();
    const asked = listenToTrace(t, 'pg:pool:connect', [part]);
    const over = pool.query('x');
    await clock.settle();
    await over;
    assert.deepEqual(partsOf(asked), [part]);
  });
}

test('a subscriber that comes while a connection is lent hears of its return, and one that has gone of nothing', async (t) => {
  const { pool, clock } = rig();
  const lease = pool.acquire();
  await clock.settle();
  const released: unknown[] = [];
  const note = (message: unknown): void => void released.push(message);
  channel('pg:pool:release').subscribe(note);
  t.after(() => void channel('pg:pool:release').unsubscribe(note));
  (await lease).release(new Error('spoilt'));
  assert.equal(released.length, 1);
  assert.equal(String(Reflect.get(Object(released[0]), 'error')), 'Error: spoilt');
  channel('pg:pool:release').unsubscribe(note);
  const over = pool.query('x');
  await clock.settle();
  await over;
  assert.equal(released.length, 1);
});

test('a lease that is released twice is told of once', async (t) => {
  const { pool, clock } = rig();
  const asked = pool.acquire();
  await clock.settle();
  const lease = await asked;
  const released = listen(t, 'pg:pool:release');
  lease.release();
  assert.throws(() => lease.release());
  assert.equal(released.length, 1);
});

test('what is bound to the start of pg:pool:connect is there while it is asked, and the asker goes on in his own context', async (t) => {
  const { pool, clock } = rig();
  const asking = new AsyncLocalStorage<string>();
  const own = new AsyncLocalStorage<string>();
  const { start, asyncEnd } = tracingChannel('pg:pool:connect');
  start.bindStore(asking, () => 'asking');
  const seen: unknown[] = [];
  const note = (): void => void seen.push([asking.getStore(), own.getStore()]);
  asyncEnd.subscribe(note);
  t.after(() => {
    start.unbindStore(asking);
    asyncEnd.unsubscribe(note);
  });
  const first = pool.acquire();
  await clock.settle();
  // Served by whoever gives it back, who is somebody else.
  const second = own.run('mine', async () => {
    await pool.query('x');
    return own.getStore();
  });
  own.run('not mine', () => void first.then((lease) => lease.release()));
  await clock.settle();
  assert.equal(await second, 'mine');
  assert.deepEqual(seen, [
    ['asking', undefined],
    ['asking', 'mine'],
  ]);
});

test('pg:pool:remove tells of each connection that is gone, for whatever reason', async (t) => {
  const { pool, clock, driver } = rig({ max: 3 });
  const removed = listen(t, 'pg:pool:remove');
  const leases = [pool.acquire(), pool.acquire(), pool.acquire()];
  await clock.settle();
  const [first, second, third] = await Promise.all(leases);
  first?.release(true);
  driver.scripted.sessions[1]?.kill();
  second?.release();
  third?.release();
  await clock.settle();
  const ended = pool.close();
  await clock.advance(1_000);
  await ended;
  assert.deepEqual(removed.map(({ message }) => Reflect.get(Object(message.client), 'processID')).sort(), [1, 2, 3]);
});

test('oxbow:transaction traces a transaction, and one that fails with its error', async (t) => {
  const { pool, clock } = rig();
  const told = listenToTrace(t, 'oxbow:transaction');
  const good = pool.transaction((tx) => tx.rollback(), { isolation: 'serializable', readOnly: true, label: 'job' });
  await clock.settle();
  await good;
  assert.deepEqual(partsOf(told), ASYNC);
  const facts = { lease: 1, label: 'job', isolation: 'serializable', readOnly: true };
  assert.deepEqual(told[0]?.message, { poolName: 'shop', client: { processID: 1 }, ...facts });
  told.length = 0;
  const failure = new Error('no');
  const bad = pool.use((lease) =>
    lease.transaction(() => {
      throw failure;
    }),
  );
  const caught = bad.catch((error: unknown) => error);
  await clock.settle();
  assert.equal(await caught, failure);
  assert.deepEqual(partsOf(told), FAILED);
  assert.equal(told.at(-1)?.message.error, failure);
});

test('oxbow:reconnect tells of each connect that fails and of the first that succeeds', async (t) => {
  const { pool, clock, driver } = rig({ max: 2 });
  const told = listen(t, 'oxbow:reconnect');
  const error = scriptedError('ECONNREFUSED');
  driver.scripted.script = (call, _session, count) => (call === 'open' && count <= 2 ? { fail: error } : undefined);
  const leases = [pool.acquire()];
  await clock.advance(10_000);
  // Another one, when there is no outage any more.
  leases.push(pool.acquire());
  await clock.advance(10_000);
  for (const lease of await Promise.all(leases)) lease.release();
  assert.equal(driver.scripted.sessions.length, 2);
  const [first, second, third, ...more] = told.map(({ message }) => message);
  assert.deepEqual([first?.state, first?.attempt, second?.state, second?.attempt], ['failed', 1, 'failed', 2]);
  assert.ok(first?.error instanceof Error && typeof first.retryInMs === 'number');
  assert.deepEqual(third, { poolName: 'shop', state: 'restored', attempt: 2 });
  assert.deepEqual(more, []);
});

test('oxbow:validate tells of each look at a connection at rest, and how it went', async (t) => {
  const { pool, clock, driver } = rig();
  const told = listen(t, 'oxbow:validate');
  let ping: { fail: Error } | { afterMs: number } = { afterMs: 30 };
  driver.scripted.script = (call) => (call === 'ping' ? ping : undefined);
  const over = pool.query('x');
  await clock.settle();
  await over;
  for (const dead of [false, true]) {
    if (dead) ping = { fail: new Error('dead') };
    const checked = pool.check();
    await clock.advance(100);
    await checked;
  }
  const place = { poolName: 'shop', client: { processID: 1 } };
  assert.deepEqual(
    told.map(({ message }) => message),
    [
      { ...place, outcome: 'kept', ms: 30 },
      { ...place, outcome: 'replaced', ms: 0 },
    ],
  );
});

test('oxbow:resize and oxbow:drain tell of what is asked of the whole pool', async (t) => {
  const { pool, clock } = rig();
  const resized = listen(t, 'oxbow:resize');
  const drained = listen(t, 'oxbow:drain');
  const asked = pool.acquire();
  await clock.settle();
  const lease = await asked;
  pool.resize({ max: 4 });
  assert.throws(() => pool.resize({ max: 0 }));
  const closed = pool.close();
  await clock.settle();
  lease.release();
  await clock.advance(1_000);
  await closed;
  assert.deepEqual(
    resized.map(({ message }) => message),
    [{ poolName: 'shop', min: 0, max: 4, oldMin: 0, oldMax: 1 }],
  );
  assert.deepEqual(
    drained.map(({ message }) => message),
    [
      { poolName: 'shop', state: 'begun', lent: 1, waiting: 0 },
      { poolName: 'shop', state: 'ended', lent: 0, waiting: 0 },
    ],
  );
});

/** What stands between the engine and whoever listens, without an engine. */
function observers(): { observers: Observers; listening: boolean[] } {
  const nothing = (): void => {};
  const face = { listening: false, opened: nothing, lent: nothing, released: nothing, lost: nothing, closed: nothing };
  const options = { host: 'db', port: 5, database: 'd' };
  const publisher = new Publisher({ name: 'shop', options: options as never }, false);
  const made = new Observers(silentReporter, face, publisher, 'shop');
  const listening: boolean[] = [];
  made.onListening = (one) => void listening.push(one);
  return { observers: made, listening };
}

test('oxbow:leak tells of the reports about leases, and of no other', (t) => {
  const { observers: made } = observers();
  const told = listen(t, 'oxbow:leak');
  made.report({ code: 'OXBOW_LEASE_HELD', message: 'held', site: 'a.js:1' });
  made.report({ code: 'OXBOW_BUSY_RETURN', message: 'busy' });
  made.report({ code: 'OXBOW_LEASE_COLLECTED', message: 'lost' });
  const place = { poolName: 'shop', serverAddress: 'db', serverPort: 5, database: 'd' };
  assert.deepEqual(
    told.map(({ message }) => message),
    [
      { ...place, code: 'OXBOW_LEASE_HELD', message: 'held', site: 'a.js:1' },
      { ...place, code: 'OXBOW_LEASE_COLLECTED', message: 'lost' },
    ],
  );
});

test('only an observer of lends and returns has the engine tell of each', () => {
  const { observers: made, listening } = observers();
  const quiet = made.add({ phase: () => {}, opened: () => {}, report: () => {} });
  assert.deepEqual(listening, [false]);
  for (const name of ['waiting', 'lent', 'returned']) {
    made.add({ [name]: () => {} })();
    assert.deepEqual(listening.splice(1), [true, false], name);
  }
  quiet();
});
