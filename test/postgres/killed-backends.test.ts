// Sessions that are ended on the server in whatever state they are, while others wait: who is told what, that waiters are served in
// their order by replacements, and that nothing is lost. Sessions ended while nobody waits: faults.test.ts, transactions.test.ts.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { ConnectionLostError, type Pool, type PoolOptions } from '../../src/doors/index.ts';
import { eventually, freshName, killBackend, pidOf, withClient, withPool, withServer } from './harness.ts';
import { Ledger } from './ledger.ts';

const MAX = 2;
const WAITERS = 4;

const server = await withServer(test, { url: false });
const admin = await withClient(test, server.config);

// COMMIT takes as long as the test needs to end the session.
await admin.query(`
  CREATE TABLE slow_commits (n int);
  CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END';
  CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON slow_commits DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION linger();
  CREATE TABLE plain (n int);
  CREATE TABLE acknowledged (n int PRIMARY KEY)`);

function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => assert.fail(`resolved with ${String(value)}`),
    (error: unknown) => error,
  );
}

/** The pool's sessions that run a statement like this. */
async function running(pool: Pool, like: string): Promise<number[]> {
  const { rows } = await admin.query<{ pid: number }>(
    `SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND state = 'active' AND query LIKE $2`,
    [pool.name, like],
  );
  return rows.map(({ pid }) => pid);
}

function bothRun(pool: Pool, like: string): Promise<number[]> {
  return eventually(`both run ${like}`, async () => {
    const pids = await running(pool, like);
    return pids.length === MAX ? pids : undefined;
  });
}

interface Victims {
  readonly pids: readonly number[];
  /** What their holders were told, in the end. */
  told(): Promise<readonly unknown[]>;
}

interface Scene {
  readonly options?: PoolOptions;
  /** Brings both connections into the state. */
  set(pool: Pool): Promise<Victims>;
  /** Whether the statement that they were told about may have been executed; undefined: nobody is told. */
  readonly mayHaveExecuted?: boolean;
  /** The pool never had them in use: a failed connect, and no loss. */
  readonly connecting?: boolean;
}

function both<T>(make: () => Promise<T>): Promise<T>[] {
  return Array.from({ length: MAX }, make);
}

const SCENES: Record<string, Scene> = {
  'lent, between two statements': {
    mayHaveExecuted: false,
    set: async (pool) => {
      const leases = await Promise.all(both(() => pool.acquire()));
      const pids = await Promise.all(leases.map(pidOf));
      return {
        pids,
        told: async () => {
          await eventually('their holders can know', () => leases.every(({ signal }) => signal.aborted));
          const told = await Promise.all(leases.map((lease) => errorOf(lease.query('SELECT 1'))));
          // Quiet, once.
          for (const lease of leases) lease.release();
          return told;
        },
      };
    },
  },
  'running a statement': {
    mayHaveExecuted: true,
    set: async (pool) => {
      const told = both(() => errorOf(pool.query('SELECT pg_sleep(60)')));
      return { pids: await bothRun(pool, '%pg_sleep%'), told: () => Promise.all(told) };
    },
  },
  'in a transaction, running a statement of it': {
    mayHaveExecuted: true,
    set: async (pool) => {
      const work = (): Promise<unknown> =>
        pool.transaction(async (tx) => {
          await tx.query('INSERT INTO plain VALUES (1)');
          await tx.query('UPDATE plain SET n = (SELECT 2 FROM pg_sleep(60))');
        });
      const told = both(() => errorOf(work()));
      return {
        pids: await bothRun(pool, 'UPDATE%'),
        told: async () => {
          const errors = await Promise.all(told);
          assert.equal((await admin.query('SELECT FROM plain')).rowCount, 0);
          return errors;
        },
      };
    },
  },
  'committing, with retries': {
    mayHaveExecuted: true,
    set: async (pool) => {
      let tries = 0;
      const work = (): Promise<unknown> =>
        pool.transaction(
          async (tx) => {
            tries += 1;
            await tx.query('INSERT INTO slow_commits VALUES (1)');
          },
          { retries: 3 },
        );
      const told = both(() => errorOf(work()));
      return {
        pids: await bothRun(pool, 'COMMIT'),
        told: async () => {
          const errors = await Promise.all(told);
          // What may have been executed is never repeated.
          assert.equal(tries, MAX);
          assert.equal((await admin.query('SELECT FROM slow_commits')).rowCount, 0);
          return errors;
        },
      };
    },
  },
  'on the way back, in their reset': {
    options: {
      reset: async (client) => {
        if (resets > 0) await client.query('SELECT pg_sleep(60)');
      },
    },
    set: async (pool) => {
      resets = MAX;
      const leases = await Promise.all(both(() => pool.acquire()));
      for (const lease of leases) lease.release();
      const pids = await bothRun(pool, '%pg_sleep%');
      resets = 0;
      return { pids, told: async () => [] };
    },
  },
  'new, in their configure': {
    connecting: true,
    options: {
      min: 0,
      configure: async (client) => {
        if (configures > 0) await client.query('SELECT pg_sleep(60)');
      },
    },
    set: async (pool) => {
      configures = MAX;
      const told = both(() => pool.query('SELECT 1'));
      const pids = await bothRun(pool, '%pg_sleep%');
      configures = 0;
      // A connect belongs to the pool: whoever waits for it is served by the next one.
      return { pids, told: async () => Promise.all(told).then(() => []) };
    },
  },
};
let resets = 0;
let configures = 0;

for (const [state, scene] of Object.entries(SCENES)) {
  test(`both of two sessions are killed while ${state}: waiters are served in their order, and the size is right`, async (t) => {
    const pool = withPool(t, { ...server.config, min: MAX, max: MAX, ...scene.options });
    let most = 0;
    const order: string[] = [];
    const note = (): void => {
      most = Math.max(most, pool.snapshot().size);
    };
    pool.observe({
      opening: note,
      opened: note,
      closed: note,
      lost: note,
      lent: ({ label }) => {
        if (label !== undefined) order.push(label);
      },
    });
    if (scene.connecting !== true) await pool.open();
    const victims = await scene.set(pool);
    const labels = Array.from({ length: WAITERS }, (_, n) => `waiter ${n}`);
    const waiting = labels.map((label) =>
      pool.use(async (lease) => (await lease.query('SELECT $1::text AS label', [label])).rows, { label }),
    );
    await Promise.all(victims.pids.map((pid) => killBackend(admin, pid)));
    for (const error of await victims.told()) {
      assert.ok(error instanceof ConnectionLostError, String(error));
      assert.equal(error.mayHaveExecuted, scene.mayHaveExecuted);
      assert.equal(error.code, '57P01');
    }
    assert.deepEqual(
      await Promise.all(waiting),
      labels.map((label) => [{ label }]),
    );
    assert.deepEqual(order, labels);
    assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
    await eventually('all are idle', () => pool.idleCount === pool.snapshot().size);
    const { connects, connectsFailed, connectionsLost, retired, size, lent, waiting: left } = pool.stats();
    assert.ok(most <= MAX, `size was ${most}`);
    assert.deepEqual(
      [lent, left, connectsFailed, connectionsLost],
      [0, 0, ...(scene.connecting ? [MAX, 0] : [0, MAX])],
    );
    assert.deepEqual([connects, retired], [connectsFailed + connectionsLost + size, {}]);
    if (scene.connecting !== true) assert.equal(size, MAX);
  });
}

test('idle sessions that are killed as borrowers come: each is served or told that its statement was under way', async (t: TestContext) => {
  const pool = await withPool(t, { ...server.config, min: MAX, max: MAX }).open();
  for (let round = 0; round < 10; round += 1) {
    await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [
      pool.name,
    ]);
    const asked = Array.from({ length: 6 }, () =>
      pool.query('SELECT 1 AS one').then(
        ({ rows }) => assert.deepEqual(rows, [{ one: 1 }]),
        (error: unknown) => assert.ok(error instanceof ConnectionLostError && error.mayHaveExecuted, String(error)),
      ),
    );
    await Promise.all(asked);
    await eventually('two are idle again', () => pool.idleCount === MAX);
  }
  const { connects, connectionsLost, size } = pool.stats();
  assert.deepEqual([size, connects], [MAX, connectionsLost + MAX]);
});

test('sessions are killed again and again under a load of transactions: what was acknowledged is there, and nothing else', async (t) => {
  const pool = withPool(t, { ...server.config, max: 4, name: freshName() });
  const ledger = new Ledger(pool, 'acknowledged', () => assert.ok(pool.snapshot().size <= 4));
  let killed = 0;
  while (killed < 20) {
    const { rowCount } = await admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 ORDER BY backend_start LIMIT 1`,
      [pool.name],
    );
    killed += rowCount ?? 0;
    await ledger.more(5);
  }
  await ledger.settle(admin);
  t.diagnostic(`${killed} killed; ${ledger.summary}`);
  assert.ok(ledger.lost <= killed, `${ledger.lost} were told of ${killed} losses`);
  const { connects, connectsFailed, connectionsLost, size, requestsFailed } = pool.stats();
  assert.deepEqual([connects, requestsFailed], [connectsFailed + connectionsLost + size, {}]);
});
