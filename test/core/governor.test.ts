// B4 and B5, the unhealthy half: one prober with back-off, what fails whom, and how an outage ends.

import assert from 'node:assert/strict';
import test from 'node:test';
import { type Behaviour, type Script, scriptedError } from '../../src/testing/scripted-driver.ts';
import { errorOf, Rig } from '../kit/rig.ts';

const REFUSED = scriptedError('ECONNREFUSED', 'connect ECONNREFUSED');
const WRONG_PASSWORD = scriptedError('28P01', 'password authentication failed');
const FULL = scriptedError('53300', 'sorry, too many clients already');

/** A server that can be switched. */
class Server {
  open: Behaviour | undefined = undefined;
  readonly script: Script = (call) => (call === 'open' ? this.open : undefined);
}

function retries(rig: Rig): number[] {
  return rig.events.of('openFailed').map((args) => args[2] as number);
}

test('while the server refuses there is one prober, however many wait', async () => {
  const server = new Server();
  server.open = { fail: REFUSED, afterMs: 5 };
  const rig = new Rig({ settings: { max: 10, connectConcurrency: 5 }, script: server.script });
  for (let n = 0; n < 10; n += 1) rig.ask();
  await rig.clock.advance(5);
  assert.equal(rig.driver.count('open'), 5);
  let most = 0;
  for (let n = 0; n < 2_000; n += 1) {
    await rig.clock.advance(1);
    most = Math.max(most, rig.engine.snapshot().opening);
  }
  assert.equal(most, 1);
});

test('several connects that fail together are one failure', async () => {
  const server = new Server();
  server.open = { fail: REFUSED, afterMs: 5 };
  const rig = new Rig({ settings: { max: 10, connectConcurrency: 5 }, script: server.script });
  for (let n = 0; n < 10; n += 1) rig.ask();
  await rig.clock.advance(5);
  await rig.clock.advance(60);
  const attempts = rig.events.of('opening').map((args) => args[0]);
  assert.deepEqual(attempts.slice(0, 6), [1, 1, 1, 1, 1, 2]);
});

test('the back-off is exponential with full jitter, from 50 ms to 10 s', async () => {
  const spread: number[] = [];
  for (let seed = 1; seed <= 20; seed += 1) {
    const server = new Server();
    server.open = { fail: REFUSED };
    const rig = new Rig({
      script: server.script,
      seed,
      settings: { acquireTimeoutMs: Infinity, reconnectTimeoutMs: Infinity },
    });
    rig.ask();
    await rig.clock.advance(60_000);
    const delays = retries(rig);
    assert.ok(delays.length >= 10, `${delays.length} attempts in a minute`);
    for (const [n, delay] of delays.entries()) {
      const bound = Math.min(10_000, 50 * 2 ** n);
      assert.ok(delay > 0 && delay <= bound, `attempt ${n + 1} (seed ${seed}): ${delay} of ${bound}`);
      spread.push(delay / bound);
    }
  }
  assert.ok(
    spread.some((share) => share < 0.25) && spread.some((share) => share > 0.75),
    'spread over the whole bound',
  );
  assert.equal(new Set(spread).size > spread.length / 2, true);
});

test('after the outage connects start slowly: each round is at most twice as wide as the one before', async () => {
  const server = new Server();
  server.open = { fail: REFUSED };
  const rig = new Rig({ settings: { max: 30, connectConcurrency: 16 }, script: server.script });
  const asks = Array.from({ length: 30 }, () => rig.ask());
  await rig.clock.advance(500);
  server.open = { afterMs: 100 };
  const rounds: number[] = [];
  for (let n = 0; n < 3_000 && asks.some((ask) => ask.lease === undefined); n += 1) {
    const before = rig.driver.count('open');
    const failed = rig.events.count('openFailed');
    await rig.clock.advance(1);
    const begun = rig.driver.count('open') - before - (rig.events.count('openFailed') - failed);
    if (begun > 0) rounds.push(begun);
  }
  assert.ok(
    asks.every((ask) => ask.lease),
    'all are served',
  );
  assert.equal(rounds[0], 1, `rounds ${rounds}`);
  for (let n = 1; n < rounds.length; n += 1) {
    assert.ok((rounds[n] as number) <= 2 * (rounds[n - 1] as number), `rounds ${rounds}`);
  }
  assert.ok(Math.max(...rounds) >= 4, `it does grow: ${rounds}`);
});

test('a fault that cannot heal fails every waiter at once if nothing is alive', async () => {
  const server = new Server();
  server.open = { fail: WRONG_PASSWORD, afterMs: 10 };
  const rig = new Rig({ script: server.script });
  const asks = Array.from({ length: 5 }, () => rig.ask());
  await rig.clock.advance(10);
  for (const ask of asks) {
    const error = errorOf(ask);
    assert.equal(error.name, 'ConnectError');
    assert.equal(error.kind, 'POOL_CONNECT_FAILED');
    assert.equal(error.code, '28P01');
    assert.equal(error.transient, false);
    assert.equal(error.cause, WRONG_PASSWORD);
    assert.match(error.message, /password authentication failed/);
  }
  assert.equal(rig.engine.stats().requestsFailed.connect, 5);
  assert.equal(new Set(asks.map((ask) => ask.error)).size, 5, 'each has an error of its own');
});

test('a newcomer after such a fault gets its answer from an attempt of its own, soon', async () => {
  const server = new Server();
  server.open = { fail: scriptedError('3D000', 'database "x" does not exist') };
  const rig = new Rig({ script: server.script });
  for (let n = 0; n < 30; n += 1) {
    const opens = rig.driver.count('open');
    const ask = rig.ask();
    await rig.clock.advance(1_000);
    assert.equal(errorOf(ask).code, '3D000');
    assert.ok(rig.driver.count('open') > opens);
  }
  server.open = undefined;
  const healed = rig.ask();
  await rig.clock.advance(1_000);
  assert.ok(healed.lease, 'and when it is healed by hand, so is the pool');
});

test('such a fault with a live connection: asked once more, reported, and the pool goes on with what it has', async () => {
  const server = new Server();
  const rig = new Rig({ settings: { max: 3, connectConcurrency: 1 }, script: server.script });
  const held = await rig.get();
  server.open = { fail: WRONG_PASSWORD };
  const asks = [rig.ask(), rig.ask()];
  await rig.clock.advance(30);
  assert.equal(rig.driver.count('open'), 3, 'one try and one more, at once');
  assert.deepEqual(rig.reports.codes(), ['OXBOW_CONNECT_FAILED']);
  assert.match(rig.reports.all[0]?.message ?? '', /password authentication failed/);
  await rig.clock.advance(5_000);
  assert.ok(asks.every((ask) => !ask.settled));
  assert.ok(rig.driver.count('open') < 15, `${rig.driver.count('open')} attempts: no hot loop`);
  held.release();
  await rig.clock.settle();
  assert.equal(asks[0]?.lease?.session, held.session);
  asks[0]?.lease?.release();
  await rig.clock.settle();
  assert.equal(asks[1]?.lease?.session, held.session);
});

test('credentials that are right the second time serve the waiter at once', async () => {
  const server = new Server();
  let opens = 0;
  const rig = new Rig({
    settings: { max: 3, connectConcurrency: 1 },
    script: (call) => {
      if (call !== 'open') return undefined;
      opens += 1;
      return opens === 2 ? { fail: WRONG_PASSWORD } : server.open;
    },
  });
  await rig.get();
  const ask = rig.ask();
  await rig.clock.advance(30);
  assert.ok(ask.lease);
  assert.deepEqual(rig.reports.codes(), []);
});

test('a full server keeps the waiters: one is served by a return, the other when there is room again', async () => {
  const server = new Server();
  const rig = new Rig({ settings: { max: 5 }, script: server.script });
  const held = await rig.get();
  server.open = { fail: FULL };
  const first = rig.ask();
  const second = rig.ask();
  await rig.clock.advance(5_000);
  assert.equal(first.settled || second.settled, false);
  const opens = rig.driver.count('open');
  assert.ok(opens < 25, `${opens} attempts in 5 s: it backs off`);
  held.release();
  await rig.clock.settle();
  assert.ok(first.lease);
  server.open = undefined;
  await rig.clock.advance(10_100);
  assert.ok(second.lease);
});

test('a full server with nothing alive still keeps the waiters until their deadline', async () => {
  const server = new Server();
  server.open = { fail: FULL };
  const rig = new Rig({ script: server.script });
  const ask = rig.ask({ acquireTimeoutMs: 20_000 });
  await rig.clock.advance(19_999);
  assert.equal(ask.settled, false);
  await rig.clock.advance(1);
  assert.equal(errorOf(ask).kind, 'POOL_TIMEOUT');
  assert.equal(errorOf(ask).cause, FULL);
});

test('a full server lowers the target: the floor is not hammered at', async () => {
  const server = new Server();
  const rig = new Rig({ settings: { min: 5, max: 5, connectConcurrency: 5 }, script: server.script });
  let opens = 0;
  server.open = undefined;
  rig.driver.script = (call) => {
    if (call !== 'open') return undefined;
    opens += 1;
    return opens <= 2 ? undefined : { fail: FULL };
  };
  await rig.engine.open({ wait: false });
  await rig.clock.advance(60_000);
  assert.equal(rig.engine.snapshot().idle, 2);
  assert.ok(opens < 40, `${opens} attempts in a minute`);
});

test('a full server is no outage: onReconnectFailed is not called for it', async () => {
  const server = new Server();
  server.open = { fail: FULL };
  let calls = 0;
  const rig = new Rig({
    settings: { min: 1, reconnectTimeoutMs: 5_000 },
    script: server.script,
    hooks: { onReconnectFailed: () => (calls += 1) },
  });
  await rig.engine.open({ wait: false });
  await rig.clock.advance(60_000);
  assert.equal(calls, 0);
});

test('onReconnectFailed is called once per outage, and probing goes on at the slowest pace', async () => {
  const server = new Server();
  const told: { error: Error; at: number }[] = [];
  const rig = new Rig({
    settings: { min: 2, reconnectTimeoutMs: 60_000 },
    script: server.script,
    hooks: { onReconnectFailed: (error) => told.push({ error, at: rig.clock.now() }) },
  });
  await rig.engine.open({ wait: false });
  await rig.clock.settle();
  server.open = { fail: REFUSED };
  const began = rig.clock.now();
  for (const session of rig.driver.alive) session.kill();
  await rig.clock.advance(59_000);
  assert.equal(told.length, 0);
  await rig.clock.advance(12_000);
  assert.equal(told.length, 1);
  assert.equal(told[0]?.error, REFUSED);
  assert.ok((told[0]?.at ?? 0) - began >= 60_000);
  const opens = rig.driver.count('open');
  await rig.clock.advance(600_000);
  assert.equal(told.length, 1, 'once per outage');
  const probes = rig.driver.count('open') - opens;
  assert.ok(probes >= 60 && probes <= 130, `${probes} probes in ten minutes`);
});

test('min is restored by itself when the server returns, and the next outage is told anew', async () => {
  const server = new Server();
  let told = 0;
  const rig = new Rig({
    settings: { min: 3, reconnectTimeoutMs: 10_000 },
    script: server.script,
    hooks: { onReconnectFailed: () => (told += 1) },
  });
  await rig.engine.open({ wait: false });
  await rig.clock.settle();
  for (let outage = 1; outage <= 2; outage += 1) {
    server.open = { fail: REFUSED };
    for (const session of rig.driver.alive) session.kill();
    await rig.clock.advance(100_000);
    assert.equal(told, outage);
    assert.equal(rig.engine.snapshot().size, 0);
    server.open = undefined;
    await rig.clock.advance(10_100);
    assert.equal(rig.engine.snapshot().idle, 3, 'without a borrower');
  }
});

test('reconnectTimeoutMs 0 tells at the first failure', async () => {
  const server = new Server();
  server.open = { fail: REFUSED };
  let told = 0;
  const rig = new Rig({
    settings: { reconnectTimeoutMs: 0 },
    script: server.script,
    hooks: { onReconnectFailed: () => (told += 1) },
  });
  rig.ask();
  await rig.clock.advance(5_000);
  assert.equal(told, 1);
});

test('without a callback the end of patience is reported, once', async () => {
  const server = new Server();
  server.open = { fail: REFUSED };
  const rig = new Rig({ settings: { min: 1, reconnectTimeoutMs: 1_000 }, script: server.script });
  await rig.engine.open({ wait: false });
  await rig.clock.advance(60_000);
  assert.deepEqual(rig.reports.codes(), ['OXBOW_CONNECT_FAILED']);
});

for (const [how, callback] of [
  [
    'throws',
    () => {
      throw new Error('callback');
    },
  ],
  ['rejects', () => Promise.reject(new Error('callback'))],
] as const) {
  test(`an onReconnectFailed that ${how} is reported and harms nothing`, async () => {
    const server = new Server();
    server.open = { fail: REFUSED };
    const rig = new Rig({
      settings: { min: 1, reconnectTimeoutMs: 1_000 },
      script: server.script,
      hooks: { onReconnectFailed: callback },
    });
    await rig.engine.open({ wait: false });
    await rig.clock.advance(5_000);
    assert.deepEqual(rig.reports.codes(), ['OXBOW_CALLBACK_FAILED']);
    server.open = undefined;
    await rig.clock.advance(10_100);
    assert.equal(rig.engine.snapshot().idle, 1);
  });
}

test('a waiter is served by the first connect that succeeds, however long the outage was', async () => {
  const server = new Server();
  server.open = { fail: REFUSED };
  const rig = new Rig({ settings: { acquireTimeoutMs: Infinity }, script: server.script });
  const ask = rig.ask();
  await rig.clock.advance(200_000);
  server.open = undefined;
  await rig.clock.advance(10_000);
  assert.ok(ask.lease);
  assert.equal(rig.engine.snapshot().lastConnectError?.error, REFUSED);
});
