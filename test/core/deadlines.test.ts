// B2: one absolute deadline over everything a borrower waits for, and what leaving the queue costs.

import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import test from 'node:test';
import type { Explanation } from '../../src/contracts/explain.ts';
import { scriptedError } from '../../src/testing/scripted-driver.ts';
import { CountingClock, EventLog } from '../kit/ports.ts';
import { errorOf, Rig } from '../kit/rig.ts';

test('a waiter fails at its deadline, not before and not after', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  await rig.get();
  const ask = rig.ask();
  await rig.clock.advance(29_999);
  assert.equal(ask.settled, false);
  await rig.clock.advance(1);
  const error = errorOf(ask);
  assert.equal(error.name, 'PoolTimeoutError');
  assert.equal(error.kind, 'POOL_TIMEOUT');
  assert.equal(error.code, 'POOL_TIMEOUT');
  assert.equal(error.waitedMs, 30_000);
  assert.equal(error.givenBackMs, 0);
  assert.match(error.message, /1\/1 lent/);
  assert.match(error.message, /timeout exceeded when trying to connect$/);
  const snapshot = error.snapshot as { lent: number; waiting: number };
  assert.deepEqual([snapshot.lent, snapshot.waiting], [1, 0], 'waiting does not count the one that failed');
});

test('each request can bring its own deadline, shorter or longer than those before it', async () => {
  const rig = new Rig({ settings: { max: 1, acquireTimeoutMs: 5_000 } });
  await rig.get();
  const normal = rig.ask();
  const short = rig.ask({ acquireTimeoutMs: 100 });
  const long = rig.ask({ acquireTimeoutMs: 60_000 });
  const endless = rig.ask({ acquireTimeoutMs: Infinity });
  await rig.clock.advance(100);
  assert.deepEqual([normal.settled, short.settled, long.settled], [false, true, false]);
  await rig.clock.advance(4_900);
  assert.deepEqual([normal.settled, long.settled], [true, false]);
  await rig.clock.advance(55_000);
  assert.equal(long.settled, true);
  await rig.clock.advance(10_000_000);
  assert.equal(endless.settled, false);
});

test('the deadline spans the queue, a slow connect, configure and the check', async () => {
  const rig = new Rig({
    settings: { max: 1, acquireTimeoutMs: 1_000, check: 'custom', checkTimeoutMs: 5_000 },
    script: (call) => (call === 'open' ? { afterMs: 400 } : undefined),
    hooks: {
      configure: () => new Promise<void>((done) => void rig.clock.timer(400, done)),
      check: () => new Promise<void>((done) => void rig.clock.timer(400, done)),
    },
  });
  const ask = rig.ask();
  await rig.clock.advance(999);
  assert.equal(ask.settled, false);
  await rig.clock.advance(1);
  assert.equal(errorOf(ask).kind, 'POOL_TIMEOUT');
  await rig.clock.advance(500);
  const s = rig.engine.snapshot();
  assert.deepEqual([s.idle, s.size], [1, 1], 'the connection it would have got is the pool’s');
});

test('a connect that never answers does not stretch the deadline', async () => {
  const rig = new Rig({ script: (call) => (call === 'open' ? { never: true } : undefined) });
  const ask = rig.ask();
  await rig.clock.advance(29_999);
  assert.equal(ask.settled, false);
  await rig.clock.advance(1);
  const error = errorOf(ask);
  assert.equal(error.kind, 'POOL_TIMEOUT');
  assert.match(String((error.cause as Error).message), /connectTimeoutMs/, 'the last connect error is the cause');
});

test('a late liveness check does not stretch the deadline', async () => {
  const rig = new Rig({
    settings: { max: 1, checkTimeoutMs: 1_000 },
    script: (call) => (call === 'ping' ? { never: true } : undefined),
  });
  await rig.fill(1);
  await rig.clock.advance(5_000);
  const ask = rig.ask({ acquireTimeoutMs: 1_500 });
  await rig.clock.advance(1_499);
  assert.equal(ask.settled, false);
  await rig.clock.advance(1);
  assert.equal(errorOf(ask).kind, 'POOL_TIMEOUT');
});

test('the timeout carries the last connect error as its cause and in its text', async () => {
  const refused = scriptedError('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:5432');
  const rig = new Rig({ script: (call) => (call === 'open' ? { fail: refused } : undefined) });
  const ask = rig.ask({ acquireTimeoutMs: 2_000 });
  await rig.clock.advance(2_000);
  const error = errorOf(ask);
  assert.equal(error.kind, 'POOL_TIMEOUT');
  assert.equal(error.cause, refused);
  assert.match(error.message, /ECONNREFUSED/);
});

test('a connect error that was over before the wait began is not blamed', async () => {
  let fail = true;
  const rig = new Rig({
    settings: { max: 1 },
    script: (call) => (call === 'open' && fail ? { fail: scriptedError('ECONNREFUSED') } : undefined),
  });
  const early = rig.ask();
  await rig.clock.advance(10);
  fail = false;
  await rig.clock.advance(1_000);
  assert.ok(early.lease);
  const ask = rig.ask({ acquireTimeoutMs: 100 });
  await rig.clock.advance(100);
  assert.equal(errorOf(ask).cause, undefined);
});

test('who has timed out never receives a connection', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  const held = await rig.get();
  const ask = rig.ask({ acquireTimeoutMs: 50 });
  await rig.clock.advance(50);
  held.release();
  await rig.clock.settle();
  assert.equal(ask.lease, undefined);
  assert.equal(rig.engine.snapshot().idle, 1);
  rig.audit();
});

test('a return in the very turn of the deadline either serves the waiter or leaves an idle connection', async () => {
  for (const before of [true, false]) {
    const rig = new Rig({ settings: { max: 1 } });
    const held = await rig.get();
    if (before) rig.clock.timer(100, () => held.release());
    const ask = rig.ask({ acquireTimeoutMs: 100 });
    if (!before) rig.clock.timer(100, () => held.release());
    await rig.clock.advance(200);
    assert.ok(ask.lease, 'completed returns come in before the deadline strikes');
    rig.audit();
  }
});

test('thousands that expire together are rejected in slices of at most 10 ms and share the explanation', async () => {
  const COUNT = 5_000;
  const COST_MS = 0.01;
  const log = new EventLog();
  const spans: number[] = [];
  const explanation: Explanation = { verdict: 'exhausted', summary: 'all lent', evidence: {}, advice: [] };
  let explained = 0;
  let sliceBegan: number | undefined;
  let othersRanAfter: number | undefined;
  let counting: CountingClock | undefined;
  const rig = new Rig({
    settings: { max: 1, acquireTimeoutMs: 1_000 },
    wrapClock: (clock) => {
      counting = new CountingClock(clock);
      const poll = counting.pollPhase;
      counting.pollPhase = (then) => {
        if (sliceBegan !== undefined) spans.push(clock.now() - sliceBegan);
        sliceBegan = undefined;
        poll(then);
      };
      return counting;
    },
    ports: {
      explainer: {
        explain: () => {
          explained += 1;
          return explanation;
        },
      },
      // Each rejection takes its time.
      events: {
        ...log.port,
        refused: (...args) => {
          sliceBegan ??= rig.clock.now();
          log.port.refused(...args);
          rig.clock.block(COST_MS);
        },
      },
    },
  });
  await rig.get();
  const asks = Array.from({ length: COUNT }, () => rig.ask());
  rig.clock.timer(1_005, () => {
    othersRanAfter = log.count('refused');
  });
  await rig.clock.advance(2_000);
  assert.equal(asks.filter((ask) => ask.error !== undefined).length, COUNT);
  assert.ok(spans.length >= 4, `in ${spans.length + 1} slices`);
  for (const span of spans) assert.ok(span < 12, `a slice of ${span} ms`);
  assert.ok(othersRanAfter !== undefined && othersRanAfter < COUNT, 'others had their turn in between');
  const snapshots = new Set(asks.map((ask) => errorOf(ask).snapshot));
  assert.ok(snapshots.size <= COUNT / 100, `${snapshots.size} snapshots`);
  assert.ok(explained <= COUNT / 100, `explained ${explained} times`);
  assert.equal(errorOf(asks[0] as { error: unknown }).explanation, explanation);
  assert.ok(
    asks.every((ask) => errorOf(ask).givenBackMs === 0),
    'the pool’s own slices are no block',
  );
});

test('ten thousand waiters share a handful of timers', async () => {
  const rig = new Rig({ settings: { max: 1 } });
  await rig.get();
  const aborter = new AbortController();
  setMaxListeners(0, aborter.signal);
  const asks = Array.from({ length: 10_000 }, (_, n) =>
    rig.ask({ acquireTimeoutMs: 10_000 + (n % 3), signal: aborter.signal }),
  );
  assert.equal(rig.engine.snapshot().waiting, 10_000);
  assert.ok(rig.clock.pendingTimers <= 6, `${rig.clock.pendingTimers} timers`);
  aborter.abort();
  assert.equal(rig.engine.snapshot().waiting, 0);
  await rig.clock.settle();
  assert.ok(asks.every((ask) => ask.settled));
});
