// An engine on a virtual clock with a scripted driver, and the invariants that must hold after every step of every test.

import assert from 'node:assert/strict';
import type { Clock } from '../../src/contracts/clock.ts';
import type { CloseReport } from '../../src/contracts/snapshot.ts';
import type { Closure } from '../../src/core/closing.ts';
import { Engine } from '../../src/core/engine.ts';
import type { Hooks, Ports, Settings } from '../../src/core/household.ts';
import type { Lease, LeaseClass } from '../../src/core/lease.ts';
import type { Request } from '../../src/core/wait-queue.ts';
import { type Script, ScriptedDriver, type ScriptedSession } from '../../src/testing/scripted-driver.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { EventLog, ReportLog } from './ports.ts';

export const SETTINGS: Settings = {
  name: 'pool-1',
  min: 0,
  max: 3,
  acquireTimeoutMs: 30_000,
  connectTimeoutMs: 10_000,
  idleTimeoutMs: 60_000,
  maxLifetimeMs: Infinity,
  maxUses: Infinity,
  maxWaiting: Infinity,
  check: 'stale',
  checkAfterIdleMs: 1_000,
  checkTimeoutMs: 1_000,
  reset: 'rollback',
  returnTimeoutMs: 5_000,
  idlePingMs: Infinity,
  silentAfterMs: Infinity,
  connectConcurrency: 3,
  reconnectTimeoutMs: 300_000,
  leakAfterMs: 30_000,
  borrowLimitMs: Infinity,
  nestedAcquire: 'detect',
  deadlockGraceMs: 500,
  autoOpen: true,
  dev: false,
  pgManners: false,
};

export type ScriptedLease = Lease<ScriptedSession>;

export interface RigOptions {
  readonly settings?: Partial<Settings>;
  readonly script?: Script;
  readonly hooks?: Hooks<ScriptedSession>;
  readonly ports?: Partial<Ports>;
  readonly seed?: number;
  /** Shared with other rigs; one of its own by default. */
  readonly clock?: VirtualClock;
  readonly Lease?: LeaseClass<ScriptedSession>;
  /** What the engine is given as its clock, made of the virtual one. */
  readonly wrapClock?: (clock: VirtualClock) => Clock;
}

/** The outcome of one request, looked at without waiting. */
export interface Ask {
  lease: ScriptedLease | undefined;
  error: unknown;
  readonly settled: boolean;
}

export class Rig {
  readonly clock: VirtualClock;
  readonly driver: ScriptedDriver;
  readonly engine: Engine<ScriptedSession>;
  readonly settings: Settings;
  /** What the engine told its default ports. */
  readonly events: EventLog = new EventLog();
  readonly reports: ReportLog = new ReportLog();
  /** A test that only wants something to be lent may not keep the lease; what is forgotten is taken back. */
  readonly #kept: ScriptedLease[] = [];

  constructor(options: RigOptions = {}) {
    this.clock = options.clock ?? new VirtualClock(options.seed === undefined ? {} : { seed: options.seed });
    this.driver = new ScriptedDriver(this.clock, options.script);
    this.settings = { ...SETTINGS, ...options.settings };
    this.engine = new Engine({
      settings: this.settings,
      clock: options.wrapClock?.(this.clock) ?? this.clock,
      driver: this.driver,
      hooks: options.hooks,
      Lease: options.Lease,
      ports: { events: this.events.port, reporter: this.reports, ...options.ports },
    });
  }

  /** Asks for a connection and keeps what becomes of it. */
  ask(request?: Request): Ask {
    const ask = { lease: undefined as ScriptedLease | undefined, error: undefined as unknown, settled: false };
    this.engine.acquire(request).then(
      (lease) => {
        this.#kept.push(lease);
        ask.lease = lease;
        ask.settled = true;
      },
      (error: unknown) => {
        ask.error = error;
        ask.settled = true;
      },
    );
    return ask;
  }

  /** Asks and lets `ms` pass; the connection must be there by then. */
  async get(ms = 0, request?: Request): Promise<ScriptedLease> {
    const ask = this.ask(request);
    await this.clock.advance(ms);
    if (ask.error !== undefined) throw ask.error;
    assert.ok(ask.lease, `no connection after ${ms} ms: ${JSON.stringify(this.engine.snapshot())}`);
    return ask.lease;
  }

  /** Leaves `count` connections idle; they are given back in the order of the result, so the last one is the warmest. */
  async fill(count: number): Promise<ScriptedSession[]> {
    const leases: ScriptedLease[] = [];
    for (const ask of Array.from({ length: count }, () => this.ask())) {
      for (let tries = 0; ask.lease === undefined && tries < 100; tries += 1) await this.clock.advance(25);
      assert.ok(ask.lease, `could not fill: ${String(ask.error)}`);
      leases.push(ask.lease);
    }
    for (const lease of leases) lease.release();
    await this.clock.settle();
    return leases.map((lease) => lease.session);
  }

  /** Closes and lets as much time pass as that may take; then nothing must be left. */
  async shut(closure: Partial<Closure> = {}): Promise<CloseReport> {
    const full: Closure = { drainMs: 30_000, cancelMs: 1_000, waiting: 'reject', ...closure };
    const watched = watch(this.engine.close(full));
    await this.clock.advance(full.drainMs + full.cancelMs + 20_000);
    assert.ok(watched.value, `close() did not end: ${JSON.stringify(this.engine.snapshot())}`);
    assert.equal(this.engine.phase, 'closed');
    assert.equal(this.engine.snapshot().size, 0, 'no slot is left');
    assert.equal(this.driver.sockets, 0, 'no socket is left');
    assert.equal(this.clock.pendingTimers, 0, 'no timer is left');
    return watched.value;
  }

  /** What must hold at any moment. */
  audit(): void {
    const s = this.engine.snapshot();
    assert.equal(s.size, s.opening + s.idle + s.lent + s.returning + s.closing, 'the counts add up');
    assert.ok(this.driver.sockets <= s.max, `${this.driver.sockets} sockets, max ${s.max}`);
    assert.equal(this.engine.holders().length, s.lent, 'every lent slot has its holder');
  }
}

/** What has become of a promise so far. */
export interface Watched<T> {
  settled: boolean;
  value: T | undefined;
  error: unknown;
}

export function watch<T>(promise: Promise<T>): Watched<T> {
  const watched: Watched<T> = { settled: false, value: undefined, error: undefined };
  promise.then(
    (value) => {
      watched.settled = true;
      watched.value = value;
    },
    (error: unknown) => {
      watched.settled = true;
      watched.error = error;
    },
  );
  return watched;
}

/** A rejection as a class and its fields, for `assert.throws`-like looks. */
export function errorOf(watched: { readonly error: unknown }): Error & Record<string, unknown> {
  assert.ok(watched.error instanceof Error, `expected an error, got ${String(watched.error)}`);
  return watched.error as Error & Record<string, unknown>;
}
