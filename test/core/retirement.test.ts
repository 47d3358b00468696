// B12: a condemned connection's socket is gone within its bound, and a peer that never answers starves nobody.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Behaviour, ScriptedCall } from '../../src/testing/scripted-driver.ts';
import { Rig } from '../kit/rig.ts';

function scripted(on: Partial<Record<ScriptedCall, Behaviour>>, settings = {}): Rig {
  return new Rig({
    settings: { max: 1, ...settings },
    script: (call, session) => (session?.pid === 1 ? on[call] : undefined),
  });
}

test('a healthy one says goodbye; its slot counts until the socket is gone', async () => {
  const rig = scripted({ end: { afterMs: 700 } });
  const lease = await rig.get();
  const waiter = rig.ask();
  lease.release(true);
  await rig.clock.advance(699);
  assert.equal(rig.engine.snapshot().closing, 1);
  assert.equal(rig.driver.sockets, 1);
  assert.equal(waiter.settled, false, 'max is max');
  await rig.clock.advance(1);
  assert.ok(waiter.lease);
  assert.deepEqual(rig.events.of('closed')[0]?.[1], false, 'no socket was destroyed');
  assert.equal(rig.driver.peakSockets, 1);
});

test('a goodbye without an answer ends with a cut after one second, and the waiter is served then', async () => {
  const rig = scripted({ end: { never: true } });
  const lease = await rig.get();
  const waiter = rig.ask();
  lease.release(true);
  await rig.clock.advance(999);
  assert.equal(waiter.settled, false);
  await rig.clock.advance(1);
  assert.ok(waiter.lease);
  assert.deepEqual(lease.session.calls, ['end', 'destroy']);
  assert.deepEqual(rig.events.of('closed')[0]?.[1], true);
});

test('a goodbye that fails ends with a cut at once', async () => {
  const rig = scripted({ end: { fail: new Error('EPIPE') } });
  const lease = await rig.get();
  const waiter = rig.ask();
  lease.release(true);
  await rig.clock.settle();
  assert.ok(waiter.lease);
  assert.equal(lease.session.alive, false);
});

test('a driver that never destroys a socket is reported, and still nobody starves', async () => {
  const rig = scripted({ end: { never: true }, destroy: { never: true } });
  const lease = await rig.get();
  const waiter = rig.ask();
  lease.release(true);
  await rig.clock.advance(10_000);
  assert.ok(waiter.lease);
  assert.deepEqual(rig.reports.codes(), ['OXBOW_SOCKET_STUCK']);
});

test('a destroy that fails is reported and the slot is free', async () => {
  const rig = scripted({ destroy: { fail: new Error('odd') } });
  const lease = await rig.get();
  lease.session.status = 'busy';
  const waiter = rig.ask();
  lease.release(true);
  await rig.clock.settle();
  assert.ok(waiter.lease);
  assert.deepEqual(rig.reports.codes(), ['OXBOW_SOCKET_STUCK']);
});

test('with room a waiter does not even wait for the goodbye', async () => {
  const rig = scripted({ end: { never: true } }, { max: 2 });
  const lease = await rig.get();
  const other = await rig.get(30);
  const waiter = rig.ask();
  other.release(true);
  lease.release(true);
  await rig.clock.advance(50);
  assert.ok(waiter.lease);
  rig.audit();
});

test('one that dies during its goodbye is gone at once, and was not lost but retired', async () => {
  const rig = scripted({ end: { never: true } });
  const lease = await rig.get();
  lease.release(true);
  await rig.clock.advance(100);
  lease.session.kill();
  await rig.clock.settle();
  assert.equal(rig.engine.snapshot().size, 0);
  const stats = rig.engine.stats();
  assert.deepEqual([stats.connectionsLost, stats.retired], [0, { released: 1 }]);
  assert.equal(rig.events.count('closed'), 1);
});

test('whatever way a connection leaves, it leaves once: one closed event each', async () => {
  const rig = new Rig({ settings: { max: 4, maxLifetimeMs: 5_000, idleTimeoutMs: 2_000 } });
  for (let n = 0; n < 20; n += 1) {
    const [a, b, c] = [rig.ask(), rig.ask(), rig.ask()];
    await rig.clock.advance(500);
    if (n % 3 === 0) a.lease?.session.kill();
    a.lease?.release();
    b.lease?.release(n % 4 === 0);
    await rig.clock.advance(700);
    c.lease?.release();
    rig.audit();
  }
  await rig.shut();
  const ids = rig.events.of('closed').map((args) => args[0]);
  assert.equal(new Set(ids).size, ids.length);
  assert.equal(ids.length, rig.driver.sessions.length);
});
