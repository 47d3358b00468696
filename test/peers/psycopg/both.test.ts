// What psycopg_pool's suite asks of both its pools, asked of Pool and NullPool: those lines that need no server.

import assert from 'node:assert/strict';
import pg from 'pg';
import type { Pool } from '../../../src/doors/index.ts';
import { NullPool } from '../../../src/doors/null.ts';
import { scriptedError } from '../../../src/testing/scripted-driver.ts';
import { errorOf } from '../../kit/rig.ts';
import { prove } from './proofs.ts';
import { POOLS, type PoolClass, type Scope, Stage, type StageOptions, slowOpen } from './stage.ts';

const isNull = (Kind: PoolClass): boolean => Kind === NullPool;

/** The same for both pools. */
function both(
  proof: (stage: (options?: StageOptions) => Stage, Kind: PoolClass) => Promise<void>,
): (t: Scope) => Promise<void> {
  return async (t) => {
    for (const Kind of POOLS) await proof((options) => new Stage(t, { Kind, ...options }), Kind);
  };
}

prove('both', {
  '3.2 defaults': both(async (stage, Kind) => {
    const one = stage();
    const { connectionTimeoutMillis, idleTimeoutMillis, maxLifetimeSeconds } = one.pool.options;
    // pg's names, in which 0 would mean never: at once is 1 ms.
    assert.deepEqual(
      [connectionTimeoutMillis, idleTimeoutMillis, maxLifetimeSeconds],
      [30_000, isNull(Kind) ? 1 : 60_000, 3_600],
    );
    assert.deepEqual([one.pool.phase, one.driver.count('open')], ['created', 0]);
    one.driver.script = slowOpen(10);
    const asked = Array.from({ length: 10 }, () => one.ask());
    await one.clock.settle();
    assert.equal(one.pool.snapshot().opening, isNull(Kind) ? 10 : 3);
    await one.clock.advance(100);
    for (const { value } of asked) value?.release();
    // 30 s for a borrower, 60 s or nothing for an idle connection.
    await one.clock.advance(59_000);
    assert.equal(one.gauges().idle, isNull(Kind) ? 0 : 10);
    await one.clock.advance(1_100);
    assert.equal(one.gauges().size, 0);
  }),

  '3.2 context': both(async (stage) => {
    const { pool, clock } = stage();
    const inside = async (): Promise<string> => {
      await using scoped = await pool.open();
      return scoped.phase;
    };
    const done = inside();
    await clock.advance(100);
    assert.equal(await done, 'open');
    assert.equal(pool.phase, 'closed');
  }),

  '3.2 create_warning': both(async (stage) => {
    const implicit = stage({ dev: true });
    assert.deepEqual(implicit.codes(), []);
    assert.equal(implicit.driver.count('open'), 0);
    for (let n = 0; n < 2; n += 1) (await implicit.get()).release();
    assert.deepEqual(implicit.codes(), ['OXBOW_IMPLICIT_OPEN']);
    const explicit = stage({ dev: true });
    await explicit.open();
    (await explicit.get()).release();
    assert.deepEqual(explicit.codes(), []);
    const inProduction = stage({ dev: false });
    (await inProduction.get()).release();
    assert.deepEqual(inProduction.codes(), []);
  }),

  '3.2 wait_closed': both(async (stage) => {
    const { pool, clock } = stage();
    const closed = pool.close();
    await clock.advance(100);
    await closed;
    await assert.rejects(pool.ready(), { name: 'PoolClosedError', phase: 'closed' });
  }),

  '3.2 setup_no_timeout': both(async (stage) => {
    let down = true;
    const late = stage({ script: (call) => (call === 'open' ? { fail: scriptedError('ECONNREFUSED') } : undefined) });
    const opened = late.watch(late.pool.open({ timeoutMs: 200 }));
    await late.clock.advance(200);
    assert.equal(errorOf(opened).kind, 'POOL_TIMEOUT');
    assert.equal(opened.at, 200);
    const patient = stage({
      script: (call) => (call === 'open' && down ? { fail: scriptedError('ECONNREFUSED') } : undefined),
    });
    await patient.pool.open({ wait: false });
    const client = patient.ask();
    await patient.clock.advance(500);
    assert.deepEqual([patient.pool.phase, client.at], ['open', undefined]);
    down = false;
    await patient.clock.advance(1_000);
    assert.ok(client.value);
  }),

  '3.2 configure_badstate': both(async (stage) => {
    const one: Stage = stage({
      configure: (client) => {
        one.session(client).status = 'transaction';
      },
    });
    const opened = one.watch(one.pool.open({ timeoutMs: 500 }));
    const client = one.ask();
    await one.clock.advance(600);
    assert.equal(errorOf(opened).kind, 'POOL_TIMEOUT');
    assert.match(String(errorOf(opened).cause), /configure left the connection in state "transaction"/);
    assert.equal(client.value, undefined);
    assert.equal(one.pool.stats().returns, 0);
    assert.equal(one.driver.sockets, 0);
  }),

  '3.2 configure_broken': both(async (stage) => {
    const mistake = new Error('no such role');
    const one = stage({ configure: () => Promise.reject(mistake) });
    const opened = one.watch(one.pool.open({ timeoutMs: 500 }));
    const client = one.ask();
    await one.clock.advance(600);
    assert.equal(errorOf(opened).kind, 'POOL_TIMEOUT');
    assert.equal(errorOf(opened).cause, mistake);
    assert.match(errorOf(opened).message, /no such role/);
    assert.equal(client.value, undefined);
    assert.equal(one.driver.sockets, 0);
  }),

  '3.2 queue': both(async (stage) => {
    const one = stage({ max: 2 });
    const warm = await Promise.all([one.pool.acquire(), one.pool.acquire()]);
    const all = Promise.all(Array.from({ length: 6 }, () => one.work(200)));
    for (const lease of warm) lease.release();
    await one.clock.advance(1_000);
    assert.deepEqual(await all, [200, 200, 400, 400, 600, 600]);
    assert.equal(one.driver.sessions.length, 2, 'two backends served them all');
  }),

  '3.2 queue_size': both(async (stage) => {
    const one = stage({ max: 1, maxWaiting: 3, name: 'busy-one' });
    const work = [one.watch(one.work(100))];
    await one.clock.settle();
    for (let n = 0; n < 4; n += 1) work.push(one.watch(one.work(100)));
    await one.clock.advance(1_000);
    const errors = work.filter(({ error }) => error !== undefined);
    assert.equal(work.filter(({ value }) => value !== undefined).length, 4);
    assert.equal(errors.length, 1);
    const [refused] = errors;
    assert.ok(refused);
    assert.equal(errorOf(refused).name, 'QueueFullError');
    assert.match(errorOf(refused).message, /busy-one.*\b3\b/);
    assert.equal(refused.at, 0, 'at once');
    assert.deepEqual(one.pool.stats().requestsFailed, { 'queue-full': 1 });
  }),

  '3.2 queue_timeout': both(async (stage) => {
    const one = stage({ max: 2, acquireTimeoutMs: 100 });
    const work = Array.from({ length: 4 }, () => one.watch(one.work(200)));
    await one.clock.advance(1_000);
    const errors = work.filter(({ error }) => error !== undefined);
    assert.deepEqual(
      errors.map(({ at }) => at),
      [100, 100],
    );
    for (const refused of errors) assert.equal(errorOf(refused).name, 'PoolTimeoutError');
    assert.equal(work.filter(({ value }) => value === 200).length, 2);
  }),

  '3.2 dead_client': both(async (stage) => {
    const one = stage({ max: 2 });
    const waits = [400, 400, 100, 400, 400];
    const work = waits.map((acquireTimeoutMs) => one.watch(one.work(300, { acquireTimeoutMs })));
    await one.clock.advance(2_000);
    assert.deepEqual(
      work.map(({ error }) => error !== undefined),
      [false, false, true, false, false],
    );
    assert.equal(work[2]?.at, 100);
    assert.deepEqual([work[3]?.value, work[4]?.value], [600, 600]);
    assert.deepEqual([one.gauges().waiting, one.gauges().lent], [0, 0]);
  }),

  '3.2 queue_timeout_override': both(async (stage) => {
    const one = stage({ max: 1, acquireTimeoutMs: 100 });
    const work = [undefined, 50, 250, undefined].map((ms) =>
      one.watch(one.work(200, ms === undefined ? {} : { acquireTimeoutMs: ms })),
    );
    await one.clock.advance(1_000);
    assert.deepEqual(
      work.map(({ value, at }) => (value === undefined ? `refused at ${at}` : `done at ${value}`)),
      ['done at 200', 'refused at 50', 'done at 400', 'refused at 100'],
    );
  }),

  '3.2 close_no_tasks': both(async (stage) => {
    const one = stage({ maxLifetimeMs: 60_000, idlePingMs: 10_000 });
    await one.open();
    (await one.get()).release();
    one.ask({ acquireTimeoutMs: 5_000 });
    await one.clock.settle();
    const closed = one.watch(one.pool.close({ drainMs: 0, cancelMs: 0 }));
    await one.clock.settle();
    assert.ok(closed.value);
    assert.deepEqual([one.clock.pendingTimers, one.driver.sockets], [0, 0]);
  }),

  '3.2 putconn_no_pool': both(async (stage) => {
    assert.equal('release' in new pg.Client(), false);
    const one = stage({ max: 1 });
    const lease = await one.get();
    lease.release();
    const next = await one.get();
    assert.throws(() => lease.release(), { name: 'LeaseError', kind: 'LEASE_RELEASED' });
    assert.equal(one.gauges().lent, 1, 'the next holder has lost nothing');
    next.release();
  }),

  '3.2 putconn_wrong_pool': both(async (stage) => {
    const one = stage({ max: 1 });
    const other = stage({ max: 1 });
    const [mine, theirs] = [await one.get(), await other.get()];
    mine.release();
    await one.clock.settle();
    assert.deepEqual([one.gauges().lent, other.gauges().lent], [0, 1]);
    theirs.release();
    await other.clock.settle();
    assert.equal(other.gauges().lent, 0);
    assert.deepEqual([one.pool.stats().returns, other.pool.stats().returns], [1, 1]);
  }),

  '3.2 closed_getconn': both(async (stage) => {
    const { pool, clock } = stage();
    const opened = pool.open();
    await clock.settle();
    await opened;
    const closed = pool.close();
    await clock.settle();
    await closed;
    for (const asked of [pool.acquire(), pool.connect(), pool.use(() => 1), pool.query('SELECT 1')]) {
      await assert.rejects(asked, { name: 'PoolClosedError', phase: 'closed' });
    }
  }),

  '3.2 close_connection_on_pool_close': both(async (stage) => {
    const one = stage({ max: 1 });
    const lease = await one.get();
    const session = one.session(lease);
    const closed = one.watch(one.pool.close());
    await one.clock.advance(1_000);
    assert.deepEqual([session.alive, closed.at], [true, undefined]);
    lease.release();
    await one.clock.settle();
    assert.deepEqual([session.alive, session.calls], [false, ['end']]);
    assert.equal(closed.value?.closed, 1);
  }),

  '3.2 closed_queue': both(async (stage) => {
    const one = stage({ max: 1 });
    const lease = await one.get();
    const queued = one.ask();
    void one.pool.close();
    await one.clock.settle();
    assert.equal(errorOf(queued).name, 'PoolClosedError');
    await one.clock.advance(5_000);
    const { rows } = await lease.query('still at work');
    assert.deepEqual(rows, [{ text: 'still at work' }]);
    lease.release();
  }),

  '3.2 open_explicit': both(async (stage) => {
    const one = stage({ autoOpen: false });
    await assert.rejects(one.pool.acquire(), { name: 'PoolClosedError', message: /is not open yet/ });
    await one.open();
    (await one.get()).release();
    const closed = one.pool.close();
    await one.clock.settle();
    await closed;
    await assert.rejects(one.pool.acquire(), { name: 'PoolClosedError', message: /is closed/ });
    const easy = stage();
    (await easy.get()).release();
    assert.equal(easy.pool.phase, 'open');
  }),

  '3.2 open_context': both(async (stage) => {
    const one = stage();
    await one.open();
    const inside = async (pool: Pool): Promise<string> => {
      await using scoped = pool;
      return scoped.phase;
    };
    const done = inside(one.pool);
    await one.clock.advance(100);
    assert.deepEqual([await done, one.pool.phase], ['open', 'closed']);
  }),

  '3.2 open_no_op': both(async (stage) => {
    const one = stage({ max: 2 });
    await one.open();
    const { connects } = one.pool.stats();
    await one.open();
    assert.equal(one.pool.stats().connects, connects);
    (await one.get()).release();
  }),

  '3.2 reopen': both(async (stage) => {
    const one = stage();
    await one.open();
    const closed = one.pool.close();
    await one.clock.settle();
    await closed;
    await assert.rejects(one.pool.open(), { name: 'PoolClosedError', message: /cannot be used again/ });
  }),

  '3.2 jitter': async (t) => {
    const hour = 3_600_000;
    const ages: number[] = [];
    const stage = new Stage(t, {
      seed: 42,
      min: 100,
      max: 100,
      connectConcurrency: 100,
      maxLifetimeMs: hour,
      idleTimeoutMs: false,
      idlePingMs: false,
    });
    stage.pool.observe({ retired: ({ id }) => id <= 100 && ages.push(stage.now) });
    await stage.open();
    await stage.clock.advance(hour + 100);
    assert.equal(ages.length, 100);
    for (const age of ages) assert.ok(age >= 0.75 * hour && age <= hour + 10, `${age / hour} of the lifetime`);
    assert.ok(Math.max(...ages) - Math.min(...ages) > 0.2 * hour, 'and use that band');
  },

  '3.2 stats_measures': both(async (stage, Kind) => {
    const one = stage({ max: 4, ...(isNull(Kind) ? {} : { min: 2 }) });
    await one.open(10);
    assert.deepEqual(one.gauges(), { size: isNull(Kind) ? 0 : 2, idle: isNull(Kind) ? 0 : 2, lent: 0, waiting: 0 });
    const three = Promise.all(Array.from({ length: 3 }, () => one.work(400)));
    await one.clock.advance(100);
    assert.deepEqual(one.gauges(), { size: 3, idle: 0, lent: 3, waiting: 0 });
    const four = Promise.all(Array.from({ length: 4 }, () => one.work(400)));
    await one.clock.advance(100);
    assert.deepEqual(one.gauges(), { size: 4, idle: 0, lent: 4, waiting: 3 });
    const { min, max } = one.pool.stats();
    assert.deepEqual([min, max], [isNull(Kind) ? 0 : 2, 4]);
    await one.clock.advance(2_000);
    await Promise.all([three, four]);
  }),

  '3.2 stats_usage': both(async (stage, Kind) => {
    const one = stage({ max: 3, acquireTimeoutMs: 300, ...(isNull(Kind) ? {} : { min: 3 }) });
    await one.open(10);
    one.pool.popStats();
    const all = Array.from({ length: 7 }, () => one.watch(one.work(200)));
    await one.clock.advance(1_000);
    const refused = all.filter(({ error }) => error !== undefined);
    assert.equal(refused.length, 1);
    assert.equal(errorOf({ error: refused[0]?.error }).waitedMs, 300);
    const stats = one.pool.popStats();
    // A null pool has nothing to serve anybody with at once.
    assert.deepEqual([stats.requests, stats.requestsQueued], [7, isNull(Kind) ? 7 : 4]);
    assert.deepEqual(stats.requestsFailed, { timeout: 1 });
    assert.deepEqual([stats.waitMs.count, stats.waitMs.mean * 6, stats.waitMs.max], [6, 600, 200]);
    assert.deepEqual([stats.useMs.count, stats.useMs.mean, stats.returns], [6, 200, 6]);
    assert.equal(stats.returnsBad, 0);
    const lease = await one.get();
    lease.release(new Error('spoilt'));
    await one.clock.settle();
    const after = one.pool.popStats();
    assert.deepEqual([after.requests, after.returns, after.returnsBad], [1, 1, 1]);
    const zero = one.pool.stats();
    assert.deepEqual([zero.requests, zero.returns, zero.returnsBad, zero.useMs.count], [0, 0, 0, 0]);
  }),

  '3.2 debug_deadlock': both(async (stage, Kind) => {
    const broken = (): never => {
      throw new Error('a broken listener');
    };
    const one = stage({
      max: 4,
      ...(isNull(Kind) ? {} : { min: 4 }),
      script: slowOpen(10),
      logger: { debug: broken, info: broken, warn: broken, error: broken },
    });
    const warnings: Error[] = [];
    const hear = (warning: Error): number => warnings.push(warning);
    process.on('warning', hear);
    one.pool.observe({ opening: broken, opened: broken, lent: broken, returned: broken, waiting: broken });
    await one.open(100);
    const leases = await Promise.all(Array.from({ length: 4 }, () => one.get(20)));
    assert.equal(one.gauges().lent, 4);
    for (const lease of leases) lease.release();
    await one.clock.settle();
    process.off('warning', hear);
    assert.equal(Reflect.get(warnings[0] ?? {}, 'code'), 'OXBOW_CALLBACK_FAILED', 'said once, where it can be');
    assert.equal(one.gauges().idle, isNull(Kind) ? 0 : 4);
  }),

  '3.2 check_init': both(async (stage) => {
    const seen: unknown[] = [];
    const one: Stage = stage({ max: 1, check: (client) => seen.push(one.session(client).pid) });
    const lease = await one.get();
    assert.deepEqual(seen, [one.session(lease).pid]);
    lease.release();
  }),

  '3.2 check_timeout': both(async (stage) => {
    const one = stage({
      max: 2,
      acquireTimeoutMs: 1_000,
      check: () => {
        throw new Error('never good enough');
      },
    });
    const client = one.ask();
    await one.clock.advance(1_500);
    assert.equal(errorOf(client).name, 'PoolTimeoutError');
    assert.equal(client.at, 1_000);
    assert.match(String(errorOf(client).cause), /never good enough/);
  }),

  '3.2 cancellation_in_queue': both(async (stage) => {
    const one = stage({ max: 3 });
    const held = await Promise.all([one.pool.acquire(), one.pool.acquire(), one.pool.acquire()]);
    const abort = new AbortController();
    const queued = Array.from({ length: 6 }, () => one.ask({ signal: abort.signal }));
    assert.equal(one.gauges().waiting, 6);
    abort.abort(new Error('cancelled'));
    await one.clock.settle();
    for (const asked of queued) assert.equal(errorOf(asked).message, 'cancelled');
    assert.deepEqual(one.gauges(), { size: 3, idle: 0, lent: 3, waiting: 0 });
    for (const lease of held) lease.release();
    (await one.get()).release();
    assert.deepEqual(one.pool.stats().requestsFailed, { aborted: 6 });
  }),

  '3.2 cancel_on_check': both(async (stage, Kind) => {
    const one: Stage = stage({ max: 1, check: () => one.pass(300) });
    const abort = new AbortController();
    const asked = one.ask({ signal: abort.signal });
    await one.clock.advance(100);
    abort.abort(new Error('cancelled'));
    await one.clock.settle();
    assert.deepEqual([errorOf(asked).message, asked.at], ['cancelled', 100], 'at once');
    await one.clock.advance(300);
    assert.deepEqual(one.gauges(), { size: isNull(Kind) ? 0 : 1, idle: isNull(Kind) ? 0 : 1, lent: 0, waiting: 0 });
    (await one.get(300)).release();
    assert.equal(one.driver.count('open'), isNull(Kind) ? 2 : 1);
  }),

  '3.2 cancel_on_rollback': both(async (stage) => {
    const one = stage({ max: 1, script: (call) => (call === 'rollback' ? { afterMs: 200 } : undefined) });
    const abort = new AbortController();
    const used = one.watch(
      one.pool.use(
        (lease) => {
          one.session(lease).status = 'transaction';
        },
        { signal: abort.signal },
      ),
    );
    await one.clock.advance(50);
    assert.equal(one.pool.snapshot().returning, 1, 'it is being rolled back');
    const next = one.ask();
    abort.abort(new Error('cancelled'));
    await one.clock.advance(200);
    assert.equal(errorOf(used).message, 'cancelled');
    assert.ok(next.value);
    assert.equal(one.session(next.value).status, 'idle');
    assert.equal(one.driver.count('open'), 1, 'the same connection');
    next.value.release();
  }),

  '3.2 drain': both(async (stage, Kind) => {
    const one = stage({ max: 4, ...(isNull(Kind) ? {} : { min: 4 }) });
    await one.open(10);
    const asked = [one.ask(), one.ask()];
    await one.clock.settle();
    const leases = asked.flatMap(({ value }) => value ?? []);
    assert.equal(leases.length, 2);
    const old = one.driver.alive;
    const drained = one.watch(one.pool.replaceAll());
    await one.clock.settle();
    assert.deepEqual(
      leases.map((lease) => one.session(lease).alive),
      [true, true],
      'lent ones go on working',
    );
    assert.equal(drained.at, undefined);
    for (const lease of leases) lease.release();
    await one.clock.advance(100);
    assert.equal(drained.error, undefined);
    assert.notEqual(drained.at, undefined);
    assert.ok(one.driver.alive.every((session) => !old.includes(session)));
    assert.equal(one.gauges().idle, isNull(Kind) ? 0 : 4);
    if (isNull(Kind)) return;
    const connects = one.driver.count('open');
    for (let n = 0; n < 8; n += 1) (await one.get()).release();
    assert.equal(one.driver.count('open'), connects, 'then they are stable');
  }),
});
