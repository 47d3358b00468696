// The limits of looking for deadlocks, each as a test: what is taken for one and is none, and what is one and is not seen. docs/guides/deadlocks.md
// names them. A test that fails here because something is seen now is good news: move it, and change the guide.

import assert from 'node:assert/strict';
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import { EventEmitter } from 'node:events';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeadlockError, Pool, type PoolOptions, PoolTimeoutError, QueryTimeoutError } from '../../src/doors/index.ts';
import { eventually, rejection, reports, runProgram, withServer } from './harness.ts';

const server = await withServer(test);

const GRACE_MS = 150;

function pool(t: TestContext, options: PoolOptions = {}): Pool {
  const limits = { acquireTimeoutMs: 1_500, deadlockGraceMs: GRACE_MS, dev: true };
  const made = new Pool({ ...server.config, ...limits, logger: reports().logger, ...options });
  t.after(() => made.close({ drainMs: 0, cancelMs: 200 }));
  return made;
}

// Seen, and none

test('limit: a query begun in the background, whose call awaits something else, is turned away though the call would have ended', async (t) => {
  const one = pool(t, { max: 1 });
  const background = await one.use(async () => {
    const begun = one.query('SELECT 1').then(
      () => undefined,
      (error: unknown) => error,
    );
    await sleep(GRACE_MS * 5);
    return [begun];
  });
  assert.ok((await background[0]) instanceof DeadlockError);
  assert.deepEqual(one.stats().requestsFailed, { deadlock: 1 }, 'the call itself ends well');
});

test('… and with a grace longer than what it awaits, or begun when the call is over, it is served', async (t) => {
  const patient = pool(t, { max: 1, deadlockGraceMs: 1_000 });
  const background = await patient.use(async () => {
    const begun = patient.query<{ n: number }>('SELECT 1 AS n');
    await sleep(GRACE_MS * 2);
    return [begun];
  });
  assert.deepEqual((await background[0])?.rows, [{ n: 1 }]);
});

// One, and not seen

test('limit: a function that takes two connections by hand outside any use() is not seen: the wait ends by its timeout', async (t) => {
  const one = pool(t, { max: 1 });
  const first = await one.acquire();
  await first.query('SELECT 1');
  const error = await rejection(one.acquire(), PoolTimeoutError);
  assert.equal(error.explanation?.verdict, 'held-idle');
  first.release();
});

test('limit: nor are those that it takes by hand inside one use(), once they are all there are', async (t) => {
  const two = pool(t, { max: 2 });
  await two.use(async () => {
    const second = await two.acquire();
    await rejection(two.acquire(), PoolTimeoutError);
    second.release();
  });
});

/** A queue as libraries have them: what is put in is run by a timer that was set before, in nobody's context. */
class ForeignQueue {
  readonly #jobs: (() => void)[] = [];
  readonly #bell = new EventEmitter();
  readonly #timer = setInterval(() => this.#bell.emit('turn'), 5);

  constructor(t: TestContext) {
    this.#bell.on('turn', () => this.#jobs.shift()?.());
    t.after(() => clearInterval(this.#timer));
  }

  run<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#jobs.push(() => work().then(resolve, reject));
    });
  }
}

test('limit: a wait that a foreign queue began is nobody’s: it ends by its timeout', async (t) => {
  const one = pool(t, { max: 1 });
  const queue = new ForeignQueue(t);
  await rejection(
    one.use(() => queue.run(() => one.query('SELECT 1'))),
    PoolTimeoutError,
  );
});

/** Ways of giving a queue one's own context. */
const CURES: Record<string, <T>(work: () => Promise<T>) => () => Promise<T>> = {
  'AsyncResource.bind()': (work) => AsyncResource.bind(work),
  'AsyncLocalStorage.snapshot()': (work) => {
    const restore = AsyncLocalStorage.snapshot();
    return () => restore(work);
  },
};

for (const [how, bound] of Object.entries(CURES)) {
  test(`… and with ${how} it is seen`, async (t) => {
    const one = pool(t, { max: 1 });
    const queue = new ForeignQueue(t);
    await rejection(
      one.use(() => queue.run(bound(() => one.query('SELECT 1')))),
      DeadlockError,
    );
  });
}

test('limit: a slot of the caller’s own limiter in the cycle is not seen', async (t) => {
  const one = pool(t, { max: 1 });
  let free: () => void = () => {};
  const slot = new Promise<void>((resolve) => {
    free = resolve;
  });
  // One has the connection and waits for the slot, the other has the slot and waits for the connection.
  const holder = one.use(() => slot);
  const other = rejection(one.query('SELECT 1'), PoolTimeoutError).finally(free);
  assert.equal((await other).explanation?.verdict, 'held-idle');
  await holder;
});

test('limit: borrowers by raw connect() are not seen; the verdict held-idle has the same facts', async (t) => {
  const two = pool(t, { max: 2 });
  let holding = 0;
  const failures: unknown[] = [];
  const work = Array.from({ length: 2 }, async () => {
    const client = await two.connect();
    try {
      await client.query('BEGIN');
      holding += 1;
      await eventually('both hold one', () => holding === 2, { everyMs: 2 });
      await two.query('SELECT 1');
    } catch (error) {
      failures.push(error);
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
  });
  await Promise.all(work);
  const [failed] = failures;
  assert.ok(failed instanceof PoolTimeoutError);
  assert.equal(failed.explanation?.verdict, 'held-idle');
  const holders = failed.explanation?.evidence.holders as {
    lastStatement: string;
    inTransaction: boolean;
    site: string;
  }[];
  assert.deepEqual(
    holders.map(({ lastStatement, inTransaction }) => [lastStatement, inTransaction]),
    [
      ['BEGIN', true],
      ['BEGIN', true],
    ],
  );
  for (const { site } of holders) assert.match(site, /deadlock-limits\.test\.js:\d+$/);
});

test('limit: a lock of the server in the cycle is not seen: a statement runs, and whether it will end is not known here', async (t) => {
  const two = pool(t, { max: 2 });
  const work = two.transaction(async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock(7)');
    await two.query({ text: 'SELECT pg_advisory_xact_lock(7)', timeoutMs: GRACE_MS * 5 });
  });
  await rejection(work, QueryTimeoutError);
});

// Node before 24 follows tasks from the first exhaustion on, unless told to from the start.

const [major = 0] = process.versions.node.split('.').map(Number);

const NESTED_TWICE = `
  const pool = new Pool({ ...config, max: 1, acquireTimeoutMs: 1_200, deadlockGraceMs: 100, ...OPTIONS });
  const kinds = [];
  for (let n = 0; n < 2; n += 1) {
    await pool.use(() => pool.query('SELECT 1')).catch((error) => kinds.push(error.kind));
  }
  await pool.close();
  console.log(JSON.stringify(kinds));`;

async function kindsOf(options: string): Promise<unknown> {
  const begin = "process.env.NODE_ENV = 'production'; delete process.env.OXBOW_DEV;";
  const { stdout, stderr } = await runProgram(begin + NESTED_TWICE.replace('OPTIONS', options), server.config, 30_000);
  assert.notEqual(stdout, '', stderr);
  return JSON.parse(stdout);
}

const FIRST = major >= 24 ? 'POOL_DEADLOCK' : 'POOL_TIMEOUT';

test(`limit: in production the first deadlock of a process ends as ${FIRST} on Node ${major}; the second is seen`, async () => {
  assert.deepEqual(await kindsOf('{}'), [FIRST, 'POOL_DEADLOCK']);
});

test('… and in dev mode, or once a pool that forbids nesting was made, the first one is seen', async () => {
  assert.deepEqual(await kindsOf('{ dev: true }'), ['POOL_DEADLOCK', 'POOL_DEADLOCK']);
  const other = "{ name: (new Pool({ ...config, nestedAcquire: 'forbid' }), 'second') }";
  assert.deepEqual(await kindsOf(other), ['POOL_DEADLOCK', 'POOL_DEADLOCK']);
});
