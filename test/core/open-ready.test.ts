// The edges of open() and ready(), row by row as docs/api.md has them.

import assert from 'node:assert/strict';
import test from 'node:test';
import { type Behaviour, scriptedError } from '../../src/testing/scripted-driver.ts';
import { errorOf, Rig, type RigOptions, watch } from '../kit/rig.ts';

const REFUSED = scriptedError('ECONNREFUSED', 'connect ECONNREFUSED');

function withServer(options: RigOptions = {}): { rig: Rig; server: { open: Behaviour | undefined } } {
  const server: { open: Behaviour | undefined } = { open: undefined };
  const rig = new Rig({ script: (call) => (call === 'open' ? server.open : undefined), ...options });
  return { rig, server };
}

test('making a pool does nothing: no connect, no timer', () => {
  const rig = new Rig({ settings: { min: 5, max: 5 } });
  assert.equal(rig.engine.phase, 'created');
  assert.equal(rig.driver.count('open'), 0);
  assert.equal(rig.clock.pendingTimers, 0);
});

test('the first use of a pool never opened opens it', async () => {
  const rig = new Rig({ settings: { min: 2 } });
  await rig.get();
  assert.equal(rig.engine.phase, 'open');
  await rig.clock.settle();
  assert.ok(rig.engine.snapshot().size >= 2, 'and fills it');
});

test('with autoOpen: false it is refused as not open yet, and open() helps', async () => {
  const rig = new Rig({ settings: { autoOpen: false } });
  const ask = rig.ask();
  await rig.clock.settle();
  const error = errorOf(ask);
  assert.equal(error.name, 'PoolClosedError');
  assert.equal(error.kind, 'POOL_CLOSED');
  assert.match(error.message, /not open yet/);
  assert.equal(error.phase, 'created');
  assert.equal(rig.driver.count('open'), 0);
  await rig.engine.open();
  await rig.get();
});

test('open() with min 0 proves one connection and keeps it idle', async () => {
  const { rig, server } = withServer();
  server.open = { afterMs: 50 };
  const open = watch(rig.engine.open());
  await rig.clock.advance(49);
  assert.deepEqual([open.settled, rig.engine.phase], [false, 'opening']);
  await rig.clock.advance(1);
  assert.deepEqual([open.settled, rig.engine.phase], [true, 'open']);
  assert.equal(rig.engine.snapshot().idle, 1);
  assert.equal(rig.driver.count('open'), 1);
  await rig.clock.advance(1_000);
  assert.equal(rig.engine.snapshot().idle, 1);
});

test('open() resolves when min connections exist, and not before', async () => {
  const rig = new Rig({
    settings: { min: 3, max: 5 },
    script: (call, _session, count) => (call === 'open' ? { afterMs: count * 100 } : undefined),
  });
  const open = watch(rig.engine.open());
  await rig.clock.advance(299);
  assert.equal(open.settled, false);
  await rig.clock.advance(1);
  assert.equal(open.settled, true);
});

test('open() that cannot connect in time rejects with the last connect error as cause; the pool can be opened again', async () => {
  const { rig, server } = withServer({ settings: { min: 1 } });
  server.open = { fail: REFUSED };
  const open = watch(rig.engine.open({ timeoutMs: 1_000 }));
  await rig.clock.advance(999);
  assert.equal(open.settled, false);
  await rig.clock.advance(1);
  const error = errorOf(open);
  assert.equal(error.name, 'PoolTimeoutError');
  assert.equal(error.cause, REFUSED);
  assert.equal(rig.engine.phase, 'created');
  const opens = rig.driver.count('open');
  await rig.clock.advance(60_000);
  assert.equal(rig.driver.count('open'), opens, 'nothing goes on in the background');
  assert.equal(rig.clock.pendingTimers, 0);
  server.open = undefined;
  await rig.engine.open();
  assert.equal(rig.engine.phase, 'open');
  assert.equal(rig.engine.snapshot().idle, 1);
  await rig.shut();
});

test('open() has acquireTimeoutMs if it is given no other bound', async () => {
  const { rig, server } = withServer({ settings: { acquireTimeoutMs: 700 } });
  server.open = { never: true };
  const open = watch(rig.engine.open());
  await rig.clock.advance(699);
  assert.equal(open.settled, false);
  await rig.clock.advance(1);
  assert.equal(errorOf(open).kind, 'POOL_TIMEOUT');
});

test('a fault that cannot heal rejects open() at once with ConnectError; the pool can be opened again', async () => {
  for (const code of ['28P01', '28000', '3D000']) {
    const { rig, server } = withServer({ settings: { min: 2 } });
    server.open = { fail: scriptedError(code), afterMs: 20 };
    const open = watch(rig.engine.open());
    await rig.clock.advance(20);
    const error = errorOf(open);
    assert.equal(error.name, 'ConnectError');
    assert.equal(error.code, code);
    assert.equal(error.transient, false);
    assert.equal(rig.engine.phase, 'created');
    await rig.clock.advance(60_000);
    assert.equal(rig.driver.sockets, 0);
    server.open = undefined;
    await rig.engine.open();
    assert.equal(rig.engine.snapshot().idle, 2);
  }
});

test('open() on an open pool resolves; while opening it joins, and each has its own bound', async () => {
  const { rig, server } = withServer();
  server.open = { afterMs: 500 };
  const first = watch(rig.engine.open());
  const impatient = watch(rig.engine.open({ timeoutMs: 100 }));
  const third = watch(rig.engine.open());
  await rig.clock.advance(100);
  assert.equal(errorOf(impatient).kind, 'POOL_TIMEOUT');
  assert.equal(rig.engine.phase, 'opening', 'one joiner’s patience is not the opening’s');
  await rig.clock.advance(400);
  assert.deepEqual([first.settled, third.settled, first.error, third.error], [true, true, undefined, undefined]);
  assert.equal(rig.driver.count('open'), 1, 'one opening');
  await rig.engine.open();
});

test('all who joined a failing opening are rejected with it', async () => {
  const { rig, server } = withServer();
  server.open = { fail: scriptedError('28P01'), afterMs: 20 };
  const all = [watch(rig.engine.open()), watch(rig.engine.open()), watch(rig.engine.ready())];
  const borrower = rig.ask();
  await rig.clock.advance(20);
  for (const one of [...all, borrower]) assert.equal(errorOf(one).code, '28P01');
});

test('open() on a closed pool is refused for ever', async () => {
  const rig = new Rig();
  await rig.engine.open();
  await rig.shut();
  for (const again of [rig.engine.open(), rig.engine.ready(), rig.engine.open({ wait: false }), rig.engine.acquire()]) {
    await assert.rejects(again, { name: 'PoolClosedError', kind: 'POOL_CLOSED', phase: 'closed' });
  }
});

test('open({ wait: false }) resolves at once and fills; with min 0 it dials nothing', async () => {
  const { rig, server } = withServer({ settings: { min: 2 } });
  server.open = { afterMs: 100 };
  await rig.engine.open({ wait: false });
  assert.equal(rig.engine.phase, 'open');
  assert.equal(rig.engine.snapshot().opening, 2);
  await rig.clock.advance(100);
  assert.equal(rig.engine.snapshot().idle, 2);
  const empty = new Rig();
  await empty.engine.open({ wait: false });
  await empty.clock.advance(10_000);
  assert.equal(empty.driver.count('open'), 0);
});

test('open() can be aborted: it rejects with the reason and the pool is back in created', async () => {
  const { rig, server } = withServer();
  server.open = { afterMs: 500 };
  const aborter = new AbortController();
  const open = watch(rig.engine.open({ signal: aborter.signal }));
  await rig.clock.advance(100);
  const reason = new Error('no longer');
  aborter.abort(reason);
  await rig.clock.settle();
  assert.equal(open.error, reason);
  assert.equal(rig.engine.phase, 'created');
  assert.equal(rig.driver.sockets, 0);
  await rig.clock.advance(60_000);
  assert.equal(rig.clock.pendingTimers, 0);
  server.open = undefined;
  await rig.engine.open();
  const aborted = watch(new Rig().engine.open({ signal: AbortSignal.abort(reason) }));
  await rig.clock.settle();
  assert.equal(aborted.error, reason);
});

test('ready() on a pool not opened yet is the same as open()', async () => {
  const { rig } = withServer();
  await rig.engine.ready();
  assert.equal(rig.engine.phase, 'open');
  assert.equal(rig.engine.snapshot().idle, 1);
});

test('ready() counts lent connections: it resolves on a healthy pool with everything lent', async () => {
  const rig = new Rig({ settings: { min: 2, max: 2 } });
  await rig.engine.open();
  await rig.get();
  await rig.get();
  await rig.engine.ready({ timeoutMs: 10 });
});

test('ready() with min 0 means one connection: it makes one if there is none', async () => {
  const rig = new Rig();
  await rig.engine.open({ wait: false });
  await rig.engine.ready();
  assert.equal(rig.engine.snapshot().idle, 1);
});

test('ready() never closes a healthy pool: a timeout is the caller’s alone, and many may wait', async () => {
  const { rig, server } = withServer({ settings: { min: 2, max: 3 } });
  await rig.engine.open();
  server.open = { fail: REFUSED };
  const held = await rig.get();
  for (const session of rig.driver.alive) if (session !== held.session) session.kill();
  await rig.clock.settle();
  const short = watch(rig.engine.ready({ timeoutMs: 300 }));
  const long = watch(rig.engine.ready({ timeoutMs: 60_000 }));
  const longer = watch(rig.engine.ready({ timeoutMs: 60_000 }));
  const aborter = new AbortController();
  const aborted = watch(rig.engine.ready({ signal: aborter.signal }));
  await rig.clock.advance(300);
  assert.equal(errorOf(short).kind, 'POOL_TIMEOUT');
  assert.equal(errorOf(short).cause, REFUSED);
  assert.equal(rig.engine.phase, 'open');
  assert.ok(held.session.alive);
  aborter.abort(new Error('enough'));
  await rig.clock.settle();
  assert.equal(errorOf(aborted).message, 'enough');
  server.open = undefined;
  await rig.clock.advance(10_000);
  assert.deepEqual([long.settled, long.error, longer.settled], [true, undefined, true]);
});

test('the proof connection of open() with min 0 is trimmed when idle like any other', async () => {
  const rig = new Rig({ settings: { idleTimeoutMs: 5_000 } });
  await rig.engine.open();
  await rig.clock.advance(5_100);
  assert.equal(rig.engine.snapshot().size, 0);
});

test('an opening that fails after it had made some connections closes them', async () => {
  const rig = new Rig({
    settings: { min: 3, max: 3 },
    script: (call, _session, count) => (call === 'open' && count > 1 ? { fail: REFUSED } : undefined),
  });
  const open = watch(rig.engine.open({ timeoutMs: 500 }));
  await rig.clock.advance(1_500);
  assert.equal(errorOf(open).kind, 'POOL_TIMEOUT');
  assert.equal(rig.driver.sockets, 0);
  assert.equal(rig.engine.snapshot().size, 0);
  await rig.clock.advance(60_000);
  assert.equal(rig.clock.pendingTimers, 0);
});

test('a borrower that already holds a connection when the opening fails keeps it until it gives it back', async () => {
  const rig = new Rig({
    settings: { min: 3, max: 3 },
    script: (call, _session, count) => (call === 'open' && count === 2 ? { never: true } : undefined),
  });
  const open = watch(rig.engine.open({ timeoutMs: 500 }));
  const lease = await rig.get();
  await rig.clock.advance(500);
  assert.equal(errorOf(open).kind, 'POOL_TIMEOUT');
  assert.ok(lease.session.alive);
  lease.release();
  await rig.clock.advance(1_000);
  assert.equal(rig.driver.sockets, 0);
});
