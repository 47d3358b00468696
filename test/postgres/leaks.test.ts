// Forgotten leases on a real server: what nobody has any more is taken back, what somebody still uses in whatever way never is, and what is
// held by design is left alone. The pools are made without the harness, which keeps every lease alive.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import * as nodeTest from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import Cursor from 'pg-cursor';
import { type Lease, Pool, type PoolOptions, type PoolStats } from '../../src/doors/index.ts';
import { collected } from '../kit/gc.ts';
import {
  backends,
  eventually,
  freshName,
  killBackend,
  pidOf,
  type Reports,
  reports,
  withClient,
  withServer,
} from './harness.ts';

const { test } = nodeTest;
const server = await withServer(nodeTest);

/** From about a second on a lease is held by its borrower alone. */
const OLD_MS = 1_150;

const turn = (): Promise<unknown> => new Promise((resolve) => setImmediate(resolve));

interface Scene extends Reports {
  readonly pool: Pool;
  readonly codes: () => string[];
}

/** A pool that keeps no lease alive. */
function scene(scope: nodeTest.TestContext, options: PoolOptions = {}): Scene {
  const told = reports();
  const name = freshName();
  const { logger, said } = told;
  const pool = new Pool({
    ...server.config,
    name,
    application_name: name,
    logger,
    max: 1,
    callSites: true,
    ...options,
  });
  scope.after(async () => {
    const here = setTimeout(() => {}, 30_000);
    await pool.close({ drainMs: 0, cancelMs: 200 });
    clearTimeout(here);
  });
  const codes = (): string[] => said.map(({ code }) => code).filter((code) => code !== 'OXBOW_IMPLICIT_OPEN');
  return { pool, logger, said, codes };
}

/** Long enough for everything forgotten to be found, and what is not forgotten to be held through several collections. */
async function collectFor(ms: number): Promise<void> {
  const until = performance.now() + ms;
  while (performance.now() < until) {
    await sleep(50);
    await collected(turn);
  }
}

/** Collects until the pool has taken `count` leases back; resolves with how long that took. */
async function reclaimed(pool: Pool, count = 1): Promise<number> {
  const began = performance.now();
  const done = async (): Promise<boolean> => {
    await collected(turn);
    return pool.stats().leasesReclaimed === count;
  };
  await eventually(`${count} leases are taken back`, done, { withinMs: 20_000 });
  return Math.round(performance.now() - began);
}

function kindOf(error: unknown): unknown {
  return error instanceof Error ? Reflect.get(error, 'kind') : error;
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => assert.fail('nothing failed'),
    (error: unknown) => error,
  );
}

// Forgotten

interface Told {
  readonly lines: readonly number[];
  readonly said: readonly { code: string; site: string }[];
  readonly servedMs: number;
  readonly allMs: number;
  readonly rows: number;
  readonly stats: PoolStats;
}

function forgetful(by: 'gc' | 'load', config: object): Promise<Told> {
  const program = fileURLToPath(new URL('forgetful.js', import.meta.url));
  const args = [...(by === 'gc' ? ['--expose-gc'] : []), program, JSON.stringify({ config, by })];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { timeout: 90_000 }, (error, out, err) => {
      if (error === null) resolve(JSON.parse(out) as Told);
      else reject(new Error(`${error.message}: ${out}${err}`));
    });
  });
}

for (const by of ['gc', 'load'] as const) {
  const how = by === 'gc' ? 'the collector is called' : 'garbage is made';
  test(`five leases that were dropped in five places are all taken back when ${how}, and each place is named`, async (t) => {
    const client = await withClient(t, server.config);
    await client.query('drop table if exists forgotten; create table forgotten (n int)');
    const { lines, said, servedMs, allMs, rows, stats } = await forgetful(by, server.config);
    t.diagnostic(`${by}: the waiter was served after ${servedMs} ms, all were back after ${allMs} ms`);
    assert.equal(new Set(lines).size, 5);
    const collectedSaid = said.filter(({ code }) => code === 'OXBOW_LEASE_COLLECTED');
    const found = collectedSaid.map(({ site }) => site.replace(/^.*forgetful\.[jt]s:/, ''));
    assert.deepEqual(found.map(Number).sort(), [...lines].sort());
    assert.deepEqual(
      said.filter(({ code }) => code !== 'OXBOW_LEASE_COLLECTED'),
      [],
      'who was forgotten is not blamed for the transaction as well',
    );
    assert.equal(rows, 0, 'what was open is rolled back');
    assert.equal(stats.leasesReclaimed, 5);
    assert.equal(stats.rolledBack, 5);
    assert.equal(stats.connects, 5, 'and the connections are used on');
  });
}

/** Who drops a lease in which way; whatever it resolves with is kept. */
const DROPPED: Readonly<Record<string, (pool: Pool) => unknown>> = {
  'taken by hand': async (pool) => void (await pool.acquire({ label: 'forgotten' })),
  'taken if there is one': async (pool) => void pool.tryAcquire(),
  'taken under a signal that may still abort': async (pool) => {
    const giveUp = new AbortController();
    await pool.acquire({ signal: giveUp.signal });
    return giveUp;
  },
  'whose signal alone is kept': async (pool) => (await pool.acquire()).signal,
  'that had waited for it': async (pool) => {
    const first = await pool.acquire();
    const second = pool.acquire();
    await sleep(20);
    first.release();
    await second;
  },
  'with a transaction of its own that never settles': async (pool) => {
    const lease = await pool.acquire();
    void lease.transaction(async (tx) => {
      await tx.query('select 1');
      await new Promise(() => {});
    });
  },
  'inside a use() that never settles': (pool) => void pool.use(() => new Promise(() => {})),
  'inside a transaction() that never settles': (pool) =>
    void pool.transaction(async (tx) => {
      await tx.query('select 1');
      await new Promise(() => {});
    }),
  'inside a transaction() that has asked nothing and never settles': (pool) =>
    void pool.transaction(() => new Promise(() => {})),
  'inside a nested transaction that never settles': (pool) =>
    void pool.transaction((tx) => tx.transaction(() => new Promise(() => {}))),
  'of which something goes on that was begun inside': async (pool) => {
    const kept: unknown[] = [];
    const lease = await pool.acquire();
    void lease.transaction(() => {
      kept.push(setInterval(() => {}, 1_000));
      return new Promise(() => {});
    });
    void kept;
    return kept;
  },
};

for (const [options, words] of [
  [{ dev: false, callSites: false }, ''],
  [{ dev: true }, ', in development'],
  [{ dev: false, callSites: true, nestedAcquire: 'forbid' }, ', where nested calls are forbidden'],
] as const) {
  test(`a lease that was dropped in whatever way is taken back${words}`, { concurrency: true }, async (t) => {
    const ways = Object.entries(DROPPED).map(([name, drop]) =>
      t.test(name, async (scope) => {
        const { pool, codes } = scene(scope, options);
        await pool.open();
        let seen = 0;
        const see = (): void => {
          seen += 1;
        };
        pool.observe({ lent: see, returned: see });
        const kept = await drop(pool);
        await reclaimed(pool);
        const { rows } = await pool.query('select 1 as n');
        assert.equal(rows[0]?.n, 1);
        assert.deepEqual(codes(), ['OXBOW_LEASE_COLLECTED']);
        assert.ok(seen >= 3);
        for (const timer of Array.isArray(kept) ? kept : []) clearInterval(timer);
      }),
    );
    await Promise.all(ways);
  });
}

/** What else is there while a lease is out, none of which may keep it. */
const SURROUNDINGS: Readonly<Record<string, PoolOptions>> = {
  'call sites on': { callSites: true },
  'in development': { dev: true },
  'in development, with nested calls forbidden': { dev: true, nestedAcquire: 'forbid' },
  'a limit of borrowing': { borrowLimitMs: 60_000 },
  'pg speaking': { speaker: 'pg' },
};

for (const [name, options] of Object.entries(SURROUNDINGS)) {
  test(`nothing of the pool's keeps a lease while its connection is lent: ${name}`, async (t) => {
    const { pool } = scene(t, { ...options, max: 2 });
    const other = scene(t, options).pool;
    pool.observe({ lent() {}, returned() {}, report() {} });
    pool.on('acquire', () => {});
    const signal = new AbortController();
    const refs: WeakRef<Lease>[] = [];
    const dead = async (): Promise<boolean> => {
      await collected(turn);
      return refs.every((ref) => ref.deref() === undefined);
    };
    const take = async (): Promise<void> => {
      const lease = await pool.acquire({ label: 'watched', signal: signal.signal });
      assert.equal(lease.signal.aborted, false);
      await lease.query('begin');
      await lease.query('select $1::int', [1]);
      refs.push(new WeakRef(lease));
    };
    await take();
    assert.equal(await dead(), false, 'the pool keeps a young one');
    // In a task of another pool's, that goes on.
    let endTask: () => void = () => {};
    const inTask = other.use(async () => {
      await take();
      await new Promise<void>((resolve) => {
        endTask = resolve;
      });
    });
    await eventually('both are lent', () => refs.length === 2);
    assert.equal(pool.snapshot().lent, 2);
    assert.equal(pool.holders().length, 2);
    await eventually('the leases are gone', dead, { withinMs: 20_000 });
    await reclaimed(pool, 2);
    assert.equal(other.snapshot().lent, 1);
    endTask();
    await inTask;
    assert.equal(signal.signal.aborted, false);
  });
}

// Still in use

test('a raw client that is forgotten is reported with its place, and never taken back', async (t) => {
  const { pool, said, codes } = scene(t, { leakAfterMs: 1_500, acquireTimeoutMs: 60_000 });
  const forget = async (): Promise<void> => void (await (await pool.connect()).query('begin'));
  await forget();
  const waiter = pool.acquire();
  waiter.catch(() => {});
  await collectFor(4_000);
  assert.deepEqual(codes(), ['OXBOW_LEASE_HELD']);
  assert.match(
    said.at(-1)?.message ?? '',
    /taken at \S*leaks\.test\.[jt]s:\d+ has been held .* while somebody waits; it last ran: begin$/,
  );
  assert.equal(pool.snapshot().lent, 1);
  assert.equal(pool.snapshot().waiting, 1);
  assert.equal(pool.stats().leasesReclaimed, 0);
});

for (const way of ['connect()', 'acquire() and its client'] as const) {
  test(`one that listens for ever by ${way} is reported once, left alone, and hears what is said`, async (t) => {
    const { pool, codes } = scene(t, { leakAfterMs: 300, dev: true });
    const heard: unknown[] = [];
    const listen = async (): Promise<void> => {
      const client: pg.ClientBase = way === 'connect()' ? await pool.connect() : (await pool.acquire()).client;
      client.on('notification', ({ payload }) => heard.push(payload));
      await client.query('listen leaks');
    };
    await listen();
    await collectFor(4_500);
    assert.deepEqual(codes(), ['OXBOW_LEASE_HELD']);
    const client = await withClient(t, server.config);
    await client.query("notify leaks, 'still there'");
    await eventually('it is heard', () => heard.length === 1);
    assert.deepEqual(heard, ['still there']);
    assert.equal(pool.snapshot().lent, 1);
  });
}

test('a lease whose client alone is in use is not taken back, and its connection goes to nobody else', async (t) => {
  const { pool, codes } = scene(t);
  const client = await (async () => (await pool.acquire()).client)();
  const pid = await pidOf(client);
  const waiter = failure(pool.acquire({ acquireTimeoutMs: 3_500 }));
  await client.query('begin');
  await collectFor(3_000);
  assert.equal(await pidOf(client), pid);
  const { rows } = await client.query('select now() = statement_timestamp() as outside');
  assert.equal(rows[0]?.outside, false, 'its transaction is still open');
  assert.equal(kindOf(await waiter), 'POOL_TIMEOUT');
  assert.deepEqual(codes(), []);
});

test('a raw client whose release() somebody has replaced is not taken back either', async (t) => {
  const { pool, codes } = scene(t);
  const client = await pool.connect();
  const pid = await pidOf(client);
  client.release = () => {};
  await client.query('begin');
  await collectFor(2_500);
  assert.equal(await pidOf(client), pid);
  const { rows } = await client.query('select now() = statement_timestamp() as outside');
  assert.equal(rows[0]?.outside, false, 'its transaction is still open');
  assert.equal(pool.snapshot().lent, 1);
  assert.deepEqual(codes(), []);
});

test('whoever looks at the client of a lease that is over does not take it from the one who has it now', async (t) => {
  const { pool, codes } = scene(t);
  const before = await pool.acquire();
  before.release();
  const client = await (async () => (await pool.acquire()).client)();
  assert.equal(before.client, client);
  await client.query('begin');
  await collectFor(2_500);
  const { rows } = await client.query('select now() = statement_timestamp() as outside');
  assert.equal(rows[0]?.outside, false, 'its transaction is still open');
  assert.equal(pool.snapshot().lent, 1);
  assert.deepEqual(codes(), []);
});

test('a lease through which a cursor is read, and that nobody has any more, is not taken back', async (t) => {
  const { pool, codes } = scene(t);
  const cursor = await (async () => {
    const lease = await pool.acquire();
    return lease.query(new Cursor<{ n: number }>('select n from generate_series(1, 12) n'));
  })();
  for (let n = 1; n <= 12; n += 1) {
    const [row] = await cursor.read(1);
    assert.equal(row?.n, n);
    await collectFor(60);
  }
  assert.equal(pool.snapshot().lent, 1);
  assert.deepEqual(codes(), []);
});

for (const speaker of ['auto', 'pg'] as const) {
  test(`a statement that is awaited by whoever has dropped its lease is answered before that is taken back (speaker: ${speaker})`, async (t) => {
    const { pool, codes } = scene(t, { speaker });
    const answer = (async () => (await pool.acquire()).query('select pg_sleep(2.5), 7 as n'))();
    await collectFor(2_000);
    assert.deepEqual(codes(), []);
    assert.equal(((await answer) as pg.QueryResult).rows[0]?.n, 7);
    await reclaimed(pool);
    assert.deepEqual(codes(), ['OXBOW_LEASE_COLLECTED']);
  });
}

test('a transaction() and a use() that will settle one day are let be until then', async (t) => {
  const client = await withClient(t, server.config);
  await client.query('create table kept (n int)');
  const { pool, codes } = scene(t, { max: 3, dev: true, leakAfterMs: 60_000 });
  const settle: (() => void)[] = [];
  const later = (): Promise<void> =>
    new Promise((resolve) => {
      settle.push(resolve);
    });
  const works = [
    pool.transaction(async (tx) => {
      await tx.query('insert into kept values (1)');
      await later();
    }),
    pool.transaction((tx) =>
      tx.transaction(async (inner) => {
        await inner.query('insert into kept values (2)');
        await later();
      }),
    ),
    pool.use(async ({ query, transaction }) => {
      void query;
      void transaction;
      await later();
      return 3;
    }),
  ];
  await eventually('all are at work', () => settle.length === 3);
  await collectFor(3_500);
  assert.equal(pool.snapshot().lent, 3);
  for (const end of settle) end();
  assert.deepEqual(await Promise.all(works), [undefined, undefined, 3]);
  assert.deepEqual(codes(), []);
  assert.equal((await client.query('select n from kept')).rowCount, 2);
  assert.equal(pool.stats().returns, 3);
});

// Old leases

test('an old lease, raw client and use() are told of a lost connection, a revocation and a close as young ones are', async (t) => {
  const admin = await withClient(t, server.config);
  const { pool, codes } = scene(t, { max: 6 });
  const lease = await pool.acquire({ label: 'lost' });
  const raw = await pool.connect();
  raw.on('error', () => {});
  const abort = new AbortController();
  let used: Lease | undefined;
  const use = pool.use(
    async (lent) => {
      used = lent;
      await sleep(60_000, undefined, { signal: lent.signal }).catch(() => {});
      return failure(lent.query('select 1'));
    },
    { signal: abort.signal },
  );
  const rolledBack = await pool.acquire();
  await rolledBack.query('begin');
  const closed = await pool.acquire({ label: 'closed' });
  await collectFor(OLD_MS);
  const { signal } = lease;
  await killBackend(admin, await pidOf(lease));
  await eventually('its lease hears of it', () => signal.aborted);
  assert.equal(kindOf(signal.reason), 'CONNECTION_LOST');
  assert.equal(kindOf(await failure(lease.query('select 1'))), 'CONNECTION_LOST');
  lease.release();
  const rawPid = await pidOf(raw);
  await killBackend(admin, rawPid);
  await failure(raw.query('select 1'));
  raw.release();
  assert.throws(() => raw.release(), /released/);
  abort.abort(new Error('enough'));
  await assert.rejects(use, /enough/);
  assert.equal(used?.signal.aborted, true);
  rolledBack.release();
  await rolledBack[Symbol.asyncDispose]();
  assert.equal(pool.stats().rolledBack, 1);
  assert.deepEqual(codes(), ['OXBOW_OPEN_TRANSACTION']);
  assert.deepEqual(
    pool.holders().map(({ label }) => label),
    ['closed'],
  );
  const report = await pool.close({ drainMs: 50, cancelMs: 50 });
  assert.equal(report.stillHeld[0]?.label, 'closed');
  assert.equal(kindOf(await failure(closed.query('select 1'))), 'LEASE_REVOKED');
});

test('a lease of age that begins a transaction, in which its task asks for another connection, is part of a deadlock that is seen', async (t) => {
  const { pool } = scene(t, { dev: true, nestedAcquire: 'detect', deadlockGraceMs: 200, acquireTimeoutMs: 8_000 });
  const lease = await pool.acquire();
  await sleep(OLD_MS);
  const error = await failure(lease.transaction(() => pool.acquire()));
  assert.equal(kindOf(error), 'POOL_DEADLOCK', String(error));
  lease.release();
});

// borrowLimitMs

test('at borrowLimitMs what runs is cancelled, what was done is rolled back, and the next in line is served by a new connection', async (t) => {
  const admin = await withClient(t, server.config);
  await admin.query('create table limited (n int)');
  const { pool, codes } = scene(t, { borrowLimitMs: 700, acquireTimeoutMs: 20_000 });
  const lease = await pool.acquire();
  const pid = await pidOf(lease);
  await lease.query('begin');
  await lease.query('insert into limited values (1)');
  const { signal } = lease;
  const running = failure(lease.query('select pg_sleep(60)'));
  const began = performance.now();
  const waiter = await pool.acquire();
  assert.ok(performance.now() - began < 10_000);
  assert.notEqual(await pidOf(waiter), pid);
  waiter.release();
  t.diagnostic(`the statement that ran was told: ${String(await running)}`);
  assert.equal(signal.aborted, true);
  assert.equal(kindOf(await failure(lease.query('select 1'))), 'LEASE_REVOKED');
  await eventually('its session is gone', async () => {
    const { rowCount } = await admin.query('select from pg_stat_activity where pid = $1', [pid]);
    return rowCount === 0;
  });
  assert.equal((await admin.query('select from limited')).rowCount, 0);
  lease.release();
  assert.deepEqual(codes(), ['OXBOW_LEASE_HELD']);
  const stats = pool.stats();
  assert.equal(stats.returnsBad, 1);
  assert.equal(stats.connectionsLost, 0);
});

test('at borrowLimitMs a raw client is cut off, and does not meet the next borrower', async (t) => {
  const { pool } = scene(t, { borrowLimitMs: 500 });
  const client = await pool.connect();
  client.on('error', () => {});
  const pid = await pidOf(client);
  const waiter = await pool.acquire();
  assert.notEqual(await pidOf(waiter), pid);
  await failure(client.query('select 1'));
  client.release();
  assert.equal(pool.snapshot().lent, 1);
  assert.equal(await pidOf(waiter), Number((await waiter.query('select pg_backend_pid() as pid')).rows[0]?.pid));
  waiter.release();
});

test('at borrowLimitMs a transaction(), a use() and a query of the pool fail, and nothing of them is kept', async (t) => {
  const admin = await withClient(t, server.config);
  await admin.query('create table limits (n int)');
  const { pool } = scene(t, { borrowLimitMs: 500, max: 3 });
  const errors = await Promise.all([
    failure(
      pool.transaction(async (tx) => {
        await tx.query('insert into limits values (1)');
        await sleep(1_200);
        await tx.query('insert into limits values (2)');
      }),
    ),
    failure(
      pool.use(async (lease) => {
        await sleep(1_200);
        await lease.query('insert into limits values (3)');
      }),
    ),
    failure(pool.query('select pg_sleep(30)')),
  ]);
  t.diagnostic(errors.map(String).join(' | '));
  assert.deepEqual(errors.slice(0, 2).map(kindOf), ['LEASE_REVOKED', 'LEASE_REVOKED']);
  assert.ok(errors[2] instanceof Error);
  assert.equal((await admin.query('select from limits')).rowCount, 0);
  assert.equal(pool.snapshot().lent, 0);
  assert.equal((await pool.query('select 1 as n')).rows[0]?.n, 1);
  await eventually('no statement is left', async () => (await backends(admin, pool.name)) <= 3);
});
