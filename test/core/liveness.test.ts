// B6: when a connection at rest is asked for a proof of life, and what late and dead mean.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Behaviour, Script } from '../../src/testing/scripted-driver.ts';
import { errorOf, Rig } from '../kit/rig.ts';

const pings =
  (behaviour: Behaviour): Script =>
  (call) =>
    call === 'ping' ? behaviour : undefined;

test('a connection used within checkAfterIdleMs is not checked', async () => {
  const rig = new Rig();
  await rig.fill(1);
  await rig.clock.advance(1_000);
  await rig.get();
  assert.equal(rig.driver.count('ping'), 0);
});

test('one that lay idle longer is checked with one round trip before it is lent', async () => {
  const rig = new Rig({ script: pings({ afterMs: 20 }) });
  const [session] = await rig.fill(1);
  await rig.clock.advance(1_001);
  const ask = rig.ask();
  await rig.clock.advance(19);
  assert.equal(ask.settled, false);
  assert.equal(rig.engine.snapshot().returning, 1, 'one that is being checked counts as returning');
  await rig.clock.advance(1);
  assert.equal(ask.lease?.session, session);
  assert.equal(rig.driver.count('ping'), 1);
  assert.equal(rig.driver.count('open'), 1);
});

test('a proof of life lasts: after a check nobody asks again within checkAfterIdleMs', async () => {
  const rig = new Rig();
  await rig.fill(1);
  await rig.clock.advance(5_000);
  (await rig.get()).release();
  (await rig.get()).release();
  assert.equal(rig.driver.count('ping'), 1);
});

test('only as many are checked as somebody waits for', async () => {
  const rig = new Rig({ settings: { max: 5 }, script: pings({ afterMs: 10 }) });
  await rig.fill(5);
  await rig.clock.advance(5_000);
  rig.ask();
  rig.ask();
  await rig.clock.advance(50);
  assert.equal(rig.driver.count('ping'), 2);
});

test('check: never asks for nothing, check: always at every lend', async () => {
  const never = new Rig({ settings: { check: 'never' } });
  await never.fill(1);
  await never.clock.advance(50_000);
  await never.get();
  assert.equal(never.driver.count('ping'), 0);

  const always = new Rig({ settings: { check: 'always', max: 1 } });
  (await always.get()).release();
  const before = always.driver.count('ping');
  for (let n = 0; n < 3; n += 1) (await always.get()).release();
  assert.equal(always.driver.count('ping'), before + 3, 'fresh ones too');
  const held = await always.get();
  const waiter = always.ask();
  held.release();
  await always.clock.settle();
  assert.ok(waiter.lease);
  assert.equal(always.driver.count('ping'), before + 5, 'and in a hand-over from a return');
});

test('a late answer is no death: the borrower gets another, the late one comes back, nothing is reconnected', async () => {
  const rig = new Rig({ settings: { max: 2, checkTimeoutMs: 1_000 } });
  const [slow, other] = await rig.fill(2);
  rig.driver.script = (call, session) => (call === 'ping' && session === other ? { afterMs: 1_500 } : undefined);
  await rig.clock.advance(5_000);
  const ask = rig.ask();
  await rig.clock.advance(999);
  assert.equal(ask.settled, false);
  await rig.clock.advance(1);
  assert.equal(ask.lease?.session, slow);
  const s = rig.engine.snapshot();
  assert.deepEqual([s.lent, s.returning, s.idle], [1, 1, 0], 'put aside counts as returning');
  await rig.clock.advance(500);
  assert.equal(rig.engine.snapshot().idle, 1);
  assert.ok(other?.alive);
  assert.equal(rig.driver.count('open'), 2);
});

test('a server that stalls for 500 ms costs no reconnect', async () => {
  const rig = new Rig({ settings: { max: 4 }, script: pings({ afterMs: 500 }) });
  await rig.fill(4);
  await rig.clock.advance(5_000);
  const asks = Array.from({ length: 4 }, () => rig.ask());
  await rig.clock.advance(500);
  assert.ok(asks.every((ask) => ask.lease));
  assert.equal(rig.driver.count('open'), 4);
});

test('one put aside is given up after 10 s while others can serve', async () => {
  const rig = new Rig({ settings: { max: 2, idleTimeoutMs: Infinity } });
  const [, silent] = await rig.fill(2);
  rig.driver.script = (call, session) => (call === 'ping' && session === silent ? { never: true } : undefined);
  await rig.clock.advance(5_000);
  assert.ok(await rig.get(1_000));
  await rig.clock.advance(8_900);
  assert.ok(silent?.alive, 'patient for 10 s');
  await rig.clock.advance(1_200);
  assert.equal(silent?.alive, false);
  assert.equal(rig.engine.stats().retired.check, 1);
  assert.deepEqual(rig.events.of('closed').at(-1)?.[1], true, 'its socket was destroyed');
});

test('one put aside is given up after 2 s if a waiter has nobody else', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  const [silent] = await rig.fill(1);
  rig.driver.script = pings({ never: true });
  await rig.clock.advance(5_000);
  const ask = rig.ask();
  await rig.clock.advance(2_900);
  assert.ok(silent?.alive, 'one second for the check and two aside');
  await rig.clock.advance(150);
  assert.ok(ask.lease);
  assert.notEqual(ask.lease.session, silent);
  assert.equal(silent?.alive, false);
});

test('a waiter who comes later to one that has been aside for long is served soon', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  await rig.fill(1);
  rig.driver.script = pings({ never: true });
  await rig.clock.advance(5_000);
  const gone = rig.ask({ acquireTimeoutMs: 1_000 });
  await rig.clock.advance(5_000);
  assert.ok(gone.error);
  assert.equal(rig.engine.snapshot().returning, 1);
  const ask = rig.ask();
  await rig.clock.advance(1_000);
  assert.ok(ask.lease);
});

test('one put aside does not count as somebody to wait for: with room a new one is opened', async () => {
  const rig = new Rig({ settings: { max: 2 }, script: pings({ never: true }) });
  await rig.fill(1);
  await rig.clock.advance(5_000);
  const ask = rig.ask();
  await rig.clock.advance(1_050);
  assert.ok(ask.lease);
  assert.equal(rig.driver.count('open'), 2);
});

test('ten dead ones cost one pass and no back-off', async () => {
  const rig = new Rig({ settings: { max: 10, connectConcurrency: 10 } });
  const sessions = await rig.fill(10);
  // Killed without a word: only a round trip shows it.
  rig.driver.script = (call, session) =>
    call === 'ping' && session !== undefined && sessions.includes(session)
      ? { afterMs: 1, fail: new Error('write EPIPE') }
      : call === 'open'
        ? { afterMs: 20 }
        : undefined;
  await rig.clock.advance(5_000);
  const ask = rig.ask();
  await rig.clock.advance(30);
  assert.ok(ask.lease, 'served by the first new connection');
  assert.equal(rig.driver.count('ping'), 10, 'each was asked once');
  assert.equal(rig.driver.alive.length, 1);
  assert.equal(rig.engine.stats().connectionsLost, 10);
  rig.audit();
});

test('after a restart that closed every idle socket the next borrower is served at once', async () => {
  const rig = new Rig({ settings: { max: 10 } });
  const sessions = await rig.fill(10);
  await rig.clock.advance(5_000);
  for (const session of sessions) session.kill();
  assert.equal(rig.engine.snapshot().idle, 0);
  const ask = rig.ask();
  await rig.clock.settle();
  assert.ok(ask.lease);
  assert.equal(rig.driver.count('ping') <= 9, true);
});

test('the death of an idle one removes it in that turn and has every older one asked at once', async () => {
  const rig = new Rig({ settings: { max: 3 }, script: pings({ afterMs: 50 }) });
  const [a, b, c] = await rig.fill(3);
  b?.kill();
  const s = rig.engine.snapshot();
  assert.deepEqual([s.idle, s.returning, s.size - s.closing], [0, 2, 2]);
  assert.deepEqual([a?.calls, c?.calls], [['ping'], ['ping']], 'both in one pass');
  assert.equal(rig.engine.tryAcquire(), undefined, 'a suspect is not lent');
  const ask = rig.ask();
  await rig.clock.advance(50);
  assert.ok(ask.lease === undefined || ask.lease.session !== b);
  assert.ok(ask.lease);
  assert.equal(rig.engine.stats().connectionsLost, 1);
  assert.deepEqual(rig.events.of('lost')[0]?.[2], 'idle');
});

test('a suspect that answers within 250 ms lives, one that does not is dead', async () => {
  const rig = new Rig({ settings: { max: 4 } });
  const [victim, quick, slow] = await rig.fill(3);
  rig.driver.script = (call, session) =>
    call === 'ping' ? { afterMs: session === quick ? 240 : session === slow ? 260 : 0 } : undefined;
  victim?.kill();
  await rig.clock.advance(249);
  assert.deepEqual([quick?.alive, slow?.alive], [true, true]);
  await rig.clock.advance(5);
  assert.deepEqual([quick?.alive, slow?.alive], [true, false]);
  assert.equal(rig.engine.snapshot().idle, 1);
});

test('on a slow line a suspect has three smoothed round trips', async () => {
  const rig = new Rig({ settings: { max: 4 }, script: pings({ afterMs: 200 }) });
  const [victim, quick, slow] = await rig.fill(3);
  // The round trip is learnt.
  for (let n = 0; n < 5; n += 1) {
    await rig.clock.advance(2_000);
    (await rig.get(200)).release();
  }
  rig.driver.script = (call, session) =>
    call === 'ping' ? { afterMs: session === quick ? 580 : session === slow ? 620 : 200 } : undefined;
  victim?.kill();
  await rig.clock.advance(610);
  assert.deepEqual([quick?.alive, slow?.alive], [true, false]);
});

test('the death of a lent one makes those at rest suspect too', async () => {
  const rig = new Rig();
  await rig.fill(2);
  const lease = await rig.get();
  lease.session.kill();
  await rig.clock.settle();
  assert.equal(rig.driver.count('ping'), 1);
  assert.equal(rig.engine.snapshot().idle, 1, 'it answered and is back');
});

test('a custom check runs at every lend: new, fresh, stale and handed over', async () => {
  const checked: number[] = [];
  const rig = new Rig({
    settings: { max: 1, check: 'custom' },
    hooks: { check: (session) => void checked.push(session.pid) },
  });
  (await rig.get()).release();
  assert.equal(checked.length, 1, 'a new one');
  (await rig.get()).release();
  assert.equal(checked.length, 2, 'a fresh one');
  await rig.clock.advance(5_000);
  const held = await rig.get();
  assert.equal(checked.length, 3, 'a stale one');
  const waiter = rig.ask();
  held.release();
  await rig.clock.settle();
  assert.ok(waiter.lease);
  assert.equal(checked.length, 4, 'one handed over');
  assert.equal(rig.driver.count('ping'), 0);
});

for (const [how, refuse] of [
  ['throws', () => Promise.reject(new Error('wrong role'))],
  [
    'throws at once',
    () => {
      throw new Error('wrong role');
    },
  ],
  ['does not end', () => new Promise(() => {})],
  [
    'leaves a transaction',
    (session: { status: string }) => {
      session.status = 'transaction';
    },
  ],
] as const) {
  test(`a custom check that ${how} retires the connection for 'check'; the borrower goes on with another`, async () => {
    const rig = new Rig({
      settings: { max: 1, check: 'custom', checkTimeoutMs: 300 },
      hooks: { check: (session) => (session.pid === 1 ? refuse(session) : undefined) },
    });
    const ask = rig.ask();
    await rig.clock.advance(350);
    assert.equal(ask.lease?.session.pid, 2);
    assert.deepEqual(rig.engine.stats().retired, { check: 1 });
    assert.equal(rig.driver.sessions[0]?.alive, false);
    rig.audit();
  });
}

test('a custom check that refuses everything ends with the borrower’s deadline', async () => {
  const rig = new Rig({
    settings: { max: 1, check: 'custom', acquireTimeoutMs: 500 },
    script: (call) => (call === 'open' ? { afterMs: 10 } : undefined),
    hooks: { check: () => Promise.reject(new Error('never good enough')) },
  });
  const ask = rig.ask();
  await rig.clock.advance(500);
  assert.equal(errorOf(ask).kind, 'POOL_TIMEOUT');
  const opens = rig.driver.count('open');
  await rig.clock.advance(5_000);
  assert.ok(rig.driver.count('open') <= opens, 'and then nothing more is tried');
  rig.audit();
});

test('a borrower who leaves during the check leaves a checked, idle connection behind', async () => {
  const rig = new Rig({ script: pings({ afterMs: 100 }) });
  await rig.fill(1);
  await rig.clock.advance(5_000);
  const aborter = new AbortController();
  rig.ask({ signal: aborter.signal });
  await rig.clock.advance(50);
  aborter.abort();
  await rig.clock.advance(100);
  const s = rig.engine.snapshot();
  assert.deepEqual([s.idle, s.size], [1, 1]);
  assert.ok(rig.engine.tryAcquire(), 'fresh by its proof of life');
});

test('a connection that dies while it is being checked is lost once, and the borrower goes on', async () => {
  const rig = new Rig({ settings: { max: 1 }, script: pings({ never: true }) });
  const [session] = await rig.fill(1);
  await rig.clock.advance(5_000);
  const ask = rig.ask();
  await rig.clock.advance(10);
  session?.kill();
  await rig.clock.settle();
  assert.ok(ask.lease);
  assert.equal(rig.engine.stats().connectionsLost, 1);
  assert.equal(rig.events.count('closed'), 1);
  rig.audit();
});

test('when the newest is stale and an older one has just proved that it lives, the older one is lent without a check', async () => {
  const rig = new Rig({ settings: { max: 2, min: 2, idlePingMs: 2_000 }, script: pings({}) });
  const [older, newer] = await rig.fill(2);
  await rig.clock.advance(3_000);
  const before = newer?.calls.length;
  const { pid } = (await rig.get()).session;
  assert.ok(pid === older?.pid || newer?.calls.length === before || pid === newer?.pid);
  rig.audit();
});

test('a custom check runs although the connection has just answered a ping of the pool’s own', async () => {
  const checked: number[] = [];
  const rig = new Rig({
    settings: { max: 2, check: 'custom' },
    hooks: { check: (session) => void checked.push(session.pid) },
    script: pings({ afterMs: 50 }),
  });
  const [victim, other] = await rig.fill(2);
  assert.ok(victim && other);
  checked.length = 0;
  victim.kill();
  rig.driver.script = (call) => (call === 'open' ? { never: true } : call === 'ping' ? { afterMs: 50 } : undefined);
  const ask = rig.ask();
  await rig.clock.advance(60);
  assert.equal(ask.lease?.session, other);
  assert.deepEqual(checked, [other.pid]);
});
