// How a pool comes into another thread: what its handle carries and hides, what has to be given again, what counts, who hears of whose end,
// and what becomes of whoever posts the pool itself.

import assert from 'node:assert/strict';
import test from 'node:test';
import { inspect } from 'node:util';
import { MessageChannel, Worker } from 'node:worker_threads';
import { OptionError, Pool, type PoolOptions } from '../../src/doors/index.ts';
import { NullPool } from '../../src/doors/null.ts';
import { Pool as PgPool } from '../../src/doors/pg.ts';
import {
  createThreadBudget,
  joinPool,
  joinThreadBudget,
  type SharedPool,
  type ThreadBudgetHandle,
} from '../../src/doors/threads.ts';
import { eventually, freshName, runProgram, withClient, withServer } from './harness.ts';
import { plainPool, Thread } from './threads-kit.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);
const { config } = server;
const LONG = 'SELECT pg_sleep(30)';

/** With what is not enumerable. */
function hidden(value: unknown): object {
  // How a pool's own copy is shown is no part of it.
  const keys = Object.getOwnPropertyNames(value).filter((key) => key !== 'toJSON');
  return Object.fromEntries(keys.map((key) => [key, Reflect.get(Object(value), key)]));
}

async function checkInterval(pool: { query(text: string): Promise<{ rows: unknown[] }> }): Promise<unknown> {
  const { rows } = await pool.query('SHOW client_connection_check_interval');
  return Reflect.get(Object(rows[0]), 'client_connection_check_interval');
}

test('a thread that was started before the pool was shared is known if it is named', async (t) => {
  const pool = plainPool(t, { ...config, max: 3 });
  const [named, unnamed] = [new Thread(t), new Thread(t)];
  await Promise.all([named.order('thread'), unnamed.order('thread')]);
  const handle = pool.share({ workers: [named.worker] });
  await named.order('join', { handle });
  await named.order('hold', { n: 2, statement: LONG });
  assert.equal(pool.snapshot().budget?.used, 2);
  await named.end();
  await eventually('they are back', () => pool.snapshot().budget?.used === 0);
  await unnamed.order('join', { handle });
  pool.share({ workers: [unnamed.worker] });
  await unnamed.order('hold', { n: 2, statement: LONG });
  await unnamed.end();
  await eventually('it can be named later, too', () => pool.snapshot().budget?.used === 0);
});

test('a thread that joined hears of the end of those that it started itself', async (t) => {
  const pool = plainPool(t, { ...config, max: 3 });
  const above = new Thread(t, { handle: pool.share() });
  await above.order('nest', { n: 2, statement: LONG });
  await above.order('hold', { n: 1, statement: 'SELECT 1' });
  assert.equal(pool.snapshot().budget?.used, 3);
  await above.order('endBelow');
  await eventually('the two of the thread below are back', () => pool.snapshot().budget?.used === 1);
  assert.equal(pool.snapshot().budget?.members, 1);
});

test('a thread that ends takes those below with it, and what they held comes back', async (t) => {
  const pool = plainPool(t, { ...config, max: 3 });
  const above = new Thread(t, { handle: pool.share() });
  await above.order('nest', { n: 2, statement: LONG });
  await above.order('hold', { n: 1, statement: LONG });
  assert.equal(pool.snapshot().budget?.used, 3);
  await above.end();
  await eventually('all three are back', () => pool.snapshot().budget?.used === 0);
  assert.equal(pool.snapshot().budget?.members, 0);
});

test('what cannot cross has to be given again, and the error names it', (t) => {
  const secret = (): string => String(config.password);
  const all: PoolOptions = {
    ...config,
    password: secret,
    max: 2,
    configure: async () => {},
    check: async () => {},
    reset: async () => {},
    onReconnectFailed: () => {},
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  };
  const handle = plainPool(t, all).share();
  const names = ['password', 'configure', 'check', 'reset', 'onReconnectFailed', 'logger'] as const;
  assert.deepEqual([...handle.missing].sort(), [...names].sort());
  const given: Record<string, unknown> = {};
  for (const name of handle.missing) {
    assert.throws(
      () => joinPool(handle, given),
      (error: unknown) =>
        error instanceof OptionError && error.option === name && /given again in joinPool/.test(error.message),
    );
    given[name] = all[name as keyof PoolOptions];
  }
  joinPool(handle, given);
  const made = plainPool(t, { max: 2, connection: () => ({ ...config }) }).share();
  assert.deepEqual(made.missing, ['connection']);
});

test('an override wins, and one that is given again works', async (t) => {
  const seen: string[] = [];
  const pool = plainPool(t, {
    ...config,
    password: () => String(config.password),
    max: 2,
    application_name: 'first',
    configure: async () => void seen.push('first'),
  });
  const other = joinPool(pool.share(), {
    password: async () => String(config.password),
    application_name: 'second',
    name: 'another',
    configure: async () => void seen.push('second'),
  });
  t.after(() => other.close({ drainMs: 0 }));
  const { rows } = await other.query('SHOW application_name');
  assert.deepEqual([rows[0], seen, other.name], [{ application_name: 'second' }, ['second'], 'another']);
});

test('a password that is a string crosses, and shows nowhere', async (t) => {
  const secret = `secret-${freshName()}`;
  const role = freshName().replaceAll('-', '_');
  await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD '${secret}'`);
  const pool = plainPool(t, { ...config, user: role, password: secret, max: 2, ssl: false });
  const handle = pool.share();
  for (const shown of [inspect(handle, { depth: 9, showHidden: true }), JSON.stringify(handle), String(handle)])
    assert.ok(!shown.includes(secret), shown);
  assert.equal(joinPool(handle).options.password, secret);
  const thread = new Thread(t, { handle });
  assert.deepEqual(await thread.order('query', { text: 'SELECT current_user AS who' }), [{ who: role }]);
  await thread.order('close');
  await pool.close();
});

test('values that arrive as they were cross: buffers, dates, nested objects; methods and private state do not', (t) => {
  class Odd {
    readonly #x = 1;
    get x(): number {
      return this.#x;
    }
  }
  const ssl = (): object => ({ ca: [Buffer.from('ca')], key: 'the key', rejectUnauthorized: false });
  const pool = plainPool(t, { ...config, max: 1, ssl: ssl() });
  assert.equal(pool.options.host, config.host); // here pg sees the options, and hides the key
  const handle = pool.share();
  assert.ok(!inspect(handle, { depth: 9, showHidden: true }).includes('the key'));
  assert.deepEqual(hidden(joinPool(handle).options.ssl), ssl());
  const wrongs = [
    { ...ssl(), checkServerIdentity: () => undefined },
    { ...ssl(), key: new Odd() as unknown as string },
  ];
  for (const wrong of wrongs)
    assert.deepEqual(plainPool(t, { ...config, max: 1, ssl: wrong }).share().missing, ['ssl']);
});

test('a password that is read from another pool’s options crosses, too', async (t) => {
  const first = plainPool(t, { ...config, password: 'the password', max: 1 });
  const again = new Pool(first.options);
  t.after(() => again.close());
  assert.equal(joinPool(again.share()).options.password, 'the password');
});

test('ssl that is read from another pool’s options crosses, with the key that is hidden there', (t) => {
  const first = plainPool(t, { ...config, ssl: { key: 'the key', rejectUnauthorized: false }, max: 1 });
  const again = new Pool(first.options);
  t.after(() => again.close());
  const handle = again.share();
  assert.deepEqual(handle.missing, []);
  assert.deepEqual(hidden(joinPool(handle).options.ssl), { key: 'the key', rejectUnauthorized: false });
});

test('what is no handle is refused, and so are a second limit and overrides that are none', (t) => {
  const pool = plainPool(t, { ...config, max: 2 });
  const handle = pool.share();
  const wrongs: unknown[] = [
    undefined,
    {},
    pool,
    { ...handle, sealed: 'x' },
    { ...handle, face: 'x' },
    { ...handle, missing: undefined },
    { ...handle, budget: {} },
    JSON.parse(JSON.stringify(handle)),
  ];
  for (const wrong of wrongs)
    assert.throws(
      () => joinPool(wrong as SharedPool),
      (error: unknown) => error instanceof OptionError && error.option === 'handle',
      inspect(wrong, { depth: 0 }),
    );
  const budget = createThreadBudget({ max: 2 });
  assert.throws(() => joinPool(handle, { budget }), /option "budget": expected nothing in joinPool/);
  assert.throws(() => joinPool(handle, null as unknown as PoolOptions), /option "overrides"/);
  assert.throws(() => joinThreadBudget(handle as unknown as ThreadBudgetHandle), /option "handle"/);
  for (const max of [0, 1.5, 10_001, Number.NaN, '5'])
    assert.throws(
      () => createThreadBudget({ max: max as number }),
      /option "max": expected a whole number from 1 to 10000/,
    );
  assert.throws(() => pool.share({ workers: [{}] as unknown as Worker[] }), OptionError);
});

test('a pool, a lease and a transaction cannot be posted, and the error says what to do', async (t) => {
  const functions = { password: () => String(config.password), configure: async () => {} };
  for (const options of [{ ...config }, { ...config, ...functions }]) {
    const pool = plainPool(t, { ...options, max: 2 });
    const lease = await pool.acquire();
    await pool.transaction((tx) => {
      const { port1 } = new MessageChannel();
      for (const [value, says] of [
        [pool, /A pool cannot be posted\. Post pool\.share\(\); joinPool\(handle\) of oxbow\/threads joins it there\./],
        [lease, /A lease cannot be posted\. Post pool\.share\(\), and acquire from joinPool\(handle\) there\./],
        [tx, /A transaction cannot be posted\. Post pool\.share\(\), and begin one on joinPool\(handle\) there\./],
      ] as const) {
        for (const posted of [value, { deep: [value] }]) {
          assert.throws(() => structuredClone(posted), says);
          assert.throws(() => port1.postMessage(posted), says);
          assert.throws(() => new Worker('', { eval: true, workerData: posted }), says);
        }
      }
      port1.close();
    });
    lease.release();
  }
});

test('a budget of its own limits different pools in different threads', async (t) => {
  const budget = createThreadBudget({ max: 3 });
  const here = plainPool(t, { ...config, max: 3, budget });
  const there = plainPool(t, {
    ...config,
    max: 9,
    application_name: 'other',
    budget: joinThreadBudget(budget.share()),
  });
  const leases = await Promise.all([here.acquire(), here.acquire(), there.acquire()]);
  assert.deepEqual([budget.limit, budget.used], [3, 3]);
  await assert.rejects(there.acquire({ acquireTimeoutMs: 100 }), /3 of 3 permits of the threads budget/);
  leases[0]?.release(true);
  const fourth = await there.acquire();
  fourth.release();
  const thread = new Thread(t, { handle: there.share() });
  const wait = thread.order('lend', { n: 1 });
  await wait;
  assert.deepEqual(here.snapshot().budget?.limit, 3);
  assert.equal((await thread.order('face')).max, 9);
  for (const lease of leases.slice(1)) lease.release();
});

test('a pool with a budget that is not of threads cannot be shared', (t) => {
  const permits = {
    tryTake: () => true,
    take: async () => true,
    give() {},
    pressure: 0,
    yields: () => false,
    onPressure: () => () => {},
  };
  const pool = plainPool(t, { ...config, max: 2, budget: { join: () => permits } });
  assert.throws(() => pool.share(), /option "budget": expected none, or a thread budget/);
});

test('what a pool has open when it is shared counts', async (t) => {
  const pool = plainPool(t, { ...config, max: 3 });
  const leases = await Promise.all([pool.acquire(), pool.acquire()]);
  const handle = pool.share();
  assert.deepEqual(pool.snapshot().budget, { kind: 'threads', limit: 3, used: 2, held: 2, members: 1 });
  const thread = new Thread(t, { handle });
  await thread.order('lend', { n: 1 });
  await assert.rejects(
    pool.acquire({ acquireTimeoutMs: 30 }),
    /3 of 3 permits of the threads budget taken, 2 of them here, shared by 2 pools/,
  );
  for (const lease of leases) lease.release(true);
  await eventually('theirs alone is left', () => pool.snapshot().budget?.used === 1);
  assert.deepEqual(pool.share().budget, handle.budget);
});

test('a pool that still has more open than its limit is not shared, and can be when it has not', async (t) => {
  const pool = plainPool(t, { ...config, max: 3 });
  const leases = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
  pool.resize({ max: 2 });
  assert.throws(() => pool.share(), /option "max": expected at least 3, as many connections as there are/);
  for (const lease of leases) lease.release();
  await eventually('one has gone', () => pool.snapshot().size === 2);
  assert.equal(pool.share().oxbow, 'pool');
  assert.equal(pool.snapshot().budget?.limit, 2);
});

test('each kind of pool arrives as what it was', async (t) => {
  const shared = [
    new PgPool({ ...config, max: 2 }),
    new NullPool({ ...config, max: 2 }),
    new Pool({ ...config, max: 2 }),
  ];
  t.after(() => Promise.all(shared.map((pool) => pool.close())));
  const joined = shared.map((pool) => joinPool(pool.share()));
  assert.deepEqual(
    joined.map((pool) => [pool instanceof PgPool, pool instanceof NullPool]),
    [
      [true, false],
      [false, true],
      [false, false],
    ],
  );
  for (const pool of joined) {
    const { rows } = await pool.query('SELECT 1 AS one');
    assert.deepEqual(rows, [{ one: 1 }]);
    await pool.close();
  }
  const thread = new Thread(t, { handle: shared[1]?.share() });
  assert.equal((await thread.order('face')).kind, 'NullPool');
  await thread.order('lend', { n: 2 });
});

test('a part that is closed frees its row, and the others go on', async (t) => {
  const pool = plainPool(t, { ...config, max: 2 });
  const thread = new Thread(t, { handle: pool.share() });
  await thread.order('lend', { n: 2 });
  assert.deepEqual(pool.snapshot().budget, { kind: 'threads', limit: 2, used: 2, held: 0, members: 1 });
  await thread.order('close');
  assert.deepEqual(pool.snapshot().budget, { kind: 'threads', limit: 2, used: 0, held: 0, members: 0 });
  await pool.query('SELECT 1');
  assert.equal(pool.snapshot().budget?.held, 1);
});

test('idle pools that are not closed let the process end, in all threads', async () => {
  const threads = new URL('../../src/doors/threads.js', import.meta.url).href;
  const doors = new URL('../../src/doors/index.js', import.meta.url).href;
  const worker = `
    import { parentPort, workerData } from 'node:worker_threads';
    const { joinPool } = await import(${JSON.stringify(threads)});
    const pool = joinPool(workerData);
    const { rows } = await pool.query('SELECT 2 AS n');
    parentPort.postMessage(rows[0].n);`;
  const { code, stdout, stderr } = await runProgram(
    `import { Worker } from 'node:worker_threads';
    void ${JSON.stringify(doors)};
    const pool = new Pool({ ...config, max: 2 });
    await pool.query('SELECT 1');
    const data = 'data:text/javascript,' + encodeURIComponent(${JSON.stringify(worker)});
    const worker = new Worker(new URL(data), { workerData: pool.share() });
    worker.on('message', (n) => console.log('got', n));
    worker.on('exit', () => setImmediate(() => console.log('worker ended', pool.snapshot().budget.used)));`,
    config,
  );
  assert.deepEqual([code, stderr], [0, '']);
  assert.match(stdout, /^got 2\nworker ended 1\n$/);
});

test('the server watches for the client’s end on each session, also after a reset', async (t) => {
  const none = plainPool(t, { ...config, max: 1 });
  assert.equal(await checkInterval(none), '0');
  for (const reset of ['rollback', 'discard', 'tracked'] as const) {
    const pool = plainPool(t, { ...config, max: 1, reset, budget: createThreadBudget({ max: 1 }) });
    assert.equal(await checkInterval(pool), '500ms', reset);
    await pool.query("SET work_mem = '3MB'");
    assert.equal(await checkInterval(pool), '500ms', `after ${reset}`);
    assert.equal(pool.stats().connects, 1);
    if (reset !== 'rollback') {
      const { rows } = await pool.query('SHOW work_mem');
      assert.notEqual(Reflect.get(Object(rows[0]), 'work_mem'), '3MB', 'it was reset');
    }
  }
  const own = plainPool(t, {
    ...config,
    max: 1,
    options: '-c client_connection_check_interval=2000',
    budget: createThreadBudget({ max: 1 }),
  });
  assert.equal(await checkInterval(own), '2s', 'what somebody set is left alone');
});
