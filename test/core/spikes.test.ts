// B4, the healthy half: how many connects a rush of borrowers is worth. HikariCP's and psycopg's spike test, and its opposite.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Script } from '../../src/testing/scripted-driver.ts';
import { Rig } from '../kit/rig.ts';

const slowOpen =
  (ms: number): Script =>
  (call) =>
    call === 'open' ? { afterMs: ms } : undefined;

async function work(rig: Rig, holdMs: number): Promise<void> {
  const lease = await rig.engine.acquire();
  await new Promise<void>((done) => void rig.clock.timer(holdMs, done));
  lease.release();
}

async function opened(max: number, connectMs: number, idleMs = 10): Promise<Rig> {
  const rig = new Rig({ settings: { min: 5, max }, script: slowOpen(connectMs) });
  const open = rig.engine.open();
  await rig.clock.advance(2 * connectMs + idleMs);
  await open;
  assert.equal(rig.engine.snapshot().idle, 5);
  return rig;
}

test("psycopg's spike: fifty two-millisecond borrowers on five connections stay below seven", async () => {
  const rig = await opened(10, 150);
  const all = Promise.all(Array.from({ length: 50 }, () => work(rig, 2)));
  await rig.clock.advance(1_000);
  await all;
  assert.ok(rig.engine.snapshot().size < 7, `${rig.engine.snapshot().size} connections`);
  assert.ok(rig.driver.peakSockets < 7, `${rig.driver.peakSockets} sockets at most`);
});

test('the spike on connections that lay idle for long and must be checked first', async () => {
  const rig = await opened(10, 150, 20_000);
  const all = Promise.all(Array.from({ length: 50 }, () => work(rig, 2)));
  await rig.clock.advance(1_000);
  await all;
  assert.ok(rig.driver.peakSockets < 7, `${rig.driver.peakSockets} sockets at most`);
});

test('the spike again, once holds and connects are known', async () => {
  const rig = await opened(10, 150);
  for (let round = 0; round < 3; round += 1) {
    const all = Promise.all(Array.from({ length: 50 }, () => work(rig, 2)));
    await rig.clock.advance(500);
    await all;
  }
  assert.ok(rig.driver.peakSockets < 7, `${rig.driver.peakSockets} sockets at most`);
});

test('the opposite: ten cold borrowers with 200 ms connects are not served one by one', async () => {
  const rig = new Rig({ settings: { max: 10 }, script: slowOpen(200) });
  const asks = Array.from({ length: 10 }, () => rig.ask());
  await rig.clock.advance(850);
  assert.equal(asks.filter((ask) => ask.lease).length, 10);
});

test('borrowers that hold for long are worth connects at once: returns would not serve the queue sooner', async () => {
  const rig = await opened(10, 150);
  // What holds are like is learnt from one round.
  const learnt = Promise.all(Array.from({ length: 5 }, () => work(rig, 5_000)));
  await rig.clock.advance(5_000);
  await learnt;
  const asks = Array.from({ length: 8 }, () => rig.ask());
  await rig.clock.settle();
  assert.equal(rig.engine.snapshot().opening, 3, 'three waiters, three connects, no hold-off');
  await rig.clock.advance(160);
  assert.equal(asks.filter((ask) => ask.lease).length, 8);
});

test('what was expected to return and did not is no longer waited for', async () => {
  const rig = await opened(10, 150);
  for (let round = 0; round < 5; round += 1) {
    const all = Promise.all(Array.from({ length: 5 }, () => work(rig, 2)));
    await rig.clock.advance(50);
    await all;
  }
  // Two-millisecond borrowers, as far as the pool knows; these stay.
  for (let n = 0; n < 5; n += 1) await rig.get();
  const ask = rig.ask();
  await rig.clock.advance(10);
  assert.equal(rig.engine.snapshot().opening, 0, 'at first returns are trusted');
  await rig.clock.advance(400);
  assert.ok(ask.lease, 'then it dialled');
});

test('while nothing is known about holds, a connect is held off for 25 ms', async () => {
  const rig = new Rig({ settings: { max: 2 }, script: slowOpen(100) });
  await rig.get(100);
  rig.ask();
  await rig.clock.advance(24);
  assert.equal(rig.driver.count('open'), 1);
  await rig.clock.advance(1);
  assert.equal(rig.driver.count('open'), 2);
});

test('a steady load of short borrowers on a warm pool opens nothing at all', async () => {
  const rig = await opened(10, 150);
  const opens = rig.driver.count('open');
  for (let n = 0; n < 200; n += 1) {
    void work(rig, 2);
    await rig.clock.advance(1);
  }
  await rig.clock.advance(50);
  assert.equal(rig.driver.count('open'), opens);
});
