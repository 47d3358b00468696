// An engine on a virtual clock with a scripted driver, and the invariants that must hold after every step of every test.

import assert from 'node:assert/strict';
import { Engine } from '../../src/core/engine.ts';
import type { Hooks, Ports, Settings } from '../../src/core/household.ts';
import type { Lease } from '../../src/core/lease.ts';
import type { Request } from '../../src/core/wait-queue.ts';
import { type Script, ScriptedDriver, type ScriptedSession } from '../../src/testing/scripted-driver.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';

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
  connectConcurrency: 3,
  reconnectTimeoutMs: 300_000,
  autoOpen: true,
};

export type ScriptedLease = Lease<ScriptedSession>;

export interface RigOptions {
  readonly settings?: Partial<Settings>;
  readonly script?: Script;
  readonly hooks?: Hooks<ScriptedSession>;
  readonly ports?: Partial<Ports>;
  readonly seed?: number;
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

  constructor(options: RigOptions = {}) {
    this.clock = new VirtualClock(options.seed === undefined ? {} : { seed: options.seed });
    this.driver = new ScriptedDriver(this.clock, options.script);
    this.settings = { ...SETTINGS, ...options.settings };
    this.engine = new Engine({
      settings: this.settings,
      clock: this.clock,
      driver: this.driver,
      hooks: options.hooks,
      ports: options.ports,
    });
  }

  /** Asks for a connection and keeps what becomes of it. */
  ask(request?: Request): Ask {
    const ask = { lease: undefined as ScriptedLease | undefined, error: undefined as unknown, settled: false };
    this.engine.acquire(request).then(
      (lease) => {
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

  /** What must hold at any moment. */
  audit(): void {
    const s = this.engine.snapshot();
    assert.equal(s.size, s.opening + s.idle + s.lent + s.returning + s.closing, 'the counts add up');
    assert.ok(this.driver.sockets <= s.max, `${this.driver.sockets} sockets, max ${s.max}`);
    assert.equal(this.engine.holders().length, s.lent, 'every lent slot has its holder');
  }
}
