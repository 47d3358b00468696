// What one pool has done since it is measured, counted from what its observers are told, and read together with its snapshot. Owns that
// counters never go down, whoever calls `popStats()`. Knows no name of a metric and no door.

import { OptionError } from '../contracts/errors.ts';
import type { Observer } from '../contracts/events.ts';
import type { RefusalReason, RetireReason, ReturnOutcome } from '../contracts/figures.ts';
import type { PoolSnapshot, PoolStats } from '../contracts/snapshot.ts';

/** What is measured: a `Pool`, or anything that tells as much. */
export interface MeasuredPool {
  readonly name: string;
  snapshot(): PoolSnapshot;
  stats(): PoolStats;
  observe(observer: Partial<Observer>): () => void;
}

/** What takes time: a connect, a wait for a connection, the use of one. */
export type Duration = 'create' | 'wait' | 'use';

/** Everything that a metric can be read from, at one moment. */
export interface Reading {
  readonly snapshot: PoolSnapshot;
  readonly refused: Readonly<Record<RefusalReason, number>>;
  readonly retired: Readonly<Record<RetireReason, number>>;
  readonly returned: Readonly<Record<ReturnOutcome, number>>;
  /** By code; only those that were made. */
  readonly reports: Readonly<Record<string, number>>;
  readonly connectsFailed: number;
  readonly lost: number;
  /** No connection is open, and the last connect failed. */
  readonly down: boolean;
  readonly leaked: number;
  readonly reclaimed: number;
  /** Undefined where the pool does not count its queries. */
  readonly queries: { readonly codec: number; readonly pg: number } | undefined;
}

export const NONE_REFUSED: Readonly<Record<RefusalReason, number>> = {
  timeout: 0,
  aborted: 0,
  closed: 0,
  paused: 0,
  'queue-full': 0,
  deadlock: 0,
  connect: 0,
  nested: 0,
};
export const NONE_RETIRED: Readonly<Record<RetireReason, number>> = {
  lifetime: 0,
  idle: 0,
  uses: 0,
  replaced: 0,
  resized: 0,
  check: 0,
  reset: 0,
  condemned: 0,
  released: 0,
  budget: 0,
  trimmed: 0,
  closed: 0,
};
export const NONE_RETURNED: Readonly<Record<ReturnOutcome, number>> = {
  clean: 0,
  'rolled-back': 0,
  reset: 0,
  cancelled: 0,
  condemned: 0,
};

/** What only `stats()` counts and no observer is told. The rest of a row of figures says whether they were zeroed in between. */
function counted(stats: PoolStats): readonly number[] {
  const { leaksReported, leasesReclaimed, queriesByCodec = 0, queriesByPg = 0, requests, returns, connects } = stats;
  return [leaksReported, leasesReclaimed, queriesByCodec, queriesByPg, requests, returns, connects];
}

export class Tally {
  readonly #pool: MeasuredPool;
  readonly #refused = { ...NONE_REFUSED };
  readonly #retired = { ...NONE_RETIRED };
  readonly #returned = { ...NONE_RETURNED };
  readonly #reports = new Map<string, number>();
  #connectsFailed = 0;
  #lost = 0;
  #failing = false;
  /** As `stats()` had them when last read, and what has come together. */
  #seen: readonly number[];
  #totals: readonly number[];
  readonly #undo: () => void;

  /** Counts from now on until `stop()`; `timed` is told each duration as it ends, in seconds. */
  constructor(pool: MeasuredPool, timed: (what: Duration, seconds: number) => void) {
    this.#pool = pool;
    this.#seen = counted(pool.stats());
    this.#totals = this.#seen.map(() => 0);
    this.#undo = pool.observe({
      opened: ({ ms }) => {
        this.#failing = false;
        timed('create', ms / 1_000);
      },
      openFailed: () => {
        this.#failing = true;
        this.#connectsFailed += 1;
      },
      lent: ({ waitedMs }) => timed('wait', waitedMs / 1_000),
      refused: ({ reason }) => {
        this.#refused[reason] += 1;
      },
      returned: ({ heldMs, outcome }) => {
        this.#returned[outcome] += 1;
        timed('use', heldMs / 1_000);
      },
      retired: ({ reason }) => {
        this.#retired[reason] += 1;
      },
      lost: () => {
        this.#lost += 1;
      },
      report: ({ code }) => {
        this.#reports.set(code, (this.#reports.get(code) ?? 0) + 1);
      },
    });
  }

  read(): Reading {
    const snapshot = this.#pool.snapshot();
    const stats = this.#pool.stats();
    const now = counted(stats);
    const seen = this.#seen;
    // One figure that is smaller than it was: all of them began anew, and what they have is what came since.
    const anew = now.some((figure, at) => figure < (seen[at] ?? 0));
    this.#totals = this.#totals.map((total, at) => total + (now[at] ?? 0) - (anew ? 0 : (seen[at] ?? 0)));
    this.#seen = now;
    const [leaked = 0, reclaimed = 0, codec = 0, pg = 0] = this.#totals;
    return {
      snapshot,
      refused: { ...this.#refused },
      retired: { ...this.#retired },
      returned: { ...this.#returned },
      reports: Object.fromEntries(this.#reports),
      connectsFailed: this.#connectsFailed,
      lost: this.#lost,
      down: this.#failing && snapshot.idle + snapshot.lent + snapshot.returning === 0,
      leaked,
      reclaimed,
      queries: stats.queriesByPg === undefined ? undefined : { codec, pg },
    };
  }

  stop(): void {
    this.#undo();
  }
}

/** Throws an `OptionError` for what cannot be measured, before anything is. */
export function checkMeasured(pool: unknown): void {
  const has = (name: string, type: string): boolean =>
    typeof pool === 'object' && pool !== null && typeof Reflect.get(pool, name) === type;
  if (has('name', 'string') && ['snapshot', 'stats', 'observe'].every((name) => has(name, 'function'))) return;
  throw new OptionError('pool', pool, 'a Pool');
}
