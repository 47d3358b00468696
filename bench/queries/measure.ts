// The order of a run: generations of processes; in each, cell after cell; in a cell, rounds in which everybody has one slice, each time
// beginning with another one. Then what is counted, in processes of its own. Owns no arithmetic beyond sums.

import type { RunOptions } from '../lib/bench.ts';
import { type Child, type Figures, startChild } from '../lib/child.ts';
import { busyUs } from '../lib/foreign-cpu.ts';
import { serverCpuUs } from '../lib/server-cpu.ts';
import { type Cell, contestantsOf, hasHeap, keyOf, paceOf, takesPart } from './cells.ts';
import type { Opening, Question } from './child.ts';
import { type Contender, LIMIT, LINE_UP, type Name } from './line-up.ts';
import { pgbench } from './pgbench.ts';
import type { Program } from './programs.ts';
import type { BenchServer } from './server.ts';

export interface Plan {
  readonly cells: readonly Cell[];
  readonly generations: number;
  readonly rounds: number;
  /** Before the slices of a cell, and before the first cell of a process. */
  readonly warm: number;
  readonly firstWarm: number;
  /** By so much shorter is each slice than its pace. */
  readonly haste: number;
  readonly rows: number;
  /** Cells whose heap per query is counted. */
  readonly counted: readonly Cell[];
  readonly memoryRounds: number;
  /** Cells in which pgbench runs; it takes a second each time. */
  readonly limited: readonly Cell[];
}

/** One contestant in one cell. */
export interface Samples {
  /** By slice: queries per second, and CPU microseconds of the client per query. */
  readonly rate: number[];
  readonly cpuUs: number[];
  /** Over all slices, their beginnings and ends included. */
  serverUs: number;
  served: number;
  /** By slice: cores that other work had. */
  readonly foreign: number[];
  /** By generation. */
  readonly latencies: { p50: number; p99: number; p999: number }[];
  heapBytes: number;
}

export interface MemorySample {
  readonly rss: number[];
  readonly alive: number[];
}

export interface Measured {
  readonly cells: ReadonlyMap<string, ReadonlyMap<Contender, Samples>>;
  /** A thousand callers on ten connections. */
  readonly memory: ReadonlyMap<Name, MemorySample>;
  /** Slices that were taken again because of other work. */
  readonly repeated: number;
}

export interface Cast {
  /** Who can take part on this machine. */
  readonly present: ReadonlySet<Contender>;
  readonly bun: Program | undefined;
  readonly pgbench: Program | undefined;
}

export const MEMORY_CELL: Cell = { workload: 'byKey', callers: 1_000, connections: 10, transport: 'local' };

/** Two halves of the young generation, in megabytes, that nothing which is counted fills. */
const YOUNG = ['--expose-gc', '--min-semi-space-size=512', '--max-semi-space-size=512'];

function numberOf(figures: Figures, name: string): number {
  return figures[name] ?? Number.NaN;
}

/** What a query of this kind weighs, in those by primary key: so many fewer of them are as much. */
function weightOf({ workload, transport }: Cell): number {
  if (workload === 'rows1000') return 10;
  if (transport === 'away') return 8;
  return workload === 'wide' ? 3 : 1;
}

/** So many cores of other work spoil a slice; the kernel's hundredths of a second are no finer. */
const FOREIGN = 0.3;
/** So many of all slices may be taken again. */
const REPEATED = 0.15;

/** Queries whose objects fit into the young generation with ease. */
const COUNTED = 2_000;
/** Whoever is that slow is not made faster by more. */
const WARM_MS = 2_000;
const FIRST_WARM: Cell = { workload: 'byKey', callers: 100, connections: 10, transport: 'local' };

export class Measurement {
  readonly #server: BenchServer;
  readonly #plan: Plan;
  readonly #cast: Cast;
  readonly #progress: RunOptions['progress'];
  readonly #cells = new Map<string, Map<Contender, Samples>>();
  #seed = 1;
  #slices = 0;
  #repeated = 0;

  constructor(server: BenchServer, plan: Plan, cast: Cast, progress: RunOptions['progress']) {
    this.#server = server;
    this.#plan = plan;
    this.#cast = cast;
    this.#progress = progress;
  }

  async run(): Promise<Measured> {
    for (let generation = 1; generation <= this.#plan.generations; generation += 1) await this.#generation(generation);
    await this.#heaps();
    return { cells: this.#cells, memory: await this.#memories(), repeated: this.#repeated };
  }

  #child(name: Name, flags?: readonly string[]): Child {
    const module = new URL('./child.js', import.meta.url);
    if (name === 'Bun.sql') return startChild(module, name, { program: this.#cast.bun?.path ?? 'bun', flags: [] });
    return startChild(module, name, flags === undefined ? {} : { flags });
  }

  #opening(cell: Cell): Opening {
    const { workload, callers, connections, transport } = cell;
    const target = { config: this.#server.ways[transport], schema: this.#server.schema, connections };
    this.#seed += 1;
    return { what: 'open', target, workload, callers, rows: this.#plan.rows, seed: this.#seed };
  }

  #samples(cell: Cell, name: Contender): Samples {
    const key = keyOf(cell);
    const inCell = this.#cells.get(key) ?? new Map<Contender, Samples>();
    this.#cells.set(key, inCell);
    const samples: Samples = inCell.get(name) ?? {
      rate: [],
      cpuUs: [],
      serverUs: 0,
      served: 0,
      foreign: [],
      latencies: [],
      heapBytes: Number.NaN,
    };
    inCell.set(name, samples);
    return samples;
  }

  async #generation(generation: number): Promise<void> {
    const names = LINE_UP.filter((name) => this.#cast.present.has(name));
    const children = new Map(names.map((name) => [name, this.#child(name)]));
    for (const child of children.values()) {
      await child.ask(this.#opening(FIRST_WARM));
      await child.ask({ what: 'warm', queries: this.#plan.firstWarm, ms: 2 * WARM_MS });
      await child.ask({ what: 'close' });
    }
    for (const cell of this.#plan.cells) {
      this.#progress(`queries: ${keyOf(cell)}, processes ${generation} of ${this.#plan.generations}`);
      await this.#cell(cell, children);
    }
    for (const child of children.values()) await child.end();
  }

  async #cell(cell: Cell, children: ReadonlyMap<Name, Child>): Promise<void> {
    const plan = this.#plan;
    const pace = paceOf(cell);
    const names = contestantsOf(cell, this.#cast.present);
    const ask = async (name: Name, question: Question): Promise<Figures> => {
      try {
        return (await children.get(name)?.ask(question)) ?? {};
      } catch (error) {
        throw new Error(`${name} in ${keyOf(cell)}: ${question.what}`, { cause: error });
      }
    };
    await this.#server.tidy();
    // For everybody the same keys in the same order.
    const opening = this.#opening(cell);
    for (const name of names) {
      await ask(name, opening);
      await ask(name, { what: 'warm', queries: Math.ceil(plan.warm / weightOf(cell)), ms: WARM_MS });
    }
    for (let round = 0; round < plan.rounds * pace.often; round += 1) {
      for (let place = 0; place < names.length; place += 1) {
        const name = names[(place + round) % names.length];
        if (name === undefined) continue;
        const samples = this.#samples(cell, name);
        const { slice, serverUs, foreign } = await this.#quietSlice(() =>
          ask(name, { what: 'slice', leadMs: pace.leadMs / plan.haste, ms: pace.ms / plan.haste }),
        );
        samples.rate.push((numberOf(slice, 'queries') * 1e6) / numberOf(slice, 'wallUs'));
        samples.cpuUs.push(numberOf(slice, 'cpuUs') / numberOf(slice, 'queries'));
        samples.foreign.push(foreign);
        samples.serverUs += serverUs;
        samples.served += numberOf(slice, 'total');
      }
    }
    for (const name of names) {
      const found = await ask(name, { what: 'latencies' });
      const [p50, p99, p999] = [numberOf(found, 'p50'), numberOf(found, 'p99'), numberOf(found, 'p999')];
      this.#samples(cell, name).latencies.push({ p50, p99, p999 });
      await ask(name, { what: 'close' });
    }
    await this.#limit(cell);
  }

  /** Takes a slice again, twice at most, while other work has the cores; the quietest one counts. A loaded machine gets no more than a few. */
  async #quietSlice(take: () => Promise<Figures>): Promise<{ slice: Figures; serverUs: number; foreign: number }> {
    this.#slices += 1;
    let best: { slice: Figures; serverUs: number; foreign: number } | undefined;
    for (let tries = 1; ; tries += 1) {
      const before = { server: serverCpuUs(this.#server.pid), busy: busyUs() };
      const slice = await take();
      const serverUs = serverCpuUs(this.#server.pid) - before.server;
      const others = busyUs() - before.busy - serverUs - numberOf(slice, 'totalCpuUs');
      const foreign = Math.max(0, others / numberOf(slice, 'totalWallUs'));
      if (best === undefined || foreign < best.foreign) best = { slice, serverUs, foreign };
      const mayRepeat = tries < 3 && this.#repeated < REPEATED * this.#slices;
      if (!(best.foreign > FOREIGN) || !mayRepeat) return best;
      this.#repeated += 1;
    }
  }

  async #limit(cell: Cell): Promise<void> {
    const program = this.#cast.pgbench;
    if (program === undefined || !takesPart(LIMIT, cell) || !this.#plan.limited.includes(cell)) return;
    const { target } = this.#opening(cell);
    const found = await pgbench(program.path, cell, target, this.#plan.rows, this.#server.pid);
    const samples = this.#samples(cell, LIMIT);
    samples.rate.push(found.rate);
    samples.cpuUs.push(found.cpuUs);
    samples.serverUs += found.serverUs;
    samples.served += 1;
    samples.latencies.push({ p50: found.meanMs, p99: Number.NaN, p999: Number.NaN });
  }

  async #heaps(): Promise<void> {
    const names = LINE_UP.filter((name) => this.#cast.present.has(name) && hasHeap(name));
    for (const name of names) {
      this.#progress(`queries: heap per query of ${name}`);
      const child = this.#child(name, YOUNG);
      for (const cell of this.#plan.counted.filter((one) => takesPart(name, one))) {
        await child.ask(this.#opening(cell));
        await child.ask({ what: 'warm', queries: (2 * COUNTED) / weightOf(cell), ms: 2 * WARM_MS });
        // What a collection freed is missing in the sum; a large answer's bytes outside the heap bring one on as well.
        for (let count = COUNTED / weightOf(cell); count >= 25; count /= 2) {
          const { bytes, collections } = await child.ask({ what: 'heap', queries: Math.ceil(count) });
          if (collections !== 0 || bytes === undefined) continue;
          this.#samples(cell, name).heapBytes = bytes;
          break;
        }
        await child.ask({ what: 'close' });
      }
      await child.end();
    }
  }

  async #memories(): Promise<Map<Name, MemorySample>> {
    const found = new Map<Name, MemorySample>();
    for (let round = 1; round <= this.#plan.memoryRounds; round += 1) {
      this.#progress(`queries: memory of ${MEMORY_CELL.callers} callers, ${round} of ${this.#plan.memoryRounds}`);
      for (const name of contestantsOf(MEMORY_CELL, this.#cast.present)) {
        const child = this.#child(name);
        await child.ask(this.#opening(MEMORY_CELL));
        const { rss, alive } = await child.ask({ what: 'memory', ms: 1_000 });
        const samples = found.get(name) ?? { rss: [], alive: [] };
        found.set(name, samples);
        samples.rss.push(rss ?? Number.NaN);
        samples.alive.push(alive ?? Number.NaN);
        await child.ask({ what: 'close' });
        await child.end();
      }
    }
    return found;
  }
}
