// B3: connecting belongs to the pool, never to a borrower; and what one attempt to connect may and may not do.

import assert from 'node:assert/strict';
import test from 'node:test';
import { type Script, scriptedError } from '../../src/testing/scripted-driver.ts';
import { errorOf, Rig } from '../kit/rig.ts';

const slowOpen =
  (ms: number): Script =>
  (call) =>
    call === 'open' ? { afterMs: ms } : undefined;

test('a waiter takes whichever comes first: here a return; the new connection becomes idle', async () => {
  const rig = new Rig({ settings: { max: 2 }, script: slowOpen(200) });
  const held = await rig.get(200);
  const ask = rig.ask();
  await rig.clock.advance(50);
  assert.equal(rig.engine.snapshot().opening, 1, 'the hold-off is over and a connect is under way');
  held.release();
  await rig.clock.settle();
  assert.equal(ask.lease?.session, held.session);
  await rig.clock.advance(200);
  const s = rig.engine.snapshot();
  assert.deepEqual([s.lent, s.idle, s.opening], [1, 1, 0]);
});

test('a waiter takes whichever comes first: here the new connection', async () => {
  const rig = new Rig({ settings: { max: 2 }, script: slowOpen(200) });
  const held = await rig.get(200);
  const ask = rig.ask();
  await rig.clock.advance(300);
  assert.ok(ask.lease);
  assert.notEqual(ask.lease.session, held.session);
});

test('a connect that the second waiter began serves the first', async () => {
  let opens = 0;
  const rig = new Rig({
    settings: { max: 2 },
    script: (call) => {
      if (call !== 'open') return undefined;
      opens += 1;
      return opens === 1 ? { afterMs: 5_000 } : { afterMs: 100 };
    },
  });
  const first = rig.ask();
  const second = rig.ask();
  await rig.clock.advance(150);
  assert.ok(first.lease);
  assert.equal(second.settled, false);
});

test('a connection that arrives for somebody who left becomes idle', async () => {
  for (const how of ['timeout', 'abort'] as const) {
    const rig = new Rig({ script: slowOpen(200) });
    const aborter = new AbortController();
    const ask = rig.ask({ acquireTimeoutMs: how === 'timeout' ? 100 : 5_000, signal: aborter.signal });
    await rig.clock.advance(100);
    aborter.abort();
    await rig.clock.advance(100);
    assert.ok(ask.error);
    const s = rig.engine.snapshot();
    assert.deepEqual([s.idle, s.size, rig.driver.count('open')], [1, 1, 1], how);
  }
});

test('after a back-off it looks again, and does not dial when nobody waits any longer', async () => {
  const rig = new Rig({ script: (call) => (call === 'open' ? { fail: scriptedError('ECONNREFUSED') } : undefined) });
  const aborter = new AbortController();
  const ask = rig.ask({ signal: aborter.signal });
  await rig.clock.settle();
  assert.equal(rig.driver.count('open'), 1);
  aborter.abort();
  await rig.clock.advance(60_000);
  assert.ok(ask.error);
  assert.equal(rig.driver.count('open'), 1);
});

test('a waiter that is served by a return during the back-off needs no other connect', async () => {
  let fail = false;
  const rig = new Rig({
    settings: { max: 2 },
    script: (call) => (call === 'open' && fail ? { fail: scriptedError('ECONNREFUSED') } : undefined),
  });
  const held = await rig.get();
  fail = true;
  const ask = rig.ask();
  await rig.clock.advance(25);
  const opens = rig.driver.count('open');
  assert.equal(opens, 2);
  held.release();
  await rig.clock.advance(30_000);
  assert.ok(ask.lease);
  assert.equal(rig.driver.count('open'), opens);
});

test('connects in flight never exceed connectConcurrency, and size never exceeds max', async () => {
  const rig = new Rig({ settings: { max: 8, connectConcurrency: 3 }, script: slowOpen(100) });
  const asks = Array.from({ length: 20 }, () => rig.ask());
  for (let n = 0; n < 40; n += 1) {
    await rig.clock.advance(10);
    rig.audit();
    assert.ok(rig.engine.snapshot().opening <= 3);
  }
  assert.equal(asks.filter((ask) => ask.lease).length, 8);
  assert.equal(rig.driver.peakSockets, 8);
});

test('no more connects are begun than there are waiters', async () => {
  const rig = new Rig({ settings: { max: 10, connectConcurrency: 10 }, script: slowOpen(100) });
  rig.ask();
  rig.ask();
  await rig.clock.advance(500);
  assert.equal(rig.driver.count('open'), 2);
});

test('a connect without an answer ends after connectTimeoutMs, counted from dial to configured', async () => {
  let opens = 0;
  const rig = new Rig({
    settings: { connectTimeoutMs: 500 },
    script: (call) => {
      if (call !== 'open') return undefined;
      opens += 1;
      return opens === 1 ? { never: true } : {};
    },
  });
  const ask = rig.ask();
  await rig.clock.advance(499);
  assert.equal(rig.events.count('openFailed'), 0);
  await rig.clock.advance(1);
  assert.equal(rig.events.count('openFailed'), 1);
  assert.equal(rig.engine.snapshot().closing, 0, 'its socket is gone: the driver heard the abort');
  await rig.clock.advance(100);
  assert.ok(ask.lease, 'the next attempt follows');
});

test('a driver that is deaf to the abort: its slot counts until given up, it is reported, and a late session is cut', async () => {
  let opens = 0;
  const rig = new Rig({
    settings: { max: 1, connectTimeoutMs: 500, returnTimeoutMs: 1_000, acquireTimeoutMs: 10_000 },
    script: (call) => {
      if (call !== 'open') return undefined;
      opens += 1;
      return opens === 1 ? { afterMs: 3_000, deaf: true } : {};
    },
  });
  const ask = rig.ask();
  await rig.clock.advance(1_400);
  const s = rig.engine.snapshot();
  assert.deepEqual([s.closing, s.size, rig.driver.count('open')], [1, 1, 1], 'it still counts towards max');
  await rig.clock.advance(700);
  assert.ok(ask.lease, 'and starves nobody for ever');
  assert.deepEqual(rig.reports.codes(), ['OXBOW_SOCKET_STUCK']);
  await rig.clock.advance(1_500);
  assert.equal(rig.driver.sockets, 1, 'the late session was cut');
  assert.deepEqual(rig.driver.sessions.map((session) => session.alive).sort(), [false, true]);
  ask.lease.release();
  await rig.shut();
});

test('configure runs once per connection, before anybody sees it', async () => {
  const seen: number[] = [];
  const rig = new Rig({
    settings: { max: 1 },
    hooks: {
      configure: async (session) => {
        await new Promise<void>((done) => void rig.clock.timer(50, done));
        seen.push(session.pid);
      },
    },
  });
  const ask = rig.ask();
  await rig.clock.advance(49);
  assert.equal(ask.settled, false);
  assert.equal(rig.engine.snapshot().opening, 1);
  await rig.clock.advance(1);
  assert.deepEqual(seen, [ask.lease?.session.pid]);
  ask.lease?.release();
  (await rig.get()).release();
  assert.equal(seen.length, 1);
});

for (const [what, configure, text] of [
  ['throws', () => Promise.reject(new Error('no such role')), /no such role/],
  [
    'throws at once',
    () => {
      throw new Error('sync');
    },
    /sync/,
  ],
  ['throws what is no error', () => Promise.reject('a text'), /a text/],
  ['never ends', () => new Promise(() => {}), /configure did not end within connectTimeoutMs/],
  [
    'leaves a transaction open',
    (session: { status: string }) => {
      session.status = 'transaction';
    },
    /transaction/,
  ],
  [
    'leaves a failed transaction',
    (session: { status: string }) => {
      session.status = 'failed';
    },
    /failed/,
  ],
] as const) {
  test(`a configure that ${what} is a failed attempt: the session is destroyed and another one is tried`, async () => {
    let bad = true;
    const rig = new Rig({
      settings: { max: 1, connectTimeoutMs: 300 },
      hooks: { configure: (session) => (bad ? configure(session) : undefined) },
    });
    const ask = rig.ask();
    await rig.clock.advance(300);
    assert.equal(ask.settled, false);
    assert.ok(rig.events.count('openFailed') >= 1);
    assert.match(String(rig.events.of('openFailed')[0]?.[0]), text);
    assert.equal(rig.driver.alive.length, 0);
    assert.equal(rig.events.count('opened'), 0);
    bad = false;
    await rig.clock.advance(20_000);
    assert.ok(ask.lease);
    assert.equal(rig.driver.alive.length, 1);
    const { connects, connectsFailed } = rig.engine.stats();
    assert.equal(connects, connectsFailed + 1);
  });
}

test('configure has only what the connect left of connectTimeoutMs', async () => {
  const rig = new Rig({
    settings: { connectTimeoutMs: 500 },
    script: slowOpen(400),
    hooks: { configure: () => new Promise<void>((done) => void rig.clock.timer(200, done)) },
  });
  rig.ask();
  await rig.clock.advance(500);
  assert.equal(rig.events.count('openFailed'), 1);
});

test('a session that dies while it is being configured is a failed attempt, and configure’s end changes nothing', async () => {
  let finish = (): void => {};
  const rig = new Rig({
    settings: { max: 1 },
    hooks: {
      configure: () =>
        new Promise<void>((done) => {
          finish = done;
        }),
    },
  });
  const ask = rig.ask();
  await rig.clock.settle();
  rig.driver.sessions[0]?.kill();
  await rig.clock.settle();
  assert.equal(rig.events.count('openFailed'), 1);
  finish();
  await rig.clock.settle();
  assert.equal(ask.settled, false);
  rig.audit();
  await rig.clock.advance(200);
  finish();
  await rig.clock.settle();
  assert.ok(ask.lease?.session.alive);
});

test('a connect that fails with something that is no error still has one to show', async () => {
  const rig = new Rig({
    script: (call) => (call === 'open' ? { fail: 'just a text' as unknown as Error } : undefined),
  });
  const ask = rig.ask({ acquireTimeoutMs: 100 });
  await rig.clock.advance(100);
  assert.match(errorOf(ask).message, /just a text/);
});
