// B4 on a server without room (53300), which works, only not for us now: somebody who waits is kept and served by whatever comes first,
// while a floor that nobody needs does not hammer at it. Several pools may share such a server.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Settings } from '../../src/core/household.ts';
import { type Behaviour, type Script, scriptedError } from '../../src/testing/scripted-driver.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { errorOf, Rig, type RigOptions } from '../kit/rig.ts';

const FULL = scriptedError('53300', 'sorry, too many clients already');
const CONNECT_MS = 10;
const REFUSAL_MS = 2;

/** One server for as many pools as there are; it has room for `limit` sessions. */
class Server {
  limit: number;
  most = 0;
  refusals = 0;
  readonly times: number[] = [];
  readonly #clock: VirtualClock;
  readonly #rigs: Rig[] = [];
  /** Let in, and not there yet. */
  #coming = 0;

  constructor(clock: VirtualClock, limit: number) {
    this.#clock = clock;
    this.limit = limit;
  }

  rig(settings: Partial<Settings> = {}, options: RigOptions = {}): Rig {
    const rig = new Rig({ ...options, clock: this.#clock, settings, script: this.#script });
    this.#rigs.push(rig);
    return rig;
  }

  get sessions(): number {
    return this.#rigs.reduce((sum, rig) => sum + rig.driver.alive.length, 0);
  }

  #script: Script = (call): Behaviour | undefined => {
    if (call !== 'open') return undefined;
    this.times.push(this.#clock.now());
    const taken = this.sessions + this.#coming;
    if (taken >= this.limit) {
      this.refusals += 1;
      return { afterMs: REFUSAL_MS, fail: FULL };
    }
    this.#coming += 1;
    // Made before the driver's own timer of the same length: it is counted there a moment later, and by nobody in between.
    this.#clock.timer(CONNECT_MS, () => {
      this.#coming -= 1;
    });
    this.most = Math.max(this.most, taken + 1);
    return { afterMs: CONNECT_MS };
  };
}

function single(
  limit: number,
  settings: Partial<Settings> = {},
  options: RigOptions = {},
): { server: Server; rig: Rig } {
  const server = new Server(new VirtualClock(), limit);
  return { server, rig: server.rig({ max: 5, ...settings }, options) };
}

const gaps = (times: readonly number[]): number[] => times.slice(1).map((time, n) => time - (times[n] ?? 0));

for (const pgManners of [false, true]) {
  const where = pgManners ? ", in pg's manners too" : '';

  test(`a waiter is kept while the server is full and asked for at least once a second${where}`, async () => {
    const { server, rig } = single(1, { pgManners });
    await rig.get(CONNECT_MS);
    const ask = rig.ask({ acquireTimeoutMs: 120_000 });
    await rig.clock.advance(60_000);
    assert.equal(ask.settled, false);
    const waited = gaps(server.times.slice(1));
    assert.ok(Math.max(...waited) <= 1_000 + CONNECT_MS, `${Math.max(...waited)} ms`);
    assert.ok(waited.length >= 59 && waited.length < 2_000, `${waited.length} attempts in a minute`);
    assert.ok(new Set(waited.slice(5)).size > 5, 'with jitter');
  });

  test(`it is served when somebody here gives one back${where}`, async () => {
    const { rig } = single(1, { pgManners });
    const held = await rig.get(CONNECT_MS);
    const ask = rig.ask();
    await rig.clock.advance(5_000);
    held.release();
    await rig.clock.settle();
    assert.equal(ask.lease?.session, held.session);
  });

  test(`it is served within a second of somebody elsewhere leaving${where}`, async () => {
    const { server, rig } = single(1, { pgManners });
    await rig.get(CONNECT_MS);
    const ask = rig.ask();
    await rig.clock.advance(20_000);
    assert.equal(ask.settled, false);
    server.limit = 2;
    await rig.clock.advance(1_000 + CONNECT_MS);
    assert.ok(ask.lease);
  });
}

test('many waiters are one prober', async () => {
  const { server, rig } = single(1);
  await rig.get(CONNECT_MS);
  for (let n = 0; n < 50; n += 1) rig.ask();
  let most = 0;
  for (let ms = 0; ms < 20_000; ms += 1) {
    await rig.clock.advance(1);
    most = Math.max(most, rig.engine.snapshot().opening);
    if (ms === 50) most = 0;
  }
  assert.equal(most, 1);
  assert.ok(server.times.length < 200, `${server.times.length} attempts in 20 s`);
});

test('a floor that nobody waits for backs off to ten seconds', async () => {
  const { server, rig } = single(2, { min: 5, connectConcurrency: 5 });
  await rig.engine.open({ wait: false });
  await rig.clock.advance(600_000);
  assert.equal(rig.engine.snapshot().idle, 2);
  const last = server.times.filter((time) => time > rig.clock.now() - 300_000);
  assert.ok(last.length >= 25 && last.length < 150, `${last.length} attempts in five minutes`);
  assert.ok(Math.max(...gaps(last)) > 5_000);
});

test('a waiter who comes while the floor is backing off does not wait for that', async () => {
  const { server, rig } = single(2, { min: 5, connectConcurrency: 5 });
  await rig.engine.open({ wait: false });
  await rig.clock.advance(600_000);
  await rig.get();
  await rig.get();
  for (let n = 0; n < 5; n += 1) {
    const ask = rig.ask();
    await rig.clock.advance(3_000);
    server.limit += 1;
    await rig.clock.advance(1_000 + 2 * CONNECT_MS);
    assert.ok(ask.lease, `waiter ${n + 1}`);
    if (rig.engine.snapshot().size === 5) break;
  }
});

test("in pg's manners a full server with nothing alive fails its waiters, one per attempt, with pg's own error", async () => {
  const { rig } = single(0, { pgManners: true });
  const ask = rig.ask();
  await rig.clock.advance(REFUSAL_MS);
  assert.match(errorOf(ask).message, /too many clients/);
});

test("in pg's manners one idle elsewhere in the pool's hands, but only being cleaned, counts as alive", async () => {
  const { rig } = single(1, { pgManners: true });
  const held = await rig.get(CONNECT_MS);
  const { script } = rig.driver;
  rig.driver.script = (call, session, count) => (call === 'rollback' ? { afterMs: 200 } : script(call, session, count));
  const ask = rig.ask();
  held.session.status = 'transaction';
  held.release();
  await rig.clock.advance(199);
  assert.equal(ask.settled, false);
  await rig.clock.advance(1);
  assert.equal(ask.lease?.session, held.session);
});

test('a waiter whose deadline passes is told that the server was full', async () => {
  const { rig } = single(1);
  await rig.get(CONNECT_MS);
  const ask = rig.ask({ acquireTimeoutMs: 5_000 });
  await rig.clock.advance(5_000);
  assert.equal(errorOf(ask).kind, 'POOL_TIMEOUT');
  assert.equal(errorOf(ask).cause, FULL);
});

for (const pgManners of [false, true]) {
  test(`eight pools of ten on a server for 57: no request fails and no room is left unused${pgManners ? ", in pg's manners" : ''}`, async () => {
    const clock = new VirtualClock();
    const server = new Server(clock, 57);
    const rigs = Array.from({ length: 8 }, (_, n) =>
      server.rig({ name: `pool-${n + 1}`, max: 10, pgManners, idleTimeoutMs: 1_000, acquireTimeoutMs: 30_000 }),
    );
    let served = 0;
    const failed: unknown[] = [];
    const until = clock.now() + 20_000;
    /** One borrower of the ten or fifteen of each pool, who comes again and again. */
    const borrow = async (rig: Rig, restMs: number): Promise<void> => {
      while (clock.now() < until) {
        try {
          const lease = await rig.engine.acquire();
          served += 1;
          await new Promise<void>((resolve) => void clock.timer(20 + 60 * clock.random(), resolve));
          lease.release();
        } catch (error) {
          failed.push(error);
        }
        await new Promise<void>((resolve) => void clock.timer(restMs * clock.random(), resolve));
      }
    };
    const all = rigs.flatMap((rig) => Array.from({ length: 15 }, () => borrow(rig, 30)));
    await clock.advance(60_000);
    await Promise.all(all);
    assert.deepEqual(failed, []);
    assert.ok(served > 10_000, `${served} served`);
    assert.ok(server.refusals > 0, 'it was full');
    assert.equal(server.most, 57);
    for (const rig of rigs) rig.audit();
  });
}
