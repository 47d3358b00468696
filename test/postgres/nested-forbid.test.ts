// `nestedAcquire: 'forbid'`: a task that holds a connection of a pool asks the same pool for another one, and is refused at once, whatever verb
// it asks by. Two connections would do for all of it: nobody waits here.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Lease, NestedAcquireError, Pool, type PoolOptions } from '../../src/doors/index.ts';
import { rejection, reports, withServer } from './harness.ts';

const server = await withServer(test);

function pool(t: TestContext, options: PoolOptions = {}): Pool {
  const made = new Pool({
    ...server.config,
    max: 3,
    nestedAcquire: 'forbid',
    acquireTimeoutMs: 5_000,
    logger: reports().logger,
    ...options,
  });
  t.after(() => made.close({ drainMs: 0, cancelMs: 200 }));
  return made;
}

const VERBS: Record<string, (one: Pool) => Promise<unknown>> = {
  'acquire()': (one) => one.acquire(),
  'tryAcquire()': async (one) => one.tryAcquire(),
  'use()': (one) => one.use(() => assert.fail('not called')),
  'transaction()': (one) => one.transaction(() => assert.fail('not called')),
  'connect()': (one) => one.connect(),
  'connect() with a callback': (one) =>
    new Promise((done, failed) => {
      const given = one.connect((error, client) => (error ? failed(error) : done(client))) as unknown;
      assert.equal(given, undefined);
    }),
  'query()': (one) => one.query('SELECT 1'),
  'query() with values': (one) => one.query('SELECT $1::int', [1]),
  'query() with a callback': (one) =>
    new Promise((done, failed) => {
      one.query('SELECT 1', (error: Error | undefined) => (error ? failed(error) : done(undefined)));
    }),
  'query() with values and a callback': (one) =>
    new Promise((done, failed) => {
      one.query('SELECT $1::int', [1], (error: Error | undefined) => (error ? failed(error) : done(undefined)));
    }),
};

const HOLDING: Record<string, (one: Pool, inner: (lease?: Lease) => Promise<unknown>) => Promise<unknown>> = {
  'use()': (one, inner) => one.use(inner),
  'transaction()': (one, inner) => one.transaction(() => inner()),
  'lease.transaction() on a lease taken by hand': async (one, inner) => {
    await using lease = await one.acquire();
    await lease.transaction(() => inner());
  },
};

for (const [verb, ask] of Object.entries(VERBS)) {
  for (const [how, hold] of Object.entries(HOLDING)) {
    test(`${verb} inside ${how} is refused at once, with both call sites, and takes nothing`, async (t) => {
      const one = pool(t);
      const refused: unknown[] = [];
      one.observe({ refused: ({ reason, error }) => refused.push(reason, error) });
      let lent = -1;
      const work = hold(one, async () => {
        await ask(one).finally(() => {
          lent = one.snapshot().lent;
        });
      });
      const error = await rejection(work, NestedAcquireError);
      assert.match(String(error.heldSite), /nested-forbid\.test\.js:\d+$/);
      assert.match(String(error.site), /nested-forbid\.test\.js:\d+$/);
      assert.notEqual(error.heldSite, error.site);
      assert.ok(error.message.includes(String(error.heldSite)) && error.message.includes(String(error.site)));
      assert.equal(lent, 1, 'only what was held before');
      assert.deepEqual(one.stats().requestsFailed, { nested: 1 });
      assert.deepEqual(refused, ['nested', error]);
      assert.deepEqual((await one.query('SELECT 1 AS n')).rows, [{ n: 1 }], 'when the call has ended');
    });
  }
}

test('another pool may be asked, from whatever the task holds', async (t) => {
  const [one, other] = [pool(t), pool(t)];
  const rows = await one.use(async () => {
    const byHand = await other.acquire();
    const third = pool(t);
    const { rows: got } = await third.query('SELECT 3 AS n');
    byHand.release();
    return [...got, ...(await other.query('SELECT 4 AS n')).rows];
  });
  assert.deepEqual(rows, [{ n: 3 }, { n: 4 }]);
});

test('a connection taken by hand inside a call of another pool counts until it is given back, also in the calls inside', async (t) => {
  const [one, other, third] = [pool(t), pool(t), pool(t)];
  await other.use(async () => {
    const lease = await one.acquire();
    assert.equal(Reflect.get(await rejection(one.query('SELECT 1'), Error), 'kind'), 'POOL_NESTED_ACQUIRE');
    await third.use(async () => {
      assert.equal(Reflect.get(await rejection(one.query('SELECT 1'), Error), 'kind'), 'POOL_NESTED_ACQUIRE');
    });
    lease.release();
    await one.query('SELECT 1');
    const tried = one.tryAcquire();
    assert.ok(tried);
    await rejection(one.acquire(), NestedAcquireError);
    tried.release();
    await one.query('SELECT 1');
  });
});

test('what goes on after its call is over may ask, and so may siblings that hold one each', async (t) => {
  const one = pool(t);
  const later = await one.use(async () => [sleep(50).then(() => one.query('SELECT 2 AS n'))]);
  assert.deepEqual((await later[0])?.rows, [{ n: 2 }]);
  await Promise.all([1, 2, 3].map(() => one.use((lease) => lease.query('SELECT pg_sleep(0.05)'))));
  assert.deepEqual(one.stats().requestsFailed, {});
});

test('what a call has taken by hand and given back is not collected by its pool', async (t) => {
  const [one, other] = [pool(t, { max: 1 }), pool(t)];
  await other.use(async () => {
    for (let n = 0; n < 50; n += 1) (await one.acquire()).release();
    await one.query('SELECT 1');
  });
  assert.deepEqual(one.stats().requestsFailed, {});
});

test('the error comes as a rejection from what promises, and by throwing from tryAcquire() alone', async (t) => {
  const one = pool(t);
  await one.use(async () => {
    assert.throws(() => one.tryAcquire(), NestedAcquireError);
    for (const verb of ['acquire()', 'use()', 'transaction()', 'connect()', 'query()']) {
      let given: Promise<unknown> | undefined;
      assert.doesNotThrow(() => {
        given = VERBS[verb]?.(one);
      }, verb);
      await rejection(given ?? Promise.resolve(), NestedAcquireError);
    }
  });
});
