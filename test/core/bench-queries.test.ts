// What the benchmark of queries computes must be right, or its page means nothing: quantiles, the kernel's accounting, ratios, goals, and the
// checks of answers. Nothing here is timed, and nobody is asked.

import assert from 'node:assert/strict';
import test from 'node:test';
import { busyIn } from '../../bench/lib/foreign-cpu.ts';
import { Latencies } from '../../bench/lib/latencies.ts';
import { serverCpuUs, timesIn } from '../../bench/lib/server-cpu.ts';
import { ALL, type Cell, DEFAULT, keyOf } from '../../bench/queries/cells.ts';
import { Crowd } from '../../bench/queries/crowd.ts';
import { ECHO } from '../../bench/queries/echo.ts';
import { noiseOf, ratio, rowsOf } from '../../bench/queries/figures.ts';
import { goalsOf, tooNoisy } from '../../bench/queries/goals.ts';
import type { Contender } from '../../bench/queries/line-up.ts';
import type { Measured, Samples } from '../../bench/queries/measure.ts';
import { pageBody, slowerThan } from '../../bench/queries/page.ts';
import { type Queries, WORKLOADS } from '../../bench/queries/workloads.ts';

function samples(rate: readonly number[], heapBytes = Number.NaN): Samples {
  const latencies = [{ p50: 1, p99: 2, p999: 3 }];
  return { rate: [...rate], cpuUs: [10, 20, 30], serverUs: 600, served: 30, foreign: [], latencies, heapBytes };
}

function measured(cells: Readonly<Record<string, Readonly<Partial<Record<Contender, Samples>>>>>): Measured {
  const entries = Object.entries(cells).map(
    ([key, inCell]) => [key, new Map(Object.entries(inCell) as [Contender, Samples][])] as const,
  );
  return { cells: new Map(entries), memory: new Map(), repeated: 0 };
}

const KEY = 'byKey 100/10 local';
const cell = DEFAULT.find((one) => keyOf(one) === KEY) as Cell;

test('a quantile is the time within which that share was done, too long by one in a hundred at most', () => {
  const latencies = new Latencies();
  for (let ms = 1; ms <= 1_000; ms += 1) latencies.add(ms);
  for (const [share, ms] of [
    [0.5, 500],
    [0.99, 990],
    [0.999, 999],
  ] as const) {
    const found = latencies.quantile(share);
    assert.ok(found >= ms && found <= ms * 1.011, `${share}: ${found}`);
  }
});

test('times that are too short, too long or missing have a quantile too', () => {
  const latencies = new Latencies();
  assert.ok(Number.isNaN(latencies.quantile(0.5)));
  latencies.add(0);
  assert.equal(latencies.quantile(1), 0.001);
  latencies.add(1e9);
  assert.ok(latencies.quantile(1) > 120_000);
});

test('the times of a process are read behind its name, whatever that is', () => {
  const line = '42 (a) b (c)) S 1 42 42 0 -1 4194560 100 200 0 0 7 5 11 13 20 0 1 0 12345 1 2';
  assert.deepEqual(timesIn(line), { own: 120_000, ended: 240_000 });
});

test('a busy machine is one that neither idles nor waits for its disks', () => {
  assert.equal(busyIn('cpu  1 2 4 1000 2000 8 16 32 64 128'), 630_000);
});

test('a server without a process id has no CPU time', () => {
  assert.ok(Number.isNaN(serverCpuUs(undefined)));
});

test('a ratio is that within the rounds, or that of the medians where one ran less often', () => {
  assert.equal(ratio([10, 200, 30], [20, 400, 60]), 0.5);
  assert.equal(ratio([10, 20, 30], [40]), 0.5);
});

test('a row has the medians of the slices, and the server time of all its queries', () => {
  const { cells } = measured({ [KEY]: { ours: samples([20, 40, 60]), 'pg-pool': samples([10, 10, 15]) } });
  const [ours] = rowsOf(cells.get(KEY) ?? new Map());
  assert.deepEqual(
    [ours?.rate, ours?.toPgPool, ours?.oursToThis, ours?.cpuUs, ours?.serverUs, ours?.p999],
    [40, 4, 1, 20, 20, 3],
  );
});

test('a goal is met from its number on, and missed below it', () => {
  const goal = (rate: number): boolean | undefined => {
    const found = goalsOf(measured({ [KEY]: { ours: samples([rate]), 'pg-pool': samples([100]) } }));
    assert.equal(found.length, 1); // nobody else ran: nothing is said of them
    return found[0]?.met;
  };
  assert.deepEqual([goal(200), goal(199)], [true, false]);
});

test('the goal of the heap compares bytes', () => {
  const met = (bytes: number): boolean | undefined =>
    goalsOf(measured({ [KEY]: { ours: samples([300], bytes), 'pg-pool': samples([100], 8_000) } })).at(-1)?.met;
  assert.deepEqual([met(4_000), met(4_001)], [true, false]);
});

test('the goals of memory compare medians', () => {
  const memory = (own: number): Measured => ({
    cells: new Map(),
    memory: new Map([
      ['ours', { rss: [own, 1, 900], alive: [5] }],
      ['pg-pool', { rss: [100], alive: [5] }],
    ]),
    repeated: 0,
  });
  assert.deepEqual(
    [100, 101].map((own) => goalsOf(memory(own)).map(({ met }) => met)),
    [
      [true, true],
      [false, true],
    ],
  );
});

test('a run is too noisy when ours differs from itself by more than a twentieth where a goal stands on it', () => {
  const run = (key: string, again: number): string | undefined =>
    tooNoisy(measured({ [key]: { ours: samples([100]), 'ours again': samples([again]) } }));
  assert.equal(run(KEY, 96), undefined);
  assert.match(run(KEY, 94) ?? '', /byKey 100\/10 local 1\.064/);
  assert.equal(run('select1 100/10 local', 50), undefined);
  const { cells } = measured({ [KEY]: { ours: samples([100]) } });
  assert.ok(Number.isNaN(noiseOf(cells.get(KEY) ?? new Map())));
});

test('a run that has no A/A row is too noisy', () => {
  assert.match(tooNoisy(measured({ [KEY]: { ours: samples([100]) } })) ?? '', /NaN/);
});

test('the page names everybody who is faster, and nobody else', () => {
  const run = measured({
    [KEY]: { ours: samples([100]), 'ours again': samples([120]), 'pg-pool': samples([50]), 'Bun.sql': samples([200]) },
  });
  assert.equal(slowerThan([cell], run), `**Where we are slower:** Bun.sql, ${KEY} (ours does 0.500 ×).`);
  assert.match(slowerThan([], run), /nowhere/);
});

test('the page has a table for each cell, with a dash for what was not measured', () => {
  const page = pageBody([cell], measured({ [KEY]: { ours: samples([1234.5]), 'pg-pool': samples([617.25]) } }), [
    'Text.',
  ]);
  assert.match(page, /^Text\.\n\n## One row by primary key, named: 100 callers on 10\n/);
  assert.match(page, /^\| ours \| 1235 \| 2\.00 \| 1\.00 \| 1\.00 \| 2\.00 \| 3\.00 \| 20\.0 \| 20\.0 \| – \|$/m);
  assert.match(page, /^\| pg-pool \| 617 \| 1\.00 \| 2\.00 \|/m);
});

test('no two cells are the same, and the usual ones are among all', () => {
  const keys = new Set(ALL.map(keyOf));
  assert.equal(keys.size, ALL.length);
  assert.deepEqual(
    DEFAULT.map(keyOf).filter((key) => !keys.has(key)),
    [],
  );
});

const SIZE = { callers: 3, rows: 5_000, seed: 1 };

test('a crowd asks as often as it is told to, and looks at each answer', async () => {
  let asked = 0;
  const counting: Queries = {
    ...ECHO,
    byKey: (aid) => {
      asked += 1;
      return ECHO.byKey(aid);
    },
    rowsOf: (result) => (Array.isArray(result) ? result : []),
    countOf: () => 0,
  };
  await new Crowd(counting, WORKLOADS.byKey, SIZE).exactly(100);
  assert.equal(asked, 100);
});

test("another row's balance ends a crowd", async () => {
  const swapped: Queries = {
    ...ECHO,
    byKey: (aid) => ECHO.byKey(aid === 1_234 ? 1_235 : aid),
    rowsOf: (result) => (Array.isArray(result) ? result : []),
    countOf: () => 0,
  };
  await assert.rejects(
    new Crowd(swapped, WORKLOADS.byKey, SIZE).exactly(100_000),
    /wrong answer for 1234: the balance/,
  );
});

test('an error that does not come, or is another one, ends a crowd', async () => {
  const queries = (failing: Queries['failing']): Queries => ({
    ...ECHO,
    failing,
    sqlStateOf: (error) => (error instanceof Error ? error.message : undefined),
    rowsOf: (result) => (Array.isArray(result) ? result : []),
    countOf: () => 0,
  });
  const crowd = (failing: Queries['failing']): Promise<void> =>
    new Crowd(queries(failing), WORKLOADS.errors, SIZE).exactly(1_000);
  await crowd(() => Promise.reject(new Error('22012')));
  await assert.rejects(
    crowd(() => Promise.resolve([])),
    /an error was due/,
  );
  await assert.rejects(
    crowd(() => Promise.reject(new Error('08006'))),
    /division by zero/,
  );
});
