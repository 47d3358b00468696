// How a pool is sized, filled, grown, shrunk and refilled: those lines of psycopg_pool's normal pool that need no server.

import assert from 'node:assert/strict';
import { createEngine } from '../../../src/doors/core.ts';
import { Pool, type PoolOptions } from '../../../src/doors/index.ts';
import {
  type Behaviour,
  ScriptedDriver,
  type ScriptedSession,
  scriptedError,
} from '../../../src/testing/scripted-driver.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { errorOf } from '../../kit/rig.ts';
import { prove } from './proofs.ts';
import { type Scope, Stage, type StageOptions, slowOpen } from './stage.ts';

const REFUSED = scriptedError('ECONNREFUSED', 'connect ECONNREFUSED');

/** A stage whose server can be stopped: connections die, new ones are refused. */
function withServer(t: Scope, options: StageOptions = {}): { stage: Stage; stop(): void; start(): void } {
  let down = false;
  const connect: Behaviour = { afterMs: 20 };
  const stage = new Stage(t, {
    script: (call) => (call !== 'open' ? undefined : down ? { fail: REFUSED } : connect),
    ...options,
  });
  return {
    stage,
    stop: () => {
      down = true;
      for (const session of stage.driver.alive) session.kill();
    },
    start: () => {
      down = false;
    },
  };
}

prove('filling', {
  '3.1 default_sizes': (t) => {
    const { min, max } = new Stage(t).pool.snapshot();
    assert.deepEqual([min, max], [0, 10]);
  },

  '3.1 min_size_max_size': (t) => {
    const sizes = (options: PoolOptions): number[] => {
      const { pool } = new Stage(t, options);
      return [pool.snapshot().min, pool.snapshot().max, Number(pool.options.min), Number(pool.options.max)];
    };
    assert.deepEqual(sizes({ min: 2 }), [2, 10, 2, 10]);
    assert.deepEqual(sizes({ min: 12 }), [12, 12, 12, 12]);
    assert.deepEqual(sizes({ min: 0, max: 2 }), [0, 2, 0, 2]);
    assert.deepEqual(sizes({ min: 2, max: 4 }), [2, 4, 2, 4]);
  },

  '3.1 bad_size': (t) => {
    for (const [options, option] of [
      [{ min: 0, max: 0 }, 'max'],
      [{ min: -1 }, 'min'],
      [{ min: 4, max: 2 }, 'min'],
    ] as const) {
      assert.throws(
        () => new Pool(options),
        (error: Error) => error.name === 'OptionError' && Reflect.get(error, 'option') === option,
        JSON.stringify(options),
      );
    }
    assert.equal(new Stage(t, { min: 0 }).pool.snapshot().max, 10);
  },

  '3.1 generic_connection_type': async (t) => {
    const clock = new VirtualClock();
    const configured: ScriptedSession[] = [];
    const engine = createEngine({
      driver: new ScriptedDriver(clock),
      clock,
      configure: (session: ScriptedSession) => configured.push(session),
    });
    const lease = await engine.acquire();
    // Without a cast: the compiler knows what the driver opens.
    const session: ScriptedSession = lease.session;
    assert.deepEqual(configured, [session]);
    lease.release();
    const closed = engine.close({ drainMs: 0, cancelMs: 0, waiting: 'reject' });
    await clock.advance(1_000);
    assert.equal((await closed).closed, 1);
    const stage = new Stage(t);
    const { rows } = await stage.pool.query<{ text: string }>('the row type is that of the query');
    const text: string | undefined = rows[0]?.text;
    assert.equal(text, 'the row type is that of the query');
  },

  '3.1 concurrent_filling': async (t) => {
    const stage = new Stage(t, { min: 5, connectConcurrency: 2, script: slowOpen(100) });
    const arrivals: number[] = [];
    stage.pool.observe({ opened: () => arrivals.push(stage.now) });
    await stage.open(1_000);
    assert.deepEqual(arrivals, [100, 100, 200, 200, 300]);
  },

  '3.1 wait_ready': async (t) => {
    const cases = [
      { connectConcurrency: 1, timeoutMs: 300, inTime: false },
      { connectConcurrency: 1, timeoutMs: 500, inTime: true },
      { connectConcurrency: 2, timeoutMs: 300, inTime: true },
    ];
    for (const { connectConcurrency, timeoutMs, inTime } of cases) {
      const stage = new Stage(t, { min: 4, max: 4, connectConcurrency, script: slowOpen(100) });
      const ready = stage.watch(stage.pool.ready({ timeoutMs }));
      await stage.clock.advance(timeoutMs);
      if (inTime) {
        assert.equal(ready.value, stage.pool);
        const again = stage.watch(stage.pool.ready({ timeoutMs: 1 }));
        await stage.clock.settle();
        assert.equal(again.value, stage.pool, 'at once');
      } else {
        assert.equal(errorOf(ready).kind, 'POOL_TIMEOUT');
        assert.equal(ready.at, timeoutMs);
      }
    }
  },

  '3.1 open_wait': async (t) => {
    const stage = new Stage(t, { min: 4, max: 4, connectConcurrency: 1, script: slowOpen(100) });
    const late = stage.watch(stage.pool.open({ timeoutMs: 300 }));
    await stage.clock.advance(300);
    assert.equal(errorOf(late).kind, 'POOL_TIMEOUT');
    const from = stage.now;
    const opened = stage.watch(stage.pool.open({ timeoutMs: 500 }));
    await stage.clock.advance(500);
    assert.equal(opened.value, stage.pool);
    assert.ok((opened.at ?? 0) - from >= 400);
  },

  '3.1 open_as_wait': async (t) => {
    const stage = new Stage(t, { min: 4, max: 4, connectConcurrency: 1, script: slowOpen(100) });
    await stage.pool.open({ wait: false });
    const late = stage.watch(stage.pool.ready({ timeoutMs: 300 }));
    await stage.clock.advance(300);
    assert.equal(errorOf(late).kind, 'POOL_TIMEOUT');
    assert.equal(stage.pool.phase, 'open', 'nobody else is turned out');
    const inTime = stage.watch(stage.pool.ready({ timeoutMs: 200 }));
    await stage.clock.advance(200);
    assert.equal(inTime.value, stage.pool);
    assert.equal(inTime.at, 400);
  },

  '3.1 grow': async (t) => {
    const ends = async (min: number): Promise<number[]> => {
      const stage = new Stage(t, { min, max: 4, script: slowOpen(100) });
      if (min > 0) await stage.open(1_000);
      const from = stage.now;
      const all = Promise.all(Array.from({ length: 8 }, () => stage.work(250)));
      await stage.clock.advance(2_000);
      return (await all).map((at) => at - from).sort((a, b) => a - b);
    };
    // From two: the hold-off of 25 ms, then both at once. Theirs ends at 700, from none at 850.
    assert.deepEqual(await ends(2), [250, 250, 375, 375, 500, 500, 625, 625]);
    // From none: three connects at once, the fourth when one of them is done.
    assert.deepEqual(await ends(0), [350, 350, 350, 450, 600, 600, 600, 700]);
  },

  '3.1 shrink': async (t) => {
    const stage = new Stage(t, { min: 2, max: 4, idleTimeoutMs: 200, script: slowOpen(10) });
    await stage.open(100);
    const burst = Promise.all(Array.from({ length: 4 }, () => stage.work(100)));
    await stage.clock.advance(100);
    await stage.clock.advance(100);
    await burst;
    assert.equal(stage.gauges().idle, 4);
    const sizes: number[] = [];
    for (let n = 0; n < 5; n += 1) {
      sizes.push(stage.gauges().size);
      await stage.clock.advance(210);
    }
    assert.deepEqual(sizes, [4, 2, 2, 2, 2]);
    assert.deepEqual(stage.pool.stats().retired, { idle: 2 });
  },

  '3.1 reconnect': async (t) => {
    const { stage, stop, start } = withServer(t, { min: 1, max: 1 });
    const retries: { attempt: number; inMs: number }[] = [];
    stage.pool.observe({ openFailed: ({ attempt, retryInMs = 0 }) => retries.push({ attempt, inMs: retryInMs }) });
    await stage.open(100);
    const lease = await stage.get();
    stop();
    await assert.rejects(lease.query('SELECT 1'), { kind: 'CONNECTION_LOST' });
    lease.release();
    assert.equal(stage.gauges().idle, 0, 'discarded at once');
    await stage.clock.advance(4_000);
    assert.ok(retries.length >= 3, `${retries.length} retries`);
    for (const { attempt, inMs } of retries) assert.ok(inMs <= Math.min(10_000, 50 * 2 ** attempt), `${inMs}`);
    assert.deepEqual(
      retries.map(({ attempt }) => attempt),
      retries.map((_, n) => n + 1),
      'one prober',
    );
    start();
    await stage.clock.advance(10_100);
    assert.equal(stage.gauges().idle, 1);
    (await stage.get()).release();
  },

  '3.1 reconnect_failure': async (t) => {
    for (const manner of ['sync', 'async', 'throwing'] as const) {
      const calls: { pool: Pool; code: unknown; at: number }[] = [];
      const { stage, stop, start } = withServer(t, {
        min: 3,
        max: 4,
        reconnectTimeoutMs: 2_000,
        onReconnectFailed: (pool, error) => {
          calls.push({ pool, code: Reflect.get(error, 'code'), at: stage.now });
          if (manner === 'throwing') throw new Error('the callback is broken');
          return manner === 'async' ? Promise.resolve() : undefined;
        },
      });
      await stage.open(100);
      stop();
      await stage.clock.advance(60_000);
      assert.equal(calls.length, 1, 'one outage, one call');
      assert.equal(calls[0]?.pool, stage.pool);
      assert.equal(calls[0]?.code, 'ECONNREFUSED');
      assert.equal(calls[0]?.at, 2_100);
      assert.equal(stage.gauges().size, 0);
      start();
      await stage.get(10_000);
      assert.equal(calls.length, 1);
    }
  },

  '3.1 reconnect_after_grow_failed': async (t) => {
    const { stage, stop, start } = withServer(t, { min: 4, max: 6, reconnectTimeoutMs: 1_000 });
    await stage.open(100);
    stop();
    await stage.clock.advance(1_500);
    const client = stage.ask({ acquireTimeoutMs: 1_500 });
    await stage.clock.advance(1_500);
    assert.equal(errorOf(client).kind, 'POOL_TIMEOUT');
    assert.equal(errorOf(client).cause, REFUSED);
    await stage.clock.advance(5_000);
    start();
    const lease = await stage.get(12_000);
    assert.deepEqual(stage.gauges(), { size: 4, idle: 3, lent: 1, waiting: 0 });
    lease.release();
  },

  '3.1 refill_on_check': async (t) => {
    const { stage, stop, start } = withServer(t, { min: 4, max: 4, reconnectTimeoutMs: 1_000 });
    await stage.open(100);
    stop();
    await stage.clock.advance(5_000);
    assert.equal(stage.gauges().size, 0);
    start();
    await stage.clock.advance(12_000);
    assert.deepEqual(stage.gauges(), { size: 4, idle: 4, lent: 0, waiting: 0 });
  },

  '3.1 resize': async (t) => {
    const stage = new Stage(t, { min: 2, max: 2, script: slowOpen(10) });
    await stage.open(100);
    const idle: number[] = [stage.gauges().idle];
    const work = [stage.work(100), stage.work(100)];
    await stage.clock.advance(50);
    idle.push(stage.gauges().idle);
    stage.pool.resize({ min: 4, max: 4 });
    await stage.clock.advance(30);
    idle.push(stage.gauges().idle);
    await stage.clock.advance(50);
    await Promise.all(work);
    idle.push(stage.gauges().idle);
    assert.deepEqual([stage.pool.options.min, stage.pool.options.max], [4, 4]);
    stage.pool.resize({ min: 2, max: 2 });
    await stage.clock.settle();
    idle.push(stage.gauges().idle);
    assert.deepEqual(idle, [2, 0, 2, 4, 2]);
    assert.deepEqual([stage.pool.snapshot().min, stage.pool.snapshot().max], [2, 2]);
    assert.equal(stage.driver.sockets, 2);
  },

  '3.1 bad_resize': async (t) => {
    const stage = new Stage(t, { min: 1, max: 3 });
    await stage.open();
    for (const sizes of [{ min: 0, max: 0 }, { min: -1 }, { min: 4, max: 2 }]) {
      assert.throws(() => stage.pool.resize(sizes), { name: 'OptionError', kind: 'INVALID_OPTION' });
    }
    assert.deepEqual([stage.pool.snapshot().min, stage.pool.snapshot().max], [1, 3]);
  },

  '3.1 stats_connect': async (t) => {
    const { stage, stop } = withServer(t, { min: 3, max: 3 });
    stage.driver.script = slowOpen(200);
    await stage.open(300);
    const { connects, connectsFailed, connectionsLost, connectMs } = stage.pool.stats();
    assert.deepEqual([connects, connectsFailed, connectionsLost], [3, 0, 0]);
    assert.deepEqual([connectMs.count, connectMs.mean, connectMs.max], [3, 200, 200]);
    stage.driver.script = (call) => (call === 'open' ? { fail: REFUSED } : undefined);
    stop();
    await stage.clock.advance(1_000);
    const after = stage.pool.stats();
    assert.equal(after.connectionsLost, 3);
    assert.ok(after.connectsFailed >= 2);
    assert.equal(after.connects, 3 + after.connectsFailed);
    assert.equal(after.connectMs.count, 3, 'failures have no time among the successes');
  },

  '3.1 spike': async (t) => {
    const stage = new Stage(t, { min: 5, max: 10, script: slowOpen(150) });
    await stage.open(310);
    const all = Promise.all(Array.from({ length: 50 }, () => stage.work(2)));
    await stage.clock.advance(1_000);
    await all;
    assert.ok(stage.gauges().size < 7, `${stage.gauges().size} connections`);
    assert.ok(stage.driver.peakSockets < 7, `${stage.driver.peakSockets} sockets at most`);
  },

  '3.1 debug_deadlock': async (t) => {
    const stage = new Stage(t, { min: 4, max: 4, script: slowOpen(10) });
    const seen: string[] = [];
    stage.pool.observe({
      phase: () => seen.push('phase'),
      opening: () => seen.push(`opening ${stage.pool.snapshot().size}`),
      opened: () => seen.push(`opened ${stage.pool.stats().connects}`),
      report: () => seen.push('report'),
    });
    await stage.open(100);
    assert.deepEqual(stage.gauges(), { size: 4, idle: 4, lent: 0, waiting: 0 });
    assert.equal(seen.length, 10, 'two phases, four times opening and opened');
  },

  '3.1 get_config_raise_exception': async (t) => {
    const clock = new VirtualClock();
    const asked: number[] = [];
    const said: string[] = [];
    const note = (about: object, message: string): void => {
      // Each attempt is told as well; a report has a code.
      if (Reflect.has(about, 'code')) said.push(message);
    };
    const mistake = new Error('no such secret');
    const pool = new Pool({
      min: 4,
      clock,
      logger: { debug: note, info: note, warn: note, error: note },
      connection: () => {
        asked.push(clock.now());
        return Promise.reject(mistake);
      },
    });
    t.after(() => pool.close());
    const opened = pool.open({ timeoutMs: 3_000 }).catch((error: unknown) => error);
    await clock.advance(3_000);
    const error = await opened;
    assert.ok(error instanceof Error && error.name === 'PoolTimeoutError');
    assert.equal(error.cause, mistake);
    assert.ok(asked.length >= 4 && asked.length < 25, `${asked.length} attempts in three seconds`);
    assert.ok(said.length < 5, `${said.length} reports`);
  },
});
