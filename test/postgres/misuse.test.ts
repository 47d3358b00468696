// Mistakes of use on a real server: closed pools, double releases, callbacks and observers that throw. None of them may break
// the pool, harm another borrower, or end differently from pg where pg's users rely on it.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { LeaseError, type Pool, PoolClosedError, type PoolOptions, PoolTimeoutError } from '../../src/doors/index.ts';
import { eventually, pidOf, rejection, reports, runProgram, withPool, withServer } from './harness.ts';

const server = await withServer(test);

function pool(t: TestContext, options: PoolOptions = {}): Pool {
  return withPool(t, { ...server.config, max: 1, ...options });
}

const PG_TEXT = /Release called on client which has already been released to the pool\.$/;

test('client.release twice throws each time, with pg’s text', async (t) => {
  const one = pool(t);
  const client = await one.connect();
  client.release();
  for (let n = 0; n < 3; n += 1) assert.throws(() => client.release(), { kind: 'LEASE_RELEASED', message: PG_TEXT });
  assert.equal(one.idleCount, 1);
  assert.equal(one.stats().returns, 1);
});

test('done twice throws each time, with pg’s text', async (t) => {
  const one = pool(t);
  await new Promise<void>((resolve, reject) => {
    one.connect((error, _client, done) => {
      if (error) return reject(error);
      done();
      try {
        assert.throws(() => done(), { kind: 'LEASE_RELEASED', message: PG_TEXT });
        assert.throws(() => done(new Error('broken')), { kind: 'LEASE_RELEASED', message: PG_TEXT });
        resolve();
      } catch (failure) {
        reject(failure);
      }
    });
  });
  assert.equal(one.idleCount, 1);
});

test('done and client.release are one: whichever comes second throws', async (t) => {
  const one = pool(t);
  const thrown = await new Promise<unknown>((resolve) => {
    one.connect((_error, client, done) => {
      client?.release();
      try {
        done();
        resolve(undefined);
      } catch (error) {
        resolve(error);
      }
    });
  });
  assert.ok(thrown instanceof LeaseError);
});

test('a saved release of an earlier checkout throws and leaves the present holder alone', async (t) => {
  const one = pool(t);
  const first = await one.connect();
  const stale = first.release;
  first.release();
  const second = await one.connect();
  assert.equal(second, first);
  assert.throws(() => stale(), { message: PG_TEXT });
  assert.throws(() => stale(true), { message: PG_TEXT });
  assert.equal(one.snapshot().lent, 1);
  assert.deepEqual((await second.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  second.release();
  assert.equal(one.stats().connects, 1);
});

test('lease and client of one checkout: the client goes on when the lease was released, and its release is refused', async (t) => {
  const one = pool(t);
  const raw = await one.connect();
  raw.release();
  const lease = await one.acquire();
  assert.equal(lease.client, raw);
  // What the client carries is the release of its own, earlier checkout.
  assert.throws(() => raw.release(), { message: PG_TEXT });
  assert.equal(one.snapshot().lent, 1);
  lease.release();
});

test('a closed pool refuses every form of use in the form in which it was asked', async (t) => {
  const one = pool(t);
  await one.query('SELECT 1');
  await one.close();
  for (const use of [
    one.query('SELECT 1'),
    one.query({ text: 'SELECT 1' }),
    one.connect(),
    one.acquire(),
    one.use(() => 1),
  ]) {
    const error = await rejection(use, PoolClosedError);
    assert.equal(error.phase, 'closed');
    assert.match(error.message, new RegExp(`^${one.name} is closed`));
  }
  const called = await Promise.all([
    new Promise((resolve) => one.query('SELECT 1', (error) => resolve(error))),
    new Promise((resolve) => one.query('SELECT $1', [1], (error) => resolve(error))),
    new Promise((resolve) => one.connect((error) => resolve(error))),
  ]);
  for (const error of called) assert.ok(error instanceof PoolClosedError);
  await rejection(one.pause(), PoolClosedError);
  one.resume();
  assert.equal(one.phase, 'closed');
  assert.deepEqual(await one.check(), { tested: 0, kept: 0, replaced: 0, late: 0 });
  assert.equal(await one.trim(), 0);
});

test('an observer that throws is reported, and neither borrower nor connection notices', async (t) => {
  const { logger, said } = reports();
  const one = pool(t, { logger });
  const fail = (): never => {
    throw new Error('my observer is broken');
  };
  const undo = one.observe({ phase: fail, opening: fail, opened: fail, waiting: fail, lent: fail, returned: fail });
  const pid = await pidOf(one);
  assert.ok(said.length >= 5);
  for (const { code, message } of said) {
    assert.equal(code, 'OXBOW_CALLBACK_FAILED');
    assert.match(message, new RegExp(`^${one.name}: an observer threw in "\\w+": my observer is broken$`));
  }
  undo();
  said.length = 0;
  assert.equal(await pidOf(one), pid);
  assert.deepEqual(said, []);
});

test('a logger that throws harms nobody, and the process is warned instead', async (t) => {
  const codes: unknown[] = [];
  const warned = (warning: Error): void => void codes.push(Reflect.get(warning, 'code'));
  process.on('warning', warned);
  t.after(() => process.off('warning', warned));
  const fail = (): never => {
    throw new Error('my logger is broken');
  };
  const one = pool(t, { logger: { debug: fail, info: fail, warn: fail, error: fail } });
  await one.use((lease) => lease.query('BEGIN'));
  assert.deepEqual((await one.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  assert.equal(one.stats().connects, 1);
  assert.deepEqual(codes, ['OXBOW_OPEN_TRANSACTION']);
});

test('configure that throws, or leaves a transaction open, is a failed connect that says so', async (t) => {
  let mode: 'throws' | 'opens' | 'good' = 'throws';
  const one = pool(t, {
    configure: async (client) => {
      if (mode === 'throws') throw new Error('no such role');
      if (mode === 'opens') await client.query('BEGIN');
    },
  });
  // Attempts come at growing distances: whoever waits short of one hears of the attempt before.
  const says = (text: RegExp): Promise<true> =>
    eventually(`an error that says ${text.source}`, async () => {
      const error = await rejection(one.acquire({ acquireTimeoutMs: 100 }), PoolTimeoutError);
      assert.match(error.message, text);
      return true;
    });
  await says(/no such role/);
  mode = 'opens';
  await says(/configure left the connection in state "transaction"/);
  mode = 'good';
  (await one.acquire({ acquireTimeoutMs: 10_000 })).release();
});

test('a custom check that refuses replaces the connection, and the borrower gets another', async (t) => {
  let refuse = false;
  const one = pool(t, {
    check: () => {
      if (!refuse) return;
      refuse = false;
      throw new Error('a standby by now');
    },
  });
  const pid = await pidOf(one);
  refuse = true;
  assert.notEqual(await pidOf(one), pid);
  assert.equal(one.stats().retired.check, 1);
});

test('nested acquires that exhaust the pool end as timeouts with figures, and the pool serves on', async (t) => {
  const one = pool(t, { max: 2, acquireTimeoutMs: 150 });
  const outcomes = await Promise.allSettled([1, 2].map(() => one.use(() => one.query('SELECT 1'))));
  const failed = outcomes.filter(({ status }) => status === 'rejected');
  assert.ok(failed.length >= 1);
  for (const outcome of failed) {
    assert.match(String(outcome.status === 'rejected' && outcome.reason), /2\/2 lent/);
  }
  assert.deepEqual((await one.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
});

/** What is done, and what is printed: pg's pool prints the same for the first two, hangs at the third, and makes a rejection of the last. */
const THROWING: Record<string, [program: string, stdout: string]> = {
  'the callback of query': [
    "pool.query('SELECT 1', () => { throw new Error('mine'); });",
    'mine uncaughtException\n1\n',
  ],
  'the callback of a query that fails': [
    "pool.query('SELECT nonsense', () => { throw new Error('mine'); });",
    'mine uncaughtException\n1\n',
  ],
  'the callback of connect': [
    "pool.connect((error, client, done) => { done(); throw new Error('mine'); });",
    'mine uncaughtException\n1\n',
  ],
  'the callback of end': [
    "pool.query('SELECT 1').then(() => pool.end(() => { throw new Error('mine'); }));",
    'mine uncaughtException\n',
  ],
};

for (const [what, [program, stdout]] of Object.entries(THROWING)) {
  test(`what ${what} throws is an uncaught exception, and the pool serves on`, async () => {
    const source = `
      const pool = new Pool({ ...config, max: 1 });
      process.on('unhandledRejection', () => console.log('unhandled rejection'));
      process.on('uncaughtException', async (error, origin) => {
        console.log(error.message, origin);
        if (!pool.ending) console.log((await pool.query('SELECT 1 AS one')).rows[0].one);
      });
      ${program}`;
    assert.deepEqual(await runProgram(source, server.config), { code: 0, signal: null, stdout, stderr: '' });
  });
}

test('an uncaught exception in a borrower that leaves its lease behind ends the process', async () => {
  const program = `
    const pool = new Pool(config);
    const lease = await pool.acquire();
    throw new Error('mine');`;
  const { code, stderr } = await runProgram(program, server.config);
  assert.equal(code, 1);
  assert.match(stderr, /Error: mine/);
});

test('killed backends, idle and lent, crash no process that has no listener anywhere', async () => {
  const program = `
    const pool = new Pool({ ...config, max: 3 });
    const admin = new pg.Client(config);
    await admin.connect();
    const [idle, lent, raw] = await Promise.all([pool.acquire(), pool.acquire(), pool.connect()]);
    const pids = await Promise.all([idle, lent, raw].map(async (one) => (await one.query('SELECT pg_backend_pid() AS pid')).rows[0].pid));
    idle.release();
    // Its reply may not have been read to the end yet.
    while (pool.idleCount < 1) await new Promise(setImmediate);
    for (const pid of pids) await admin.query('SELECT pg_terminate_backend($1)', [pid]);
    while (pool.stats().connectionsLost < 3) await new Promise(setImmediate);
    console.log(pool.totalCount, (await pool.query('SELECT 1 AS one')).rows[0].one);
    await admin.end();`;
  const { code, stdout, stderr } = await runProgram(program, server.config);
  assert.deepEqual({ code, stdout }, { code: 0, stdout: '0 1\n' });
  // Nobody listens to the pool's errors, so it says that the idle one was lost; holders hear of theirs themselves. If the end of one of
  // those is read first, the idle one is a suspect already and dies in its check.
  const idle =
    /OXBOW_CONNECTION_LOST\].*: pool-1: (an idle connection was lost|a connection was lost at its return or in a check): /g;
  assert.equal(stderr.match(idle)?.length, 1, stderr);
});

test('a connection that its borrower ended himself is reported at its return, with the name of the pool', async (t) => {
  const { logger, said } = reports();
  const one = pool(t, { logger, name: 'shop' });
  const client = await one.connect();
  const ended = client.end();
  client.release();
  await ended;
  assert.deepEqual(said, [
    {
      code: 'OXBOW_CONNECTION_LOST',
      message: 'shop: a connection was lost at its return or in a check: it had ended before it was given back',
    },
  ]);
});

test('without a logger a report is a process warning, once per kind', async () => {
  const program = `
    const pool = new Pool({ ...config, max: 1, name: 'shop' });
    for (let n = 0; n < 3; n += 1) await pool.use((lease) => lease.query('BEGIN'));
    await pool.close();`;
  const { code, stderr } = await runProgram(program, server.config);
  assert.equal(code, 0);
  assert.equal(stderr.match(/OXBOW_OPEN_TRANSACTION/g)?.length, 1, stderr);
  assert.match(
    stderr,
    /shop: the connection of lease 1 taken at \S+:\d+ came back in an open transaction after: BEGIN; rolled back/,
  );
});
