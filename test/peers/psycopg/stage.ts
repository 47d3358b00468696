// The public pools on the virtual clock with the scripted driver. Owns the clients that stand for sessions, so that callbacks and
// leases can be traced to what the script did to them; closes its pool with the test and looks that nothing is left.

import assert from 'node:assert/strict';
import type { OpenAttempt, Session } from '../../../src/contracts/driver.ts';
import type { AcquireOptions, Lease, Pool, PoolOptions, PoolStats } from '../../../src/doors/index.ts';
import { Pool as NormalPool } from '../../../src/doors/index.ts';
import { NullPool } from '../../../src/doors/null.ts';
import { type Script, ScriptedDriver, type ScriptedSession } from '../../../src/testing/scripted-driver.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';

export type PoolClass = new (options?: PoolOptions) => Pool;

/** Both of our pools, for what holds for both of theirs. */
export const POOLS: readonly PoolClass[] = [NormalPool, NullPool];

/** A test's context. */
export interface Scope {
  after(fn: () => Promise<void>): void;
}

/** What has become of a promise so far; `at` is the virtual time since the stage was set. */
export interface Watched<T> {
  value: T | undefined;
  error: unknown;
  at: number | undefined;
}

export interface StageOptions extends PoolOptions {
  script?: Script;
  Kind?: PoolClass;
  seed?: number;
}

export class Stage {
  readonly clock: VirtualClock;
  readonly driver: ScriptedDriver;
  readonly pool: Pool;
  /** What was reported, oldest first. */
  readonly said: { code: string; message: string }[] = [];
  readonly #sessions = new WeakMap<object, ScriptedSession>();
  readonly #setAt: number;

  constructor(scope: Scope, options: StageOptions = {}) {
    const { script, Kind = NormalPool, seed = 1, ...own } = options;
    this.clock = new VirtualClock({ seed });
    this.#setAt = this.clock.now();
    this.driver = new ScriptedDriver(this.clock, script);
    // Reports have a code; whatever else a logger is told is no report.
    const note = (about: object, message: string): void => {
      const code: unknown = Reflect.get(about, 'code');
      if (code !== undefined) this.said.push({ code: String(code), message });
    };
    this.pool = new Kind({
      dev: false,
      logger: { debug: note, info: note, warn: note, error: note },
      clock: this.clock,
      driver: {
        open: (attempt: OpenAttempt) => this.#open(attempt),
        classify: (error: unknown) => this.driver.classify(error),
        target: this.driver.target,
      },
      ...own,
    });
    scope.after(() => this.#shut());
  }

  get now(): number {
    return this.clock.now() - this.#setAt;
  }

  /** The session behind a client, as callbacks get it, or behind a lease. */
  session(of: Lease | object): ScriptedSession {
    const client = 'client' in of ? of.client : of;
    const session = typeof client === 'object' && client !== null ? this.#sessions.get(client) : undefined;
    assert.ok(session, 'no session of this stage');
    return session;
  }

  watch<T>(promise: Promise<T>): Watched<T> {
    const watched: Watched<T> = { value: undefined, error: undefined, at: undefined };
    promise.then(
      (value) => {
        watched.value = value;
        watched.at = this.now;
      },
      (error: unknown) => {
        watched.error = error;
        watched.at = this.now;
      },
    );
    return watched;
  }

  ask(options?: AcquireOptions): Watched<Lease> {
    return this.watch(this.pool.acquire(options));
  }

  /** Asks and lets `ms` pass; the lease must be there by then. */
  async get(ms: number = 0, options?: AcquireOptions): Promise<Lease> {
    const asked = this.ask(options);
    await this.clock.advance(ms);
    if (asked.error !== undefined) throw asked.error;
    assert.ok(asked.value, `no connection after ${ms} ms: ${JSON.stringify(this.pool.snapshot())}`);
    return asked.value;
  }

  /** Borrows for `ms`. Resolves with the time at which it was over. */
  async work(ms: number, options?: AcquireOptions): Promise<number> {
    const lease = await this.pool.acquire(options);
    await this.pass(ms);
    lease.release();
    return this.now;
  }

  /** Resolves when `ms` have passed: `advance` makes them pass. */
  pass(ms: number): Promise<void> {
    return new Promise((done) => void this.clock.timer(ms, done));
  }

  /** `open()`, given `ms` to be done. */
  async open(ms: number = 0): Promise<void> {
    const opened = this.watch(this.pool.open());
    await this.clock.advance(ms);
    if (opened.error !== undefined) throw opened.error;
    assert.equal(opened.value, this.pool, `not open after ${ms} ms`);
  }

  /** The gauges that psycopg's users read. */
  gauges(): Pick<PoolStats, 'size' | 'idle' | 'lent' | 'waiting'> {
    const { size, idle, lent, waiting } = this.pool.snapshot();
    return { size, idle, lent, waiting };
  }

  codes(): string[] {
    return this.said.map(({ code }) => code);
  }

  async #open(attempt: OpenAttempt): Promise<Session> {
    const session = await this.driver.open(attempt);
    const client = { query: (text: string) => Promise.resolve({ rows: [{ text }] }) };
    this.#sessions.set(client, session);
    return Object.assign(session, { client, clock: this.clock, queryTimeoutMs: Infinity });
  }

  async #shut(): Promise<void> {
    this.driver.script = () => undefined;
    const closed = this.watch(this.pool.close({ drainMs: 0, cancelMs: 0 }));
    await this.clock.advance(20_000);
    assert.ok(closed.value, `close() did not end: ${JSON.stringify(this.pool.snapshot())}`);
    assert.deepEqual(
      { size: this.pool.snapshot().size, sockets: this.driver.sockets, timers: this.clock.pendingTimers },
      { size: 0, sockets: 0, timers: 0 },
      'nothing is left',
    );
  }
}

/** Every connect takes `ms`. */
export function slowOpen(ms: number): Script {
  return (call) => (call === 'open' ? { afterMs: ms } : undefined);
}
