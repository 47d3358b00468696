// What becomes of a connection between borrowers, and of borrowers who leave: those lines of psycopg_pool's normal pool that need
// no server.

import assert from 'node:assert/strict';
import { type ScriptedSession, scriptedError } from '../../../src/testing/scripted-driver.ts';
import { errorOf } from '../../kit/rig.ts';
import { prove } from './proofs.ts';
import { Stage } from './stage.ts';

prove('lending', {
  '3.1 connection_not_lost': async (t) => {
    const stage = new Stage(t, { min: 1, max: 1 });
    const sessions: ScriptedSession[] = [];
    const mistake = new Error('a mistake in the body');
    const broken = stage.pool.use((lease) => {
      sessions.push(stage.session(lease));
      throw mistake;
    });
    await assert.rejects(broken, mistake);
    await stage.pool.use((lease) => sessions.push(stage.session(lease)));
    assert.equal(sessions.length, 2);
    assert.equal(sessions[0], sessions[1]);
    assert.equal(stage.driver.count('open'), 1);
  },

  '3.1 reset_badstate': async (t) => {
    const stage: Stage = new Stage(t, {
      min: 1,
      max: 1,
      reset: (client) => {
        stage.session(client).status = 'transaction';
      },
    });
    const lease = await stage.get();
    const first = stage.session(lease);
    lease.release();
    const next = await stage.get(100);
    assert.notEqual(stage.session(next), first);
    assert.equal(first.alive, false);
    assert.deepEqual(stage.codes(), ['OXBOW_RESET_FAILED']);
    assert.match(stage.said[0]?.message ?? '', /reset left the connection in state "transaction"/);
    assert.deepEqual(stage.pool.stats().retired, { reset: 1 });
  },

  '3.1 reset_broken': async (t) => {
    const stage = new Stage(t, {
      min: 1,
      max: 1,
      reset: () => {
        throw new Error('no such function');
      },
    });
    const lease = await stage.get();
    const first = stage.session(lease);
    lease.release();
    const next = await stage.get(100);
    assert.notEqual(stage.session(next), first);
    assert.equal(first.alive, false);
    assert.deepEqual(stage.codes(), ['OXBOW_RESET_FAILED']);
    assert.match(stage.said[0]?.message ?? '', /no such function/);
  },

  '3.1 fail_rollback_close': async (t) => {
    const stage = new Stage(t, {
      min: 1,
      max: 1,
      script: (call) => (call === 'rollback' ? { fail: scriptedError('08006', 'the rollback went wrong') } : undefined),
    });
    const lease = await stage.get();
    const first = stage.session(lease);
    first.status = 'failed';
    lease.release();
    const next = await stage.get(100);
    assert.notEqual(stage.session(next), first);
    assert.equal(first.alive, false);
    assert.deepEqual(stage.codes(), ['OXBOW_OPEN_TRANSACTION', 'OXBOW_RESET_FAILED']);
    assert.match(stage.said[0]?.message ?? '', /a failed transaction/);
    assert.match(stage.said[1]?.message ?? '', /the rollback went wrong/);
    assert.equal(stage.pool.stats().returnsBad, 1);
  },

  '3.1 closed_putconn': async (t) => {
    const stage = new Stage(t, { min: 1, max: 1 });
    const lease = await stage.get();
    const session = stage.session(lease);
    lease.release();
    await stage.clock.advance(1_000);
    assert.deepEqual([session.alive, session.calls], [true, []]);
    assert.equal(stage.gauges().idle, 1);
  },

  '3.1 uniform_use': async (t) => {
    const stage = new Stage(t, { min: 4, max: 4 });
    await stage.open();
    const uses = new Map<ScriptedSession, number>();
    for (let n = 0; n < 8; n += 1) {
      const lease = await stage.get();
      const session = stage.session(lease);
      uses.set(session, (uses.get(session) ?? 0) + 1);
      await stage.clock.advance(10);
      lease.release();
    }
    assert.deepEqual([...uses.values()], [8]);
  },

  '3.1 max_lifetime': async (t) => {
    const stage = new Stage(t, { min: 1, max: 1, maxLifetimeMs: 1_000 });
    await stage.open();
    const young = await stage.get();
    const session = stage.session(young);
    await stage.clock.advance(740);
    young.release();
    const lease = await stage.get();
    assert.equal(stage.session(lease), session, 'not before');
    await stage.clock.advance(300);
    assert.equal(session.alive, true, 'nor while it is lent');
    lease.release();
    const next = await stage.get(10);
    assert.notEqual(stage.session(next), session);
    assert.deepEqual(stage.pool.stats().retired, { lifetime: 1 });
  },

  '3.1 check': async (t) => {
    const stage = new Stage(t, { min: 4, max: 4 });
    await stage.open();
    const before = stage.driver.alive;
    const dead = before[1];
    stage.driver.script = (call, session) =>
      call === 'ping' && session === dead ? { fail: scriptedError('57P01') } : undefined;
    const report = await stage.pool.check();
    assert.equal(report.replaced, 1);
    assert.equal(report.tested, report.replaced + report.kept + report.late);
    await stage.clock.advance(1_000);
    const kept = stage.driver.alive.filter((session) => before.includes(session));
    assert.deepEqual([kept.length, stage.gauges().idle], [3, 4]);
    assert.equal(stage.pool.stats().connectionsLost, 1);
  },

  '3.1 connect_check_timeout': async (t) => {
    let down = false;
    const stage = new Stage(t, {
      min: 1,
      max: 1,
      check: 'always',
      acquireTimeoutMs: 1_000,
      script: (call) => (call === 'open' && down ? { fail: scriptedError('ECONNREFUSED') } : undefined),
    });
    await stage.open();
    down = true;
    for (const session of stage.driver.alive) session.kill();
    const from = stage.now;
    const asked = stage.ask();
    await stage.clock.advance(1_100);
    assert.equal(errorOf(asked).kind, 'POOL_TIMEOUT');
    assert.equal(asked.at, from + 1_000);
    down = false;
    await stage.clock.advance(10_000);
    (await stage.get()).release();
  },

  '3.1 check_max_lifetime': async (t) => {
    const stage = new Stage(t, { min: 1, max: 1, maxLifetimeMs: 10_000 });
    await stage.open();
    const old = stage.driver.alive;
    await stage.clock.advance(10_100);
    assert.deepEqual([old.length, old[0]?.alive], [1, false]);
    assert.deepEqual(stage.gauges(), { size: 1, idle: 1, lent: 0, waiting: 0 });
    assert.equal(stage.pool.stats().requests, 0);
  },

  '3.1 stats_check': async (t) => {
    let refusals = 1;
    const stage = new Stage(t, {
      min: 1,
      max: 1,
      check: () => {
        refusals -= 1;
        if (refusals >= 0) throw new Error('not this one');
      },
    });
    await stage.open();
    await stage.get(100);
    const { retired, connectionsLost } = stage.pool.stats();
    assert.deepEqual([retired, connectionsLost], [{ check: 1 }, 0]);
    for (const session of stage.driver.alive) session.kill();
    assert.equal(stage.pool.stats().connectionsLost, 1);
  },

  '3.1 cancellation_in_queue': async (t) => {
    const stage = new Stage(t, { min: 3, max: 3 });
    await stage.open();
    const abort = new AbortController();
    const tasks = Array.from({ length: 9 }, () =>
      stage.watch(stage.pool.use(() => new Promise<never>(() => {}), { signal: abort.signal })),
    );
    await stage.clock.advance(100);
    assert.deepEqual(stage.gauges(), { size: 3, idle: 0, lent: 3, waiting: 6 });
    const reason = new Error('cancelled');
    abort.abort(reason);
    await stage.clock.settle();
    assert.deepEqual(stage.gauges(), { size: 3, idle: 3, lent: 0, waiting: 0 });
    await stage.clock.advance(6_000);
    assert.ok(tasks.every(({ error }) => error === reason));
    (await stage.get()).release();
    assert.equal(stage.driver.count('open'), 3);
  },

  '3.1 cancelled_waiter_assigned_conn_is_reclaimed': async (t) => {
    const stage = new Stage(t, { min: 1, max: 1 });
    const first = await stage.get();
    const session = stage.session(first);
    const early = new AbortController();
    const cancelled = stage.ask({ signal: early.signal });
    early.abort(new Error('too soon'));
    first.release();
    await stage.clock.settle();
    assert.equal(errorOf(cancelled).message, 'too soon');
    assert.equal(stage.gauges().idle, 1);
    assert.equal(stage.pool.stats().requestsFailed.aborted, 1);

    const second = await stage.get();
    const late = new AbortController();
    const served = stage.ask({ signal: late.signal });
    second.release();
    late.abort(new Error('too late'));
    await stage.clock.settle();
    assert.ok(served.value, 'handed over is handed over');
    const scoped = new AbortController();
    const used = stage.watch(stage.pool.use(() => 'done', { signal: scoped.signal }));
    served.value.release();
    scoped.abort(new Error('a little late'));
    await stage.clock.settle();
    assert.equal(errorOf(used).message, 'a little late');
    assert.deepEqual(stage.gauges(), { size: 1, idle: 1, lent: 0, waiting: 0 });
    assert.equal(stage.session(await stage.get()), session, 'the same connection all the time');
    assert.equal(stage.pool.stats().requestsFailed.aborted, 1);
  },

  '3.1 check_backoff': async (t) => {
    const asked: number[] = [];
    let refusing = true;
    const stage: Stage = new Stage(t, {
      min: 3,
      max: 3,
      acquireTimeoutMs: 5_000,
      check: () => {
        asked.push(stage.now);
        if (refusing) throw new Error('never good enough');
      },
    });
    await stage.open();
    const from = stage.now;
    const client = stage.ask();
    await stage.clock.advance(5_000);
    assert.equal(errorOf(client).kind, 'POOL_TIMEOUT');
    assert.equal(client.at, from + 5_000);
    assert.deepEqual(
      asked.slice(0, 3).map((at) => at - from),
      [0, 0, 0],
      'one pass over what was idle',
    );
    assert.ok(asked.length >= 6 && asked.length < 30, `${asked.length} checks in five seconds`);
    const half = asked.filter((at) => at - from < 500).length;
    assert.ok(half > asked.filter((at) => at - from >= 4_500).length, 'they become rarer');
    refusing = false;
    (await stage.get(10_000)).release();
  },

  '3.1 check_returns_an_ok_connection': async (t) => {
    for (const status of ['transaction', 'failed'] as const) {
      for (const throws of [true, false]) {
        let bad = true;
        const stage: Stage = new Stage(t, {
          min: 1,
          max: 1,
          check: (client) => {
            if (!bad) return;
            bad = false;
            stage.session(client).status = status;
            if (throws) throw new Error('a failing check');
          },
        });
        await stage.open();
        const [first] = stage.driver.alive;
        const lease = await stage.get(1_000);
        assert.notEqual(stage.session(lease), first);
        assert.equal(first?.alive, false);
        assert.equal(stage.session(lease).status, 'idle');
        lease.release();
      }
    }
  },

  '3.1 close_returns': async (t) => {
    const stage = new Stage(t, { min: 1, max: 1 });
    const lease = await stage.get();
    const session = stage.session(lease);
    await lease[Symbol.asyncDispose]();
    assert.deepEqual([session.alive, stage.gauges().idle], [true, 1]);
    const again = await stage.get();
    assert.equal(stage.session(again), session);
    again.release();
    await again[Symbol.asyncDispose]();
    const closed = stage.watch(stage.pool.close());
    await stage.clock.advance(100);
    assert.equal(closed.value?.closed, 1);
    assert.deepEqual([session.alive, session.calls], [false, ['end']]);
  },

  '3.1 close_returns_no_loop': async (t) => {
    const stage = new Stage(t, { min: 1, max: 1, maxLifetimeMs: 1_000 });
    await stage.open();
    const lease = await stage.get();
    await stage.clock.advance(1_100);
    assert.equal(stage.pool.expiredCount, 1);
    await lease[Symbol.asyncDispose]();
    await stage.clock.advance(100);
    assert.deepEqual([stage.driver.count('open'), stage.driver.sockets, stage.gauges().idle], [2, 1, 1]);
    assert.deepEqual(stage.pool.stats().retired, { lifetime: 1 });
  },
});
