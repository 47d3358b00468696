// Queries on a real PostgreSQL: ours against the peers, end to end. Owns what a run consists of and puts the report together.

import { getPriority } from 'node:os';
import type { Bench, Report, RunOptions } from '../lib/bench.ts';
import { conditions, conditionsText } from '../lib/conditions.ts';
import { figure, median } from '../lib/statistics.ts';
import { ALL, DEFAULT, keyOf, OFTENEST } from './cells.ts';
import { rowsOf } from './figures.ts';
import { goalsOf, tooNoisy } from './goals.ts';
import { type Contender, LIMIT, LINE_UP } from './line-up.ts';
import { type Cast, type Measured, Measurement, type Plan } from './measure.ts';
import { LINES_UP, METHOD, pageBody } from './page.ts';
import { findBun, findPgbench } from './programs.ts';
import { benchServer } from './server.ts';

function planOf({ quick, all }: RunOptions): Plan {
  const cells = all ? ALL : DEFAULT;
  const counted = cells.filter(
    ({ workload, transport, callers, connections }) =>
      transport === 'local' && connections === 10 && callers === (workload === 'transfer' ? 10 : 100),
  );
  const rows = quick ? 100_000 : 1_000_000;
  if (quick) {
    const [first, second] = [cells.slice(0, 1), counted.slice(0, 2)];
    const counts = { counted: second, limited: first, memoryRounds: 1 };
    return { cells, generations: 1, rounds: 2, warm: 500, firstWarm: 3_000, haste: 3, rows, ...counts };
  }
  const warming = { warm: 3_000, firstWarm: 10_000, haste: 1, rows };
  if (all) return { cells, generations: 1, rounds: 3, ...warming, counted, limited: cells, memoryRounds: 1 };
  return { cells, generations: 2, rounds: 6, ...warming, counted, limited: cells, memoryRounds: 3 };
}

/** Who a quick look can do without. */
const EXTRAS: readonly Contender[] = [
  'ours, prepare false',
  'pg-pool, pipeline',
  'postgres.js, unsafe by default',
  'slonik',
];

function castOf(quick: boolean): {
  readonly cast: Cast;
  readonly absent: readonly string[];
  readonly programs: readonly string[];
} {
  const [bun, pgbench] = [findBun(), findPgbench()];
  const present = new Set<Contender>(LINE_UP);
  const absent: string[] = [];
  if (quick) {
    for (const name of EXTRAS) present.delete(name);
    absent.push(`${EXTRAS.join(', ')} (a quick look)`);
  }
  const programs: string[] = [];
  if ('missing' in bun) {
    present.delete('Bun.sql');
    absent.push(`Bun.sql (${bun.missing})`);
  } else programs.push(`bun ${bun.version}`);
  if ('missing' in pgbench) absent.push(`${LIMIT} (${pgbench.missing})`);
  else {
    present.add(LIMIT);
    programs.push(`pgbench ${pgbench.version}`);
  }
  const cast = {
    present,
    bun: 'missing' in bun ? undefined : bun,
    pgbench: 'missing' in pgbench ? undefined : pgbench,
  };
  return { cast, absent, programs };
}

function otherWork({ cells, repeated }: Measured): string {
  const foreign = [...cells.values()].flatMap((inCell) => [...inCell.values()].flatMap((samples) => samples.foreign));
  return `other work had ${figure(median(foreign))} cores meanwhile (median), and ${repeated} slices were taken again because of it`;
}

async function run(options: RunOptions): Promise<Report> {
  const before = conditions(['pg', 'pg-pool', 'postgres', 'slonik']);
  const plan = planOf(options);
  const { cast, absent, programs } = castOf(options.quick);
  options.progress(`queries: filling ${plan.rows} rows`);
  const server = await benchServer(plan.rows);
  try {
    const measured = await new Measurement(server, plan, cast, options.progress).run();
    const priority = getPriority();
    const texts = [
      [
        conditionsText(before),
        `- ${[...programs, `priority (nice) ${priority}`].join(', ')}`,
        `- ${server.text}`,
        `- ${plan.generations * plan.rounds} to ${plan.generations * plan.rounds * OFTENEST} slices of each contestant in a cell, in ${plan.generations} generation${plan.generations === 1 ? '' : 's'} of processes; ${otherWork(measured)}`,
        ...(absent.length > 0 ? [`- not here: ${absent.join('; ')}`] : []),
      ].join('\n'),
      METHOD,
      LINES_UP,
    ];
    const cells = plan.cells.map((cell) => ({
      cell: keyOf(cell),
      rows: rowsOf(measured.cells.get(keyOf(cell)) ?? new Map()),
      rates: Object.fromEntries([...(measured.cells.get(keyOf(cell)) ?? [])].map(([name, { rate }]) => [name, rate])),
    }));
    return {
      body: pageBody(plan.cells, measured, texts),
      goals: goalsOf(measured),
      noise: tooNoisy(measured),
      data: {
        conditions: before,
        repeated: measured.repeated,
        server: server.data,
        absent,
        cells,
        memory: Object.fromEntries(measured.memory),
      },
    };
  } finally {
    await server.stop();
  }
}

export const queries: Bench = {
  name: 'queries',
  claim:
    'Queries on a real PostgreSQL, from the call to the checked rows: ours against the peers at their best documented settings.',
  run,
};
