// Four threads, one limit, a real server: never more sessions than the limit, an even share of the work, and what another thread does not
// need is there at once. The times are what this file is about, so nothing else runs in it.

import assert from 'node:assert/strict';
import test from 'node:test';
import { backends, eventually, freshName, withClient, withServer } from '../postgres/harness.ts';
import { median, plainPool, Thread, watch } from '../postgres/threads-kit.ts';

const LIMIT = 6;
const LONG = 'SELECT pg_sleep(30)';

const server = await withServer(test);
const admin = await withClient(test, server.config);
const name = freshName();
const pool = plainPool(test, { ...server.config, name, max: LIMIT });
const handle = pool.share();
const threads = Array.from({ length: 4 }, () => new Thread(test, { handle }));
const [a, b, c, d] = threads as [Thread, Thread, Thread, Thread];
const seen = watch(admin, name);
test.after(() => seen.stop());

async function allAtRest(): Promise<void> {
  await Promise.all(threads.map((thread) => thread.order('trim')));
  await eventually('every permit is back', () => pool.snapshot().budget?.used === 0);
}

test('under load there are never more sessions than the limit, and the threads share the work evenly', async () => {
  // Long enough for a second connection to be worth its while: a pool whose queue is served sooner than a connect takes asks for none.
  const hammer = { tasks: 12, statement: 'SELECT pg_sleep(0.03)' };
  await Promise.all(threads.map((thread) => thread.order('hammer', { ...hammer, ms: 1_500 })));
  const before = await Promise.all(threads.map((thread) => thread.order('hammer', { ...hammer, ms: 1 })));
  const work = await Promise.all(threads.map((thread) => thread.order('hammer', { ...hammer, ms: 6_000 })));
  const even = work.reduce((sum, { done }) => sum + done, 0) / threads.length;
  const connects = work.reduce((sum, one, n) => sum + one.connects - (before[n]?.connects ?? 0), 0);
  const figures = work.map(({ done, worstMs }) => `${done} (worst ${Math.round(worstMs)} ms)`).join(', ');
  console.log(
    `${figures}; ${(connects / 6).toFixed(1)} connects/s; at most ${seen.most} sessions in ${seen.samples} samples`,
  );
  assert.equal(seen.most, LIMIT);
  for (const { done } of work)
    assert.ok(Math.abs(done / even - 1) <= 0.3, `${done} of an even ${Math.round(even)}: ${figures}`);
  assert.ok(connects / 6 <= 4, `${connects} connects in 6 s: two go round each second`);
  assert.ok(
    work.every(({ worstMs }) => worstMs < 3_000),
    figures,
  );
});

test('a thread with nothing has what lies idle in another within 100 ms, and is connected within 200', async () => {
  const permits: number[] = [];
  const ready: number[] = [];
  for (let n = 0; n < 5; n += 1) {
    await allAtRest();
    await a.order('lend', { n: LIMIT });
    assert.equal(pool.snapshot().budget?.used, LIMIT);
    await a.order('sleep', { ms: 150 });
    const { permitMs, readyMs } = await b.order('lend', { n: 1 });
    permits.push(permitMs);
    ready.push(readyMs);
  }
  console.log(`permit ${permits.map(Math.round).join(' ')} ms, ready ${ready.map(Math.round).join(' ')} ms`);
  assert.ok(median(permits) < 100, `permit after ${permits} ms`);
  assert.ok(median(ready) < 200, `ready after ${ready} ms`);
  // Both threads and the server need the processor in turn; where others have it too, one of five may wait for it, but not for a bound
  // of the pool's: those are from a second on.
  assert.ok(Math.max(...ready) < 1_000, `ready after ${ready} ms`);
  assert.ok(seen.most <= LIMIT, `${seen.most} sessions`);
});

test('a thread that needs them all gives up all that are above its share while its work goes on', async () => {
  await allAtRest();
  const hammer = a.order('hammer', { tasks: 12, ms: 1_500, statement: 'SELECT pg_sleep(0.01)' });
  await eventually('it has all', () => pool.snapshot().budget?.used === LIMIT);
  await b.order('hold', { n: 3, statement: 'SELECT 1' });
  await hammer;
  await b.order('release');
  assert.ok(seen.most <= LIMIT, `${seen.most} sessions`);
});

test('what a thread held whose loop is blocked is not given to others, and is theirs when it runs again', async () => {
  await allAtRest();
  await a.order('lend', { n: LIMIT });
  await a.order('sleep', { ms: 100 });
  const since = performance.now();
  const blocked = a.order('block', { ms: 700 });
  await b.order('lend', { n: 1 });
  const waitedMs = performance.now() - since;
  await blocked;
  assert.ok(waitedMs >= 650 && waitedMs < 2_000, `${waitedMs} ms`);
  assert.ok(seen.most <= LIMIT, `${seen.most} sessions`);
});

test('what a terminated thread held serves another within 200 ms, and its statements end on the server within 2 s', async () => {
  const served: number[] = [];
  for (let n = 0; n < 3; n += 1) {
    await allAtRest();
    const doomed = new Thread(test, { handle });
    await doomed.order('hold', { n: 5, statement: LONG });
    await eventually('five statements run', async () => (await running()) === 5);
    const wait = c.order('lend', { n: 3 });
    await c.order('sleep', { ms: 60 });
    const since = performance.now();
    const end = doomed.end();
    await wait;
    served.push(performance.now() - since);
    await end;
    await eventually('they have ended on the server', async () => (await running()) === 0, { withinMs: 2_000 });
  }
  console.log(`served ${served.map(Math.round).join(' ')} ms after terminate()`);
  assert.ok(median(served) < 200, `served after ${served} ms`);
  assert.ok(Math.max(...served) < 1_000, `served after ${served} ms`);
});

test('so does what a thread held that ended itself by process.exit()', async () => {
  await allAtRest();
  const doomed = new Thread(test, { handle });
  await doomed.order('hold', { n: LIMIT, statement: LONG });
  const wait = d.order('lend', { n: LIMIT });
  void doomed.order('exit').catch(() => {});
  await wait;
  assert.equal(pool.snapshot().budget?.held, 0);
  await eventually('its statements have ended', async () => (await running()) === 0, { withinMs: 2_000 });
  await allAtRest();
  await eventually('no session is left', async () => (await backends(admin, name)) === 0);
});

async function running(): Promise<number> {
  const text =
    "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = $1 AND query = $2 AND state = 'active'";
  const { rows } = await admin.query<{ n: number }>(text, [name, LONG]);
  return rows[0]?.n ?? 0;
}
