// Engines that share one limit, each as in a thread of its own, at full load for a minute of virtual time: how often a permit changes hands,
// and how evenly the work is shared. And engines that go and come.
//
//   TURNS_SEED=n     another course of the work

import assert from 'node:assert/strict';
import test from 'node:test';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { Rig, type RigOptions, watch } from '../kit/rig.ts';
import { Threads } from '../kit/threads.ts';

const SEED = Number(process.env.TURNS_SEED ?? 20_261_128);
const CONNECT_MS = 6;

/** An engine in a thread of its own, under the limit of `threads`. */
function engine(threads: Threads, settings: RigOptions['settings'] = {}): Rig {
  const rig: Rig = new Rig({
    clock: threads.clock,
    settings: { max: threads.memory.limit, ...settings },
    script: (call) => ({ afterMs: call === 'open' ? CONNECT_MS : call === 'end' ? 1 : 0.25 }),
    ports: { permits: threads.join({ needs: () => rig.engine.needs, waiting: () => rig.engine.waiting }) },
  });
  return rig;
}

/** Sockets of all of them, open at this moment. */
function sockets(rigs: readonly Rig[]): number {
  return rigs.reduce((sum, { driver }) => sum + driver.sockets, 0);
}

interface Work {
  done: number;
  worstMs: number;
  on: boolean;
}

/** `n` borrowers, one after the other each, that hold for 5 to 40 ms. */
function hammer(rig: Rig, n: number): Work {
  const work: Work = { done: 0, worstMs: 0, on: true };
  const { clock } = rig;
  const borrower = async (): Promise<void> => {
    while (work.on) {
      const since = clock.now();
      const lease = await rig.engine.acquire();
      work.worstMs = Math.max(work.worstMs, clock.now() - since);
      await new Promise<void>((done) => clock.timer(5 + 35 * clock.random(), done));
      lease.release();
      work.done += 1;
    }
  };
  for (let task = 0; task < n; task += 1) void borrower();
  return work;
}

async function watched(threads: Threads, rigs: readonly Rig[], ms: number): Promise<number> {
  let most = 0;
  for (let n = 0; n < ms; n += 50) {
    await threads.clock.advance(50);
    most = Math.max(most, sockets(rigs));
    assert.ok(sockets(rigs) <= threads.memory.used, 'each socket has its permit');
  }
  return most;
}

for (const [members, limit] of [
  [4, 6],
  [3, 7],
  [5, 3],
] as const)
  test(`at full load ${members} threads with a limit of ${limit} share evenly, and few permits change hands`, async () => {
    const threads = new Threads(limit, new VirtualClock({ seed: SEED }));
    const rigs = Array.from({ length: members }, () => engine(threads));
    const works = rigs.map((rig) => hammer(rig, 8));
    await watched(threads, rigs, 5_000);
    const before = works.map(({ done }) => done);
    const opened = rigs.reduce((sum, { driver }) => sum + driver.sessions.length, 0);
    const most = await watched(threads, rigs, 60_000);
    const done = works.map((work, n) => work.done - (before[n] ?? 0));
    const handOvers = (rigs.reduce((sum, { driver }) => sum + driver.sessions.length, 0) - opened) / 60;
    const even = done.reduce((sum, n) => sum + n, 0) / members;
    console.log(
      `seed ${SEED}, ${members} threads, limit ${limit}: ${done.join(' ')} done, ${handOvers.toFixed(2)} hand-overs/s, worst ` +
        `wait ${Math.round(Math.max(...works.map(({ worstMs }) => worstMs)))} ms`,
    );
    assert.ok(most <= limit, `${most} sockets`);
    for (const n of done) assert.ok(Math.abs(n / even - 1) <= 0.1, `${n} of an even ${even.toFixed(0)}`);
    assert.ok(handOvers <= Math.max(1, limit % members) + 0.3, `${handOvers} hand-overs a second`);
    for (const work of works) work.on = false;
    await threads.clock.advance(1_000);
    for (const rig of rigs) void rig.engine.close({ drainMs: 1_000, cancelMs: 100, waiting: 'reject' });
    await threads.clock.advance(2_000);
    assert.deepEqual([threads.memory.used, threads.memory.members().length, sockets(rigs)], [0, 0, 0]);
  });

test('pools at rest do not take from each other what they keep warm, though the limit is too small for all of them', async () => {
  const threads = new Threads(6, new VirtualClock({ seed: SEED }));
  const rigs = Array.from({ length: 4 }, () => engine(threads, { min: 2 }));
  const opened = rigs.map((rig) => watch(rig.engine.open()));
  await watched(threads, rigs, 3_000);
  assert.ok(
    opened.every(({ settled, error }) => settled && error === undefined),
    'each is open',
  );
  const connects = (): number => rigs.reduce((sum, { driver }) => sum + driver.sessions.length, 0);
  const before = connects();
  await watched(threads, rigs, 60_000);
  assert.equal(connects(), before);
  assert.equal(sockets(rigs), 6);
  const poor = rigs.find((rig) => rig.engine.snapshot().size === 1) ?? assert.fail('six are shared by four');
  const leases = await Promise.all([poor.get(100), poor.get(100)]);
  for (const lease of leases) lease.release();
});

test('a pool that is opened has its first connection though all lie idle in others, and are kept warm there', async () => {
  const threads = new Threads(4, new VirtualClock({ seed: SEED }));
  const [rich, poor] = [engine(threads, { min: 4 }), engine(threads)];
  await rich.fill(4);
  await threads.clock.advance(1_000);
  assert.equal(rich.engine.snapshot().idle, 4);
  const opened = watch(poor.engine.open());
  await threads.clock.advance(100);
  assert.ok(opened.settled && opened.error === undefined);
  await threads.clock.advance(5_000);
  assert.deepEqual([rich.engine.snapshot().idle, poor.engine.snapshot().idle], [3, 1]);
});
