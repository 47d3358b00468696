// A pool of several requests, on a platform of paper: contexts, time and sessions are scripted. What real workerd does with it is shown in
// test/loops/workerd.test.ts.

import assert from 'node:assert/strict';
import test from 'node:test';
import { isOxbowError, OptionError, Pool, WrongLoopError } from '../../src/doors/index.ts';
import { createWorkersPool } from '../../src/doors/workers.ts';
import type { WorkersPoolOptions } from '../../src/pool/workers-options.ts';
import { WorkersPool } from '../../src/pool/workers-pool.ts';
import { IoWorld } from '../kit/io-world.ts';
import { TalkingDriver } from './talking-driver.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };

interface Scene {
  readonly world: IoWorld;
  readonly driver: TalkingDriver;
  readonly pool: WorkersPool;
  /** Lets time pass. */
  advance(ms: number): Promise<void>;
  /** Sockets that exist. */
  open(): number;
}

function scene(options: WorkersPoolOptions = {}, world: IoWorld = new IoWorld()): Scene {
  const driver = new TalkingDriver(world.time);
  const pool = new WorkersPool({ max: 2, logger: silent, clock: world.clock, driver, ...options }, world);
  return { world, driver, pool, advance: (ms) => world.time.advance(ms), open: () => driver.scripted.alive.length };
}

/** The value of a promise that time alone brings about. */
async function after<T>({ advance }: Scene, ms: number, promise: Promise<T>): Promise<T> {
  await advance(ms);
  return promise;
}

test('each request has connections of its own, which close 30 ms after their last use and keep the request until then', async () => {
  const it = scene();
  const [one, two] = [it.world.context(), it.world.context()];
  await after(
    it,
    5,
    one.run(() => it.pool.query('a')),
  );
  await after(
    it,
    5,
    two.run(() => it.pool.query('b')),
  );
  assert.deepEqual([it.driver.scripted.sessions.length, it.open(), one.kept, two.kept], [2, 2, 1, 1]);
  await it.advance(21);
  assert.deepEqual([it.open(), one.kept, two.kept], [1, 0, 1]);
  await it.advance(10);
  assert.deepEqual([it.open(), one.kept, two.kept], [0, 0, 0]);
  assert.equal(it.pool.snapshot().budget?.used, 0);
  assert.equal(it.world.time.pendingTimers, 0);
});

test('a request that goes on goes on with its connection, and is not kept while it holds one', async () => {
  const it = scene();
  const one = it.world.context();
  await after(
    it,
    5,
    one.run(() => it.pool.query('a')),
  );
  await it.advance(20);
  const lease = await after(
    it,
    1,
    one.run(() => it.pool.acquire()),
  );
  assert.equal(one.kept, 0);
  await it.advance(500);
  assert.equal(it.open(), 1);
  one.run(() => lease.release());
  assert.equal(one.kept, 1);
  await it.advance(40);
  assert.deepEqual([it.open(), one.kept, it.driver.scripted.sessions.length], [0, 0, 1]);
});

test('idleTimeoutMs is the grace of a request, at most a second of it; 0 closes at once', async () => {
  for (const [idleTimeoutMs, before, then] of [
    [200, 180, 40],
    [60_000, 980, 40],
    [0, 0, 1],
  ] as const) {
    const it = scene({ idleTimeoutMs });
    const one = it.world.context();
    await after(
      it,
      0,
      one.run(() => it.pool.query('a')),
    );
    await it.advance(before);
    assert.equal(it.open(), idleTimeoutMs === 0 ? 0 : 1, `${idleTimeoutMs}`);
    await it.advance(then);
    assert.equal(it.open(), 0, `${idleTimeoutMs}`);
  }
});

for (const kind of ['object', 'unknown'] as const) {
  test(`connections of a context of kind ${kind} are kept as any pool's are`, async () => {
    const it = scene({ idleTimeoutMs: 5_000 });
    const object = it.world.context(kind);
    for (let n = 0; n < 3; n += 1) {
      await after(
        it,
        1_000,
        object.run(() => it.pool.query('a')),
      );
      assert.deepEqual([it.open(), object.kept], [1, 0]);
    }
    assert.equal(it.driver.scripted.sessions.length, 1);
    await it.advance(10_000);
    assert.equal(it.open(), 0);
    assert.equal(it.world.time.pendingTimers, 0);
  });
}

test('an idle connection of one context goes as soon as another one waits', async () => {
  const it = scene({ max: 1 });
  const [object, request] = [it.world.context('object'), it.world.context()];
  await after(
    it,
    5,
    object.run(() => it.pool.query('a')),
  );
  const waiting = request.run(() => it.pool.query('b'));
  await it.advance(200);
  assert.deepEqual((await waiting).rows, [{ text: 'b' }]);
  assert.equal(it.driver.scripted.peakSockets, 1);
});

test('a request that ended with a lease out is written off, and its connection goes to whoever waits', async () => {
  const it = scene({ max: 1 });
  const [gone, next] = [it.world.context(), it.world.context()];
  await after(
    it,
    5,
    gone.run(() => it.pool.acquire()),
  );
  gone.over = true;
  const waiting = next.run(() => it.pool.query('b'));
  await it.advance(700);
  assert.deepEqual((await waiting).rows, [{ text: 'b' }]);
  assert.equal(it.pool.snapshot().budget?.used, 0);
});

test('a lease on which nothing has run for 30 s is taken away, for its request has hung; one that runs is not', async () => {
  const it = scene();
  const [hung, busy] = [it.world.context(), it.world.context()];
  const lease = await after(
    it,
    5,
    hung.run(() => it.pool.acquire()),
  );
  const running = await after(
    it,
    5,
    busy.run(() => it.pool.acquire()),
  );
  const long = busy.run(() => running.query('sleep 40000'));
  await it.advance(29_000);
  assert.equal(it.open(), 2);
  await it.advance(2_000);
  assert.equal(it.open(), 1);
  assert.deepEqual(await hung.run(() => lease.query('a')).catch((error) => error.kind), 'LEASE_REVOKED');
  await it.advance(10_000);
  assert.equal((await long).rows.length, 1);
});

test('a lease is refused in another context, and its release is done in its own', async () => {
  const it = scene();
  const [own, other] = [it.world.context(), it.world.context()];
  const lease = await after(
    it,
    5,
    own.run(() => it.pool.acquire()),
  );
  for (const used of [
    (): Promise<unknown> => lease.query('a'),
    (): Promise<unknown> => lease.transaction(async () => {}),
  ]) {
    const error: unknown = await other.run(used).catch((thrown) => thrown);
    assert.ok(error instanceof WrongLoopError && isOxbowError(error));
    assert.match(error.message, /borrow one in each request; only release\(\) may be called elsewhere$/);
  }
  other.run(() => lease.release());
  assert.equal(it.pool.snapshot().lent, 1);
  await it.advance(100);
  assert.equal(it.pool.snapshot().lent, 0);
});

test("with contexts: 'error' the first context is the only one, for each way to borrow", async () => {
  const it = scene({ contexts: 'error', name: 'mine' });
  const [own, other] = [it.world.context(), it.world.context()];
  await after(
    it,
    5,
    own.run(() => it.pool.query('a')),
  );
  const refusals = await other.run(() =>
    Promise.all(
      [
        it.pool.query('b'),
        it.pool.acquire(),
        it.pool.use(() => 1),
        it.pool.transaction(() => 1),
        it.pool.connect(),
        it.pool.open(),
        it.pool.ready(),
        new Promise((_, reject) => it.pool.connect((error) => reject(error))),
        new Promise((_, reject) => it.pool.query('b', (error) => reject(error))),
      ].map((asked) => asked.catch((error: unknown) => error)),
    ),
  );
  for (const error of refusals) {
    assert.ok(error instanceof WrongLoopError, String(error));
    assert.match(
      error.message,
      /^mine lives in the request .*: make a pool for each request, keep one in a Durable Object, or/,
    );
  }
  assert.throws(() => other.run(() => it.pool.tryAcquire()), WrongLoopError);
  await after(
    it,
    5,
    own.run(() => it.pool.query('c')),
  );
});

test('what a request has counted is counted when it is over; popStats zeroes it', async () => {
  const it = scene();
  for (let n = 0; n < 3; n += 1) {
    const request = it.world.context();
    await after(
      it,
      100,
      request.run(() => it.pool.query('a')),
    );
  }
  const { requests, returns, connects, size, retired, waitMs } = it.pool.stats();
  assert.deepEqual([requests, returns, connects, size, retired, waitMs.count], [3, 3, 3, 0, { trimmed: 3 }, 3]);
  assert.equal(it.pool.popStats().requests, 3);
  assert.equal(it.pool.stats().requests, 0);
});

test('observers and listeners hear what happens in every context, those that came before and those that come later', async () => {
  const it = scene();
  const heard: string[] = [];
  const one = it.world.context();
  await after(
    it,
    5,
    one.run(() => it.pool.query('a')),
  );
  const undo = it.pool.observe({ lent: () => heard.push('lent') });
  it.pool.on('acquire', () => heard.push('acquire'));
  it.pool.on('connect', () => heard.push('connect'));
  await after(
    it,
    5,
    one.run(() => it.pool.query('b')),
  );
  assert.deepEqual(heard.splice(0).sort(), ['acquire', 'lent']);
  const two = it.world.context();
  await after(
    it,
    5,
    two.run(() => it.pool.query('c')),
  );
  assert.deepEqual(heard.splice(0).sort(), ['acquire', 'connect', 'lent']);
  undo();
  await after(
    it,
    5,
    two.run(() => it.pool.query('d')),
  );
  assert.deepEqual(heard.splice(0), ['acquire']);
  assert.throws(() => it.pool.observe({ nonsense: () => {} } as never), { kind: 'INVALID_OPTION' });
});

test('a warning is given once for the whole pool, in whichever context it comes up again', async (t) => {
  const it = scene({ logger: undefined, name: 'warns' });
  const warnings: string[] = [];
  const hear = ({ message }: Error): number => warnings.push(message);
  process.on('warning', hear);
  t.after(() => process.off('warning', hear));
  for (const context of [it.world.context('object'), it.world.context('object')]) {
    await after(
      it,
      5,
      context.run(() => it.pool.query('a')),
    );
    for (const session of it.driver.scripted.alive) session.kill();
    await it.advance(5);
  }
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(
    warnings.map((text) => text.split(':')[0]),
    ['warns'],
  );
});

test('pause() holds up every context and resolves when none has anything; resume() lets them go on', async () => {
  const it = scene();
  const [one, two] = [it.world.context(), it.world.context()];
  const lease = await after(
    it,
    5,
    one.run(() => it.pool.acquire()),
  );
  let paused = false;
  const pausing = two
    .run(() => it.pool.pause())
    .then(() => {
      paused = true;
    });
  const waiting = two.run(() => it.pool.query('b'));
  await it.advance(150);
  assert.deepEqual([paused, it.pool.phase, it.pool.snapshot().waiting], [false, 'paused', 1]);
  one.run(() => lease.release());
  await it.advance(20);
  await pausing;
  assert.equal(it.pool.snapshot().waiting, 1);
  two.run(() => it.pool.resume());
  assert.deepEqual((await after(it, 150, waiting)).rows, [{ text: 'b' }]);
});

test('a request that waits for a server which is away stays known, and is served when it is back', async () => {
  const it = scene();
  const one = it.world.context();
  it.driver.scripted.script = (call) => (call === 'open' ? { fail: new Error('away') } : undefined);
  const waiting = one.run(() => it.pool.query('a'));
  await it.advance(5_000);
  one.run(() => it.pool.tryAcquire());
  assert.equal(it.pool.snapshot().waiting, 1);
  it.driver.scripted.script = () => undefined;
  assert.deepEqual((await after(it, 5_000, waiting)).rows, [{ text: 'a' }]);
});

test('with autoOpen: false each request has to wait for open(), in whichever it is called', async () => {
  const it = scene({ autoOpen: false });
  const [early, opener, late] = [it.world.context(), it.world.context(), it.world.context()];
  assert.match(String(await early.run(() => it.pool.query('a')).catch(String)), /not open yet/);
  await after(
    it,
    5,
    opener.run(() => it.pool.open()),
  );
  assert.deepEqual(
    (
      await after(
        it,
        5,
        late.run(() => it.pool.query('b')),
      )
    ).rows,
    [{ text: 'b' }],
  );
});

test('resize() changes the limit of all together; a floor is refused', async () => {
  const it = scene({ max: 1 });
  const [one, two] = [it.world.context(), it.world.context()];
  await after(
    it,
    5,
    one.run(() => it.pool.acquire()),
  );
  const waiting = two.run(() => it.pool.acquire());
  await it.advance(100);
  assert.equal(it.pool.snapshot().waiting, 1);
  one.run(() => it.pool.resize({ max: 2 }));
  await after(it, 100, waiting);
  assert.deepEqual([it.pool.snapshot().lent, it.pool.snapshot().max], [2, 2]);
  one.run(() => it.pool.resize({ max: 3 }));
  await after(
    it,
    150,
    two.run(() => it.pool.acquire()),
  );
  assert.equal(it.pool.snapshot().lent, 3);
  assert.throws(() => it.pool.resize({ min: 1 }), { kind: 'INVALID_OPTION' });
});

test('close() asks each context to close, writes off who does not answer, and refuses whoever comes', async () => {
  const it = scene({ max: 3 });
  const [living, gone, closer] = [it.world.context(), it.world.context(), it.world.context()];
  await after(
    it,
    5,
    living.run(() => it.pool.acquire({ label: 'slow' })),
  );
  await after(
    it,
    5,
    gone.run(() => it.pool.acquire()),
  );
  gone.over = true;
  const closing = closer.run(() => it.pool.close({ drainMs: 50, cancelMs: 0 }));
  assert.equal(it.pool.phase, 'closing');
  const refused = await closer.run(() => it.pool.query('a')).catch((error) => error.kind);
  const report = await after(it, 1_000, closing);
  assert.deepEqual([report.destroyed, report.stillHeld.map(({ label }) => label)], [1, ['slow']]);
  assert.deepEqual([refused, it.pool.phase], ['POOL_CLOSED', 'closed']);
  assert.equal(it.pool.ended, true);
  await closer.run(() => it.pool.close());
});

test('end() waits for who holds one, and is an error the second time', async () => {
  const it = scene();
  const one = it.world.context();
  const lease = await after(
    it,
    5,
    one.run(() => it.pool.acquire()),
  );
  let ended = false;
  const ending = one
    .run(() => it.pool.end())
    .then(() => {
      ended = true;
    });
  await it.advance(5_000);
  assert.equal(ended, false);
  assert.match(String(await one.run(() => it.pool.end()).catch(String)), /Called end on pool more than once/);
  one.run(() => lease.release());
  await after(it, 50, ending);
  assert.equal(it.open(), 0);
});

test('where contexts do not end it is one ordinary pool for all: connections are kept, nothing beats, and nobody is refused', async () => {
  const it = scene({ contexts: 'error', idleTimeoutMs: 2_000 }, new IoWorld(false));
  const [one, two] = [it.world.context('process'), it.world.context('process')];
  const phases: string[] = [];
  it.pool.observe({ phase: ({ to }) => phases.push(to) });
  await after(
    it,
    5,
    one.run(() => it.pool.query('a')),
  );
  await after(
    it,
    5,
    two.run(() => it.pool.query('b')),
  );
  await it.advance(1_000);
  assert.deepEqual([it.open(), it.driver.scripted.sessions.length, one.kept, two.kept], [1, 1, 0, 0]);
  await it.advance(10_000);
  assert.equal(it.open(), 0);
  await after(
    it,
    5,
    two.run(() => it.pool.query('c')),
  );
  assert.deepEqual(phases, ['open']);
  await after(
    it,
    50,
    one.run(() => it.pool.close()),
  );
  assert.deepEqual([it.open(), it.world.time.pendingTimers], [0, 0]);
});

test('createWorkersPool() makes a Pool, and refuses what cannot be meant', async () => {
  const pool = createWorkersPool({ max: 3, name: 'given' });
  assert.ok(pool instanceof Pool);
  const { name, phase, max, min } = pool.snapshot();
  assert.deepEqual([name, phase, max, min, pool.totalCount], ['given', 'created', 3, 0, 0]);
  assert.match(pool.constructor.name, /Pool/);
  for (const options of [
    { min: 1 },
    { contexts: 'some' },
    { budget: { join() {} } },
    { max: 0 },
    { maxx: 3, conections: 1 },
  ]) {
    assert.throws(() => createWorkersPool(options as never), { kind: 'INVALID_OPTION' }, JSON.stringify(options));
  }
  await pool.close();
  assert.equal(pool.phase, 'closed');
});

test("a pool of many requests is not shared with threads: its limit is the isolate's", () => {
  const { pool } = scene();
  assert.throws(
    () => pool.share(),
    (error) => error instanceof OptionError && /its connections are counted in this isolate alone/.test(error.message),
  );
});

test('a pool that is paused while it is being opened lends nothing once it is open', async () => {
  const it = scene({}, new IoWorld(false));
  await after(it, 100, Promise.all([it.pool.open(), it.pool.pause()]));
  const waiting = it.pool.query('a');
  await it.advance(50);
  assert.equal(it.pool.snapshot().waiting, 1);
  it.pool.resume();
  assert.deepEqual((await after(it, 100, waiting)).rows, [{ text: 'a' }]);
});

test('pause() right after a request has closed its connections is no unhandled rejection', async () => {
  const it = scene();
  const one = it.world.context();
  await after(
    it,
    5,
    one.run(() => it.pool.query('a')),
  );
  await it.advance(50);
  await after(
    it,
    50,
    one.run(() => it.pool.pause()),
  );
  assert.equal(it.pool.phase, 'paused');
});

test('what cannot be meant is thrown at who said it, and not in other requests', async () => {
  const it = scene();
  const [one, two] = [it.world.context(), it.world.context()];
  for (const context of [one, two])
    await after(
      it,
      5,
      context.run(() => it.pool.acquire()),
    );
  two.run(() => assert.throws(() => it.pool.trim({ to: -1 }), OptionError));
  await it.advance(150);
});
