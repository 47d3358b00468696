// What it costs that others may listen, and what it costs if they do: lends, returns and queries on a fake driver, ratios only. Owns the order of
// the rounds, the goals and the table.

import { CALLERS } from '../core/rounds.ts';
import type { Bench, Goal, Report, RunOptions } from '../lib/bench.ts';
import { type Child, startChild } from '../lib/child.ts';
import { conditions, conditionsText } from '../lib/conditions.ts';
import { medianRatio } from '../lib/statistics.ts';
import { table } from '../lib/table.ts';
import { NAMES, type Name } from './contestants.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';
import { strip } from './stripped.ts';

const OPERATIONS = 20_000;
const WARM_UP = 20_000;
const NOBODY: Name = 'nobody';
const AGAIN: Name = 'nobody again';
const STRIPPED: Name = 'nobody, the channels taken out of the build';
/** The A/A row: by so much may the same pool differ from itself. */
const NOISE = 0.05;
/** No more than that may it cost that somebody could listen. */
const GOAL = 1.05;

type Samples = ReadonlyMap<Name, Record<Scenario, number[]>>;

/** One process of a pool differs from another more than a round from the next: hence several generations of them. */
async function timeAll(options: RunOptions): Promise<Samples> {
  const [generations, rounds] = options.quick ? [3, 3] : [8, 12];
  const samples = new Map<Name, Record<Scenario, number[]>>();
  for (const name of NAMES) samples.set(name, { uncontended: [], contended: [], query: [] });
  const ask = async (child: Child | undefined, scenario: Scenario, operations: number): Promise<number> =>
    (await child?.ask({ scenario, operations }))?.cpuNs ?? Number.NaN;
  for (let generation = 1; generation <= generations; generation += 1) {
    options.progress(`listeners: timing, processes ${generation} of ${generations}`);
    const children = new Map(NAMES.map((name) => [name, startChild(new URL('./child.js', import.meta.url), name)]));
    for (const child of children.values()) for (const scenario of SCENARIOS) await ask(child, scenario, WARM_UP);
    for (let round = 0; round < rounds; round += 1) {
      for (const scenario of SCENARIOS) {
        for (let place = 0; place < NAMES.length; place += 1) {
          const name = NAMES[(place + round) % NAMES.length] as Name;
          samples.get(name)?.[scenario].push(await ask(children.get(name), scenario, OPERATIONS));
        }
      }
    }
    for (const child of children.values()) await child.end();
  }
  return samples;
}

async function run(options: RunOptions): Promise<Report> {
  const before = conditions(['pg']);
  console.error(conditionsText(before));
  strip();
  const samples = await timeAll(options);
  const ratio = (name: Name, to: Name, scenario: Scenario): number =>
    medianRatio(samples.get(name)?.[scenario] ?? [], samples.get(to)?.[scenario] ?? []);
  const rows = NAMES.map((name) => ({ name, ratios: SCENARIOS.map((scenario) => ratio(name, NOBODY, scenario)) }));
  const goals: Goal[] = SCENARIOS.map((scenario) => {
    const cost = ratio(NOBODY, STRIPPED, scenario);
    return {
      name: `${scenario}: with nobody listening at most ${GOAL} × a build without the channels`,
      figure: `${cost.toFixed(3)} ×`,
      met: cost <= GOAL,
    };
  });
  const apart = SCENARIOS.map((scenario) => ratio(NOBODY, AGAIN, scenario));
  const noise = SCENARIOS.map((scenario, at) => `${scenario} ${(apart[at] ?? Number.NaN).toFixed(3)}`).join(', ');
  const tooMuch = !apart.every((one) => Math.abs(one - 1) <= NOISE);
  const count = samples.get(NOBODY)?.query.length ?? 0;
  const body = [
    conditionsText(before),
    `Each contestant runs in a process of its own; ${count} interleaved rounds of ${OPERATIONS} operations. The figures are ratios of CPU time (user and system) to that of the pool with nobody listening, medians of the ratios within a round. Uncontended: one caller, acquire and release; contended: ${CALLERS} callers on 10 connections; query: one caller, \`pool.query()\`, answered at once. A driver that answers at once stands for the server, so what is compared is the pool alone: against a query on a real server all of it is small. A subscriber does nothing with what it is told, and listens to all five parts of a tracing channel. The build without channels is a copy of this one in which each place that asks for subscribers has been taken out. This driver's sessions have no codec, so a subscriber of \`oxbow:query\` shows here what it costs a query that it could be told of.`,
    table(
      ['who listens', ...SCENARIOS],
      rows.map(({ name, ratios }) => [name, ...ratios.map((one) => one.toFixed(2))]),
    ),
    `**A/A** (nobody against nobody in another process, must be within ±${NOISE * 100} %): ${noise}.`,
  ].join('\n\n');
  return {
    body,
    goals,
    noise: tooMuch ? `nobody against nobody: ${noise}` : undefined,
    data: { conditions: before, rows, noise },
  };
}

export const listeners: Bench = {
  name: 'listeners',
  claim: 'What it costs that somebody could listen to a pool, and what it costs if somebody does.',
  run,
};
