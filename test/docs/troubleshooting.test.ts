// What docs/troubleshooting.md quotes is what comes: each message is provoked on a real server and found in the row that has its code, and the pool
// goes on after it. The sentences of docs/reference/errors.md on verdicts are provoked as well. What is not provoked is listed in messages.ts, with
// the reason.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { VERDICTS, type Verdict } from '../../src/contracts/explain.ts';
import { type Lease, Pool, type PoolOptions } from '../../src/doors/index.ts';
import { createThreadBudget } from '../../src/doors/threads.ts';
import { RequestGuard } from '../../src/pool/request-guard.ts';
import { faultProxy } from '../../src/testing/fault-proxy.ts';
import { CERTIFICATE, tlsFront } from '../kit/tls-front.ts';
import { section } from '../laws/document.ts';
import { read } from '../laws/tree.ts';
import {
  deafServer,
  eventually,
  killBackend,
  pidOf,
  type Reports,
  reports,
  runProgram,
  unusedPort,
  withClient,
  withPool,
  withServer,
} from '../postgres/harness.ts';
import { CHAPTERS, type Chapter, ELSEWHERE, pattern, rowsOf, shape } from './messages.ts';

const server = await withServer(test, { url: false });
const small = await withServer(test, {
  url: false,
  auth: 'scram',
  password: 'right',
  settings: { max_connections: 6 },
});
const admin = await withClient(test, server.config);

/** Quotes that came. */
const seen = new Set<string>();

/** The text is found in the row of that chapter which has the code. */
function found(chapter: Chapter, code: string, text: string): void {
  const rows = rowsOf(chapter).filter(({ codes }) => codes.includes(code));
  const quotes = rows.flatMap(({ quotes }) => quotes).filter((quote) => pattern(quote).test(text));
  assert.notEqual(quotes.length, 0, `no row of "${CHAPTERS[chapter]}" with ${code} has: ${text}`);
  for (const quote of quotes) seen.add(`${chapter} ${quote}`);
}

async function failure(promise: Promise<unknown>): Promise<Error & { readonly code: string; readonly kind?: string }> {
  const error: unknown = await promise.then(
    (value) => assert.fail(`resolved with ${String(value)}`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof Error);
  return error as Error & { code: string };
}

/** A text of others', as an error of its own or inside one of ours; which then has a row too. */
async function foreign(promise: Promise<unknown>): Promise<void> {
  const error = await failure(promise);
  found('foreign', error.code, error.message);
  if (error.kind !== undefined) found('errors', error.kind, error.message);
}

async function ours(promise: Promise<unknown>): Promise<void> {
  const error = await failure(promise);
  assert.ok(error.kind !== undefined, `not ours: ${error.message}`);
  found('errors', error.kind, error.message);
}

/** The pool serves, with all that was lent given back. */
async function serves(pool: Pool): Promise<void> {
  assert.equal((await pool.query('SELECT 1 AS one')).rows[0]?.one, 1);
  assert.equal(pool.snapshot().lent, 0);
}

function listening(t: TestContext, options: PoolOptions = {}): { pool: Pool; heard: Reports } {
  const heard = reports();
  return { pool: withPool(t, { ...server.config, max: 1, logger: heard.logger, ...options }), heard };
}

async function reported({ said }: Reports, code: string, part = ''): Promise<void> {
  const report = await eventually(`${code} is reported`, () =>
    said.find((one) => one.code === code && one.message.includes(part)),
  );
  found('reports', code, report.message);
}

const verdicts = new Map(
  section(read('docs/reference/errors.md'), 'Verdicts')
    .split(/^### /m)
    .slice(1)
    .map((part) => [part.split('\n')[0] ?? '', /^> (.*)$/m.exec(part)?.[1] ?? '']),
);
const concluded = new Set<Verdict>();

/** The sentence is the one of the reference, but for figures, and opens as its row says. */
function concludes(verdict: Verdict, explanation: { verdict: string; summary: string } | undefined): void {
  assert.equal(explanation?.verdict, verdict, explanation?.summary);
  const summary = explanation?.summary ?? '';
  assert.equal(shape(summary), shape(verdicts.get(verdict) ?? ''), `${verdict}: ${summary}`);
  found('verdicts', verdict, summary);
  concluded.add(verdict);
}

async function inVain(pool: Pool, verdict: Verdict, acquireTimeoutMs = 300): Promise<void> {
  const error = await failure(pool.acquire({ acquireTimeoutMs }));
  found('errors', 'POOL_TIMEOUT', error.message);
  found('foreign', 'POOL_TIMEOUT', error.message);
  concludes(verdict, Reflect.get(error, 'explanation') as { verdict: string; summary: string } | undefined);
}

const kept: Lease[] = [];
/** Lent until the pool is closed. */
async function lent(pool: Pool, text: string, isBusy = false): Promise<Lease> {
  const lease = await pool.acquire();
  kept.push(lease);
  const asked = lease.query(text);
  if (isBusy) asked.catch(() => {});
  else await asked;
  return lease;
}

function orders(t: TestContext, options: PoolOptions = {}): Pool {
  return withPool(t, { ...server.config, name: 'orders', callSites: true, ...options });
}

test('SQL errors come as the server says them, and cost no connection', async (t) => {
  const { pool } = listening(t, { max: 2 });
  await pool.query('CREATE TABLE IF NOT EXISTS trouble (id int PRIMARY KEY, n int)');
  await pool.query('INSERT INTO trouble VALUES (1, 0), (2, 0) ON CONFLICT DO NOTHING');
  const connects = pool.stats().connects;
  await foreign(pool.query('SET statement_timeout = 20; SELECT pg_sleep(10)'));
  await pool.query('SET statement_timeout = 0');
  await foreign(
    pool.use(async (lease) => {
      await lease.query('BEGIN');
      await lease.query('SELECT 1 / 0').catch(() => {});
      await lease.query('SELECT 1');
    }),
  );
  await foreign(pool.query('EXECUTE nothing'));
  await pool.use(async (lease) => {
    await lease.query('PREPARE twice AS SELECT 1');
    await foreign(lease.query('PREPARE twice AS SELECT 1'));
    await lease.query('DEALLOCATE twice');
  });
  await foreign(pool.transaction((tx) => tx.query('CREATE TABLE no (n int)'), { readOnly: true }));
  await pool.use(async (lease) => {
    const pid = await pidOf(lease);
    const asked = foreign(lease.query('SELECT pg_sleep(10)'));
    await eventually('it runs', async () => {
      const { rows } = await admin.query("SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND state = 'active'", [pid]);
      return rows.length === 1;
    });
    await admin.query('SELECT pg_cancel_backend($1)', [pid]);
    await asked;
  });
  await pool.transaction(async (first) => {
    await first.query('UPDATE trouble SET n = n + 1 WHERE id = 1');
    await foreign(
      pool.transaction(async (second) => {
        await second.query("SET LOCAL lock_timeout = '20ms'");
        await second.query('UPDATE trouble SET n = n + 1 WHERE id = 1');
      }),
    );
  });
  await foreign(
    pool.transaction(
      async (first) => {
        await first.query('SELECT * FROM trouble');
        await pool.query('UPDATE trouble SET n = n + 1 WHERE id = 1');
        await first.query('UPDATE trouble SET n = n + 1 WHERE id = 1');
      },
      { isolation: 'repeatable read' },
    ),
  );
  let both = 0;
  const locks = [1, 2].map((id) =>
    pool.transaction(async (tx) => {
      await tx.query("SET LOCAL deadlock_timeout = '50ms'");
      await tx.query('UPDATE trouble SET n = 0 WHERE id = $1', [id]);
      both += 1;
      await eventually('both have theirs', () => both === 2);
      await tx.query('UPDATE trouble SET n = 0 WHERE id = $1', [3 - id]);
    }),
  );
  await foreign(Promise.all(locks));
  await Promise.allSettled(locks);
  await serves(pool);
  assert.ok(pool.stats().connects - connects <= 1, 'the second one was opened, and none in place of another');
});

test('what ends a session is told with the words of whoever ended it, and the next borrower gets another one', async (t) => {
  const { pool } = listening(t);
  for (const [setting, transaction] of [
    ['idle_in_transaction_session_timeout', true],
    ['idle_session_timeout', false],
    ['transaction_timeout', true],
  ] as const) {
    await pool.use(async (lease) => {
      await lease.query(`SET ${setting} = 50`);
      if (transaction) await lease.query('BEGIN');
      await eventually('it is lost', () => lease.signal.aborted);
      await foreign(lease.query('SELECT 1'));
    });
    await serves(pool);
  }
  await pool.use(async (lease) => {
    const asked = foreign(lease.query('SELECT pg_sleep(10)'));
    await killBackend(admin, await pidIn(lease));
    await asked;
  });
  await serves(pool);
  const proxy = await faultProxy({ target: server.config });
  t.after(() => proxy.close());
  const { pool: through } = listening(t, { host: proxy.host, port: proxy.port });
  await through.use(async (lease) => {
    const asked = foreign(lease.query('SELECT pg_sleep(10)'));
    await proxy.reset();
    await asked;
  });
  await serves(through);
  await through.use(async (lease) => {
    const asked = foreign(lease.query('SELECT pg_sleep(10)'));
    await sleep(20); // it is under way
    await proxy.halfClose('toClient');
    await asked;
  });
  await serves(through);
});

/** Without asking it. */
async function pidIn(lease: Lease): Promise<number> {
  await sleep(20);
  return Number(Reflect.get(lease.client, 'processID'));
}

test('a full server, and one that lets nobody in', async (t) => {
  const config = { ...small.config, max: 1 };
  const ofRole = await withClient(t, small.config);
  await ofRole.query(
    "CREATE ROLE app LOGIN PASSWORD 'right'; CREATE ROLE few LOGIN PASSWORD 'right' CONNECTION LIMIT 0",
  );
  const asking = { acquireTimeoutMs: 300 };
  const causeOf = async (options: PoolOptions): Promise<void> => {
    const { pool } = listening(t, { ...config, ...options });
    const { cause } = (await failure(pool.acquire(asking))) as { cause?: unknown };
    assert.ok(cause instanceof Error);
    found('foreign', String(Reflect.get(cause, 'code')), cause.message);
  };
  await causeOf({ user: 'few' });
  const others: pg.Client[] = [];
  t.after(() => Promise.all(others.map((other) => other.end())).then(() => {}));
  const fillOnce = async (user: string): Promise<void> => {
    for (;;) {
      const other = new pg.Client({ ...config, user });
      other.on('error', () => {}); // ended with the server at the latest
      try {
        await other.connect();
      } catch (error) {
        assert.equal(Reflect.get(Object(error), 'code'), '53300');
        return;
      }
      others.push(other);
    }
  };
  /** Whoever was refused a moment ago may still count. */
  const fill = async (user: string): Promise<void> => {
    await fillOnce(user);
    await sleep(200);
    await fillOnce(user);
  };
  await fill('app');
  await causeOf({ user: 'app' });
  const full = orders(t, { ...small.config, max: 10, user: 'app' });
  await inVain(full, 'server-full');
  await fill(small.config.user);
  await causeOf({});
  for (const other of others.splice(0)) await other.end();
  await foreign(listening(t, { ...config, password: 'wrong' }).pool.query('SELECT 1'));
  await foreign(listening(t, { ...config, password: undefined }).pool.query('SELECT 1'));
  await foreign(listening(t, { database: 'nowhere' }).pool.query('SELECT 1'));
  await foreign(listening(t, { ssl: true }).pool.query('SELECT 1'));
  const port = await unusedPort();
  const { cause } = (await failure(listening(t, { port }).pool.acquire(asking))) as { cause?: Error };
  found('foreign', String(Reflect.get(Object(cause), 'code')), String(cause?.message));
  const front = await tlsFront({ host: server.config.host, port: server.config.port });
  t.after(() => front.close());
  const tls = { host: front.host, port: front.port };
  const refused = await failure(listening(t, { ...tls, ssl: true }).pool.acquire(asking));
  const why = refused.kind === 'POOL_TIMEOUT' ? refused.cause : refused;
  found('foreign', String(Reflect.get(Object(why), 'code')), String(Reflect.get(Object(why), 'message')));
  await serves(listening(t, { ...tls, ssl: { ca: CERTIFICATE } }).pool);
});

test('errors of ours, of pools and leases that are used too late, too early or too often', async (t) => {
  const closed = listening(t).pool;
  const client = await closed.connect();
  client.release();
  const twice = await failure(Promise.resolve().then(() => client.release()));
  found('foreign', twice.code, twice.message);
  await closed.end();
  const gone = await failure(closed.query('SELECT 1'));
  found('foreign', gone.code, gone.message);
  found('errors', 'POOL_CLOSED', gone.message);
  const again = await failure(closed.end());
  found('foreign', again.code, again.message);

  await ours(listening(t, { autoOpen: false }).pool.query('SELECT 1'));
  const closing = listening(t).pool;
  const last = await closing.acquire();
  const end = closing.close({ drainMs: 100, cancelMs: 100 });
  await ours(closing.query('SELECT 1'));
  await end;
  await ours(last.query('SELECT 1'));

  const { pool } = listening(t, { maxWaiting: 1 });
  const lease = await pool.acquire();
  const waiting = pool.query('SELECT 1');
  await ours(pool.query('SELECT 1'));
  await ours(pool.acquire({ acquireTimeoutMs: 0 }));
  lease.release();
  await waiting;
  await ours(Promise.resolve().then(() => lease.release()));
  await ours(lease.query('SELECT 1'));
  await pool.pause({ borrowers: 'reject' });
  await ours(pool.query('SELECT 1'));
  pool.resume();

  const stop = new AbortController();
  let late: Promise<unknown> = Promise.resolve();
  await failure(
    pool.use(
      async (one) => {
        await one.query('SELECT 1');
        stop.abort();
        late = one.query('SELECT 1');
        await late;
      },
      { signal: stop.signal },
    ),
  );
  await ours(late);
  await serves(pool);

  await ours(pool.query({ text: 'SELECT pg_sleep(10)', timeoutMs: 50 }));
  await ours(pool.query('BEGIN'));
  await ours(pool.query('BEGIN; SELECT 1'));
  await ours(pool.transaction((tx) => tx.query('COMMIT')));
  await ours(pool.transaction((tx) => tx.query('SELECT 1 / 0').catch(() => {})));
  await ours(Promise.resolve().then(() => new Pool({ max: -1 })));
  await serves(pool);
});

test('errors of ours, of connections', async (t) => {
  const deaf = await deafServer(t);
  const slow = listening(t, { host: deaf.host, port: deaf.port, connectTimeoutMs: 100 });
  const { cause } = await failure(slow.pool.acquire({ acquireTimeoutMs: 300 }));
  found('errors', 'POOL_CONNECT_FAILED', String(Reflect.get(Object(cause), 'message')));
  const configure = async (): Promise<void> => {
    throw Object.assign(new Error('mine'), { code: '3D000' });
  };
  await ours(listening(t, { configure }).pool.query('SELECT 1'));

  const { pool } = listening(t);
  await ours(
    pool.use(async (lease) => {
      const { stream } = lease.client.connection;
      Reflect.apply(Reflect.get(stream, 'destroy') as () => void, stream, []);
      await lease.query('SELECT 1');
    }),
  );
  await serves(pool);
});

test('a task that asks for a second connection', async (t) => {
  for (const max of [1, 2]) {
    const { pool } = listening(t, { max, deadlockGraceMs: 100, dev: true });
    let count = 0;
    const task = (): Promise<unknown> =>
      pool.use(async (lease) => {
        await lease.query('SELECT 1');
        count += 1;
        await eventually('all have theirs', () => count === max);
        return pool.query('SELECT 1');
      });
    const results = await Promise.allSettled(Array.from({ length: max }, task));
    const failed = results.flatMap((one) => (one.status === 'rejected' ? [Promise.reject(one.reason)] : []));
    assert.equal(failed.length, 1);
    await ours(failed[0] as Promise<never>);
    await serves(pool);
    const warned = listening(t, {
      max,
      deadlockGraceMs: 100,
      dev: true,
      nestedAcquire: 'warn',
      acquireTimeoutMs: 1_000,
    });
    let others = 0;
    const again = Array.from({ length: max }, () =>
      warned.pool.use(async (lease) => {
        await lease.query('SELECT 1');
        others += 1;
        await eventually('all have theirs', () => others === max);
        return warned.pool.query('SELECT 1');
      }),
    );
    const settled = Promise.allSettled(again);
    await reported(warned.heard, 'OXBOW_PROBABLE_DEADLOCK');
    await settled;
  }
  const { pool } = listening(t, { max: 2, nestedAcquire: 'forbid' });
  await ours(pool.use(() => pool.query('SELECT 1')));
  await serves(pool);
});

test('reports about leases and what came back with them', async (t) => {
  const { pool, heard } = listening(t, { leakAfterMs: 100 });
  const lease = await pool.acquire();
  await failure(pool.acquire({ acquireTimeoutMs: 1_200 }));
  await reported(heard, 'OXBOW_LEASE_HELD', 'has been held');
  lease.release();
  await reported(heard, 'OXBOW_LEASE_HELD', 'came back after');
  const limited = listening(t, { borrowLimitMs: 100 });
  const long = await limited.pool.acquire();
  await reported(limited.heard, 'OXBOW_LEASE_HELD');
  await ours(long.query('SELECT 1'));

  await pool.use((one) => one.query('BEGIN').then(() => {}));
  await reported(heard, 'OXBOW_OPEN_TRANSACTION', 'an open');
  await pool.use(async (one) => {
    await one.query('BEGIN');
    await one.query('SELECT 1 / 0').catch(() => {});
  });
  await reported(heard, 'OXBOW_OPEN_TRANSACTION', 'a failed');
  const busy = await pool.acquire();
  busy.query('SELECT pg_sleep(10)').catch(() => {});
  busy.release();
  await reported(heard, 'OXBOW_BUSY_RETURN');
  await serves(pool);
  const unclean = listening(t, { reset: () => Promise.reject(new Error('mine')) });
  await unclean.pool.query('SELECT 1');
  await unclean.pool.use(() => {});
  await reported(unclean.heard, 'OXBOW_RESET_FAILED');
});

test('a report about a lease that was forgotten', async () => {
  const program = `
    import { setFlagsFromString } from 'node:v8';
    import { runInNewContext } from 'node:vm';
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc');
    const said = new Promise((resolve) => process.on('warning', resolve));
    const pool = new Pool({ ...config, max: 1 });
    await (async () => { await (await pool.acquire()).query('SELECT 1'); })();
    const looking = setInterval(gc, 50);
    pool.query('SELECT 1').catch(() => {});
    const { code, message } = await said;
    clearInterval(looking);
    console.log(JSON.stringify({ code, message }));
    await pool.close();`;
  const { stdout, stderr } = await runProgram(program, server.config, 20_000);
  assert.notEqual(stdout, '', stderr);
  const { code, message } = JSON.parse(stdout) as { code: string; message: string };
  found('reports', code, message);
  assert.equal(code, 'OXBOW_LEASE_COLLECTED');
});

test('reports about the user’s functions, connects and pools', async (t) => {
  const { pool, heard } = listening(t, { dev: true, condemn: { '22012': 'replace-all' }, pooler: 'transaction' });
  pool.on('acquire', () => {
    throw new Error('mine');
  });
  const observing = pool.observe({
    returned: () => {
      throw new Error('mine');
    },
  });
  await pool.query('SELECT 1');
  await pool.use(() => {});
  observing();
  pool.removeAllListeners('acquire');
  await reported(heard, 'OXBOW_IMPLICIT_OPEN');
  await reported(heard, 'OXBOW_CALLBACK_FAILED', 'a listener of');
  await reported(heard, 'OXBOW_CALLBACK_FAILED', 'an observer');
  await failure(pool.query('SELECT 1 / 0'));
  await reported(heard, 'OXBOW_FAILOVER');
  await pool.query('SET search_path = public');
  await reported(heard, 'OXBOW_POOLER', 'was sent');

  const idle = listening(t);
  const pid = await idle.pool.use(pidOf);
  await killBackend(admin, pid);
  await reported(idle.heard, 'OXBOW_CONNECTION_LOST');
  await serves(idle.pool);

  const down = listening(t, { port: await unusedPort(), reconnectTimeoutMs: 100 });
  await failure(down.pool.acquire({ acquireTimeoutMs: 500 }));
  await reported(down.heard, 'OXBOW_CONNECT_FAILED', 'still trying');
  let database = server.config.database;
  const half = listening(t, { max: 2, connection: () => ({ ...server.config, database }) });
  await half.pool.use(async () => {
    database = 'nowhere';
    await failure(half.pool.acquire({ acquireTimeoutMs: 1_500 }));
  });
  await reported(half.heard, 'OXBOW_CONNECT_FAILED', 'going on');

  const third = reports();
  const many = [1, 2, 3].map(() => new Pool({ ...server.config, max: 1, logger: third.logger }));
  t.after(async () => void (await Promise.all(many.map((one) => one.close()))));
  for (const one of many) await one.query('SELECT 1');
  await reported(third, 'OXBOW_MANY_POOLS');
});

test('verdicts while connections are lent, with the sentence of the reference', async (t) => {
  const busy = orders(t, { max: 1 });
  await lent(busy, 'SELECT pg_sleep(60)', true);
  await inVain(busy, 'exhausted');

  const idle = orders(t, { max: 2 });
  for (const lease of await Promise.all([idle.acquire(), idle.acquire()])) {
    kept.push(lease);
    await lease.query('BEGIN');
    await lease.query('SELECT 42 AS answer');
  }
  await sleep(1_050); // so long is idle
  await inVain(idle, 'held-idle');

  const leak = orders(t, { max: 1, leakAfterMs: 200 });
  await lent(leak, 'SELECT 1 AS forgotten');
  await sleep(250); // so long is a leak
  await inVain(leak, 'leak');

  const jam = orders(t, { max: 1, nestedAcquire: 'warn', dev: true, acquireTimeoutMs: 400 });
  const error = await failure(
    jam.use(async (lease) => {
      await lease.query('SELECT 1 AS outer');
      return jam.query('SELECT 1 AS inner');
    }),
  );
  concludes('deadlock', Reflect.get(error, 'explanation') as { verdict: string; summary: string });

  const budget = createThreadBudget({ max: 1 });
  const neighbour = orders(t, { budget });
  await lent(neighbour, 'SELECT 1');
  await inVain(orders(t, { budget }), 'budget');
});

test('verdicts while none can be had, with the sentence of the reference', async (t) => {
  const ok = await orders(t).open();
  await eventually('one is idle', () => ok.snapshot().idle === 1);
  concludes('ok', ok.explain());
  await inVain(orders(t, { host: '127.0.0.1', port: await unusedPort() }), 'server-down');
  const deaf = await deafServer(t);
  await inVain(orders(t, { host: deaf.host, port: deaf.port }), 'connecting-slowly');
  const paused = await orders(t).open();
  await paused.pause();
  await inVain(paused, 'paused');
  const context = { here: true, kind: 'request' as const };
  const guarded = orders(t);
  const guard = new RequestGuard('orders', { mint: () => context });
  guard.fault();
  guard.watch(guarded);
  context.here = false;
  await ours(guarded.query('SELECT 1'));
  concludes('wrong-loop', guarded.explain());
  context.here = true;
  const closing = orders(t);
  const lease = await closing.acquire();
  const end = closing.close();
  found('verdicts', 'closed', closing.explain().summary);
  lease.release();
  await end;
  concludes('closed', closing.explain());
});

test('verdicts while the process itself is held up, with the sentence of the reference', async (t) => {
  const work = (ms: number): void => {
    const until = performance.now() + ms;
    while (performance.now() < until);
  };
  const stand = (ms: number): void => void execFileSync('sleep', [String(ms / 1_000)]);
  for (const [verdict, hold, ms] of [
    ['loop-blocked', work, 600],
    ['frozen', stand, 1_500],
  ] as const) {
    const pool = orders(t, { max: 1 });
    await lent(pool, 'SELECT pg_sleep(60)', true);
    setTimeout(() => hold(ms), 50);
    const error = await failure(pool.acquire({ acquireTimeoutMs: 300 }));
    concludes(verdict, Reflect.get(error, 'explanation') as { verdict: string; summary: string } | undefined);
  }
});

test('every message of the page came, or has a reason why not; every verdict was concluded', () => {
  const chapters = Object.keys(CHAPTERS) as Chapter[];
  const away = new Set(ELSEWHERE.map(({ quote }) => quote));
  const all = chapters.flatMap((chapter) =>
    rowsOf(chapter).flatMap(({ quotes }) => quotes.map((quote) => ({ chapter, quote }))),
  );
  const never = all.filter(({ chapter, quote }) => !seen.has(`${chapter} ${quote}`) && !away.has(quote));
  assert.deepEqual(never, []);
  const both = all.filter(({ chapter, quote }) => seen.has(`${chapter} ${quote}`) && away.has(quote));
  assert.deepEqual(both, [], 'what came needs no reason');
  assert.deepEqual(
    [...VERDICTS].filter((verdict) => !concluded.has(verdict)),
    [],
  );
});
