// Observers are called in the middle of things, and may do whatever they like there: ask, give back, abort, pause, resize, close, or
// bring a connection down. Nobody must be left waiting for that, and nothing be lost.

import assert from 'node:assert/strict';
import test from 'node:test';
import { LeaseError } from '../../src/contracts/errors.ts';
import { type EngineEvents, noEvents } from '../../src/contracts/events.ts';
import type { Request } from '../../src/core/wait-queue.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { EVENT_NAMES } from '../kit/ports.ts';
import { type Ask, errorOf, Rig, type RigOptions, type Watched, watch } from '../kit/rig.ts';

const SEQUENCES = 800;
const STEPS = 30;
const REQUESTS = 40;
const TIMEOUTS = [undefined, undefined, undefined, 0, 0.5, 50, 100, 300, Infinity];

/** An engine whose observers do `deed` on that event, once. */
function once(name: keyof EngineEvents, deed: (rig: Rig) => void, options: RigOptions = {}): Rig {
  let done = false;
  const events = {
    ...noEvents,
    [name]: () => {
      if (done) return;
      done = true;
      deed(rig);
    },
  };
  const rig: Rig = new Rig({ ...options, ports: { events } });
  return rig;
}

function closes(rig: Rig): void {
  void rig.engine.close({ drainMs: 0, cancelMs: 0, waiting: 'reject' });
}

for (const name of ['phase', 'opening', 'opened', 'waiting'] as const) {
  test(`an observer that closes the pool on "${name}" leaves neither a borrower nor anybody who opens it waiting`, async () => {
    for (const begin of [(rig: Rig) => rig.ask(), (rig: Rig) => watch(rig.engine.open())]) {
      const rig = once(name, closes, { settings: { acquireTimeoutMs: Infinity } });
      const begun = begin(rig);
      await rig.clock.advance(10_000);
      // Nobody queues where the pool is opened beforehand.
      if (name === 'waiting' && !('lease' in begun)) continue;
      assert.equal(errorOf(begun).name, 'PoolClosedError');
      assert.equal(rig.engine.phase, 'closed');
      assert.deepEqual([rig.driver.sockets, rig.clock.pendingTimers], [0, 0]);
    }
  });
}

test('an observer that closes a pool which was trimmed, when it dials again, leaves nobody waiting', async () => {
  const rig = new Rig({
    settings: { min: 1, acquireTimeoutMs: Infinity },
    ports: { events: { ...noEvents, opening: () => trimmed && closes(rig) } },
  });
  let trimmed = false;
  await rig.fill(1);
  await rig.engine.trim(0);
  assert.equal(rig.engine.snapshot().size, 0);
  trimmed = true;
  const ask = rig.ask();
  await rig.clock.advance(10_000);
  assert.equal(errorOf(ask).name, 'PoolClosedError');
});

/** Does one thing or another, from outside or from within. */
class Meddler {
  readonly #chance: VirtualClock;
  readonly rig: Rig;
  readonly asks: Ask[] = [];
  readonly promises: Watched<unknown>[] = [];
  readonly #aborters: AbortController[] = [];
  #depth = 0;
  /** No more requests after so many: whoever is told of a refusal might ask again for ever. */
  left = REQUESTS;
  #started = false;

  constructor(seed: number) {
    this.#chance = new VirtualClock({ seed });
    const events = Object.fromEntries(EVENT_NAMES.map((name) => [name, () => this.#told()]));
    this.rig = new Rig({
      seed,
      settings: {
        max: 2,
        min: this.of([0, 0, 1]),
        acquireTimeoutMs: this.of([100, 100, 250.5, Infinity]),
        check: this.of(['stale', 'always', 'never']),
        checkAfterIdleMs: 100,
        idleTimeoutMs: this.of([60_000, 0, 50]),
        reset: this.of(['rollback', 'discard']),
      },
      script: () => ({ afterMs: this.below(20) }),
      ports: { events: { ...noEvents, ...events } },
    });
    this.#started = true;
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  below(n: number): number {
    return Math.floor(this.#chance.random() * n);
  }

  #told(): void {
    if (!this.#started || this.#depth > 2 || this.below(3) > 0) return;
    this.#depth += 1;
    this.act();
    this.#depth -= 1;
  }

  act(): void {
    const { engine, driver } = this.rig;
    const what = this.below(19);
    const held = this.asks.find(({ lease }) => lease !== undefined && !lease.released)?.lease;
    if (what < 5) this.#ask();
    else if (what < 7) this.#aborters.pop()?.abort(new Error('for the test'));
    else if (what < 10) held?.release(this.below(4) === 0);
    else if (what === 10) this.#watch(engine.pause(this.of(['wait', 'reject'])));
    else if (what === 11) engine.resume();
    else if (what === 12 && driver.alive.length > 0) this.of(driver.alive).kill();
    else if (what === 16 && held !== undefined) held.session.status = this.of(['transaction', 'failed', 'busy']);
    else if (what === 17) held?.revoke(new LeaseError('LEASE_REVOKED', 'for the test'));
    else if (what === 18) this.#watch(engine.check(100));
    else if (what === 13) engine.resize(0, 1 + this.below(3));
    else if (what === 14) this.#watch(this.below(2) === 0 ? engine.replaceAll(0) : engine.trim(0));
    else if (what === 15 && this.below(8) === 0) this.#watch(this.below(2) === 0 ? engine.open() : this.close());
  }

  close(): Promise<unknown> {
    return this.rig.engine.close({ drainMs: 200, cancelMs: 50, waiting: this.of(['serve', 'reject']) });
  }

  #ask(): void {
    if (this.left === 0) return;
    this.left -= 1;
    const acquireTimeoutMs = this.of(TIMEOUTS);
    const aborter = this.below(3) === 0 ? new AbortController() : undefined;
    if (aborter !== undefined) this.#aborters.push(aborter);
    const request: Request = { acquireTimeoutMs, signal: aborter?.signal };
    this.asks.push(this.rig.ask(acquireTimeoutMs === undefined && aborter === undefined ? undefined : request));
  }

  #watch(promise: Promise<unknown>): void {
    this.promises.push(watch(promise));
  }
}

test('whatever observers do in between, everybody is answered and nothing is left', async () => {
  for (let seed = 1; seed <= SEQUENCES; seed += 1) {
    const meddler = new Meddler(seed);
    const { rig, asks, promises } = meddler;
    for (let step = 0; step < STEPS; step += 1) {
      meddler.act();
      if (meddler.below(6) === 0) rig.clock.block(meddler.of([30, 51, 300, 1_500]));
      await rig.clock.advance(meddler.below(80));
      const s = rig.engine.snapshot();
      assert.equal(s.size, s.opening + s.idle + s.lent + s.returning + s.closing, `seed ${seed}: the counts add up`);
      assert.equal(rig.engine.holders().length, s.lent, `seed ${seed}: every lent slot has its holder`);
      assert.ok(rig.driver.sockets <= s.size, `seed ${seed}: ${rig.driver.sockets} sockets of ${s.size}`);
    }
    meddler.left = 0;
    const end = watch(meddler.close());
    await rig.clock.advance(60_000);
    const left = {
      closed: end.settled && rig.engine.phase === 'closed',
      waiting: [...asks, ...promises].filter(({ settled }) => !settled).length,
      timers: rig.clock.pendingTimers,
      sockets: rig.driver.sockets,
    };
    assert.deepEqual(left, { closed: true, waiting: 0, timers: 0, sockets: 0 }, `seed ${seed}`);
  }
});
