// What is to be better than in psycopg_pool, with the figures that were measured there: those items that need no server.

import assert from 'node:assert/strict';
import * as oxbow from '../../../src/doors/index.ts';
import { Pool, type PoolOptions } from '../../../src/doors/index.ts';
import { NullPool } from '../../../src/doors/null.ts';
import { type Script, type ScriptedCall, scriptedError } from '../../../src/testing/scripted-driver.ts';
import { errorOf } from '../../kit/rig.ts';
import { prove } from './proofs.ts';
import { Stage, slowOpen } from './stage.ts';

const REFUSED = scriptedError('ECONNREFUSED', 'connect ECONNREFUSED');

const hangs =
  (hanging: ScriptedCall): Script =>
  (call) =>
    call === hanging ? { never: true } : undefined;

prove('better', {
  'better 3': async (t) => {
    const stage = new Stage(t, { max: 1, maxWaiting: 2 });
    const lease = await stage.get();
    const abort = new AbortController();
    const timedOut = stage.ask({ acquireTimeoutMs: 100 });
    const aborted = stage.ask({ signal: abort.signal });
    await stage.clock.advance(100);
    assert.equal(errorOf(timedOut).kind, 'POOL_TIMEOUT');
    assert.equal(stage.gauges().waiting, 1);
    abort.abort(new Error('gone'));
    assert.equal(stage.gauges().waiting, 0, 'in that very turn');
    await stage.clock.settle();
    assert.equal(errorOf(aborted).message, 'gone');
    // There two dead ones filled a queue of two for good.
    const living = [stage.ask(), stage.ask()];
    const third = stage.ask();
    await stage.clock.settle();
    assert.equal(errorOf(third).kind, 'POOL_QUEUE_FULL');
    assert.equal(stage.gauges().waiting, 2);
    lease.release();
    await stage.clock.settle();
    living[0]?.value?.release();
    await stage.clock.settle();
    assert.ok(living[1]?.value);
  },

  'better 4': async (t) => {
    for (const silent of [true, false]) {
      const stage = new Stage(t, { min: 20, max: 20, connectConcurrency: 20 });
      await stage.open();
      const old = stage.driver.alive;
      // A restart: every connection is dead. Either the sockets say so, or nobody knows until it is asked.
      if (silent) {
        stage.driver.script = (call, session) =>
          session !== undefined && old.includes(session) && call === 'ping'
            ? { fail: scriptedError('57P01') }
            : undefined;
        await stage.clock.advance(5_000);
      } else {
        for (const session of old) session.kill();
      }
      const from = stage.now;
      const asked = stage.ask({ acquireTimeoutMs: 5_000 });
      await stage.clock.advance(5_000);
      assert.ok(asked.value, 'there six dead ones were too many for 30 s');
      assert.equal(asked.at, from, 'served without a back-off');
      assert.ok(!old.includes(stage.session(asked.value)));
      assert.deepEqual(
        old.map((session) => session.alive),
        old.map(() => false),
      );
      assert.equal(stage.gauges().size, 20);
    }
  },

  'better 5': async (t) => {
    const stage = new Stage(t, { max: 1, check: 'never', maxLifetimeMs: 10_000, idleTimeoutMs: false });
    const first = await stage.get();
    const old = stage.session(first);
    first.release();
    // The loop is blocked, so that no sweep can have looked at it.
    stage.clock.block(10_000);
    assert.equal(stage.pool.tryAcquire(), undefined);
    const second = await stage.get(10);
    const young = stage.session(second);
    assert.notEqual(young, old);
    second.release();
    young.kill();
    assert.deepEqual(stage.gauges(), { size: 1, idle: 0, lent: 0, waiting: 0 }, 'in the turn of its death');
    assert.equal(stage.pool.tryAcquire(), undefined);
    await stage.clock.settle();
    assert.equal(stage.driver.count('ping'), 0, 'without a round trip');
    assert.equal(stage.pool.stats().connectionsLost, 1);
  },

  'better 7': async (t) => {
    const bounded: [string, Script, PoolOptions, (stage: Stage) => Promise<void>][] = [
      ['a connect', hangs('open'), { connectTimeoutMs: 500 }, async () => {}],
      [
        'a liveness check',
        hangs('ping'),
        {},
        async (stage) => {
          (await stage.get(30)).release();
          await stage.clock.advance(5_000);
        },
      ],
      ["a user's check", () => undefined, { check: () => new Promise(() => {}), checkTimeoutMs: 500 }, async () => {}],
      [
        'a reset',
        () => undefined,
        { reset: () => new Promise(() => {}), returnTimeoutMs: 500 },
        async (stage) => (await stage.get(30)).release(),
      ],
      [
        'a rollback',
        hangs('rollback'),
        { returnTimeoutMs: 500 },
        async (stage) => {
          const lease = await stage.get(30);
          stage.session(lease).status = 'transaction';
          lease.release();
        },
      ],
    ];
    for (const [what, script, options, before] of bounded) {
      const stage = new Stage(t, { max: 3, connectConcurrency: 1, script, ...options });
      const healthy = what === 'a connect' || what === "a user's check" ? undefined : await stage.get();
      await before(stage);
      const asked = stage.ask();
      await stage.clock.settle();
      // What is well is lent meanwhile: there one worker that hung kept everything.
      if (healthy !== undefined) {
        healthy.release();
        await stage.clock.advance(30);
        assert.ok(asked.value, `${what} that hangs holds up nobody`);
      }
      await stage.clock.advance(600);
      const from = stage.now;
      const closed = stage.watch(stage.pool.close({ drainMs: 0, cancelMs: 0 }));
      await stage.clock.advance(10_000);
      assert.ok(closed.value, `close() ends although ${what} hangs`);
      assert.ok((closed.at ?? Infinity) - from <= 10, `${what}: ${(closed.at ?? 0) - from} ms`);
    }
    // Bounded: the slot of a hung connect, and of a hung return, is free again.
    let hanging = true;
    const stage = new Stage(t, {
      max: 1,
      connectTimeoutMs: 500,
      returnTimeoutMs: 500,
      script: (call) => (hanging && (call === 'open' || call === 'rollback') ? { never: true } : undefined),
    });
    const first = stage.ask();
    await stage.clock.advance(100);
    hanging = false;
    await stage.clock.advance(500);
    assert.ok(first.value, 'the next attempt follows the bound');
    hanging = true;
    stage.session(first.value).status = 'transaction';
    first.value.release();
    const second = stage.ask();
    await stage.clock.advance(100);
    hanging = false;
    await stage.clock.advance(400);
    assert.ok(second.value);
    second.value.release();
  },

  'better 8': async (t) => {
    const stage = new Stage(t, { max: 3, maxLifetimeMs: 60_000, idlePingMs: 10_000 });
    const quick = await stage.get();
    const slow = await stage.get(30, { label: 'forgetful' });
    stage.driver.script = hangs('open');
    const waiters = [stage.ask(), stage.ask()];
    await stage.clock.advance(50);
    assert.equal(stage.pool.snapshot().opening, 1, 'a connect hangs');
    const from = stage.now;
    const closed = stage.watch(stage.pool.close({ drainMs: 1_000, cancelMs: 100 }));
    assert.equal(stage.pool.close(), stage.pool.close(), 'concurrent calls are one');
    await stage.clock.settle();
    // There a waiter learnt of it last, after 5 s.
    for (const waiter of waiters) assert.deepEqual([errorOf(waiter).kind, waiter.at], ['POOL_CLOSED', from]);
    await stage.clock.advance(500);
    assert.equal(closed.at, undefined, 'lent ones have their time');
    quick.release();
    await stage.clock.advance(600);
    assert.equal(closed.at, from + 1_100);
    const report = closed.value;
    assert.ok(report);
    assert.deepEqual([report.closed, report.destroyed, report.rejected], [1, 2, 2]);
    assert.deepEqual(
      report.stillHeld.map(({ label }) => label),
      ['forgetful'],
    );
    assert.equal(slow.signal.aborted, true);
    assert.deepEqual([stage.clock.pendingTimers, stage.driver.sockets], [0, 0]);
    slow.release();
  },

  'better 9': async (t) => {
    const stage = new Stage(t, {
      min: 2,
      max: 6,
      idleTimeoutMs: false,
      script: (call) => (call === 'end' ? { afterMs: 500 } : undefined),
    });
    await stage.open();
    const all = Promise.all(Array.from({ length: 6 }, () => stage.work(200)));
    await stage.clock.advance(1_000);
    await all;
    assert.equal(stage.gauges().size, 6);
    // There this made ten of six, and one never fewer again.
    stage.pool.resize({ min: 6, max: 6 });
    await stage.clock.advance(1_000);
    assert.equal(stage.gauges().size, 6);
    stage.pool.resize({ min: 1, max: 1 });
    await stage.clock.settle();
    assert.deepEqual([stage.gauges().idle, stage.pool.snapshot().closing], [1, 5]);
    stage.pool.resize({ min: 6, max: 6 });
    await stage.clock.advance(400);
    assert.equal(stage.driver.sockets, 6, 'what is being closed still counts');
    await stage.clock.advance(600);
    assert.deepEqual([stage.gauges().idle, stage.driver.peakSockets], [6, 6]);
  },

  'better 10': async (t) => {
    const stage = new Stage(t, { max: 10, connectConcurrency: 4, script: slowOpen(200) });
    const asked = Array.from({ length: 10 }, () => stage.ask());
    let most = 0;
    stage.pool.observe({
      opening: () => {
        most = Math.max(most, stage.pool.snapshot().opening);
      },
    });
    await stage.clock.advance(2_000);
    // There the last one waited 2.08 s.
    assert.deepEqual(
      asked.map(({ at }) => at),
      [200, 200, 200, 200, 400, 400, 400, 400, 600, 600],
    );
    assert.equal(most, 4);
    for (const { value } of asked) value?.release();
    const connects = stage.driver.count('open');
    const spike = Promise.all(Array.from({ length: 50 }, () => stage.work(2)));
    await stage.clock.advance(1_000);
    await spike;
    assert.equal(stage.driver.count('open'), connects);
  },

  'better 11': async (t) => {
    let broken = false;
    const stage = new Stage(t, {
      min: 2,
      max: 2,
      script: (call) => (call === 'open' && broken ? { fail: REFUSED } : undefined),
    });
    await stage.open();
    const leases = [await stage.get(), await stage.get()];
    const ready = [0, 1, 2].map(() => stage.watch(stage.pool.ready({ timeoutMs: 10 })));
    await stage.clock.settle();
    assert.ok(
      ready.every(({ value }) => value === stage.pool),
      'with everything lent, by three at once',
    );
    broken = true;
    leases[0]?.release(true);
    const late = [0, 1].map(() => stage.watch(stage.pool.ready({ timeoutMs: 100 })));
    await stage.clock.advance(100);
    for (const one of late) assert.equal(errorOf(one).kind, 'POOL_TIMEOUT');
    assert.equal(stage.pool.phase, 'open', 'there the pool was closed by it');
    assert.deepEqual((await leases[1]?.query('still at work'))?.rows, [{ text: 'still at work' }]);
    leases[1]?.release();
    (await stage.get()).release();
  },

  'better 12': async (t) => {
    let fault: Error | undefined;
    let calls = 0;
    const stage = new Stage(t, {
      min: 3,
      max: 3,
      reconnectTimeoutMs: 1_000,
      onReconnectFailed: () => (calls += 1),
      script: (call) => (call === 'open' && fault !== undefined ? { fail: fault } : undefined),
    });
    await stage.open();
    for (let outage = 1; outage <= 2; outage += 1) {
      fault = REFUSED;
      for (const session of stage.driver.alive) session.kill();
      await stage.clock.advance(60_000);
      assert.deepEqual([calls, stage.gauges().size], [outage, 0], 'there once per connection');
      fault = undefined;
      await stage.clock.advance(12_000);
      assert.equal(stage.gauges().idle, 3, 'there nothing came back without a borrower');
    }
    fault = scriptedError('28P01', 'password authentication failed');
    for (const session of stage.driver.alive) session.kill();
    await stage.clock.settle();
    const asked = stage.ask();
    await stage.clock.advance(1_000);
    assert.equal(errorOf(asked).kind, 'POOL_CONNECT_FAILED');
    assert.deepEqual([errorOf(asked).code, errorOf(asked).transient], ['28P01', false]);
  },

  'better 13': async (t) => {
    const stage = new Stage(t, { Kind: NullPool, script: slowOpen(200) });
    const work = Array.from({ length: 5 }, () => stage.work(1));
    await stage.clock.advance(2_000);
    // There the connects went one after the other, until 1.05 s.
    assert.deepEqual(await Promise.all(work), [201, 201, 201, 201, 201]);
    const deaf = new Stage(t, { Kind: NullPool, script: hangs('open') });
    const asked = [0, 1, 2].map(() => deaf.ask({ acquireTimeoutMs: 500 }));
    await deaf.clock.advance(10_000);
    // There after 2.0, 4.1 and 6.1 s.
    assert.deepEqual(
      asked.map((one) => [errorOf(one).kind, one.at]),
      [0, 1, 2].map(() => ['POOL_TIMEOUT', 500]),
    );
  },

  'better 16': async (t) => {
    const numbers = ['min', 'max', 'acquireTimeoutMs', 'connectTimeoutMs', 'idleTimeoutMs', 'maxLifetimeMs', 'maxUses'];
    const more = ['maxWaiting', 'checkAfterIdleMs', 'checkTimeoutMs', 'returnTimeoutMs', 'idlePingMs'];
    for (const option of [...numbers, ...more, 'connectConcurrency', 'reconnectTimeoutMs', 'queryTimeoutMs']) {
      for (const value of [-1, Number.NaN, 'soon', {}]) {
        assert.throws(
          () => new Pool({ [option]: value }),
          (error: Error) =>
            error instanceof oxbow.OptionError && error.kind === 'INVALID_OPTION' && error.option === option,
          `${option}: ${String(value)}`,
        );
      }
    }
    for (const option of ['check', 'reset', 'configure', 'onReconnectFailed', 'logger', 'name', 'connection']) {
      assert.throws(() => new Pool({ [option]: 7 }), { kind: 'INVALID_OPTION', option }, option);
    }
    assert.throws(() => new Pool({ maxWating: 3 } as PoolOptions), { message: /did you mean "maxWaiting"/ });

    const errors = Object.entries(oxbow).filter(([name]) => name.endsWith('Error') && name !== 'isOxbowError');
    assert.ok(errors.length >= 10, `${errors.length} error classes`);
    for (const [name, type] of errors) {
      assert.ok(
        type === oxbow.OxbowError || type.prototype instanceof oxbow.OxbowError,
        `${name} has a kind and a code`,
      );
    }
    const stage = new Stage(t, { min: 1, max: 1, acquireTimeoutMs: 100 });
    await stage.open();
    const lease = await stage.get();
    const refused = stage.ask();
    await stage.clock.advance(100);
    assert.equal(errorOf(refused).code, 'POOL_TIMEOUT');
    lease.release();
    const stats = stage.pool.stats();
    const { size, opening, idle, lent, returning, closing } = stats;
    assert.equal(size, opening + idle + lent + returning + closing);
    assert.deepEqual([stats.requests, stats.requestsFailed.timeout, stats.returns, stats.connects], [2, 1, 1, 1]);
    for (const distribution of [stats.waitMs, stats.useMs, stats.connectMs]) {
      assert.deepEqual(Object.keys(distribution), ['count', 'mean', 'p50', 'p95', 'p99', 'max']);
      assert.equal(distribution.count, 1);
    }
    assert.equal(stats.useMs.max, 100);
  },
});
