// The pool in Cloudflare's own runtime, where a socket belongs to the request that opened it. Everything is asked of a real worker over
// HTTP, and judged by what the server has in pg_stat_activity.

import assert from 'node:assert/strict';
import nodeTest from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Explanation } from '../../src/doors/index.ts';
import { bundle, startWorker, test, type Worker } from '../kit/workerd.ts';
import { backends, eventually, type Scope, withClient, withServer } from '../postgres/harness.ts';

const server = await withServer(nodeTest, { url: false });
const admin = await withClient(nodeTest, server.config);

let text: string | undefined;

async function withWorker(scope: Scope, flags: readonly string[] = []): Promise<Worker> {
  text ??= await bundle('test/ecosystem/workerd/worker.mjs');
  const worker = await startWorker({
    text,
    flags,
    bindings: { DATABASE_URL: server.url },
    objects: { KEEPER: 'Keeper' },
  });
  scope.after(() => worker.stop());
  return worker;
}

interface Pids {
  readonly pids: readonly number[];
  readonly thrown?: unknown;
}

interface Stand {
  readonly lent: number;
  readonly waiting: number;
  readonly budget: { readonly used: number };
  readonly requests: number;
  readonly retired: Readonly<Record<string, number>>;
}

interface Bounded {
  readonly ms: number;
  readonly value?: unknown;
  readonly hung?: true;
  readonly error?: { readonly name: string; readonly kind?: string; readonly message: string };
}

/** Fails if an answer has no pids, or if two have one in common. */
function allDisjoint(answers: readonly Pids[]): void {
  for (const answer of answers) assert.ok(answer.pids?.length > 0, JSON.stringify(answer));
  const pids = answers.flatMap((answer) => answer.pids);
  assert.equal(new Set(pids).size, pids.length, `a backend was used by two requests: ${JSON.stringify(answers)}`);
}

/** Counts the pool's backends over and over; the undo tells the most there ever were. */
function peakOf(application: string): () => Promise<number> {
  let most = 0;
  let over = false;
  const counting = (async () => {
    while (!over) {
      most = Math.max(most, await backends(admin, application));
      await sleep(3);
    }
  })();
  return async () => {
    over = true;
    await counting;
    return most;
  };
}

async function noneLeft(application: string): Promise<void> {
  await eventually(`no backend of ${application} is left`, async () => (await backends(admin, application)) === 0);
}

/** Both values of the flag; the first is the default, and refused as a flag. */
const FLAGS = [[], ['no_handle_cross_request_promise_resolution']];

for (const flags of FLAGS) {
  const flag = flags[0] ?? 'handle_cross_request_promise_resolution';

  test(`requests one after the other and many at once share a pool in a module variable, no backend and never more than max, with ${flag}`, async (t) => {
    const worker = await withWorker(t, flags);
    const sequential: Pids[] = [];
    for (let n = 0; n < 8; n += 1) sequential.push(await worker.get<Pids>('/cells/query'));
    const peak = peakOf('workerd-cells');
    const parallel = await Promise.all(
      Array.from({ length: 24 }, () => worker.get<Pids>('/cells/query?times=2&sleepMs=20')),
    );
    const most = await peak();
    allDisjoint([...sequential, ...parallel]);
    assert.ok(most > 1 && most <= 4, `${most} backends at once`);
    await noneLeft('workerd-cells');
    await eventually('the budget is whole again', async () => {
      const { budget } = await worker.get<Stand>('/cells/stand');
      return budget.used === 0;
    });
  });

  test(`a request that ends without release gives its connections back within two seconds, with ${flag}`, async (t) => {
    const worker = await withWorker(t, flags);
    await worker.get('/cells/query');
    for (let n = 0; n < 4; n += 1) await worker.get('/cells/leak');
    const began = performance.now();
    const answers = await Promise.all(Array.from({ length: 4 }, () => worker.get<Pids>('/cells/query?sleepMs=50')));
    const ms = performance.now() - began;
    allDisjoint(answers);
    assert.ok(ms < 2_000, `${ms} ms`);
    await noneLeft('workerd-cells');
  });

  test(`a request that is cancelled while it waits blocks nobody, and takes nothing when its turn has come, with ${flag}`, async (t) => {
    const worker = await withWorker(t, flags);
    const stand = (): Promise<Stand> => worker.get<Stand>('/one/stand');
    const held = worker.get('/one/hold?ms=600');
    await eventually('it is held', async () => (await stand()).lent === 1);
    const cancel = worker.ask('/one/query');
    await eventually('it waits', async () => (await stand()).waiting === 1);
    cancel();
    const began = performance.now();
    const [answer] = await Promise.all([worker.get<Pids>('/one/query'), held]);
    const ms = performance.now() - began;
    allDisjoint([answer]);
    // What has not looked for two seconds is forgotten in any case.
    assert.ok(ms < 1_700, `${ms} ms`);
    await noneLeft('workerd-one');
    const { budget, requests } = await stand();
    // Of the two queries of the cancelled one the second was never asked.
    assert.deepEqual([budget.used, requests], [0, 4]);
  });

  test(`a request that is cancelled while it holds a connection gives it back within two seconds, with ${flag}`, async (t) => {
    const worker = await withWorker(t, flags);
    const cancel = worker.ask('/one/hold?ms=60000');
    await eventually('it is held', async () => (await worker.get<Stand>('/one/stand')).lent === 1);
    cancel();
    const began = performance.now();
    allDisjoint([await worker.get<Pids>('/one/query')]);
    assert.ok(performance.now() - began < 2_000);
  });
}

test('a request is kept until its connections have said goodbye, and its response does not wait for that', async (t) => {
  const worker = await withWorker(t);
  // Of the first request the pool cannot know yet that it is one.
  await worker.get('/cells/query');
  const { retired: before } = await worker.get<Stand>('/cells/stand');
  for (let n = 0; n < 3; n += 1) await worker.get('/cells/query');
  await noneLeft('workerd-cells');
  const { retired } = await worker.get<Stand>('/cells/stand');
  assert.deepEqual([before, retired], [{}, { trimmed: 3 }]);
});

test('every way to borrow works, by promise and by callback, in a request and in a Durable Object', async (t) => {
  const worker = await withWorker(t);
  const expected = {
    numbers: [7, 8, 9, 10, 11, 12],
    holders: ['held'],
    lent: 1,
    max: 4,
    budget: 'workers',
    genuine: [true, true],
  };
  const { requests, returns, ...first } = await worker.get<Record<string, unknown>>('/cells/verbs');
  assert.deepEqual([first, requests, returns], [expected, 6, 6]);
  const { requests: more, ...second } = await worker.get<Record<string, unknown>>('/object/cells/verbs');
  assert.deepEqual([{ ...second, returns: undefined }, more], [{ ...expected, returns: undefined }, 12]);
});

test('a Durable Object keeps one backend from request to request, also where nothing but the object ever used the pool', async (t) => {
  for (const before of [[], ['/cells/query']]) {
    const worker = await withWorker(t);
    for (const path of before) await worker.get(path);
    const pids: number[] = [];
    for (let n = 0; n < 5; n += 1) {
      const answer = await worker.get<Pids>('/object/cells/query');
      pids.push(...answer.pids);
      await sleep(n === 3 ? 200 : 10);
    }
    assert.equal(new Set(pids).size, 1, `${pids}`);
    await worker.stop();
  }
});

test('what another request asks of a lease is refused at once, and its release is done in its own', async (t) => {
  const worker = await withWorker(t);
  const keeping = worker.get<{ released: boolean; lent: number }>('/cells/keep?ms=5000');
  await eventually('it is held', async () => (await worker.get<Stand>('/cells/stand')).lent === 1);
  await sleep(50);
  const { error, ms } = await worker.get<Bounded>('/cells/meddle');
  assert.deepEqual([error?.name, error?.kind], ['WrongLoopError', 'POOL_WRONG_LOOP']);
  assert.match(error?.message ?? '', /^a lease of pool-\d+ lives in the request .*borrow one in each request/);
  assert.ok(ms < 50, `${ms} ms`);
  const { released, lent } = await keeping;
  assert.deepEqual({ released, lent }, { released: true, lent: 0 });
});

test("with contexts: 'error' another request is refused at once, and told what to do", async (t) => {
  const worker = await withWorker(t);
  await worker.get('/error/query');
  for (const path of ['/error/acquire', '/error/ask']) {
    const { error, ms } = await worker.get<Bounded>(path);
    assert.deepEqual([error?.name, error?.kind], ['WrongLoopError', 'POOL_WRONG_LOOP'], path);
    assert.match(
      error?.message ?? '',
      /^mine lives in the request \(or the Durable Object\) that used it first, and was used in another one: make a pool for each request/,
    );
    assert.ok(ms < 50, `${ms} ms`);
  }
});

test('an ordinary Pool in a module variable refuses a second request at once, where a pg.Pool hangs', async (t) => {
  const worker = await withWorker(t);
  const first = await worker.get<Bounded>('/plain/ask');
  assert.equal(typeof first.value, 'number', JSON.stringify(first));
  for (const path of ['/plain/ask', '/plain/acquire']) {
    const { error, ms } = await worker.get<Bounded>(path);
    assert.equal(error?.name, 'WrongLoopError', path);
    assert.match(error?.message ?? '', /^plain lives in the request .*: .*createWorkersPool\(\) of 'oxbow\/workers'/);
    assert.ok(ms < 50, `${ms} ms`);
  }
  const byPg = await worker.get<Bounded>('/pg/ask');
  assert.equal(typeof byPg.value, 'number', JSON.stringify(byPg));
  assert.equal((await worker.get<Bounded>('/pg/ask?ms=800')).hung, true);
});

test('asked why by another request, an ordinary Pool says wrong-loop: where it lives, where it is asked, what to make instead', async (t) => {
  const worker = await withWorker(t);
  await worker.get<Bounded>('/plain/ask');
  const { verdict, summary, advice } = await worker.get<Explanation>('/plain/explain');
  assert.equal(verdict, 'wrong-loop', summary);
  assert.match(summary, /^plain: .*lives in the request .*, and is used in another one$/);
  assert.match(advice[0] ?? '', /createWorkersPool\(\) of 'oxbow\/workers'/);
});

test('an ordinary Pool serves all requests of a Durable Object', async (t) => {
  const worker = await withWorker(t);
  const pids: unknown[] = [];
  for (let n = 0; n < 3; n += 1) pids.push((await worker.get<Bounded>('/object/plain/ask')).value);
  assert.equal(typeof pids[0], 'number', JSON.stringify(pids));
  assert.equal(new Set(pids).size, 1);
  const { error } = await worker.get<Bounded>('/plain/ask');
  assert.equal(error?.name, 'WrongLoopError');
});

test('close() from another request ends what every request has open, and refuses whoever comes', async (t) => {
  const worker = await withWorker(t);
  const holding = Array.from({ length: 2 }, () => worker.get('/closing/hold?ms=900'));
  await eventually('they are held', async () => (await worker.get<Stand>('/closing/stand')).lent === 2);
  const { report, phase, ms, after } = await worker.get<{
    report: { destroyed: number; stillHeld: unknown[] };
    phase: string;
    ms: number;
    after: Bounded;
  }>('/closing/close');
  assert.deepEqual([report.destroyed, report.stillHeld.length, phase], [2, 2, 'closed']);
  assert.ok(ms < 2_000, `${ms} ms`);
  assert.equal(after.error?.name, 'PoolClosedError');
  await noneLeft('workerd-closing');
  await Promise.all(holding);
});

test('making a pool is allowed outside of a request', async (t) => {
  const worker = await withWorker(t);
  const [pool, workers] = await worker.get<{ phase: string; named: string }[]>('/cells/inert');
  assert.deepEqual([pool?.phase, workers?.phase, workers?.named], ['created', 'created', 'inert']);
});
