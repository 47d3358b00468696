// Borrowers that wait for each other, on a real server: one of them is turned away, long before its timeout, and told who holds what (DESIGN
// B21). What is not seen, or seen where it is not: deadlock-limits.test.ts. The rules of looking, on a virtual clock: test/core.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeadlockError, type Lease, Pool, type PoolOptions } from '../../src/doors/index.ts';
import { Pool as PgPool } from '../../src/doors/pg.ts';
import { eventually, rejection, reports, runProgram, withServer } from './harness.ts';

const server = await withServer(test);

const GRACE_MS = 200;
/** Nobody here may need it. */
const TIMEOUT_MS = 30_000;

/** Not the harness's: that one borrows in the test's stead, and would be the call site. */
function pool(t: TestContext, options: PoolOptions = {}): Pool {
  const limits = { acquireTimeoutMs: TIMEOUT_MS, deadlockGraceMs: GRACE_MS, dev: true };
  const made = new Pool({ ...server.config, ...limits, logger: reports().logger, ...options });
  t.after(() => made.close({ drainMs: 0, cancelMs: 200 }));
  return made;
}

/** What came of all of them: how many were turned away as part of a deadlock; anything else that failed fails the test. */
async function outcome(work: readonly Promise<unknown>[]): Promise<{ served: number; victims: DeadlockError[] }> {
  const began = performance.now();
  const settled = await Promise.allSettled(work);
  const took = performance.now() - began;
  const victims = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
  for (const error of victims) if (!(error instanceof DeadlockError)) throw error;
  assert.ok(took < TIMEOUT_MS / 2, `took ${Math.round(took)} ms`);
  return { served: settled.length - victims.length, victims: victims as DeadlockError[] };
}

/** The source line that a call site names, in this file. */
function lineAt(site: string | undefined): string {
  const [, file = '', row = ''] = /^(.*deadlocks\.test\.js):(\d+)$/.exec(site ?? '') ?? [];
  assert.notEqual(file, '', `a site in this file, not ${site}`);
  return readFileSync(resolve(file), 'utf8').split('\n')[Number(row) - 1] ?? '';
}

/** A barrier: nobody goes on before all have come. */
function meeting(size: number): () => Promise<void> {
  let here = 0;
  return async () => {
    here += 1;
    await eventually(`all ${size} hold one`, () => here >= size, { everyMs: 2 });
  };
}

test('a nested query in a pool of one: turned away soon, with the holder, the last statement and both call sites', async (t) => {
  const one = pool(t, { max: 1, name: 'orders' });
  const began = performance.now();
  const work = one.use(
    async (lease) => {
      await lease.query('SELECT 42 AS answer');
      await one.query('SELECT 1 AS nested');
    },
    { label: 'report' },
  );
  const error = await rejection(work, DeadlockError);
  assert.ok(performance.now() - began >= GRACE_MS);
  const [holder, ...more] = error.cycle;
  assert.deepEqual(more, []);
  assert.deepEqual(
    [holder?.pool, holder?.label, holder?.lastStatement, holder?.busy],
    ['orders', 'report', 'SELECT 42 AS answer', false],
  );
  assert.match(lineAt(error.site), /one\.query\('SELECT 1 AS nested'\)/);
  assert.match(lineAt(holder?.site), /one\.use\(/);
  assert.equal(error.explanation?.verdict, 'deadlock');
  assert.match(error.message, /^orders: probable deadlock: the only connection .*SELECT 42 AS answer/);
  assert.ok(error.message.includes(String(error.site)) && error.message.includes(String(holder?.site)));
  assert.deepEqual(one.stats().requestsFailed, { deadlock: 1 });
  assert.deepEqual((await one.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
});

test('five that hold all five connections and ask for a sixth: one is turned away, four succeed', async (t) => {
  const five = pool(t, { max: 5 });
  const met = meeting(5);
  const work = Array.from({ length: 5 }, () =>
    five.use(async (lease) => {
      await lease.query('SELECT 1');
      await met();
      await five.query('SELECT 2');
    }),
  );
  const { served, victims } = await outcome(work);
  assert.deepEqual([served, victims.length], [4, 1]);
  assert.equal(victims[0]?.cycle.length, 5);
  assert.equal(five.snapshot().lent, 0);
});

test('two pools crossed, and three in a ring: one is turned away, and the cycle names the pools', async (t) => {
  for (const names of [
    ['left', 'right'],
    ['one', 'two', 'three'],
  ]) {
    const pools = names.map((name) => pool(t, { max: 1, name }));
    const met = meeting(names.length);
    const work = pools.map((own, n) =>
      own.use(async (lease) => {
        await lease.query('SELECT 1');
        await met();
        await pools[(n + 1) % pools.length]?.query('SELECT 2');
      }),
    );
    const { served, victims } = await outcome(work);
    assert.deepEqual([served, victims.length], [names.length - 1, 1]);
    assert.deepEqual(victims[0]?.cycle.map((holder) => holder.pool).sort(), [...names].sort());
  }
});

/** Ways of holding the only connection while `inner` runs. */
const HOLDING: Record<string, (one: Pool, inner: () => Promise<unknown>) => Promise<unknown>> = {
  'use()': (one, inner) => one.use(inner),
  'transaction()': (one, inner) =>
    one.transaction(async (tx) => {
      await tx.query('SELECT 1');
      await inner();
    }),
  'lease.transaction() inside use()': (one, inner) => one.use((lease) => lease.transaction(inner)),
  'lease.transaction() on a lease that was taken by hand': async (one, inner) => {
    await using lease = await one.acquire();
    await lease.transaction(inner);
  },
  'lease.transaction() on one that was taken by hand more than a second ago': async (one, inner) => {
    await using lease = await one.acquire();
    await sleep(1_200);
    await lease.transaction(inner);
  },
  'a savepoint': (one, inner) => one.transaction((tx) => tx.transaction(inner)),
  'transaction() with a signal': (one, inner) => one.transaction(inner, { signal: new AbortController().signal }),
};

async function deepInside(one: Pool): Promise<unknown> {
  const helper = async (depth: number): Promise<unknown> => {
    await Promise.resolve();
    return depth === 0 ? one.query('SELECT 1') : Promise.all([helper(depth - 1)]);
  };
  return helper(5);
}

/** Ways of asking for one more. */
const ASKING: Record<string, (one: Pool) => Promise<unknown>> = {
  'query()': (one) => one.query('SELECT $1::int', [1]),
  'query() with a callback': (one) =>
    new Promise((done, failed) => {
      one.query('SELECT 1', (error: Error | undefined) => (error ? failed(error) : done(undefined)));
    }),
  'acquire()': (one) => one.acquire(),
  'connect()': async (one) => (await one.connect()).release(),
  'use()': (one) => one.use((lease) => lease.query('SELECT 1')),
  'transaction()': (one) => one.transaction((tx) => tx.query('SELECT 1')),
  'a helper several calls deep': deepInside,
  'a timer of its own': (one) => sleep(5).then(() => one.query('SELECT 1')),
};

for (const [how, hold] of Object.entries(HOLDING)) {
  test(`${how} holds the only connection and a query inside asks for one`, async (t) => {
    const one = pool(t, { max: 1 });
    const error = await rejection(
      hold(one, () => one.query('SELECT 2')),
      DeadlockError,
    );
    assert.match(lineAt(error.site), /one\.query\('SELECT 2'\)/);
    assert.deepEqual(one.stats().requestsFailed, { deadlock: 1 });
    await eventually('the connection is back', () => one.snapshot().lent === 0);
  });
}

for (const [what, ask] of Object.entries(ASKING)) {
  test(`inside use() ${what} asks for one more than there are`, async (t) => {
    const one = pool(t, { max: 1 });
    const { site } = await rejection(
      one.use(() => ask(one)),
      DeadlockError,
    );
    assert.notEqual(lineAt(site), '');
  });
}

test('an error that the function catches lets it go on, and the call succeeds', async (t) => {
  const one = pool(t, { max: 1 });
  const answer = await one.use(async (lease) => {
    await rejection(one.query('SELECT 1'), DeadlockError);
    return (await lease.query<{ n: number }>('SELECT 7 AS n')).rows[0]?.n;
  });
  assert.equal(answer, 7);
});

/** Honest borrowers: whatever they hold comes back by itself. */
const HONEST: Record<string, (two: Pool) => Promise<unknown>[]> = {
  'one nested call and one that is at work in a query': (two) => [
    two.use((lease) => lease.query('SELECT pg_sleep(1)')),
    two.use(() => two.query('SELECT 1')),
  ],
  'one nested call and one that queries with the raw client': (two) => [
    two.use((lease) => lease.client.query('SELECT pg_sleep(1)')),
    two.use(() => two.query('SELECT 1')),
  ],
  'one nested call and one that sleeps between two queries': (two) => [
    two.use(async (lease) => {
      await lease.query('SELECT 1');
      await sleep(1_000);
      await lease.query('SELECT 2');
    }),
    two.use(() => two.query('SELECT 1')),
  ],
  'three leases by hand in parallel': (two) => byHand(two),
  'three leases by hand in parallel, inside one use() of another pool': (two) => byHand(two),
  'more callers than connections, each of which holds one': (two) =>
    Array.from({ length: 6 }, () => two.use(() => sleep(GRACE_MS * 2))),
  'a query in the background of a call that is at work': (two) => [
    two.use(async (lease) => {
      const background = two.query('SELECT 1');
      await lease.query('SELECT pg_sleep(1)');
      background.catch(() => {});
      return background;
    }),
    two.use((lease) => lease.query('SELECT pg_sleep(1)')),
  ],
};

function byHand(two: Pool): Promise<unknown>[] {
  return Array.from({ length: 3 }, async () => {
    const lease: Lease = await two.acquire();
    await sleep(GRACE_MS * 3);
    lease.release();
  });
}

for (const [who, begin] of Object.entries(HONEST)) {
  test(`no alarm: ${who}`, async (t) => {
    const { logger, said } = reports();
    const two = pool(t, { max: 2, logger });
    const outer = pool(t, { max: 1 });
    await two.use(() => two.query('SELECT 1'));
    const all = (): Promise<unknown> => Promise.all(begin(two));
    await (who.includes('another pool') ? outer.use(all) : all());
    const codes = said.map(({ code }) => code).filter((code) => code !== 'OXBOW_IMPLICIT_OPEN');
    assert.deepEqual([two.stats().requestsFailed, codes], [{}, []]);
  });
}

test('no alarm: three leases by hand in parallel inside one use() of the same pool', async (t) => {
  const three = pool(t, { max: 3 });
  await three.use(() => Promise.all(byHand(three)));
  assert.deepEqual(three.stats().requestsFailed, {});
});

test('a holder whose query runs is waited for, and is part of a deadlock once it has ended and asks for more', async (t) => {
  const one = pool(t, { max: 1 });
  const began = performance.now();
  await rejection(
    one.use(async (lease) => {
      const nested = one.query('SELECT 1');
      nested.catch(() => {});
      await lease.query('SELECT pg_sleep(0.8)');
      await nested;
    }),
    DeadlockError,
  );
  assert.ok(performance.now() - began >= 800 + GRACE_MS, 'the grace begins when the statement has ended');
});

test("'warn', the default of oxbow/pg, reports the call site once, and the wait goes on", async (t) => {
  const { logger, said } = reports();
  const limits = { deadlockGraceMs: 50, connectionTimeoutMillis: 600, dev: true, logger };
  const one = new PgPool({ ...server.config, max: 1, ...limits });
  t.after(() => one.end());
  const failed = new Set<unknown>();
  for (let round = 0; round < 2; round += 1) {
    const work = one.use(() => one.query('SELECT 1'));
    failed.add(Reflect.get(await rejection(work, Error), 'kind'));
  }
  assert.deepEqual([...failed], ['POOL_TIMEOUT']);
  const warned = said.filter(({ code }) => code === 'OXBOW_PROBABLE_DEADLOCK');
  assert.equal(warned.length, 1);
  assert.match(warned[0]?.message ?? '', /probable deadlock: .* did so at .*deadlocks\.test\.js:\d+$/);
});

test("'allow': nobody looks, and the wait ends by its timeout", async (t) => {
  const one = pool(t, { max: 1, nestedAcquire: 'allow', acquireTimeoutMs: GRACE_MS * 3 });
  const error = await rejection(
    one.use(() => one.query('SELECT 1')),
    Error,
  );
  assert.equal(Reflect.get(error, 'kind'), 'POOL_TIMEOUT');
});

test('while a pool closes, a task that holds a connection may borrow another one, and nobody else may', async (t) => {
  const two = pool(t, { max: 2 });
  const other = pool(t, { max: 1 });
  const work = two.use(async (lease) => {
    await lease.query('SELECT 1');
    const closed = two.close({ drainMs: 10_000 });
    closed.catch(() => {});
    const { rows } = await two.query('SELECT 5 AS n');
    return rows;
  });
  const outside = other.use(async () => {
    await eventually('it closes', () => two.phase === 'closing');
    return (await two.query('SELECT 6 AS n')).rows;
  });
  await eventually('it closes', () => two.phase !== 'open');
  assert.equal(Reflect.get(await rejection(two.query('SELECT 1'), Error), 'kind'), 'POOL_CLOSED');
  assert.deepEqual(await work, [{ n: 5 }]);
  await outside.catch((error: unknown) => assert.equal(Reflect.get(Object(error), 'kind'), 'POOL_CLOSED'));
  await eventually('it has closed', () => two.phase === 'closed');
});

test('nothing of a call that is over is kept: no released lease, and no chain of calls that each began in the one before', async () => {
  const program = `
    import { setTimeout as sleep } from 'node:timers/promises';
    const pool = new Pool({ ...config, max: 2, dev: true });
    await pool.open();
    const leases = [];
    const functions = [];
    const timers = [];
    // Out here: a function made inside would keep the lease by itself.
    const forEver = () => { timers.push(setInterval(() => {}, 1_000)); };
    const one = () => pool.use(async (lease) => {
      leases.push(new WeakRef(lease));
      await lease.query('SELECT 1');
    });
    for (let n = 0; n < 20; n += 1) await one();
    // Each begins just before the one it was begun in ends, and nobody waits for it: a chain, if anybody kept one.
    let links = 0;
    let done;
    const end = new Promise((resolve) => { done = resolve; });
    const chain = () => pool.use(async (lease) => {
      leases.push(new WeakRef(lease));
      links += 1;
      const mark = async () => { await lease.query('SELECT 1'); };
      functions.push(new WeakRef(mark));
      await mark();
      if (links < 40) setTimeout(chain, 1);
      else {
        // Something begun inside the last one goes on for ever.
        forEver();
        setTimeout(done, 1);
      }
      await sleep(2);
    }).catch((error) => { console.log(String(error)); process.exit(1); });
    chain();
    await end;
    await pool.use(async (lease) => {
      leases.push(new WeakRef(lease));
      forEver();
    });
    let kept = leases.length;
    for (let n = 0; n < 100 && kept > 0; n += 1) {
      await sleep(20);
      gc();
      kept = leases.filter((ref) => ref.deref() !== undefined).length;
    }
    const heap = functions.filter((ref) => ref.deref() !== undefined).length;
    console.log(JSON.stringify({ leases: leases.length, kept, functions: heap }));
    timers.forEach(clearInterval);
    await pool.close();`;
  const flags =
    "import v8 from 'node:v8'; import vm from 'node:vm'; v8.setFlagsFromString('--expose-gc'); const gc = vm.runInNewContext('gc');";
  const { stdout, stderr } = await runProgram(flags + program, server.config, 30_000);
  assert.equal(stderr, '');
  assert.deepEqual(JSON.parse(stdout), { leases: 61, kept: 0, functions: 0 });
});
