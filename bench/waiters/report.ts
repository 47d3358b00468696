// A crowd before a pool of ten connections: what one waiter costs, whatever the size of the crowd. Owns the order of the
// measurements, the goals and the tables.

import type { Bench, Goal, Report, RunOptions } from '../lib/bench.ts';
import { startChild } from '../lib/child.ts';
import { conditions, conditionsText } from '../lib/conditions.ts';
import { figure, median } from '../lib/statistics.ts';
import { table } from '../lib/table.ts';
import type { Phase } from './child.ts';
import { NAMES, type Name } from './crowd.ts';

const SIZES = [1_000, 10_000, 100_000] as const;
type Size = (typeof SIZES)[number];

const BYTES_GOAL = 400;
const BLOCK_WAITERS = 30_000;
const BLOCK_GOAL_MS = 50;
/** So much more may a waiter cost in a crowd a hundred times as large, beyond what the limit grows by: the garbage collector
 *  copies whatever survives, a promise too. */
const FLAT = 2;

/** Figures whose medians make the table, by the phase that yields them. */
const MEASURED: readonly { readonly phase: Phase; readonly key: string; readonly title: string }[] = [
  { phase: 'serve', key: 'enqueue', title: 'Enqueue' },
  { phase: 'serve', key: 'handOff', title: 'Hand-off, until all are served' },
  { phase: 'expire', key: 'expire', title: 'Timeout of all' },
  { phase: 'abortShared', key: 'abortShared', title: 'Abort of all, one signal' },
  { phase: 'abortEach', key: 'abortEach', title: 'Abort of all, a signal each' },
  { phase: 'weigh', key: 'bytes', title: 'Bytes' },
];

/** What pg-pool cannot do, or what says nothing about it. */
function takesPart(name: Name, phase: Phase): boolean {
  if (phase === 'abortShared' || phase === 'abortEach') return name === 'ours' || name === 'limit';
  if (phase === 'expire' || phase === 'block') return name !== 'pg-pool';
  return true;
}

/** pg-pool needs seconds for one round of the largest crowd. */
function roundsOf(name: Name, phase: Phase, size: Size, quick: boolean): number {
  if (name.startsWith('pg-pool') && size === 100_000) return 1;
  if (quick || phase === 'expire') return size === 1_000 ? 5 : 3;
  return { 1000: 40, 10000: 9, 100000: 5 }[size];
}

type Results = Map<string, number[]>;

function keyOf(name: Name, size: number, key: string): string {
  return `${name} ${size} ${key}`;
}

async function measure(options: RunOptions): Promise<Results> {
  const results: Results = new Map();
  const note = (name: Name, size: number, figures: Readonly<Record<string, number>>): void => {
    for (const [key, value] of Object.entries(figures)) {
      const at = keyOf(name, size, key);
      results.set(at, [...(results.get(at) ?? []), value]);
    }
  };
  const generations = options.quick ? 1 : 2;
  const phases: readonly Phase[] = ['serve', 'expire', 'abortShared', 'abortEach', 'weigh', 'block'];
  for (let generation = 1; generation <= generations; generation += 1) {
    for (const phase of phases) {
      options.progress(`waiters: ${phase}, ${generation} of ${generations}`);
      for (const name of NAMES.filter((one) => takesPart(one, phase))) {
        const child = startChild(new URL('./child.js', import.meta.url), name);
        if (phase === 'block') {
          await child.ask({ phase: 'block', waiters: 1_000, rounds: 3 });
          note(name, BLOCK_WAITERS, await child.ask({ phase, waiters: BLOCK_WAITERS, rounds: 3 }));
        } else {
          await child.ask({ phase, waiters: 1_000, rounds: phase === 'expire' ? 10 : 100 });
          for (const size of SIZES) {
            // Once is enough where one round takes seconds.
            if (generation > 1 && name.startsWith('pg-pool') && size === 100_000) continue;
            note(
              name,
              size,
              await child.ask({ phase, waiters: size, rounds: roundsOf(name, phase, size, options.quick) }),
            );
          }
        }
        await child.end();
      }
    }
  }
  return results;
}

class Reading {
  readonly #results: Results;

  constructor(results: Results) {
    this.#results = results;
  }

  of(name: Name, size: number, key: string): number {
    return median(this.#results.get(keyOf(name, size, key)) ?? []);
  }

  most(name: Name, size: number, key: string): number {
    return Math.max(...(this.#results.get(keyOf(name, size, `${key}Max`)) ?? [Number.NaN]));
  }

  growth(name: Name, key: string): number {
    return this.of(name, 100_000, key) / this.of(name, 1_000, key);
  }
}

function tableOf(reading: Reading, phase: Phase, key: string): string {
  const rows = NAMES.filter((name) => takesPart(name, phase)).map((name) => [
    name,
    ...SIZES.map((size) => figure(reading.of(name, size, key))),
    figure(reading.growth(name, key)),
    figure(reading.of('ours', 100_000, key) / reading.of(name, 100_000, key)),
  ]);
  return table(['pool', '1 000', '10 000', '100 000', '100 000 ÷ 1 000', 'ours ÷ this, at 100 000'], rows);
}

function blockTable(reading: Reading): string {
  const rows = NAMES.filter((name) => takesPart(name, 'block')).map((name) => [
    name,
    figure(reading.of(name, BLOCK_WAITERS, 'longestCpuMs')),
    figure(reading.most(name, BLOCK_WAITERS, 'longestCpuMs')),
    figure(reading.most(name, BLOCK_WAITERS, 'longestMs')),
  ]);
  return table(['pool', 'CPU ms, typical run', 'CPU ms, worst run', 'by the clock, worst run'], rows);
}

function slowerThan(reading: Reading): string {
  const found: string[] = [];
  for (const { phase, key, title } of MEASURED) {
    for (const name of NAMES) {
      if (name === 'ours' || !takesPart(name, phase)) continue;
      for (const size of SIZES) {
        const ratio = reading.of('ours', size, key) / reading.of(name, size, key);
        if (ratio > 1) found.push(`${title.toLowerCase()}, ${size} waiters: ${figure(ratio)} × ${name}`);
      }
    }
  }
  return `**Where we are slower (or larger):** ${found.length === 0 ? 'nowhere in these tables' : found.join('; ')}.`;
}

function goalsOf(reading: Reading): Goal[] {
  const flat = MEASURED.filter(({ key }) => key !== 'bytes').map(({ key, title }) => {
    const growth = reading.growth('ours', key);
    const ofLimit = reading.growth('limit', key);
    return {
      name: `flat: ${title.toLowerCase()}, among 100 000 a waiter costs at most ${FLAT} × what it does among 1 000, or as much more than that as the limit grows`,
      figure: `${figure(growth)} × (the limit ${figure(ofLimit)} ×)`,
      met: growth <= FLAT * Math.max(1, ofLimit),
    };
  });
  const bytes = Math.max(...SIZES.map((size) => reading.of('ours', size, 'bytes')));
  const longest = reading.most('ours', BLOCK_WAITERS, 'longestCpuMs');
  const given = SIZES.reduce((sum, size) => sum + reading.most('ours', size, 'givenBack'), 0);
  return [
    ...flat,
    {
      name: `at most ${BYTES_GOAL} bytes per waiter, promise included`,
      figure: figure(bytes),
      met: bytes <= BYTES_GOAL,
    },
    {
      name: `${BLOCK_WAITERS} expiring together never block the loop over ${BLOCK_GOAL_MS} ms`,
      figure: `longest turn ${figure(longest)} ms of CPU time, ${figure(reading.most('ours', BLOCK_WAITERS, 'longestMs'))} ms by the clock`,
      met: longest <= BLOCK_GOAL_MS,
    },
    {
      name: 'the pool does not take its own work for a blocked loop',
      figure: `${given} waiters were given time back`,
      met: given === 0,
    },
  ];
}

async function run(options: RunOptions): Promise<Report> {
  const before = conditions(['pg', 'pg-pool']);
  console.error(conditionsText(before));
  const results = await measure(options);
  const reading = new Reading(results);
  const how = `Ten connections, all out; then so many waiters ask. Each contestant and each phase has processes of its own (${options.quick ? 'one' : 'two'}), all rounds of one on one pool; means over the rounds of a process, medians over the processes; at 100 000 waiters pg-pool runs once, since it takes seconds. µs are CPU time of the process (user and system, garbage collection included). Every waiter's end is checked. Ours: the public \`Pool\` with a driver that answers at once, \`dev: false\`, everything else by default: each waiter has a deadline of 30 s. The limit: a ring of resolving functions, one promise each, no deadline; where waiters leave, it rejects all of them in one loop and takes nobody out of a queue.`;
  const body = [
    conditionsText(before),
    how,
    ...MEASURED.map(({ phase, key, title }) => {
      const unit = key === 'bytes' ? ', live heap per waiter' : ', CPU µs per waiter';
      const note =
        key === 'bytes'
          ? 'The promise and its two resolving functions are included, the caller’s own `then` is not.\n\n'
          : '';
      return `## ${title}${unit}\n\n${note}${tableOf(reading, phase, key)}`;
    }),
    `## Longest turn of the event loop, ${BLOCK_WAITERS} waiters expiring within the same millisecond (pg-pool: of equal length)\n\n${blockTable(reading)}`,
    slowerThan(reading),
  ].join('\n\n');
  return {
    body,
    goals: goalsOf(reading),
    noise: undefined,
    data: { conditions: before, results: Object.fromEntries(results) },
  };
}

export const waiters: Bench = {
  name: 'waiters',
  claim:
    'A crowd before ten connections: what one waiter costs, in time and in bytes, and that it does not depend on the crowd.',
  run,
};
