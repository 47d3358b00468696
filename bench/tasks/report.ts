// What it costs to follow tasks, which is how a deadlock is seen: `use()`, and every `await` of the process, with it off and on, before
// Node 24 and since. Owns the order of the rounds, the goals and the tables.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { install, NODES } from '../../test/runtimes/runtimes.ts';
import type { Bench, Goal, Report, RunOptions } from '../lib/bench.ts';
import { type Child, startChild } from '../lib/child.ts';
import { conditions, conditionsText } from '../lib/conditions.ts';
import { figure, median, medianRatio } from '../lib/statistics.ts';
import { table } from '../lib/table.ts';
import { SCENARIOS, type Scenario, STATES, type State } from './rounds.ts';

const OPERATIONS: Record<Scenario, number> = { use: 15_000, await: 150_000, 'await inside use': 150_000 };
/** The A/A row: by so much may the same state differ from itself. */
const NOISE = 0.05;
/** Nobody pays for what he does not need: before Node 24, in production, until a pool is exhausted. */
const GOAL_FRESH = 1.05;
/** From Node 24 on the context travels with the promise. */
const GOAL_FREE = 1.1;

const NAMES: Record<State, string> = {
  off: "`'allow'`: off",
  'off again': "`'allow'` again",
  fresh: "`'detect'`, nobody has waited yet",
  on: "`'detect'`, somebody has waited",
};

interface Sample {
  readonly cpuNs: number[];
  readonly wallNs: number[];
}

/** Node version, scenario, state. */
type Samples = Map<string, Sample>;

interface Node {
  readonly version: string;
  readonly program: string;
}

function key(node: Node, scenario: Scenario, state: State): string {
  return `${node.version} ${scenario} ${state}`;
}

async function timeAll(nodes: readonly Node[], options: RunOptions): Promise<Samples> {
  const [generations, rounds] = options.quick ? [1, 3] : [5, 12];
  const samples: Samples = new Map();
  const everyone = nodes.flatMap((node) => STATES.map((state) => ({ node, state })));
  for (let generation = 1; generation <= generations; generation += 1) {
    options.progress(`tasks: timing, processes ${generation} of ${generations}`);
    const children: (readonly [(typeof everyone)[number], Child])[] = everyone.map((one) => {
      const { program } = one.node;
      return [one, startChild(new URL('./child.js', import.meta.url), one.state, { program })];
    });
    for (const scenario of SCENARIOS) {
      const question = { scenario, operations: OPERATIONS[scenario] };
      for (const [, child] of children) await child.ask(question);
    }
    for (let round = 0; round < rounds; round += 1) {
      for (const scenario of SCENARIOS) {
        for (let place = 0; place < children.length; place += 1) {
          const next = children[(place + round) % children.length];
          if (next === undefined) continue;
          const [{ node, state }, child] = next;
          const { cpuNs = Number.NaN, wallNs = Number.NaN } = await child.ask({
            scenario,
            operations: OPERATIONS[scenario],
          });
          const name = key(node, scenario, state);
          const sample = samples.get(name) ?? { cpuNs: [], wallNs: [] };
          sample.cpuNs.push(cpuNs);
          sample.wallNs.push(wallNs);
          samples.set(name, sample);
        }
      }
    }
    for (const [, child] of children) await child.end();
  }
  return samples;
}

function cpuOf(samples: Samples, node: Node, scenario: Scenario, state: State): number[] {
  return samples.get(key(node, scenario, state))?.cpuNs ?? [];
}

function ratioOf(samples: Samples, node: Node, scenario: Scenario, state: State): number {
  return medianRatio(cpuOf(samples, node, scenario, state), cpuOf(samples, node, scenario, 'off'));
}

function tableOf(samples: Samples, node: Node): string {
  const head = ['tasks are followed', ...SCENARIOS.flatMap((scenario) => [`${scenario}: CPU ns`, '× off'])];
  const rows = STATES.map((state) => [
    NAMES[state],
    ...SCENARIOS.flatMap((scenario) => [
      figure(median(cpuOf(samples, node, scenario, state))),
      figure(ratioOf(samples, node, scenario, state)),
    ]),
  ]);
  return table(head, rows);
}

function goalsOf(samples: Samples, nodes: readonly Node[]): Goal[] {
  return nodes.flatMap((node) => {
    const free = Number.parseInt(node.version, 10) >= 24;
    const [state, goal]: [State, number] = free ? ['on', GOAL_FREE] : ['fresh', GOAL_FRESH];
    const ratio = ratioOf(samples, node, 'await', state);
    const what = free ? 'followed from the start' : 'by default, until a pool is first exhausted';
    return [
      {
        name: `Node ${node.version}, ${what}: an await takes at most ${goal} × what it takes with it off`,
        figure: `${ratio.toFixed(3)} ×`,
        met: ratio <= goal,
      },
    ];
  });
}

/** Of what the goals stand on. */
function noiseOf(samples: Samples, nodes: readonly Node[]): { readonly text: string; readonly tooMuch: boolean } {
  const ratios = nodes.flatMap((node) =>
    SCENARIOS.map((scenario) => ({ node, scenario, ratio: ratioOf(samples, node, scenario, 'off again') })),
  );
  return {
    text: ratios.map(({ node, scenario, ratio }) => `Node ${node.version} ${scenario} ${ratio.toFixed(3)}`).join(', '),
    tooMuch: ratios.some(({ scenario, ratio }) => scenario === 'await' && !(Math.abs(ratio - 1) <= NOISE)),
  };
}

async function run(options: RunOptions): Promise<Report> {
  const before = conditions(['pg']);
  console.error(conditionsText(before));
  const folder = mkdtempSync(join(tmpdir(), 'oxbow-tasks-'));
  try {
    options.progress('tasks: fetching the two Nodes from npm');
    const wanted = NODES.filter(({ label }) => label === 'Node 20' || label === 'Node 24');
    const programs = install(wanted, folder);
    const nodes = wanted.map(({ version = '' }, n) => ({ version, program: programs[n] ?? '' }));
    const samples = await timeAll(nodes, options);
    const noise = noiseOf(samples, nodes);
    const body = [
      conditionsText(before),
      `Each row is a process of its own, of the Node that its table names; ${cpuOf(samples, nodes[0] as Node, 'use', 'off').length} interleaved rounds of ${OPERATIONS.use} calls of \`use()\` and ${OPERATIONS.await} awaits; medians of the CPU time of the process, and ratios as the median of the ratios within a round. \`use\`: \`await pool.use(() => n)\` on a driver that answers at once. \`await\`: awaiting an \`async\` function in code that has nothing to do with the pool. Every round is checked for its sum.`,
      ...nodes.map((node) => `## Node ${node.version}\n\n${tableOf(samples, node)}`),
      `**A/A** (\`off\` against \`off\` in another process; for \`await\` it must be within ±${NOISE * 100} %): ${noise.text}.`,
    ].join('\n\n');
    return {
      body,
      goals: goalsOf(samples, nodes),
      noise: noise.tooMuch ? noise.text : undefined,
      data: Object.fromEntries(samples),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export const tasks: Bench = {
  name: 'tasks',
  claim: 'What it costs to follow tasks, by which deadlocks are seen: use(), and every await of the process.',
  run,
};
