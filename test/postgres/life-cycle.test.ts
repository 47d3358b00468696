// Opening and closing on real sockets: open, ready, close, the scope, and when the process may end.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import {
  ConnectError,
  ConnectionLostError,
  LeaseError,
  type Pool,
  PoolClosedError,
  type PoolOptions,
  PoolTimeoutError,
} from '../../src/doors/index.ts';
import {
  backends,
  deafServer,
  eventually,
  pidOf,
  rejection,
  runProgram,
  unusedPort,
  withClient,
  withPool,
  withServer,
} from './harness.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);

function pool(t: TestContext, options: PoolOptions = {}): Pool {
  return withPool(t, { ...server.config, ...options });
}

async function sessions(of: Pool): Promise<number> {
  return backends(admin, of.name);
}

test('making a pool does nothing; the first use opens it', async (t) => {
  const one = pool(t, { min: 2 });
  assert.equal(one.phase, 'created');
  assert.equal(await sessions(one), 0);
  await one.query('SELECT 1');
  assert.equal(one.phase, 'open');
});

test('open resolves when min connections exist, with the pool itself', async (t) => {
  const one = pool(t, { min: 3, max: 5 });
  assert.equal(await one.open(), one);
  assert.equal(one.phase, 'open');
  assert.equal(one.idleCount, 3);
  assert.equal(await sessions(one), 3);
  assert.equal(await one.open(), one);
  assert.equal(await one.ready(), one);
  assert.equal(one.stats().connects, 3);
});

test('open with min 0 proves one connection and keeps it idle', async (t) => {
  const one = await pool(t, { min: 0 }).open();
  assert.equal(one.idleCount, 1);
  assert.equal(await sessions(one), 1);
});

test('open, open and ready at the same time join one opening', async (t) => {
  const one = pool(t, { min: 2 });
  await Promise.all([one.open(), one.ready(), one.open(), one.ready()]);
  assert.equal(one.stats().connects, 2);
});

test('open({ wait: false }) resolves at once; with min 0 it dials nothing, else it fills', async (t) => {
  const lazy = await pool(t, { min: 0 }).open({ wait: false });
  assert.equal(lazy.phase, 'open');
  assert.equal(lazy.stats().connects, 0);
  const filling = await pool(t, { min: 2 }).open({ wait: false });
  await filling.ready();
  assert.equal(filling.snapshot().size, 2);
});

test('ready counts lent connections', async (t) => {
  const one = await pool(t, { min: 1, max: 1 }).open();
  const lease = await one.acquire();
  await one.ready({ timeoutMs: 1_000 });
  lease.release();
});

test('open that cannot connect in time names the cause, and the pool can be opened again', async (t) => {
  const port = await unusedPort();
  const one = pool(t, { port });
  const error = await rejection(one.open({ timeoutMs: 200 }), PoolTimeoutError);
  assert.ok(error.cause instanceof Error);
  assert.equal(Reflect.get(error.cause, 'code'), 'ECONNREFUSED');
  assert.equal(one.phase, 'created');
  assert.equal(one.snapshot().size, 0);
  await rejection(one.open({ timeoutMs: 100 }), PoolTimeoutError);
  assert.equal(one.phase, 'created');
});

test('open with a fault that cannot heal rejects at once, and the pool is back in created', async (t) => {
  const one = pool(t, { database: 'no_such_database' });
  const error = await rejection(one.open(), ConnectError);
  assert.equal(error.code, '3D000');
  assert.equal(error.transient, false);
  assert.equal(one.phase, 'created');
  await rejection(one.open(), ConnectError);
});

test('an abort ends open with its reason, and nothing is left', async (t) => {
  const deaf = await deafServer(t);
  const one = pool(t, { port: deaf.port });
  const abort = new AbortController();
  const opened = one.open({ signal: abort.signal }).catch((error: unknown) => error);
  await eventually('it dials', () => deaf.open === 1);
  const reason = new Error('shutting down');
  abort.abort(reason);
  assert.equal(await opened, reason);
  assert.equal(one.phase, 'created');
  await eventually('the socket is gone', () => deaf.open === 0 && one.snapshot().size === 0);
});

test('with autoOpen: false every use before open is refused', async (t) => {
  const one = pool(t, { autoOpen: false });
  for (const use of [one.query('SELECT 1'), one.acquire(), one.connect(), one.use(() => 1), one.transaction(() => 1)]) {
    const error = await rejection(use, PoolClosedError);
    assert.match(error.message, /not open yet/);
    assert.equal(error.phase, 'created');
  }
  await one.open();
  await one.query('SELECT 1');
});

test('close of idle connections says goodbye to each and resolves when the sockets are gone', async (t) => {
  const one = await pool(t, { min: 3 }).open();
  assert.deepEqual(await one.close(), { closed: 3, cancelled: 0, destroyed: 0, rejected: 0, stillHeld: [] });
  assert.equal(one.phase, 'closed');
  assert.equal(one.snapshot().size, 0);
  await eventually('the server has none left', async () => (await sessions(one)) === 0);
});

test('close of a pool that was never opened is done at once', async (t) => {
  const one = pool(t);
  assert.deepEqual(await one.close(), { closed: 0, cancelled: 0, destroyed: 0, rejected: 0, stillHeld: [] });
  await rejection(one.open(), PoolClosedError);
});

test('close is the same promise however often it is called, and closed is final', async (t) => {
  const one = await pool(t).open();
  const first = one.close();
  assert.equal(one.close(), first);
  await first;
  assert.equal(one.close(), first);
  for (const use of [one.open(), one.ready(), one.query('SELECT 1'), one.acquire(), one.use(() => 1)]) {
    await rejection(use, PoolClosedError);
  }
});

test('close waits for lent connections while they come back, and turns waiters away at once', async (t) => {
  const one = pool(t, { max: 1 });
  const lease = await one.acquire();
  const waiting = rejection(one.acquire(), PoolClosedError);
  const closed = one.close();
  await waiting;
  assert.equal(one.phase, 'closing');
  assert.deepEqual((await lease.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  lease.release();
  assert.deepEqual(await closed, { closed: 1, cancelled: 0, destroyed: 0, rejected: 1, stillHeld: [] });
});

test("close with waiting: 'serve' serves those who wait, and refuses newcomers", async (t) => {
  const one = pool(t, { max: 1 });
  const lease = await one.acquire();
  const waiting = [one.query('SELECT 1 AS n'), one.query('SELECT 2 AS n')];
  const closed = one.close({ waiting: 'serve' });
  await rejection(one.query('SELECT 3'), PoolClosedError);
  lease.release();
  assert.deepEqual(
    (await Promise.all(waiting)).map(({ rows }) => rows[0]),
    [{ n: 1 }, { n: 2 }],
  );
  assert.deepEqual(await closed, { closed: 1, cancelled: 0, destroyed: 0, rejected: 0, stillHeld: [] });
});

test('after drainMs a running statement is cancelled; a borrower who then gives back is not cut', async (t) => {
  const one = pool(t, { max: 1 });
  const running = one.query('SELECT pg_sleep(60)').catch((error: unknown) => error);
  await eventually('it is lent', () => one.snapshot().lent === 1);
  const report = await one.close({ drainMs: 50, cancelMs: 5_000 });
  assert.deepEqual(report, { closed: 0, cancelled: 1, destroyed: 0, rejected: 0, stillHeld: [] });
  assert.equal(Reflect.get(Object(await running), 'code'), '57014');
  assert.equal(await sessions(one), 0);
});

test('a lease that is never given back is revoked and cut after cancelMs, and its holder is named', async (t) => {
  const one = pool(t, { max: 2 });
  const lease = await one.acquire({ label: 'forgetful' });
  const pid = await pidOf(lease);
  const { signal } = lease;
  const report = await one.close({ drainMs: 20, cancelMs: 50 });
  assert.equal(report.destroyed, 1);
  assert.equal(report.stillHeld.length, 1);
  assert.equal(report.stillHeld[0]?.label, 'forgetful');
  assert.equal(report.stillHeld[0]?.pid, pid);
  assert.equal(signal.aborted, true);
  assert.ok(signal.reason instanceof LeaseError);
  assert.equal(signal.reason.kind, 'LEASE_REVOKED');
  assert.equal((await rejection(lease.query('SELECT 1'), LeaseError)).kind, 'LEASE_REVOKED');
  lease.release();
  await eventually('the server has none left', async () => (await sessions(one)) === 0);
});

test('a statement that runs when its connection is cut rejects and does not hang', async (t) => {
  const one = pool(t, { max: 1 });
  const lease = await one.acquire();
  const running = lease.query('SELECT pg_sleep(60)').catch((error: unknown) => error);
  await one.close({ drainMs: 0, cancelMs: 0 });
  const error = await running;
  assert.ok(error instanceof Error);
  assert.ok(
    error instanceof ConnectionLostError || error instanceof LeaseError || Reflect.get(error, 'code') === '57014',
    String(error),
  );
});

test('a connect that hangs does not delay close', async (t) => {
  const deaf = await deafServer(t);
  const one = pool(t, { port: deaf.port });
  const waiting = rejection(one.query('SELECT 1'), PoolClosedError);
  await eventually('it dials', () => deaf.open === 1);
  const report = await one.close();
  assert.equal(report.rejected, 1);
  assert.equal(report.destroyed, 1);
  await waiting;
  await eventually('the socket is gone', () => deaf.open === 0);
});

test('the scope closes: asyncDispose', async (t) => {
  const one = await pool(t, { min: 1 }).open();
  await one[Symbol.asyncDispose]();
  assert.equal(one.phase, 'closed');
  assert.equal(one.snapshot().size, 0);
});

test('bad figures for close are refused and close nothing', async (t) => {
  const one = await pool(t).open();
  for (const bad of [{ drainMs: -1 }, { cancelMs: Number.NaN }]) {
    await assert.rejects(async () => one.close(bad), { kind: 'INVALID_OPTION' });
  }
  assert.equal(one.phase, 'open');
});

const QUICK = { ...server.config, max: 2 };

const PROGRAMS: Record<string, [program: string, wrote: string]> = {
  'a pool that was never used': ["new Pool(config); console.log('end')", 'end\n'],
  'idle connections': ["const pool = new Pool(config); await pool.query('SELECT 1'); console.log('end')", 'end\n'],
  'idle connections that count towards min': [
    'const pool = await new Pool({ ...config, min: 2 }).open(); console.log(pool.idleCount)',
    '2\n',
  ],
  'a closed pool': [
    "const pool = await new Pool({ ...config, allowExitOnIdle: false }).open(); await pool.close(); console.log('end')",
    'end\n',
  ],
  'an ended pool': [
    "const pool = new Pool({ ...config, allowExitOnIdle: false }); await pool.query('SELECT 1'); await pool.end(); console.log('end')",
    'end\n',
  ],
  'a query that nobody awaits, until it has ended': [
    "new Pool(config).query('SELECT pg_sleep(0.3)').then(() => console.log('slept'))",
    'slept\n',
  ],
  'a waiter, until it is served': [
    "const pool = new Pool({ ...config, max: 1 }); const a = await pool.acquire(); pool.query('SELECT pg_sleep(0.2)').then(() => console.log('served')); a.release()",
    'served\n',
  ],
};

for (const [what, [program, wrote]] of Object.entries(PROGRAMS)) {
  test(`the process ends by itself with ${what}`, async () => {
    assert.deepEqual(await runProgram(program, QUICK), { code: 0, signal: null, stdout: wrote, stderr: '' });
  });
}

const AWAITED: Record<string, string> = {
  'close()': 'await pool.close()',
  'end()': 'await pool.end()',
  'trim()': 'await pool.trim()',
  'replaceAll()': 'await pool.replaceAll()',
  'check()': 'await pool.check()',
};

for (const [what, awaited] of Object.entries(AWAITED)) {
  test(`the process waits for an awaited ${what}, though the pool lay idle before`, async () => {
    const program = `
      const pool = new Pool(config);
      await pool.query('SELECT 1');
      await new Promise((resolve) => setTimeout(resolve, 200));
      ${awaited};
      console.log('done');`;
    assert.deepEqual(await runProgram(program, QUICK), { code: 0, signal: null, stdout: 'done\n', stderr: '' });
  });
}

test('with allowExitOnIdle: false an idle connection keeps the process alive until it is closed', async () => {
  const program = `
    const pool = new Pool({ ...config, allowExitOnIdle: false, idleTimeoutMs: 400 });
    await pool.query('SELECT 1');
    pool.observe({ closed: () => console.log('closed') });
    setTimeout(() => console.log('still here'), 100).unref();`;
  assert.deepEqual(await runProgram(program, QUICK), {
    code: 0,
    signal: null,
    stdout: 'still here\nclosed\n',
    stderr: '',
  });
});
