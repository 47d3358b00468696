// psycopg_pool's null pool, which keeps nothing, against ours: those lines that need no server.

import assert from 'node:assert/strict';
import type { Lease, Pool } from '../../../src/doors/index.ts';
import { NullPool } from '../../../src/doors/null.ts';
import { type Script, scriptedError } from '../../../src/testing/scripted-driver.ts';
import { errorOf } from '../../kit/rig.ts';
import { prove } from './proofs.ts';
import { type Scope, Stage, type StageOptions, slowOpen } from './stage.ts';

function nullStage(t: Scope, options: StageOptions = {}): Stage {
  return new Stage(t, { Kind: NullPool, max: 1, ...options });
}

/** One lent with a waiter behind it, given back as `spoil` leaves it; what the waiter got. */
async function handOver(stage: Stage, spoil: (lease: Lease) => void): Promise<{ same: boolean; waitedMs: number }> {
  const lease = await stage.get(1_000);
  const first = stage.session(lease);
  const from = stage.now;
  const waiter = stage.ask();
  spoil(lease);
  lease.release();
  await stage.clock.advance(1_000);
  assert.ok(waiter.value, 'the waiter is served');
  const second = stage.session(waiter.value);
  assert.equal(second.status, 'idle');
  assert.equal(first === second, first.alive);
  return { same: first === second, waitedMs: (waiter.at ?? 0) - from };
}

const failingRollback: Script = (call) => (call === 'rollback' ? { fail: scriptedError('08006') } : undefined);

prove('null', {
  '3.3 default_sizes': (t) => {
    const { min, max } = new Stage(t, { Kind: NullPool }).pool.snapshot();
    assert.deepEqual([min, max], [0, 10]);
  },

  '3.3 min_size_max_size': (t) => {
    const { min, max } = nullStage(t, { min: 0, max: 2 }).pool.snapshot();
    assert.deepEqual([min, max], [0, 2]);
  },

  '3.3 bad_size': () => {
    for (const options of [{ min: 1 }, { min: -1 }, { min: 0, max: -2 }]) {
      assert.throws(() => new NullPool(options), { name: 'OptionError' }, JSON.stringify(options));
    }
  },

  '3.3 generic_connection_type': async (t) => {
    const stage = nullStage(t);
    const pool: Pool = new NullPool();
    assert.ok(pool instanceof NullPool);
    const { rows } = await stage.pool.use((lease) => lease.query<{ text: string }>('typed per query'));
    const text: string | undefined = rows[0]?.text;
    assert.equal(text, 'typed per query');
  },

  '3.3 wait_ready': async (t) => {
    for (const { timeoutMs, inTime } of [
      { timeoutMs: 100, inTime: false },
      { timeoutMs: 400, inTime: true },
    ]) {
      const stage = nullStage(t, { script: slowOpen(200) });
      const opened = stage.watch(stage.pool.open({ timeoutMs }));
      await stage.clock.advance(timeoutMs);
      if (inTime) assert.equal(opened.at, 200);
      else assert.equal(errorOf(opened).kind, 'POOL_TIMEOUT');
      await stage.clock.advance(100);
      assert.equal(stage.driver.sockets, 0, 'it was a proof and is gone');
    }
  },

  '3.3 configure': async (t) => {
    let configured = 0;
    const stage = nullStage(t, { configure: () => (configured += 1) });
    for (let n = 1; n <= 3; n += 1) {
      const lease = await stage.get();
      assert.equal(configured, n);
      lease.release();
      await stage.clock.settle();
    }
  },

  '3.3 reset': async (t) => {
    const reset: number[] = [];
    const stage: Stage = nullStage(t, { reset: (client) => reset.push(stage.session(client).pid) });
    const { same } = await handOver(stage, () => assert.deepEqual(reset, []));
    assert.equal(same, true);
    assert.deepEqual(reset, [1], 'before the waiter had it');
    assert.equal(stage.pool.stats().reset, 1);
    const alone: Stage = nullStage(t, { reset: (client) => reset.push(alone.session(client).pid) });
    (await alone.get()).release();
    await alone.clock.settle();
    assert.deepEqual(reset, [1, 1]);
    assert.equal(alone.driver.sockets, 0);
  },

  '3.3 reset_badstate': async (t) => {
    const stage: Stage = nullStage(t, {
      reset: (client) => {
        stage.session(client).status = 'transaction';
      },
    });
    const { same } = await handOver(stage, () => {});
    assert.equal(same, false);
    assert.deepEqual(stage.codes(), ['OXBOW_RESET_FAILED']);
    assert.match(stage.said[0]?.message ?? '', /transaction/);
  },

  '3.3 reset_broken': async (t) => {
    const stage = nullStage(t, { reset: () => Promise.reject(new Error('no such function')) });
    const { same } = await handOver(stage, () => {});
    assert.equal(same, false);
    assert.deepEqual(stage.codes(), ['OXBOW_RESET_FAILED']);
    assert.match(stage.said[0]?.message ?? '', /no such function/);
  },

  '3.3 no_queue_timeout': async (t) => {
    const stage = nullStage(t, {
      acquireTimeoutMs: 1_000,
      script: (call) => (call === 'open' ? { never: true } : undefined),
    });
    const asked = stage.ask();
    await stage.clock.advance(1_000);
    assert.equal(errorOf(asked).name, 'PoolTimeoutError');
    assert.equal(asked.at, 1_000);
  },

  '3.3 fail_rollback_close': async (t) => {
    const stage = nullStage(t, { script: failingRollback });
    const { same } = await handOver(stage, (lease) => {
      stage.session(lease).status = 'failed';
    });
    assert.equal(same, false);
    assert.deepEqual(stage.codes(), ['OXBOW_OPEN_TRANSACTION', 'OXBOW_RESET_FAILED']);
  },

  '3.3 closed_putconn': async (t) => {
    const stage = nullStage(t);
    const lease = await stage.get();
    const session = stage.session(lease);
    lease.release();
    await stage.clock.settle();
    assert.deepEqual([session.alive, session.calls], [false, ['end']]);
    assert.equal(stage.gauges().size, 0);
  },

  '3.3 bad_resize': (t) => {
    const stage = nullStage(t, { max: 2 });
    for (const sizes of [{ min: 1 }, { min: -1 }, { min: 0, max: -2 }, { max: 0 }]) {
      assert.throws(() => stage.pool.resize(sizes), { name: 'OptionError' }, JSON.stringify(sizes));
    }
    assert.deepEqual([stage.pool.snapshot().min, stage.pool.snapshot().max], [0, 2]);
    stage.pool.resize({ max: 3 });
    assert.equal(stage.pool.snapshot().max, 3);
  },

  '3.3 max_lifetime': async (t) => {
    const stage = nullStage(t, { maxLifetimeMs: 10_000 });
    const work = Array.from({ length: 3 }, async () => {
      const lease = await stage.pool.acquire();
      const { pid } = stage.session(lease);
      await stage.pass(6_000);
      lease.release();
      return pid;
    });
    const pids = Promise.all(work);
    await stage.clock.advance(20_000);
    // Between 7.5 and 10 s old: handed over at 6, replaced at 12.
    assert.deepEqual(await pids, [1, 1, 2]);
    assert.deepEqual(stage.pool.stats().retired, { lifetime: 1, idle: 1 });
  },

  '3.3 check': async (t) => {
    const stage = nullStage(t);
    (await stage.get()).release();
    await stage.clock.settle();
    assert.deepEqual(await stage.pool.check(), { tested: 0, kept: 0, replaced: 0, late: 0 });
    assert.equal(stage.driver.count('ping'), 0);
  },

  '3.3 stats_connect': async (t) => {
    const stage = nullStage(t, { script: slowOpen(200) });
    await stage.open(250);
    const { connects, connectsFailed, connectMs } = stage.pool.stats();
    assert.deepEqual([connects, connectsFailed, connectMs.count, connectMs.max], [1, 0, 1, 200]);
  },

  '3.3 cancellation_in_queue': async (t) => {
    const stage = nullStage(t, { max: 3 });
    const abort = new AbortController();
    const tasks = Array.from({ length: 9 }, () =>
      stage.watch(stage.pool.use(() => new Promise<never>(() => {}), { signal: abort.signal })),
    );
    await stage.clock.advance(100);
    assert.deepEqual(stage.gauges(), { size: 3, idle: 0, lent: 3, waiting: 6 });
    const reason = new Error('cancelled');
    abort.abort(reason);
    await stage.clock.advance(6_000);
    assert.ok(tasks.every(({ error }) => error === reason));
    assert.deepEqual(stage.gauges(), { size: 0, idle: 0, lent: 0, waiting: 0 });
    (await stage.get()).release();
  },

  '3.3 close_returns': async (t) => {
    const stage = nullStage(t);
    const lease = await stage.get();
    const session = stage.session(lease);
    await lease[Symbol.asyncDispose]();
    await stage.clock.settle();
    assert.equal(session.alive, false);
    const { same } = await handOver(stage, () => {});
    assert.equal(same, true);
  },
});
