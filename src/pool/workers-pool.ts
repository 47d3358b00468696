// One pool for many requests, where the platform ties sockets to the request that opened them. Owns the cells, one for each I/O context that
// uses it now, and what a verb means for several of them; how many connections there may be is the budget's, what is done with them a cell's.

import type { Clock } from '../contracts/clock.ts';
import { OptionError, PoolClosedError } from '../contracts/errors.ts';
import type { Observer } from '../contracts/events.ts';
import type { Explanation } from '../contracts/explain.ts';
import type { Phase } from '../contracts/phase.ts';
import type { CheckReport, CloseReport, Health, Holder, PoolSnapshot, PoolStats } from '../contracts/snapshot.ts';
import { systemClock } from '../foundation/system-clock.ts';
import { type Contexts, platformContexts } from '../sharing/io-context.ts';
import { IsolateBudget } from '../sharing/isolate-budget.ts';
import { checkRequest } from './check-request.ts';
import * as face from './face.ts';
import type { Lease } from './lease.ts';
import type { PoolOptions } from './options.ts';
import { Pool } from './pool.ts';
import { RequestGuard, unguarded } from './request-guard.ts';
import type {
  AcquireOptions,
  CheckOptions,
  CloseOptions,
  OpenOptions,
  TransactionOptions,
  WaitOptions,
} from './requests.ts';
import { sumReports, sumSnapshots, sumStats, worstExplanation, worstHealth } from './sum-figures.ts';
import type { Transaction } from './transaction.ts';
import { Warnings } from './warnings.ts';
import { Cell, closedPool } from './workers-cell.ts';
import { graceOf, refuseMin, type WorkersPoolOptions } from './workers-options.ts';

const LOOK_MS = 10;
const RELAYED = ['connect', 'acquire', 'release', 'remove', 'error'] as const;
/** Listeners that the pool has of its own. */
const OWN_LISTENERS = { connect: 1, acquire: 0, release: 0, remove: 0, error: 1 } as const;
const INSTEAD = "make a pool for each request, keep one in a Durable Object, or allow contexts: 'cells'";

/** One who listens to everything, whichever request it happens in. */
interface Watcher {
  readonly observer: Partial<Observer>;
}

export class WorkersPool extends Pool {
  readonly #contexts: Contexts;
  readonly #clock: Clock;
  readonly #budget: IsolateBudget;
  readonly #options: PoolOptions;
  readonly #graceMs: number;
  readonly #home: RequestGuard | undefined;
  readonly #warnings: Warnings;
  readonly #pooled = new Map<string, boolean>();
  readonly #watchers = new Set<Watcher>();
  /** Newest last. */
  #cells: Cell[] = [];
  /** What cells that are gone have counted. */
  #past: readonly PoolStats[] = [];
  #wasUsed = false;
  #pausedBy: { borrowers?: 'wait' | 'reject' } | undefined;
  /** Since close(): a closed pool, which refuses everybody with the right words. */
  #tomb: Pool | undefined;
  readonly #reports: CloseReport[] = [];

  static {
    Object.defineProperty(WorkersPool, 'name', { value: 'WorkersPool', configurable: true });
    const method = (name: string, value: (this: WorkersPool, ...args: never[]) => unknown): void => {
      Object.defineProperty(WorkersPool.prototype, name, { value, configurable: true, writable: true });
    };
    method('connect', function connect(callback?: face.ConnectCallback) {
      const error = this.#home?.fault();
      if (error !== undefined) return face.connect(Promise.reject(error), callback);
      const pool = this.#here();
      return Reflect.apply(pool.connect, pool, [callback]);
    });
    method('query', function query(text: unknown, values?: unknown, callback?: face.QueryCallback) {
      const error = this.#home?.fault();
      if (error !== undefined) return face.query(() => Promise.reject(error), text, values, callback);
      const pool = this.#here();
      return Reflect.apply(pool.query, pool, [text, values, callback]);
    });
    method('end', function end(callback?: face.EndCallback) {
      const twice = (): PoolClosedError => new PoolClosedError('Called end on pool more than once', this.phase);
      const ending = this.#ended ? Promise.reject(twice()) : this.close({ drainMs: Infinity }).then(() => {});
      this.#ended = true;
      return face.end(ending, callback);
    });
  }

  #ended = false;

  constructor(given: WorkersPoolOptions | string = {}, contexts: Contexts = platformContexts) {
    const { contexts: which = 'cells', ...options } = typeof given === 'string' ? { connectionString: given } : given;
    if (which !== 'cells' && which !== 'error') throw new OptionError('contexts', which, "'cells' or 'error'");
    const budget: unknown = Reflect.get(options, 'budget');
    if (budget !== undefined) throw new OptionError('budget', budget, 'none: the pools of an isolate share its `max`');
    refuseMin(options.min);
    unguarded(options);
    super(options);
    this.#contexts = contexts;
    this.#clock = options.clock ?? systemClock;
    this.#budget = new IsolateBudget(super.snapshot().max, contexts.mortal);
    this.#options = { ...options, name: this.name };
    // A name that the user did not give is not shown to the server.
    if (options.name === undefined) this.#options.application_name = options.application_name ?? '';
    this.#graceMs = graceOf(options);
    this.#warnings = new Warnings(options.logger);
    if (which === 'error') this.#home = new RequestGuard(this.name, contexts, INSTEAD);
    this.on('newListener', (name: unknown) => {
      for (const event of RELAYED) if (event === name) for (const cell of this.#cells) this.#relay(cell, event);
    });
  }

  // Life cycle

  override get phase(): Phase {
    if (this.#tomb !== undefined) return this.#cells.length > 0 ? 'closing' : 'closed';
    if (this.#pausedBy !== undefined) return 'paused';
    if (!this.#wasUsed) return 'created';
    return this.#cells.length > 0 && this.#cells.every(({ pool }) => pool.phase === 'opening') ? 'opening' : 'open';
  }

  /** Proves one connection, in the context that asks. */
  override async open(options: OpenOptions = {}): Promise<this> {
    // Whoever opens it, opens it for all.
    this.#options.autoOpen = true;
    await this.#entered().open(options);
    return this;
  }

  override async ready(options: WaitOptions = {}): Promise<this> {
    this.#options.autoOpen = true;
    await this.#entered().ready(options);
    return this;
  }

  /** Each context closes its own connections; of one that is over they are gone already. Resolves when none is left. */
  override async close(options: CloseOptions = {}): Promise<CloseReport> {
    checkRequest('close', options);
    if (this.#tomb === undefined) {
      this.#tomb = closedPool(this.#options);
      for (const cell of this.#cells) cell.close(options, (report) => this.#reports.push(report));
    }
    await this.#until(() => this.#cells.length === 0);
    return sumReports(this.#reports);
  }

  // Borrowing

  override async acquire(options?: AcquireOptions): Promise<Lease> {
    return this.#entered().acquire(options);
  }

  override tryAcquire(): Lease | undefined {
    return this.#entered().tryAcquire();
  }

  override async use<T>(fn: (lease: Lease) => T | Promise<T>, options?: AcquireOptions): Promise<T> {
    return this.#entered().use(fn, options);
  }

  override async transaction<T>(fn: (tx: Transaction) => T | Promise<T>, options?: TransactionOptions): Promise<T> {
    return this.#entered().transaction(fn, options);
  }

  // Operating

  override resize(sizes: { min?: number; max?: number }): void {
    refuseMin(sizes.min);
    super.resize(sizes);
    const { max } = super.snapshot();
    this.#budget.limit = max;
    this.#options.max = max;
    for (const cell of this.#cells) cell.post(() => cell.pool.resize({ max }));
  }

  /** Other contexts do it at their next beat. */
  override replaceAll(options: { overMs?: number } = {}): Promise<void> {
    return this.#everywhere((pool) => pool.replaceAll(options));
  }

  /** Other contexts do it at their next beat; the report is of this one. */
  override check(options: CheckOptions = {}): Promise<CheckReport> {
    return this.#everywhere((pool) => pool.check(options));
  }

  /** Other contexts do it at their next beat; the count is of this one. */
  override trim(options: { to?: number } = {}): Promise<number> {
    return this.#everywhere((pool) => pool.trim(options));
  }

  override async pause(options: { borrowers?: 'wait' | 'reject' } = {}): Promise<void> {
    checkRequest('pause', options);
    if (this.#tomb !== undefined) return this.#tomb.pause(options);
    this.#pausedBy = options;
    const opening = new Set(this.#cells.filter(({ pool }) => pool.phase === 'opening'));
    const still = (): boolean => this.#pausedBy === options;
    for (const cell of this.#cells) cell.post(() => void cell.pause(options, still).then(() => opening.delete(cell)));
    await this.#until(() => this.#cells.every((cell) => !opening.has(cell) && cell.pool.snapshot().lent === 0));
  }

  override resume(): void {
    this.#pausedBy = undefined;
    for (const cell of this.#cells) cell.post(() => cell.pool.resume());
  }

  /** Its cells take their permits from the isolate's budget, which no other thread can reach: what they have would not be counted there. */
  override share(): never {
    throw new OptionError(
      'budget',
      undefined,
      'a pool of class Pool to share: its connections are counted in this isolate alone',
    );
  }

  // Looking

  override snapshot(): PoolSnapshot {
    this.#sweep();
    const { limit, used, members } = this.#budget;
    const parts = this.#cells.map(({ pool }) => pool.snapshot());
    const held = parts.reduce((total, { budget }) => total + (budget?.held ?? 0), 0);
    const budget = { kind: 'workers', limit, used, held, members };
    return sumSnapshots(parts, { name: this.name, phase: this.phase, min: 0, max: limit, budget });
  }

  override stats(): PoolStats {
    const now = this.snapshot();
    return sumStats([...this.#past, ...this.#cells.map(({ pool }) => pool.stats())], now);
  }

  override popStats(): PoolStats {
    const stats = this.stats();
    this.#past = [];
    for (const { pool } of this.#cells) pool.popStats();
    return stats;
  }

  override holders(): Holder[] {
    this.#sweep();
    return this.#cells.flatMap(({ pool }) => pool.holders()).sort((one, other) => other.heldMs - one.heldMs);
  }

  override explain(): Explanation {
    this.#sweep();
    const pools = this.#tomb === undefined ? this.#cells.map(({ pool }) => pool) : [this.#tomb];
    return worstExplanation(pools.map((pool) => pool.explain())) ?? super.explain();
  }

  override health(): Health {
    this.#sweep();
    return worstHealth(this.#cells.map(({ pool }) => pool.health()));
  }

  override observe(observer: Partial<Observer>): () => void {
    // What cannot be meant is found out at once.
    super.observe(observer)();
    const watcher: Watcher = { observer: { ...observer } };
    this.#watchers.add(watcher);
    for (const cell of this.#cells) cell.undo.set(watcher, cell.pool.observe(watcher.observer));
    return () => {
      this.#watchers.delete(watcher);
      for (const cell of this.#cells) cell.undo.get(watcher)?.();
    };
  }

  override get expiredCount(): number {
    return this.#cells.reduce((total, { pool }) => total + pool.expiredCount, 0);
  }

  // Cells

  /** The pool of this turn's context; throws if it may not be used here. */
  #entered(): Pool {
    const error = this.#home?.fault();
    if (error !== undefined) throw error;
    return this.#here();
  }

  #here(): Pool {
    if (this.#tomb !== undefined) return this.#tomb;
    this.#sweep();
    const found = this.#cells.findLast((cell) => !cell.closing && cell.context.here);
    found?.enter();
    return (found ?? this.#newCell()).pool;
  }

  #newCell(): Cell {
    const making = {
      options: this.#options,
      name: this.name,
      budget: this.#budget,
      contexts: this.#contexts,
      clock: this.#clock,
      pooled: this.#pooled,
      warnings: this.#warnings,
      graceMs: this.#graceMs,
    };
    const cell = new Cell(making, this.#contexts.mint());
    this.#wasUsed = true;
    this.#cells.push(cell);
    for (const event of RELAYED) if (this.listenerCount(event) > OWN_LISTENERS[event]) this.#relay(cell, event);
    for (const watcher of this.#watchers) cell.undo.set(watcher, cell.pool.observe(watcher.observer));
    if (this.#pausedBy !== undefined) {
      void cell.pool.open({ wait: false });
      void cell.pool.pause(this.#pausedBy);
    }
    return cell;
  }

  /** Parts with the cells that nobody can be waiting for any more. */
  #sweep(): void {
    this.#budget.sweep(this.#clock.now());
    const over = this.#cells.filter((cell) => cell.isOver);
    if (over.length === 0) return;
    this.#cells = this.#cells.filter((cell) => !over.includes(cell));
    const counted = [...this.#past, ...over.map(({ pool }) => pool.stats())];
    const [last = super.snapshot()] = counted;
    this.#past = [sumStats(counted, last)];
  }

  /** pg's events: whoever listens to this pool hears those of a cell. */
  #relay(cell: Cell, event: (typeof RELAYED)[number]): void {
    if (cell.relayed.has(event)) return;
    cell.relayed.add(event);
    const relay = (...args: unknown[]): void => void this.emit(event, ...args);
    Reflect.apply(cell.pool.on, cell.pool, [event, relay]);
  }

  #everywhere<T>(work: (pool: Pool) => Promise<T>): Promise<T> {
    const here = this.#here();
    // What cannot be meant throws here and nowhere else.
    const done = work(here);
    for (const cell of this.#cells) if (cell.pool !== here) cell.post(() => void work(cell.pool));
    return done;
  }

  /** By timers of this turn's context, for those of another one never ring here. */
  #until(done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        this.#sweep();
        if (done()) resolve();
        else this.#clock.timer(LOOK_MS, look, true);
      };
      look();
    });
  }
}
