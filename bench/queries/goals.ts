// What must hold, and whether it does. Owns the numbers that were promised.

import type { Goal } from '../lib/bench.ts';
import { figure, median } from '../lib/statistics.ts';
import { type Cell, DEFAULT, keyOf, titleOf } from './cells.ts';
import { noiseOf, type Row, rowsOf } from './figures.ts';
import type { Contender } from './line-up.ts';
import type { Measured } from './measure.ts';

interface Promised {
  readonly cell: string;
  readonly peer: Contender;
  /** So many times the peer's queries per second. */
  readonly times: number;
}

const PROMISED: readonly Promised[] = [
  { cell: 'byKey 10/10 local', peer: 'pg-pool', times: 2 },
  { cell: 'byKey 10/10 local', peer: 'postgres.js', times: 1.4 },
  { cell: 'byKey 100/10 local', peer: 'pg-pool', times: 2 },
  { cell: 'byKey 100/10 local', peer: 'postgres.js', times: 1.4 },
  { cell: 'byText 100/10 local', peer: 'pg-pool', times: 3 },
  { cell: 'byText 100/10 local', peer: 'postgres.js', times: 2.5 },
  { cell: 'transfer 10/10 local', peer: 'pg-pool', times: 2 },
  { cell: 'transfer 10/10 local', peer: 'postgres.js', times: 3 },
  { cell: 'transfer 10/10 local', peer: 'Bun.sql', times: 1.4 },
  { cell: 'rows10 100/10 local', peer: 'pg-pool', times: 1.6 },
  { cell: 'rows1000 100/10 local', peer: 'pg-pool', times: 1.3 },
  { cell: 'wide 100/10 local', peer: 'pg-pool', times: 1.3 },
  { cell: 'byKey 1/10 local', peer: 'pg-pool', times: 1.2 },
  { cell: 'transfer 1/10 away', peer: 'pg-pool', times: 1.25 },
  { cell: 'errors 100/10 local', peer: 'pg-pool', times: 5 },
];

const HEAP_CELLS = ['byKey 100/10 local', 'byText 100/10 local'];
const HEAP_SHARE = 0.5;

/** By so much may the same pool differ from itself. */
export const NOISE = 0.05;

function cellOf(key: string): Cell {
  const found = DEFAULT.find((one) => keyOf(one) === key);
  if (found === undefined) throw new Error(`no such cell: ${key}`);
  return found;
}

function rateGoals(rows: (key: string) => readonly Row[]): Goal[] {
  return PROMISED.flatMap(({ cell, peer, times }) => {
    const row = rows(cell).find(({ name }) => name === peer);
    if (row === undefined) return [];
    const name = `${titleOf(cellOf(cell))}: at least ${times} × ${peer}`;
    return [{ name, figure: `${figure(row.oursToThis)} ×`, met: row.oursToThis >= times }];
  });
}

function heapGoals(rows: (key: string) => readonly Row[]): Goal[] {
  return HEAP_CELLS.flatMap((key) => {
    const of = (name: Contender): number => rows(key).find((row) => row.name === name)?.heapBytes ?? Number.NaN;
    const share = of('ours') / of('pg-pool');
    if (Number.isNaN(share)) return [];
    const text = `${figure(share)} × (${figure(of('ours'))} and ${figure(of('pg-pool'))} bytes)`;
    const name = `${titleOf(cellOf(key))}: heap per query at most ${HEAP_SHARE} × pg-pool's`;
    return [{ name, figure: text, met: share <= HEAP_SHARE }];
  });
}

function memoryGoals({ memory }: Measured): Goal[] {
  const [ours, theirs] = [memory.get('ours'), memory.get('pg-pool')];
  if (ours === undefined || theirs === undefined) return [];
  return (
    [
      ['resident memory of the process', median(ours.rss), median(theirs.rss)],
      ['heap alive for the waiting', median(ours.alive), median(theirs.alive)],
    ] as const
  ).map(([what, own, other]) => ({
    name: `1 000 callers: ${what} not above pg-pool's`,
    figure: `${figure(own / other)} × (${figure(own / 2 ** 20)} and ${figure(other / 2 ** 20)} MiB)`,
    met: own <= other,
  }));
}

export function goalsOf(measured: Measured): Goal[] {
  const rows = (key: string): readonly Row[] => rowsOf(measured.cells.get(key) ?? new Map());
  return [...rateGoals(rows), ...heapGoals(rows), ...memoryGoals(measured)];
}

/** Why nothing of a run may be quoted: where the A/A row of a cell that a goal stands on is out of bounds. */
export function tooNoisy(measured: Measured): string | undefined {
  const keys = new Set(PROMISED.map(({ cell }) => cell));
  const out = [...measured.cells]
    .map(([key, samples]) => ({ key, ratio: noiseOf(samples) }))
    .filter(({ key, ratio }) => keys.has(key) && !(Math.abs(ratio - 1) <= NOISE))
    .map(({ key, ratio }) => `${key} ${ratio.toFixed(3)}`);
  return out.length === 0 ? undefined : `ours against ours: ${out.join(', ')}`;
}
