// Each verdict, provoked with a real server, a real network, a real loop: what a thrown error says, and what `explain()` said while it was waited
// for, which is the same. `wrong-loop` needs a platform that has it: test/loops/workerd.test.ts. The decision itself: test/core/verdicts.test.ts.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import {
  ConnectError,
  DeadlockError,
  type Explanation,
  type Lease,
  Pool,
  type PoolOptions,
  PoolTimeoutError,
} from '../../src/doors/index.ts';
import { createThreadBudget } from '../../src/doors/threads.ts';
import { faultProxy } from '../../src/testing/fault-proxy.ts';
import {
  deafServer,
  eventually,
  freshName,
  rejection,
  reports,
  unusedPort,
  withClient,
  withServer,
} from './harness.ts';

const server = await withServer(test, { url: false });

/** A test that only wants something to be lent may not forget it: that is taken back. */
const kept: Lease[] = [];

/** With nothing around its verbs, so that the places where leases were taken are the tests'. */
function pool(t: TestContext, options: PoolOptions): Pool {
  const one = new Pool({ name: freshName(), logger: reports().logger, ...server.config, callSites: true, ...options });
  t.after(async () => {
    const here = setTimeout(() => {}, 30_000);
    await one.close({ drainMs: 0, cancelMs: 200 });
    clearTimeout(here);
  });
  return one;
}

interface Expected {
  readonly verdict: Explanation['verdict'];
  readonly summary: RegExp;
  readonly advice: RegExp;
}

function judge({ verdict, summary, advice }: Explanation, expected: Expected): void {
  assert.equal(verdict, expected.verdict, summary);
  assert.match(summary, expected.summary);
  assert.match(advice[0] ?? '', expected.advice);
}

function explanationOf(error: Error): Explanation {
  const explanation: unknown = Reflect.get(error, 'explanation');
  assert.ok(typeof explanation === 'object' && explanation !== null, `no explanation: ${error.message}`);
  return explanation as Explanation;
}

/** Somebody asks in vain: is told the verdict, and while it waits `explain()` comes to the same. */
async function inVain(one: Pool, patienceMs: number, expected: Expected): Promise<PoolTimeoutError> {
  const said: Explanation[] = [];
  const refused = rejection(one.acquire({ acquireTimeoutMs: patienceMs }), PoolTimeoutError);
  const waiting = eventually(
    `explain() says ${expected.verdict}`,
    () => {
      const explanation = one.explain();
      assert.equal(explanation.verdict, expected.verdict, explanation.summary);
      said.push(explanation);
      return true;
    },
    { withinMs: patienceMs - 50, everyMs: 10 },
  );
  const [error] = await Promise.all([refused, waiting]);
  judge(explanationOf(error), expected);
  judge(said[0] as Explanation, expected);
  assert.match(said[0]?.summary ?? '', /: 1 borrower waits, the oldest for \d+ ms|\d s; /);
  const { message, explanation } = error;
  assert.equal(message, `${explanation?.summary}; timeout exceeded when trying to connect`);
  assert.ok(message.startsWith(`${one.name}: no connection within `), message);
  return error;
}

/** So many leases, each running a statement that lasts. */
async function busy(one: Pool, count: number): Promise<void> {
  const leases = await Promise.all(Array.from({ length: count }, () => one.acquire()));
  kept.push(...leases);
  // They are cancelled when the pool is closed.
  for (const lease of leases) lease.query('SELECT pg_sleep(60)').catch(() => {});
}

function burn(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

const EXHAUSTED: Expected = {
  verdict: 'exhausted',
  summary:
    /no connection is free: 1\/1 lent, all running a query.*; held .* by \S*verdicts\.test\.\w+:\d+, running `SELECT pg_sleep\(60\)`/,
  advice: /^look at the slowest statements \(\S*verdicts\.test\.\w+:\d+\)/,
};

test('ok: nobody waits, and the figures are the pool’s', async (t) => {
  const one = await pool(t, { min: 2, max: 4 }).open();
  await eventually('both are there', () => one.snapshot().idle === 2);
  const { verdict, summary, advice } = one.explain();
  assert.deepEqual([verdict, summary, advice], ['ok', `${one.name}: nobody waits; 0/4 lent, 2 idle`, []]);
});

test('exhausted: every connection runs a statement, which is named', async (t) => {
  const one = pool(t, { max: 1 });
  await busy(one, 1);
  const error = await inVain(one, 400, EXHAUSTED);
  assert.equal(error.cause, undefined);
  assert.equal(error.explanation?.evidence.running, 1);
});

test('held-idle: open transactions that run nothing, with what they ran last', async (t) => {
  const one = pool(t, { max: 2 });
  for (const lease of await Promise.all([one.acquire(), one.acquire()])) {
    kept.push(lease);
    await lease.query('BEGIN');
    await lease.query('SELECT 42 AS answer');
  }
  await sleep(1_000); // so long is idle
  const error = await inVain(one, 400, {
    verdict: 'held-idle',
    summary:
      /2\/2 lent, none running a query.*; 2 held by \S+, the oldest for [\d.]+ s, idle in transaction for [\d.]+ s after `SELECT 42 AS answer`/,
    advice: /^give connections back before doing anything else/,
  });
  assert.equal(error.explanation?.evidence.inTransaction, 2);
});

test('leak: one of two was taken and forgotten, and its place is named', async (t) => {
  const one = pool(t, { max: 2, leakAfterMs: 300 });
  const forgotten = await one.acquire();
  kept.push(forgotten);
  await forgotten.query('SELECT 1 AS forgotten');
  await busy(one, 1);
  await sleep(300); // so long is a leak
  const error = await inVain(one, 400, {
    verdict: 'leak',
    summary:
      /1 lease has had no query running for more than 300 ms: 2\/2 lent, 1 running a query.*; held \S+ \w+ by \S+, idle for .* after `SELECT 1 AS forgotten`/,
    advice: /^give back what is taken \(\S*verdicts\.test\.\w+:\d+\)/,
  });
  assert.equal(error.explanation?.evidence.leaks, 1);
});

const DEADLOCK: Expected = {
  verdict: 'deadlock',
  summary:
    /probable deadlock: those who hold the connections wait for another one themselves, and nothing has moved for .*: 2\/2 lent, none running a query.*; 2 held by \S+, .* after `SELECT 1 AS outer`/,
  advice: /^pass the lease or the transaction on.* \(\S*verdicts\.test\.\w+:\d+\)/,
};

/** Two tasks, each with one of two connections, that ask for another one. */
function jam(one: Pool): Promise<unknown>[] {
  let both = 0;
  return [1, 2].map(() =>
    one.use(async (lease: Lease) => {
      await lease.query('SELECT 1 AS outer');
      both += 1;
      await eventually('both have theirs', () => both === 2);
      return one.query('SELECT 1 AS inner');
    }),
  );
}

test('deadlock: who is turned away for it, and who only times out, are told the same', async (t) => {
  const detecting = pool(t, { max: 2, dev: true });
  const outcomes = await Promise.allSettled(jam(detecting));
  const [error] = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));
  assert.ok(error instanceof DeadlockError, String(error));
  judge(explanationOf(error), DEADLOCK);
  assert.equal(error.cycle.length, 2);

  const warning = pool(t, { max: 2, dev: true, nestedAcquire: 'warn', acquireTimeoutMs: 900 });
  const jammed = jam(warning);
  const said = await eventually('explain() sees it', () => {
    const explanation = warning.explain();
    return explanation.verdict === 'deadlock' && explanation;
  });
  judge(said, DEADLOCK);
  const [late] = (await Promise.allSettled(jammed)).flatMap((o) =>
    o.status === 'rejected' ? [o.reason as unknown] : [],
  );
  assert.ok(late instanceof PoolTimeoutError, String(late));
  judge(explanationOf(late), DEADLOCK);
});

test('server-down: the cause is the last failed connect, and the sentence has its age', async (t) => {
  const one = pool(t, { max: 2, host: '127.0.0.1', port: await unusedPort() });
  const error = await inVain(one, 500, {
    verdict: 'server-down',
    summary: /no connection can be made: the last connect failed \d+ ms ago.*: connect ECONNREFUSED 127\.0\.0\.1:\d+/,
    advice: /^see whether the server runs and can be reached/,
  });
  assert.equal(Reflect.get(Object(error.cause), 'code'), 'ECONNREFUSED');
  assert.match(error.message, /, \d+ in a row: connect/);
  assert.ok(Number(error.explanation?.evidence.connectErrorAgoMs) <= 500);
  assert.equal(error.explanation?.evidence.connectError, (error.cause as Error).message);
});

test('a failed connect that others have followed is not blamed', async (t) => {
  const proxy = await faultProxy({ target: server.config });
  t.after(() => proxy.close());
  await proxy.refuse();
  const one = pool(t, { max: 1, host: proxy.host, port: proxy.port });
  const down = await rejection(one.acquire({ acquireTimeoutMs: 200 }), PoolTimeoutError);
  assert.equal(down.explanation?.verdict, 'server-down', down.message);
  await proxy.serve();
  await busy(one, 1);
  const error = await inVain(one, 300, EXHAUSTED);
  assert.equal(error.cause, undefined);
  assert.doesNotMatch(error.message, /ECONNREFUSED|the last connect/);
  assert.equal(error.explanation?.evidence.connectError, undefined);
});

test('server-full: the server itself has no slot left', async (t) => {
  const small = await withServer(t, {
    url: false,
    settings: { max_connections: 6, superuser_reserved_connections: 3 },
  });
  const admin = await withClient(t, small.config);
  await admin.query('CREATE ROLE app LOGIN');
  const config = { ...small.config, user: 'app' };
  const others: pg.Client[] = [];
  t.after(() => Promise.all(others.map((other) => other.end())).then(() => {}));
  for (let full = false; !full; ) {
    const other = new pg.Client(config);
    other.on('error', () => {}); // ended with the server at the latest
    full = await other.connect().then(
      () => false,
      (error: unknown) => Reflect.get(Object(error), 'code') === '53300' || Promise.reject(error),
    );
    if (!full) others.push(other);
  }
  const one = pool(t, { ...config, max: 3 });
  const error = await inVain(one, 500, {
    verdict: 'server-full',
    summary:
      /the server has no room for another session: the last connect failed \d+ ms ago.*: .*(too many clients|reserved|connection slots)/,
    advice: /^lower max \(3\) times the number of processes/,
  });
  assert.equal(Reflect.get(Object(error.cause), 'code'), '53300');
});

test('connecting-slowly: the server accepts and says nothing', async (t) => {
  const deaf = await deafServer(t);
  const one = pool(t, { max: 2, host: deaf.host, port: deaf.port });
  const error = await inVain(one, 500, {
    verdict: 'connecting-slowly',
    summary: /connecting takes long: 1 connect under way for \d+ ms; 0\/2 lent, 1 being opened/,
    advice: /^find what is slow: DNS, TLS, authentication/,
  });
  assert.equal(error.cause, undefined);
  const underMs = Number(/under way for (\d+) ms/.exec(error.message)?.[1]);
  assert.ok(underMs >= 450, error.message);
});

test('loop-blocked: whom a blocked loop kept is served, and who times out is told for how long it was', async (t) => {
  const one = await pool(t, { min: 1, max: 1 }).open();
  const first = one.query('SELECT pg_sleep(0.02)');
  const second = one.query({ text: 'SELECT 1 AS one', timeoutMs: 300 });
  await new Promise((resolve) => setImmediate(resolve));
  burn(700);
  assert.deepEqual((await second).rows, [{ one: 1 }]);
  await first;
  assert.deepEqual(one.stats().requestsFailed, {});

  await busy(one, 1);
  let said: Explanation | undefined;
  setTimeout(() => {
    burn(1_200);
    setTimeout(() => {
      said = one.explain();
    }, 60);
  }, 20);
  const expected: Expected = {
    verdict: 'loop-blocked',
    summary:
      /the event loop was blocked for 1\.[0-9] s of [\d.]+ s by other work of this process, not by the pool or the server/,
    advice: /^find the work that keeps the loop/,
  };
  const error = await rejection(one.acquire({ acquireTimeoutMs: 400 }), PoolTimeoutError);
  judge(explanationOf(error), expected);
  judge(said ?? assert.fail('explain() was not asked'), expected);
  assert.equal(error.givenBackMs, 400);
  assert.match(error.message, /; 400 ms of blocked time were given back; /);
});

/** Waits with nothing to be had, while the process is stopped; tells what it was told. */
const WAITS = `
  const quiet = () => {};
  const pool = new Pool({ ...config, max: 1, logger: { debug: quiet, info: quiet, warn: quiet, error: quiet } });
  const lease = await pool.acquire();
  lease.query('SELECT pg_sleep(60)').catch(quiet);
  const verdicts = [];
  setInterval(() => verdicts.push(pool.explain().verdict), 20);
  setTimeout(() => process.send('waits'), 100);
  try {
    await pool.acquire({ acquireTimeoutMs: 1_000 });
  } catch ({ explanation }) {
    process.send({ explanation, before: verdicts[1], after: verdicts.at(-1) });
  }
`;

test('frozen: the process is stopped for most of the wait', async (t) => {
  const door = new URL('../../src/doors/index.js', import.meta.url).href;
  const source = `import { Pool } from ${JSON.stringify(door)};\nconst config = ${JSON.stringify(server.config)};\n${WAITS}`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const said = (): Promise<unknown> =>
    new Promise((resolve, reject) => {
      child.once('message', resolve);
      child.once('exit', () => reject(new Error('it ended before it said anything')));
    });
  assert.equal(await said(), 'waits');
  child.kill('SIGSTOP');
  await sleep(3_000); // the stop itself
  child.kill('SIGCONT');
  const { explanation, before, after } = (await said()) as { explanation: Explanation; before: string; after: string };
  judge(explanation, {
    verdict: 'frozen',
    summary: /the whole process stood still for (2\.[89]|3\.\d) s, until .* ago/,
    advice: /^nothing, if this is a function that was frozen/,
  });
  assert.deepEqual([before, after], ['exhausted', 'frozen']);
});

test('paused: for how long, and what ends it', async (t) => {
  const one = await pool(t, { min: 1, max: 2 }).open();
  await one.pause();
  await inVain(one, 300, {
    verdict: 'paused',
    summary: /the pool has been paused for \d+ ms and lends nothing until resume\(\); 0\/2 lent, 1 idle/,
    advice: /^call resume\(\)/,
  });
  one.resume();
  assert.equal(one.explain().verdict, 'ok');
});

test('budget: another pool has all the permits', async (t) => {
  const budget = createThreadBudget({ max: 2 });
  const other = pool(t, { max: 2, budget });
  await busy(other, 2);
  const one = pool(t, { max: 3, budget });
  await inVain(one, 300, {
    verdict: 'budget',
    summary:
      /the limit that this pool shares with others is used up: 2 of 2 permits of the threads budget taken, 0 of them here, shared by 2 pools; 0\/3 lent/,
    advice: /^raise the shared limit \(2\)/,
  });
});

test('closed: who is to be served while the pool closes and is not, and who asks afterwards', async (t) => {
  const one = pool(t, { max: 1, acquireTimeoutMs: 300 });
  await busy(one, 1);
  const waiting = rejection(one.acquire(), PoolTimeoutError);
  const closing = one.close({ waiting: 'serve', drainMs: 1_000, cancelMs: 200 });
  const expected: Expected = {
    verdict: 'closed',
    summary: /the pool is closing; 1\/1 lent/,
    advice: /^make a new pool/,
  };
  judge(one.explain(), expected);
  judge(explanationOf(await waiting), expected);
  await closing;
  judge(one.explain(), { ...expected, summary: /: the pool is closed; 0\/1 lent$/ });
});

test('a wrong password at start: the first error names it; later it is said that trying again will not help', async (t) => {
  const strict = await withServer(t, { url: false, auth: 'scram', password: 'right' });
  const wrong = pool(t, { ...strict.config, password: 'wrong', max: 2 });
  const began = performance.now();
  const first = await rejection(wrong.query('SELECT 1'), ConnectError);
  assert.match(first.message, /password authentication failed for user/);
  assert.deepEqual([first.transient, Reflect.get(first, 'code')], [false, '28P01']);
  assert.ok(performance.now() - began < 5_000, 'at once, and not at its deadline');

  const one = pool(t, { ...strict.config, password: 'right', max: 2 });
  await busy(one, 1);
  const admin = await withClient(t, { ...strict.config, password: 'right' });
  await admin.query(`ALTER ROLE ${pg.escapeIdentifier(String(strict.config.user))} PASSWORD 'another'`);
  const error = await inVain(one, 600, {
    verdict: 'server-down',
    summary:
      /no connection can be made, and trying again will not help: the last connect failed .*: password authentication failed/,
    advice: /^mend what the error names: user, password/,
  });
  assert.equal(Reflect.get(Object(error.cause), 'code'), '28P01');
  assert.doesNotMatch(JSON.stringify(error.explanation), /right|another/, 'and no password is in it');
});

test('a timeout names the top holders by where they took theirs, with what each ran last and for how long it has been idle', async (t) => {
  const one = pool(t, { max: 6 });
  const takers: (() => Promise<Lease>)[] = [
    async () => one.acquire(),
    async () => one.acquire(),
    async () => one.acquire(),
    async () => one.acquire(),
    async () => one.acquire(),
  ];
  let n = 0;
  for (const take of [takers[0], takers[1], takers[2], takers[0], takers[3], takers[4]]) {
    if (take === undefined) continue;
    const lease = await take();
    kept.push(lease);
    n += 1;
    await lease.query(`SELECT ${n} AS n`);
    await sleep(30); // so that each has been idle for another time
  }
  await sleep(1_000); // so long is idle
  const { summary, evidence } = (await rejection(one.acquire({ acquireTimeoutMs: 200 }), PoolTimeoutError))
    .explanation as Explanation;
  const told = summary.slice(summary.indexOf('; 2 held')).split('; ').slice(1);
  assert.equal(told.length, 4, summary);
  assert.match(
    told[0] ?? '',
    /^2 held by \S+verdicts\.test\.\w+:\d+, the oldest for [\d.]+ s, idle for [\d.]+ s after `SELECT 1 AS n`$/,
  );
  assert.match(told[1] ?? '', /^held [\d.]+ s by \S+verdicts\.test\.\w+:\d+, idle for [\d.]+ s after `SELECT 2 AS n`$/);
  assert.match(told[2] ?? '', /^held [\d.]+ s by \S+verdicts\.test\.\w+:\d+, idle for [\d.]+ s after `SELECT 3 AS n`$/);
  assert.equal(told[3], '2 more elsewhere');
  assert.equal(new Set(summary.match(/verdicts\.test\.\w+:\d+/g)).size, 3, summary);
  const listed = evidence.holders as { lastStatement?: string; idleMs: number; site?: string }[];
  assert.deepEqual(
    listed.map(({ lastStatement }) => lastStatement),
    [1, 2, 3, 4, 5].map((k) => `SELECT ${k} AS n`),
  );
  for (const { idleMs, site } of listed) assert.ok(idleMs >= 1_000 && site !== undefined, JSON.stringify(listed));
});
