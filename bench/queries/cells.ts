// Which combinations are measured: those that the goals are about and a few beside them, or all of them.

import { BARE, type Contender, LIMIT, LINE_UP, type Name } from './line-up.ts';
import { NAMES, type WorkloadName } from './workloads.ts';

/** `local`: a Unix socket where the server has one. `away`: TCP, with half a millisecond added in each direction. */
export type Transport = 'local' | 'tcp' | 'away';

export interface Cell {
  readonly workload: WorkloadName;
  readonly callers: number;
  readonly connections: number;
  readonly transport: Transport;
}

function cell(workload: WorkloadName, callers: number, connections = 10, transport: Transport = 'local'): Cell {
  return { workload, callers, connections, transport };
}

export const DEFAULT: readonly Cell[] = [
  cell('select1', 100),
  cell('byKey', 1),
  cell('byKey', 10),
  cell('byKey', 100),
  cell('byKey', 1_000),
  cell('byText', 100),
  cell('rows10', 100),
  cell('rows1000', 100),
  cell('wide', 100),
  cell('insert', 100),
  cell('transfer', 10),
  cell('errors', 100),
  cell('byKey', 100, 10, 'tcp'),
  cell('byKey', 1, 10, 'away'),
  cell('transfer', 1, 10, 'away'),
];

export const ALL: readonly Cell[] = NAMES.flatMap((workload) =>
  (['local', 'tcp', 'away'] as const).flatMap((transport) =>
    [1, 10, 100, 1_000].flatMap((callers) =>
      [1, 4, 10, 50].map((connections) => cell(workload, callers, connections, transport)),
    ),
  ),
);

export function keyOf({ workload, callers, connections, transport }: Cell): string {
  return `${workload} ${callers}/${connections} ${transport}`;
}

const WHAT: Readonly<Record<WorkloadName, string>> = {
  select1: '`select 1`',
  byKey: 'One row by primary key, named',
  byText: 'One row by primary key, a text with values',
  rows10: '10 rows of 4 columns',
  rows1000: '1 000 rows of 4 columns',
  wide: '30 wide rows (15 columns: dates, numerics, JSON, bytes, arrays)',
  insert: 'One row inserted',
  transfer: 'A transaction of three statements',
  errors: 'One row by primary key, every tenth query refused by the server',
};

const WAY: Readonly<Record<Transport, string>> = { local: '', tcp: ', TCP', away: ', 1 ms away' };

export function titleOf({ workload, callers, connections, transport }: Cell): string {
  return `${WHAT[workload]}: ${callers} caller${callers === 1 ? '' : 's'} on ${connections}${WAY[transport]}`;
}

/** As often as that where an answer takes a few milliseconds at most. */
export const OFTENEST = 3;

export interface Pace {
  /** The callers come: longer than any of them waits for an answer. */
  readonly leadMs: number;
  readonly ms: number;
  /** Short slices come more often: what disturbs one hardly disturbs its neighbours too. */
  readonly often: number;
}

export function paceOf({ workload, callers, transport }: Cell): Pace {
  if (callers >= 1_000) return { leadMs: 160, ms: 220, often: 1 };
  if (workload === 'rows1000') return { leadMs: 140, ms: 260, often: 1 };
  if (transport === 'away') return { leadMs: 20, ms: 260, often: 1 };
  if (workload === 'errors' || workload === 'wide') return { leadMs: 60, ms: 120, often: 1.5 };
  return { leadMs: 15, ms: 65, often: OFTENEST };
}

/** Where a contestant would only show again what another cell shows, or cannot take part. */
export function takesPart(name: Contender, { workload, callers, transport }: Cell): boolean {
  if (name === 'postgres.js, unsafe by default') return workload === 'byText';
  // Hundreds of milliseconds until an answer: no slice is long enough.
  if (name === 'slonik') return callers <= 100 && workload !== 'rows1000' && transport === 'local';
  if (name === BARE) return workload === 'byKey' || workload === 'byText' || workload === 'transfer';
  if (name === 'pg-pool, pipeline') return transport !== 'away';
  // It ends a client at its first error; and it has no callers who wait for a connection.
  if (name === LIMIT) return workload !== 'errors' && callers < 1_000 && transport === 'local';
  return true;
}

/** Whose heap can be counted per query: what V8 runs. */
export function hasHeap(name: Contender): name is Name {
  return name !== LIMIT && name !== 'Bun.sql' && name !== 'ours again';
}

/** Contestants of a cell, ours and its like first. */
export function contestantsOf(one: Cell, present: ReadonlySet<Contender>): Name[] {
  return LINE_UP.filter((name) => present.has(name) && takesPart(name, one));
}
