// The page: tables, who is absent, where we are slower, and the A/A figures. Pure; generated, never typed.

import { figure, median } from '../lib/statistics.ts';
import { table } from '../lib/table.ts';
import { type Cell, keyOf, titleOf } from './cells.ts';
import { noiseOf, type Row, rowsOf } from './figures.ts';
import { NOISE } from './goals.ts';
import { BARE, isOurs, LIMIT } from './line-up.ts';
import type { Measured } from './measure.ts';

const HEAD = [
  'pool',
  'queries/s',
  '× pg-pool',
  'ours ÷ this',
  'p50 ms',
  'p99 ms',
  'p99.9 ms',
  'client CPU µs',
  'server CPU µs',
  'heap bytes',
] as const;

function cellTable(rows: readonly Row[]): string {
  return table(
    HEAD,
    rows.map((row) => [
      row.name,
      Number.isFinite(row.rate) ? String(Math.round(row.rate)) : figure(row.rate),
      ...[row.toPgPool, row.oursToThis, row.p50, row.p99, row.p999, row.cpuUs, row.serverUs, row.heapBytes].map(figure),
    ]),
  );
}

function memoryTable({ memory }: Measured): string {
  const mib = (values: readonly number[]): string => figure(median(values) / 2 ** 20);
  return table(
    ['pool', 'resident memory, MiB', 'heap alive for the waiting, MiB'],
    [...memory].map(([name, { rss, alive }]) => [name, mib(rss), mib(alive)]),
  );
}

/** Computed, not confessed: everybody who answers more queries per second than we do. */
export function slowerThan(cells: readonly Cell[], measured: Measured): string {
  const found = cells.flatMap((cell) =>
    rowsOf(measured.cells.get(keyOf(cell)) ?? new Map())
      .filter(({ name, oursToThis }) => !isOurs(name) && oursToThis < 1)
      .map(({ name, oursToThis }) => `${name}, ${keyOf(cell)} (ours does ${figure(oursToThis)} ×)`),
  );
  return `**Where we are slower:** ${found.length === 0 ? 'nowhere in these tables' : found.join('; ')}.`;
}

function noiseText(cells: readonly Cell[], measured: Measured): string {
  const ratios = cells.map(
    (cell) => `${keyOf(cell)} ${noiseOf(measured.cells.get(keyOf(cell)) ?? new Map()).toFixed(3)}`,
  );
  return `**A/A** (ours against ours in another process; must be within ±${NOISE * 100} % where a goal stands on it): ${ratios.join(', ')}.`;
}

export function pageBody(cells: readonly Cell[], measured: Measured, texts: readonly string[]): string {
  const sections = cells.map(
    (cell) =>
      `## ${titleOf(cell)}\n\n(${keyOf(cell)})\n\n${cellTable(rowsOf(measured.cells.get(keyOf(cell)) ?? new Map()))}`,
  );
  return [
    ...texts,
    ...sections,
    `## Memory of 1 000 callers on 10 connections\n\n${memoryTable(measured)}`,
    slowerThan(cells, measured),
    noiseText(cells, measured),
  ].join('\n\n');
}

export const METHOD = `Callers in a closed loop: each awaits its answer, looks at it and asks again. Every contestant runs in a process of its own (a new one in each generation); within a round everybody has one slice, each time beginning with another one; medians over the slices, and a ratio is the median of the ratios within a round, so what slows the whole machine down cancels out. Client and server share the machine's cores. Every answer is checked while it is timed: the number of its rows and, for single rows, a value; one in 64 is checked value by value. Client CPU is the process's (user and system, garbage collection included), server CPU that of the postmaster and all its children, those that ended included, from the kernel's accounting. Heap bytes: JavaScript objects allocated per query, counted in a process of its own whose young generation is too large to be collected meanwhile, those of the callers' own loop taken off (a figure during which V8 collected anyway is left out). Memory: after a second of 1 000 callers, while all of them wait: what is resident, and how much more heap is alive after a collection than with the same pool at rest.`;

export const LINES_UP = `Ours: everything by default (\`speaker: 'auto'\`, \`prepare: 'auto'\`) unless the row says otherwise. pg-pool and ours name the statement in all cells but \`select 1\` and the text with values (named by nobody), and in the transaction leave BEGIN and COMMIT plain; a transaction goes each pool's own way (\`pool.transaction\`; connect, BEGIN, COMMIT, release; \`sql.begin\`; slonik's \`transaction\`). postgres.js and Bun.sql: tagged templates, which they prepare; a text with values through \`sql.unsafe\`, with postgres.js's documented \`{ prepare: true }\`, and in a row of its own without it. An error is caught by the caller; pg-pool ends the connection after it. ${LIMIT}: as many clients as connections, prepared, one thread; it looks at no row. ${BARE}: Node's own sockets, a prepared message written and its reply awaited, as many at a time as there are connections, and of the reply one number read: what a pool could reach in Node whose own code cost nothing, as long as a connection has one statement at a time.`;
