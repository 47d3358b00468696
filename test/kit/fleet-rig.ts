// Engines that share a fleet budget, on one virtual clock and one scripted server.

import type { Budget } from '../../src/contracts/permits.ts';
import { createEngine } from '../../src/core/create-engine.ts';
import type { Engine } from '../../src/core/engine.ts';
import type { Lease } from '../../src/core/lease.ts';
import { postgresBudget } from '../../src/sharing/postgres-budget.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { FleetServer, type FleetSession, type Line } from './fleet-server.ts';

export interface FleetMember {
  readonly engine: Engine<FleetSession>;
  /** What it holds now, oldest first. */
  readonly leases: Lease<FleetSession>[];
  /** Asks for `count` connections, and keeps them as they come. */
  want(count: number): void;
  /** Gives back those it holds, oldest first. */
  giveBack(count?: number): void;
  /** `count` borrowers who come again and again, each with a connection for `holdMs`. */
  hungry(count: number, holdMs?: number): void;
  /** What was borrowed and given back. */
  readonly ops: number;
  stop(): void;
}

export class FleetRig {
  readonly clock: VirtualClock;
  readonly server: FleetServer;
  readonly members: FleetMember[] = [];
  readonly #budget: (floor: number) => Budget;

  constructor(limit: number, seed: number = 1) {
    this.clock = new VirtualClock({ seed });
    this.server = new FleetServer(this.clock);
    this.#budget = (floor) => postgresBudget({ limit, key: 'test', floor });
  }

  line(options: Partial<Line> = {}): Line {
    return { clock: this.clock, latencyMs: () => 0.5, loses: () => false, deliver: (fn) => fn(), ...options };
  }

  add(options: { max?: number; min?: number; floor?: number; line?: Partial<Line> } = {}): FleetMember {
    const { max = 10, min = 0, floor = 0, line } = options;
    const driver = this.server.driver(this.line(line));
    const budget = this.#budget(floor);
    const engine = createEngine({ driver, clock: this.clock, budget, max, min, name: `m${this.members.length}` });
    const leases: Lease<FleetSession>[] = [];
    let ops = 0;
    let on = true;
    const { clock } = this;
    const one = (holdMs: number): void => {
      if (!on) return;
      engine.acquire().then(
        (lease) =>
          clock.timer(holdMs, () => {
            ops += 1;
            lease.release();
            one(holdMs);
          }),
        () => {
          clock.timer(10, () => one(holdMs));
        },
      );
    };
    const member: FleetMember = {
      engine,
      leases,
      want: (count) => {
        for (let n = 0; n < count; n += 1)
          engine.acquire().then(
            (lease) => leases.push(lease),
            () => {},
          );
      },
      giveBack: (count = leases.length) => {
        for (const lease of leases.splice(0, count)) lease.release();
      },
      hungry: (count, holdMs = 5) => {
        on = true;
        for (let n = 0; n < count; n += 1) one(holdMs);
      },
      get ops() {
        return ops;
      },
      stop: () => {
        on = false;
      },
    };
    this.members.push(member);
    return member;
  }

  /** The permits each member has. */
  held(): number[] {
    return this.members.map(({ engine }) => engine.snapshot().budget?.held ?? -1);
  }

  async close(): Promise<void> {
    for (const { engine, stop, leases } of this.members) {
      stop();
      for (const lease of leases.splice(0)) lease.release();
      void engine.close({ drainMs: 100, cancelMs: 100, waiting: 'reject' });
    }
    await this.clock.advance(30_000);
  }
}
