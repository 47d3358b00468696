// The pool: a genuine `pg.Pool` over one engine. This is the composition root, where every port gets its real or its inert part;
// what a verb does stands in the part that owns it.

import type { EventEmitter } from 'node:events';
import pg from 'pg';
import type { Clock } from '../contracts/clock.ts';
import type { Driver } from '../contracts/driver.ts';
import { OptionError, PoolClosedError } from '../contracts/errors.ts';
import type { Observer } from '../contracts/events.ts';
import type { Phase } from '../contracts/phase.ts';
import type { CheckReport, CloseReport, Holder, PoolSnapshot, PoolStats } from '../contracts/snapshot.ts';
import { Engine } from '../core/engine.ts';
import { resolveOptions } from '../core/resolve-options.ts';
import { systemClock } from '../foundation/system-clock.ts';
import { PgDriver } from '../pg/driver.ts';
import type { PgSession } from '../pg/session.ts';
import type { ClientClass } from '../pg/shapes.ts';
import { checkOut } from './checkout.ts';
import { detachedTasks } from './detached.ts';
import { type Lease, PoolLease } from './lease.ts';
import { Observers } from './observers.ts';
import { type PoolOptions, poolSettings, type Resolved } from './options.ts';
import { limitsOf, type QueryArguments, type QueryOptions, runQuery } from './query.ts';
import type { AcquireOptions, CloseOptions, OpenOptions, WaitOptions } from './requests.ts';
import type { Transaction } from './transaction.ts';
import { Warnings } from './warnings.ts';

const DRAIN_MS = 30_000;
const CANCEL_MS = 1_000;

type ConnectCallback = (
  error: Error | undefined,
  client: pg.PoolClient | undefined,
  done: (release?: unknown) => void,
) => void;
type QueryCallback = (error: Error | undefined, result?: pg.QueryResult) => void;

/** pg's class at run time; its declarations would forbid accessors where it has fields. */
const Base = pg.Pool as unknown as new (config?: pg.PoolConfig) => EventEmitter & { options: pg.PoolOptions };

/** pg's overloads, kept. */
export interface Pool {
  query: pg.Pool['query'] &
    (<R extends pg.QueryResultRow>(query: QueryOptions, values?: unknown[]) => Promise<pg.QueryResult<R>>);
  connect: pg.Pool['connect'];
  end: pg.Pool['end'];
  /** pg's own getter; it counts what pg's constructor left empty. */
  readonly expiredCount: number;
}

/** A PostgreSQL connection pool. Making one does no I/O and sets no timer; the first use, or `open()`, opens it. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the interface above restates pg's overloads, which a class cannot inherit as methods
export class Pool extends Base implements AsyncDisposable {
  readonly name: string;
  readonly #engine: Engine<PgSession, PoolLease>;
  readonly #observers: Observers;
  readonly #clock: Clock;
  readonly #options: Resolved;
  #endCalled = false;

  static {
    // Drizzle asks for "Pool" in the class name; minifiers must not take it away.
    Object.defineProperty(Pool, 'name', { value: 'Pool', configurable: true });
    // pg declares these as overloaded methods; they stand on the prototype, where APMs look for them.
    const method = (name: string, value: (this: Pool, ...args: never[]) => unknown): void => {
      Object.defineProperty(Pool.prototype, name, { value, configurable: true, writable: true });
    };
    method('connect', function connect(callback?: ConnectCallback) {
      return this.#connect(callback);
    });
    method('query', function query(text: unknown, values?: unknown, callback?: QueryCallback) {
      return this.#dispatch(text, values, callback);
    });
    method('end', function end(callback?: (error?: Error) => void) {
      return this.#end(callback);
    });
  }

  constructor(options: PoolOptions | string = {}) {
    const made = poolSettings(options, () => this);
    const resolved = made.options;
    super({
      ...made.client,
      max: resolved.max,
      min: resolved.min,
      // In pg's words 0 means never; at once is as near as 1 ms.
      idleTimeoutMillis: resolved.idleTimeoutMs === Infinity ? 0 : Math.max(1, resolved.idleTimeoutMs),
      allowExitOnIdle: resolved.allowExitOnIdle,
    });
    hide(this.options, 'connectionString');
    this.name = made.settings.name;
    const clock = resolved.clock ?? systemClock;
    this.#clock = clock;
    this.#options = resolved;
    const driver =
      resolved.driver ??
      new PgDriver({
        Client: (made.client.Client as ClientClass | undefined) ?? pg.Client,
        config: made.client,
        clock,
        unref: resolved.allowExitOnIdle,
        queryTimeoutMs: resolved.queryTimeoutMs,
      });
    this.#observers = new Observers(new Warnings(resolved.logger));
    this.#engine = new Engine<PgSession, PoolLease>({
      settings: made.settings,
      clock,
      driver: driver as Driver<PgSession>,
      hooks: made.hooks,
      ports: { events: this.#observers, reporter: this.#observers, tasks: detachedTasks },
      Lease: PoolLease,
    });
    this.#observers.onListening = (listening) => this.#engine.tellTraffic(listening);
    this.#engine.tellTraffic(false);
  }

  // Life cycle

  get phase(): Phase {
    return this.#engine.phase;
  }

  /** Starts the pool. Resolves when it is ready: `min` connections exist, or one was proven. A closed pool cannot be opened again. */
  async open(options: OpenOptions = {}): Promise<this> {
    await this.#engine.open(options);
    return this;
  }

  /** Resolves when `min` connections (at least one) exist, lent ones counted. Opens a pool that was not opened yet. */
  async ready(options: WaitOptions = {}): Promise<this> {
    await this.#engine.ready(options);
    return this;
  }

  /** Ends the pool in bounded phases; never rejects. Resolves when all sockets are gone. */
  close(options: CloseOptions = {}): Promise<CloseReport> {
    const { drainMs = DRAIN_MS, cancelMs = CANCEL_MS, waiting = 'reject' } = options;
    mustBeTime('drainMs', drainMs);
    mustBeTime('cancelMs', cancelMs);
    return this.#engine.close({ drainMs, cancelMs, waiting });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // Borrowing

  acquire(options?: AcquireOptions): Promise<Lease> {
    return this.#engine.acquire(options);
  }

  /** A connection if one is idle and needs no check; never waits, never opens the pool. */
  tryAcquire(): Lease | undefined {
    return this.#engine.tryAcquire();
  }

  /** Lends a connection to `fn` for as long as its promise takes. */
  async use<T>(fn: (lease: Lease) => T | Promise<T>, options?: AcquireOptions): Promise<T> {
    const lease = await this.#engine.acquire(options);
    try {
      return await fn(lease);
    } finally {
      if (!lease.released) lease.release();
      await lease.whenReturned();
    }
  }

  /** Lends a connection to `fn` inside a transaction: COMMIT when it resolves, ROLLBACK when it throws. */
  transaction<T>(fn: (tx: Transaction) => T | Promise<T>, options?: AcquireOptions): Promise<T> {
    return this.use((lease) => lease.transaction(fn), options);
  }

  // Operating

  /** Changes the limits of a living pool. Idle connections above the new `max` close now, lent ones at their return. */
  resize(sizes: { min?: number; max?: number }): void {
    const { min, max } = this.snapshot();
    const wanted = { min: sizes.min ?? min, max: sizes.max ?? max };
    const { engine: asked } = resolveOptions(wanted, { personality: 'oxbow', foreignKeys: new Set() });
    this.#engine.resize(asked.min, asked.max);
    this.options.min = asked.min;
    this.options.max = asked.max;
  }

  /** Every connection is made anew, the idle ones spread over `overMs` (0). Resolves when the last old one is gone. */
  replaceAll(options: { overMs?: number } = {}): Promise<void> {
    const { overMs = 0 } = options;
    mustBeTime('overMs', overMs);
    return this.#engine.replaceAll(overMs);
  }

  /** Tests the idle connections, one at a time, and replaces dead ones. */
  check(): Promise<CheckReport> {
    return this.#engine.check();
  }

  /** Closes idle connections now until `to` (0) are left; resolves with how many. May go below `min` until the next use. */
  trim(options: { to?: number } = {}): Promise<number> {
    const { to = 0 } = options;
    mustBeTime('to', to);
    return this.#engine.trim(to);
  }

  /** Stops lending; resolves when nothing is lent. Borrowers wait (default) or are refused. */
  pause(options: { borrowers?: 'wait' | 'reject' } = {}): Promise<void> {
    return this.#engine.pause(options.borrowers ?? 'wait');
  }

  resume(): void {
    this.#engine.resume();
  }

  // Looking

  snapshot(): PoolSnapshot {
    return this.#engine.snapshot();
  }

  stats(): PoolStats {
    return this.#engine.stats();
  }

  /** As `stats()`, and zeroes the counters. */
  popStats(): PoolStats {
    return this.#engine.popStats();
  }

  /** Who holds a connection, longest first. */
  holders(): Holder[] {
    return this.#engine.holders();
  }

  /** Calls the observer's methods synchronously for each event; returns the undo. */
  observe(observer: Partial<Observer>): () => void {
    return this.#observers.add(observer);
  }

  // pg.Pool

  get totalCount(): number {
    const s = this.snapshot();
    return s.size - s.closing;
  }

  get idleCount(): number {
    return this.snapshot().idle;
  }

  get waitingCount(): number {
    return this.snapshot().waiting;
  }

  get ending(): boolean {
    const { phase } = this;
    return phase === 'closing' || phase === 'closed';
  }

  /** pg's constructor assigns it. */
  set ending(_value: boolean) {}

  get ended(): boolean {
    return this.phase === 'closed';
  }

  /** pg's constructor assigns it. */
  set ended(_value: boolean) {}

  #connect(callback?: ConnectCallback): Promise<pg.PoolClient> | undefined {
    const checkedOut = this.#engine.acquire().then(checkOut);
    if (callback === undefined) return checkedOut.then(({ client }) => client);
    return answer(
      checkedOut,
      ({ client, release }) => callback(undefined, client, release as (release?: unknown) => void),
      (error) => callback(error, undefined, () => {}),
    );
  }

  /** pg's overloads: values may be left out, a callback may stand last and is then the only answer. */
  #dispatch(text: unknown, values: unknown, callback: QueryCallback | undefined): Promise<pg.QueryResult> | undefined {
    const given = typeof values === 'function' ? (values as QueryCallback) : callback;
    if (typeof text === 'function') {
      const error = new Error('Passing a function as the first parameter to pool.query is not supported');
      return answer(Promise.reject(error), () => {}, text as QueryCallback);
    }
    const result = this.#query([text, typeof values === 'function' ? undefined : values]);
    return given === undefined ? result : answer(result, (value) => given(undefined, value), given);
  }

  /** One deadline over waiting and running. */
  async #query(args: QueryArguments): Promise<pg.QueryResult> {
    const began = this.#engine.now();
    const limits = limitsOf(args[0], this.#options.queryTimeoutMs);
    const { timeoutMs, signal } = limits;
    const acquireTimeoutMs = Math.min(timeoutMs, this.#options.acquireTimeoutMs);
    const lease = await this.#engine.acquire({ acquireTimeoutMs, signal });
    try {
      return await runQuery(lease.session, this.#clock, args, limits, this.#engine.now() - began);
    } finally {
      lease.release();
    }
  }

  #end(callback?: (error?: Error) => void): Promise<void> | undefined {
    const ending = this.#endOnce();
    return callback === undefined ? ending : answer(ending, () => callback(), callback);
  }

  /** As pg: waits for lent connections without limit; waiters are turned away. */
  #endOnce(): Promise<void> {
    if (this.#endCalled) return Promise.reject(new PoolClosedError('Called end on pool more than once', this.phase));
    this.#endCalled = true;
    return this.#engine.close({ drainMs: Infinity, cancelMs: CANCEL_MS, waiting: 'reject' }).then(() => {});
  }
}

/** Answers by callback, in a turn of its own: what it throws is the process's business, as in pg, and no promise's. */
function answer<T>(result: Promise<T>, done: (value: T) => void, failed: (error: Error) => void): undefined {
  result.then(
    (value) => queueMicrotask(() => done(value)),
    (error: Error) => queueMicrotask(() => failed(error)),
  );
}

function mustBeTime(option: string, value: number): void {
  if (!(value >= 0)) throw new OptionError(option, value, 'a number from 0, or Infinity');
}

/** Keeps a secret out of inspection and JSON. */
function hide(options: object, key: string): void {
  if (!(key in options)) return;
  Object.defineProperty(options, key, {
    enumerable: false,
    configurable: true,
    writable: true,
    value: Reflect.get(options, key),
  });
}
