// Acquire and release on a fake driver: what a pool itself costs. Owns the order of the rounds, the goals and the tables.

import type { Bench, Goal, Report, RunOptions } from '../lib/bench.ts';
import { type Child, type Figures, startChild } from '../lib/child.ts';
import { conditions, conditionsText } from '../lib/conditions.ts';
import { figure, median, medianRatio } from '../lib/statistics.ts';
import { table } from '../lib/table.ts';
import { NAMES, type Name } from './contestants.ts';
import { CALLERS, type Scenario } from './rounds.ts';

const SCENARIOS: readonly Scenario[] = ['uncontended', 'contended'];
const TITLES: Record<Scenario, string> = {
  uncontended: 'One caller, always an idle connection',
  contended: `${CALLERS} callers on 10 connections`,
};
const OPERATIONS = 40_000;
const WARM_UP = 60_000;
const COUNTED = 20_000;
const REFERENCE: Name = 'pg-pool';
/** The A/A row: by so much may the same pool differ from itself. */
const NOISE = 0.05;
const GOAL_RATIO = 0.25;
/** While nobody starves, a limit that is shared with other threads may cost so much of a lend. */
const SHARED: Name = 'ours, shared by threads';
const GOAL_SHARED = 1.05;
/** Fewer than one in a thousand acquires is none: a timer that all of them share is not a timer each. */
const NONE = 0.001;

type Samples = Map<Name, { cpuNs: number[]; wallNs: number[] }>;
type Timed = Record<Scenario, Samples>;
type Counted = Record<Scenario, Map<Name, Figures>>;

function emptySamples(): Samples {
  return new Map(NAMES.map((name) => [name, { cpuNs: [], wallNs: [] }]));
}

function childOf(name: Name): Child {
  return startChild(new URL('./child.js', import.meta.url), name);
}

/** Each generation has new processes; within a round everybody runs once, each time beginning with another one. */
async function timeAll(options: RunOptions): Promise<Timed> {
  const [generations, rounds] = options.quick ? [1, 3] : [5, 12];
  const timed: Timed = { uncontended: emptySamples(), contended: emptySamples() };
  for (let generation = 1; generation <= generations; generation += 1) {
    options.progress(`core: timing, processes ${generation} of ${generations}`);
    const children = new Map(NAMES.map((name) => [name, childOf(name)]));
    for (const child of children.values()) {
      for (const scenario of SCENARIOS) await child.ask({ what: 'time', scenario, operations: WARM_UP });
    }
    for (let round = 0; round < rounds; round += 1) {
      for (const scenario of SCENARIOS) {
        for (let place = 0; place < NAMES.length; place += 1) {
          const name = NAMES[(place + round) % NAMES.length] as Name;
          const { cpuNs, wallNs } =
            (await children.get(name)?.ask({ what: 'time', scenario, operations: OPERATIONS })) ?? {};
          const samples = timed[scenario].get(name);
          samples?.cpuNs.push(cpuNs ?? Number.NaN);
          samples?.wallNs.push(wallNs ?? Number.NaN);
        }
      }
    }
    for (const child of children.values()) await child.end();
  }
  return timed;
}

async function countAll(options: RunOptions): Promise<Counted> {
  options.progress('core: counting promises and timers');
  const counted: Counted = { uncontended: new Map(), contended: new Map() };
  for (const name of NAMES) {
    const child = childOf(name);
    for (const scenario of SCENARIOS) {
      counted[scenario].set(name, await child.ask({ what: 'count', scenario, operations: COUNTED }));
    }
    await child.end();
  }
  return counted;
}

interface Row {
  readonly name: Name;
  readonly cpuNs: number;
  readonly wallNs: number;
  /** Of the CPU time of pg-pool, and of the wall time. */
  readonly ratio: number;
  readonly wallRatio: number;
  readonly toLimit: number;
  readonly oursToThis: number;
  readonly promises: number;
  readonly timers: number;
  readonly ticks: number;
}

function rowsOf(samples: Samples, counted: Map<Name, Figures>): Row[] {
  const cpu = (name: Name): number[] => samples.get(name)?.cpuNs ?? [];
  const wall = (name: Name): number[] => samples.get(name)?.wallNs ?? [];
  return NAMES.map((name) => {
    const { promises = Number.NaN, timers = Number.NaN, ticks = Number.NaN } = counted.get(name) ?? {};
    return {
      name,
      cpuNs: median(cpu(name)),
      wallNs: median(wall(name)),
      ratio: medianRatio(cpu(name), cpu(REFERENCE)),
      wallRatio: medianRatio(wall(name), wall(REFERENCE)),
      toLimit: medianRatio(cpu(name), cpu('limit: one awaited promise')),
      oursToThis: medianRatio(cpu('ours'), cpu(name)),
      promises,
      timers,
      ticks,
    };
  });
}

function tableOf(rows: readonly Row[]): string {
  return table(
    ['pool', 'CPU ns', 'wall ns', '× pg-pool', '× limit', 'ours ÷ this', 'promises', 'timers', 'ticks'],
    rows.map((row) => [
      row.name,
      figure(row.cpuNs),
      figure(row.wallNs),
      figure(row.ratio),
      figure(row.toLimit),
      figure(row.oursToThis),
      row.promises.toFixed(2),
      row.timers.toFixed(2),
      row.ticks.toFixed(2),
    ]),
  );
}

/** Computed, not confessed: everybody who needs less time than we do. */
function slowerThan(rows: Record<Scenario, Row[]>): string {
  const found = SCENARIOS.flatMap((scenario) =>
    rows[scenario]
      .filter((row) => !row.name.startsWith('ours') && row.oursToThis > 1)
      .map((row) => `${row.name}, ${scenario} (ours takes ${figure(row.oursToThis)} ×)`),
  );
  return `**Where we are slower:** ${found.length === 0 ? 'nowhere in these tables' : found.join('; ')}.`;
}

function goalsOf(rows: Record<Scenario, Row[]>, counted: Counted): Goal[] {
  return SCENARIOS.flatMap((scenario) => {
    const ours = rows[scenario].find((row) => row.name === 'ours');
    const clockTimers = counted[scenario].get('ours')?.clockTimers ?? Number.NaN;
    const shared = rows[scenario].find((row) => row.name === SHARED);
    if (ours === undefined || shared === undefined) return [];
    return [
      {
        name: `${scenario}: shared by threads at most ${GOAL_SHARED} × ours`,
        figure: `${(1 / shared.oursToThis).toFixed(3)} ×`,
        met: 1 / shared.oursToThis <= GOAL_SHARED,
      },
      {
        name: `${scenario}: at most ${GOAL_RATIO} × pg-pool's CPU time`,
        figure: `${figure(ours.ratio)} × (wall time ${figure(ours.wallRatio)} ×)`,
        met: ours.ratio <= GOAL_RATIO,
      },
      {
        name: `${scenario}: 1 promise per acquire`,
        figure: ours.promises.toFixed(3),
        met: Math.abs(ours.promises - 1) < 0.01,
      },
      {
        name: `${scenario}: 0 timers per acquire`,
        figure: `${ours.timers.toFixed(5)} made in the process, ${clockTimers.toFixed(5)} asked of the clock`,
        met: ours.timers < NONE && clockTimers < NONE,
      },
    ];
  });
}

function noiseOf(timed: Timed): { readonly text: string; readonly tooMuch: boolean } {
  const ratios = SCENARIOS.map((scenario) => {
    const again = timed[scenario].get('ours again')?.cpuNs ?? [];
    return medianRatio(timed[scenario].get('ours')?.cpuNs ?? [], again);
  });
  const parts = SCENARIOS.map((scenario, at) => `${scenario} ${(ratios[at] ?? Number.NaN).toFixed(3)}`);
  return { text: parts.join(', '), tooMuch: !ratios.every((ratio) => Math.abs(ratio - 1) <= NOISE) };
}

async function run(options: RunOptions): Promise<Report> {
  const before = conditions(['pg', 'pg-pool', 'generic-pool', 'tarn']);
  console.error(conditionsText(before));
  const counted = await countAll(options);
  const timed = await timeAll(options);
  const rows: Record<Scenario, Row[]> = {
    uncontended: rowsOf(timed.uncontended, counted.uncontended),
    contended: rowsOf(timed.contended, counted.contended),
  };
  const noise = noiseOf(timed);
  const roundCount = timed.uncontended.get('ours')?.cpuNs.length ?? 0;
  const body = [
    conditionsText(before),
    `Each contestant runs in a process of its own; ${roundCount} interleaved rounds of ${OPERATIONS} acquire + release, in five generations of processes; medians, and ratios as the median of the ratios within a round. The time that decides is the CPU time of the process (user and system, garbage collection included); wall time stands beside it. Every lend is checked for exclusivity and every round for its sum. Promises, timers and ticks are counted per acquire in a pass of its own with async_hooks, the caller's awaits taken off. Ours: the public \`Pool\` with a driver that answers at once, \`dev: false\` but for the row that says otherwise (there each lend notes where it was asked for), everything else by default (a deadline of 30 s included); the peers by default unless the row says otherwise.`,
    ...SCENARIOS.map((scenario) => `## ${TITLES[scenario]}\n\n${tableOf(rows[scenario])}`),
    slowerThan(rows),
    `**A/A** (ours against ours in another process, must be within ±${NOISE * 100} %): ${noise.text}.`,
  ].join('\n\n');
  return {
    body: options.quick ? body.replace('in five generations', 'in one generation') : body,
    goals: goalsOf(rows, counted),
    noise: noise.tooMuch ? `ours against ours: ${noise.text}` : undefined,
    data: { conditions: before, rows, noise: noise.text },
  };
}

export const core: Bench = {
  name: 'core',
  claim: 'Acquire and release without a database: what a pool itself costs, alone and with a thousand callers.',
  run,
};
