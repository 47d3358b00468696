// The pool: a genuine `pg.Pool` over one engine. This is the composition root, where every port gets its real or its inert part;
// what a verb does stands in the part that owns it.

import type { EventEmitter } from 'node:events';
import pg from 'pg';
import type { Clock } from '../contracts/clock.ts';
import { POOL_TRAP } from '../contracts/clone-traps.ts';
import { PoolClosedError } from '../contracts/errors.ts';
import type { Observer } from '../contracts/events.ts';
import type { Explanation } from '../contracts/explain.ts';
import type { Phase } from '../contracts/phase.ts';
import type { CheckReport, CloseReport, Health, Holder, PoolSnapshot, PoolStats } from '../contracts/snapshot.ts';
import { Engine } from '../core/engine.ts';
import type { Personality } from '../core/option-table.ts';
import { diagnosisFor } from '../diagnosis/ports.ts';
import { systemClock } from '../foundation/system-clock.ts';
import type { PgSession } from '../pg/session.ts';
import type { ClientClass } from '../pg/shapes.ts';
import type { Speakers } from '../pg/speakers.ts';
import { checkFunction, checkRequest, faultIn } from './check-request.ts';
import * as face from './face.ts';
import { type Lease, PoolLease } from './lease.ts';
import { lend } from './lending.ts';
import { logObservers } from './log-observers.ts';
import { makeDriver } from './make-driver.ts';
import { watchNesting } from './nested-guard.ts';
import { Observers } from './observers.ts';
import { type PoolOptions, poolSettings, type Resolved, resized } from './options.ts';
import { PgEvents } from './pg-events.ts';
import { logObserver } from './pg-hooks.ts';
import { pgOptions, showServer } from './pg-options.ts';
import { PoolQuery } from './pool-query.ts';
import { Publisher } from './publisher.ts';
import type { QueryOptions } from './query.ts';
import { guardOf } from './request-guard.ts';
import type {
  AcquireOptions,
  CheckOptions,
  CloseOptions,
  OpenOptions,
  TransactionOptions,
  WaitOptions,
} from './requests.ts';
import { type Face, type SharedPool, type ShareOptions, Sharing } from './share.ts';
import { stillLent } from './still-lent.ts';
import { planOf, type Transaction } from './transaction.ts';
import { Warnings } from './warnings.ts';

const DRAIN_MS = 30_000;
const CANCEL_MS = 1_000;

/** pg's class at run time; its declarations would forbid accessors where it has fields. */
const Base = pg.Pool as unknown as new (config?: pg.PoolConfig) => EventEmitter & { options: pg.PoolOptions };

/** pg's overloads, kept. */
export interface Pool {
  query: pg.Pool['query'] &
    (<R extends pg.QueryResultRow>(query: QueryOptions, values?: unknown[]) => Promise<pg.QueryResult<R>>);
  connect: pg.Pool['connect'];
  end: pg.Pool['end'];
}

/** A PostgreSQL connection pool. Making one does no I/O and sets no timer; the first use, or `open()`, opens it. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the interface above restates pg's overloads, which a class cannot inherit as methods
export class Pool extends Base implements AsyncDisposable {
  /** Whose defaults and manners this class has: ours, or in the subclass of `oxbow/pg` pg's. */
  protected static readonly personality: Personality = 'oxbow';
  protected static readonly face: Face = 'oxbow';
  readonly name: string;
  readonly #engine: Engine<PgSession, PoolLease>;
  readonly #observers: Observers;
  readonly #options: Resolved;
  readonly #personality: Personality;
  readonly #publisher: Publisher;
  readonly #queries: PoolQuery;
  readonly #sharing: Sharing;
  readonly #speakers: Speakers | undefined;
  #endCalled = false;

  static {
    // Drizzle asks for "Pool" in the class name; minifiers must not take it away.
    Object.defineProperty(Pool, 'name', { value: 'Pool', configurable: true });
    // pg declares these as overloaded methods; they stand on the prototype, where APMs look for them.
    const method = (name: string, value: (this: Pool, ...args: never[]) => unknown): void => {
      Object.defineProperty(Pool.prototype, name, { value, configurable: true, writable: true });
    };
    method('connect', function connect(callback?: face.ConnectCallback) {
      return face.connect(this.#publisher.acquire(), callback);
    });
    method('query', function query(text: unknown, values?: unknown, callback?: face.QueryCallback) {
      const queries = this.#queries;
      if (face.isPromised(text, values, callback)) return queries.run(text, values);
      return face.query(([asked, given]) => queries.run(asked, given), text, values, callback);
    });
    method('end', function end(callback?: face.EndCallback) {
      return face.end(this.#endOnce(), callback);
    });
  }

  constructor(options: PoolOptions | string = {}) {
    const made = poolSettings(options, new.target.personality, () => this);
    const resolved = made.options;
    const log = logObserver(made.client);
    super(pgOptions(made.client, resolved));
    const Client = (made.client.Client as ClientClass | undefined) ?? pg.Client;
    showServer(this.options, made.client, Client);
    this.name = made.settings.name;
    const clock: Clock = resolved.clock ?? systemClock;
    this.#options = resolved;
    this.#personality = new.target.personality;
    this.#publisher = new Publisher(this, resolved.driver !== undefined || made.client.connection !== undefined);
    const guard = guardOf(options, this.name);
    const warnings = guard?.warnings ?? new Warnings(resolved.logger);
    const { driver, speakers } = makeDriver(made, {
      Client,
      clock,
      pooled: guard?.pooled,
      hearer: this.#publisher,
      deadline: (ms, ring) => this.#engine.deadline(ms, ring),
      tell: (message) => this.#observers.report({ code: 'OXBOW_POOLER', message: `${this.name}: ${message}` }),
    });
    this.#speakers = speakers;
    const face = new PgEvents(this, warnings, this.name);
    this.#observers = new Observers(warnings, face, this.#publisher, this.name);
    this.#observers.onPhase = made.enrol(this.#observers);
    this.#sharing = new Sharing(made, new.target.face, clock, () => this.#engine);
    Object.defineProperty(this, 0, { value: POOL_TRAP, enumerable: true });
    const engine = new Engine<PgSession, PoolLease>({
      settings: made.settings,
      clock,
      driver,
      hooks: made.hooks,
      ports: {
        events: this.#observers,
        reporter: this.#observers,
        ...diagnosisFor(resolved),
        permits: this.#sharing.permits,
      },
      Lease: guard?.Lease ?? PoolLease,
    });
    this.#engine = this.#publisher.attach(engine);
    this.#observers.onListening = (listening) => this.#engine.tellTraffic(listening);
    face.onChange = () => this.#observers.listen();
    face.onChange();
    const logged = logObservers(this.name, resolved.logger, (error) => driver.classify(error));
    for (const observer of [log, ...logged]) if (observer !== undefined) this.#observers.add(observer);
    this.#queries = new PoolQuery(clock, resolved, () => speakers?.codec === true, this.#publisher);
    guard?.watch?.(this);
    watchNesting(this, resolved, (error) => this.#engine.refused('nested', error));
  }

  // Life cycle

  get phase(): Phase {
    return this.#engine.phase;
  }

  /** Starts the pool. Resolves when it is ready: `min` connections exist, or one was proven. A closed pool cannot be opened again. */
  async open(options: OpenOptions = {}): Promise<this> {
    checkRequest('open', options);
    await this.#engine.open(options);
    return this;
  }

  /** Resolves when `min` connections (at least one) exist, lent ones counted. Opens a pool that was not opened yet. */
  async ready(options: WaitOptions = {}): Promise<this> {
    checkRequest('ready', options);
    await this.#engine.ready(options);
    return this;
  }

  /** Ends the pool in bounded phases; never rejects. Resolves when all sockets are gone. */
  close(options: CloseOptions = {}): Promise<CloseReport> {
    checkRequest('close', options);
    const { drainMs = DRAIN_MS, cancelMs = CANCEL_MS, waiting = 'reject' } = options;
    return this.#engine.close({ drainMs, cancelMs, waiting });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // Borrowing

  acquire(options?: AcquireOptions): Promise<Lease> {
    const fault = options === undefined ? undefined : faultIn('acquire', options);
    return fault === undefined ? this.#publisher.acquire(options) : Promise.reject(fault);
  }

  /** A connection if one is idle and needs no check; never waits, never opens the pool. */
  tryAcquire(): Lease | undefined {
    return this.#engine.tryAcquire();
  }

  /**
   * Lends a connection to `fn` for as long as its promise takes. An abort of `options.signal` takes it away: what runs is cancelled,
   * what is open rolled back, and the call rejects with the signal's reason once `fn` has settled.
   */
  async use<T>(fn: (lease: Lease) => T | Promise<T>, options?: AcquireOptions): Promise<T> {
    checkFunction('fn', fn);
    checkRequest('acquire', options);
    return this.#lend(fn, options);
  }

  /** Lends a connection to `fn` inside a transaction: COMMIT when it resolves, ROLLBACK when it throws. */
  async transaction<T>(fn: (tx: Transaction) => T | Promise<T>, options?: TransactionOptions): Promise<T> {
    checkFunction('fn', fn);
    checkRequest('transaction', options);
    planOf(options);
    return this.#lend((lease) => lease.transaction(fn, options), options);
  }

  #lend<T>(fn: (lease: Lease) => T | Promise<T>, options: AcquireOptions | undefined): Promise<T> {
    return lend(this, this.#publisher.acquire(options), fn, options?.signal, this.#options.returnTimeoutMs);
  }

  // Operating

  /** Changes the limits of a living pool. Idle connections above the new `max` close now, lent ones at their return. */
  resize(sizes: { min?: number; max?: number }): void {
    checkRequest('resize', sizes);
    const now = this.snapshot();
    const asked = resized(now, sizes);
    this.#engine.resize(asked.min, asked.max);
    Object.assign(this.options, { min: asked.min, max: asked.max });
    this.#publisher.resized(now, asked);
  }

  /** Every connection is made anew, the idle ones spread over `overMs` (0). Resolves when the last old one is gone. */
  replaceAll(options: { overMs?: number } = {}): Promise<void> {
    checkRequest('replaceAll', options);
    return this.#engine.replaceAll(options.overMs ?? 0);
  }

  /** Tests the idle connections, one at a time, and replaces dead ones. */
  check(options: CheckOptions = {}): Promise<CheckReport> {
    checkRequest('check', options);
    return this.#engine.check(options.timeoutMs ?? Infinity);
  }

  /** Closes idle connections now until `to` (0) are left; resolves with how many. May go below `min` until the next use. */
  trim(options: { to?: number } = {}): Promise<number> {
    checkRequest('trim', options);
    return this.#engine.trim(options.to ?? 0);
  }

  /** Stops lending; resolves when nothing is lent. Borrowers wait (default) or are refused. */
  pause(options: { borrowers?: 'wait' | 'reject' } = {}): Promise<void> {
    checkRequest('pause', options);
    return this.#engine.pause(options.borrowers ?? 'wait');
  }

  resume(): void {
    this.#engine.resume();
  }

  // Looking

  snapshot(): PoolSnapshot {
    const speaker = this.#speakers?.speaker;
    return speaker === undefined ? this.#engine.snapshot() : { ...this.#engine.snapshot(), speaker };
  }

  stats(): PoolStats {
    return { ...this.#engine.stats(), ...this.#speakers?.figures };
  }

  /** As `stats()`, and zeroes the counters. */
  popStats(): PoolStats {
    const stats = { ...this.#engine.popStats(), ...this.#speakers?.figures };
    this.#speakers?.clear();
    return stats;
  }

  /** Who holds a connection, longest first. */
  holders(): Holder[] {
    return this.#engine.holders();
  }

  /** Why an acquire would wait or fail right now: a verdict, one sentence with the figures, the facts, and what to do. */
  explain(): Explanation {
    return this.#engine.explain();
  }

  /** `down`, `stuck`, `busy` or `up`, from counters; takes no connection. */
  health(): Health {
    return this.#engine.health();
  }

  /** Calls the observer's methods synchronously for each event; returns the undo. */
  observe(observer: Partial<Observer>): () => void {
    return this.#observers.add(observer);
  }

  /** For a test's `afterEach`: throws if anything is still lent, and says who took it. */
  assertIdle(): void {
    const holders = this.holders();
    if (holders.length > 0) throw new Error(stillLent(this.name, holders));
  }

  /**
   * A handle that can be posted to other threads, where `joinPool(handle)` of `oxbow/threads` makes a pool with these options under this
   * pool's limit: all of them together never have more than `max` connections. Name in `workers` the threads that run already.
   */
  share(options: ShareOptions = {}): SharedPool {
    checkRequest('share', options);
    return this.#sharing.share(this.snapshot().max, options);
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

  get expiredCount(): number {
    return this.#engine.expired();
  }

  get ending(): boolean {
    return this.phase === 'closing' || this.phase === 'closed';
  }

  /** pg's constructor assigns it. */
  set ending(_value: boolean) {}

  get ended(): boolean {
    return this.phase === 'closed';
  }

  /** pg's constructor assigns it. */
  set ended(_value: boolean) {}

  /** As pg: waits for lent connections without limit. Waiters are turned away; by pg's manners, served. */
  #endOnce(): Promise<void> {
    if (this.#endCalled) return Promise.reject(new PoolClosedError('Called end on pool more than once', this.phase));
    this.#endCalled = true;
    const waiting = this.#personality === 'pg' ? 'serve' : 'reject';
    return this.#engine.close({ drainMs: Infinity, cancelMs: CANCEL_MS, waiting }).then(() => {});
  }
}
