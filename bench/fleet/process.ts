// One simulated process of a fleet: a real engine with the real budget, and those who borrow from it.

import type { Budget } from '../../src/contracts/permits.ts';
import { createEngine } from '../../src/core/create-engine.ts';
import type { Engine } from '../../src/core/engine.ts';
import type { FleetServer, FleetSession, Line } from '../../test/kit/fleet-server.ts';
import { ProcessClock, type WorldClock } from './clock.ts';

/** `hungry`: always more borrowers than it can serve. `bursty`: now some, now none. `idle`: one now and then. */
export type Appetite = 'hungry' | 'bursty' | 'idle';

/** How long a connection is used, on average, in milliseconds. */
const USE_MS = 50;
const TASKS = 8;

export interface Terms {
  readonly world: WorldClock;
  readonly server: FleetServer;
  readonly budget: Budget;
  readonly max: number;
  /** Told of what must never be. */
  readonly wrong: (what: string) => void;
}

export class SimulatedProcess {
  readonly appetite: Appetite;
  readonly clock: ProcessClock;
  readonly line: Line;
  readonly bornAt: number;
  ops = 0;
  failures = 0;
  readonly #terms: Terms;
  readonly #engine: Engine<FleetSession>;
  #over = false;

  constructor(terms: Terms, appetite: Appetite) {
    const { world, server, budget, max } = terms;
    this.#terms = terms;
    this.appetite = appetite;
    this.bornAt = world.now();
    this.clock = new ProcessClock(world, 1e6 * world.random(), 0.99 + 0.02 * world.random());
    // Each process has its own distance, and each message its own delay.
    const distanceMs = 1 + 20 * world.random();
    this.line = {
      clock: world,
      latencyMs: () => (distanceMs + 9 * world.random()) / 2,
      loses: () => world.random() < 0.1,
      deliver: this.clock.deliver,
    };
    this.#engine = createEngine({ driver: server.driver(this.line), clock: this.clock, budget, max });
    if (appetite === 'hungry') for (let n = 0; n < TASKS; n += 1) this.#borrow();
    else this.#burst();
  }

  /** How many connections it could use now. */
  get demand(): number {
    const { lent, waiting, max } = this.#engine.snapshot();
    return this.#over ? 0 : Math.min(max, lent + waiting);
  }

  get lent(): number {
    return this.#over ? 0 : this.#engine.snapshot().lent;
  }

  get connects(): number {
    return this.#engine.stats().connects;
  }

  /** As SIGKILL: its sessions end, it hears nothing more. Returns the permits it had. */
  crash(): number[] {
    this.#over = true;
    this.clock.die();
    const own = [...this.#terms.server.sessions].filter(({ line }) => line === this.line);
    const slots = own.flatMap((session) => [...session.slots]);
    for (const session of own) session.kill(false);
    return slots;
  }

  #borrow(): void {
    this.#engine.acquire().then(
      (lease) => {
        const { session } = lease;
        if (session.status !== 'lost' && session.slots.size !== 1)
          this.#terms.wrong(`a session was lent with ${session.slots.size} permits`);
        this.clock.timer(USE_MS * (0.2 + 1.6 * this.clock.random()), () => {
          lease.release();
          this.ops += 1;
          if (this.appetite === 'hungry') this.#borrow();
        });
      },
      () => {
        this.failures += 1;
        this.clock.timer(100, () => this.#borrow());
      },
    );
  }

  #burst(): void {
    const [most, everyMs] = this.appetite === 'bursty' ? [20, 1_500] : [1, 4_000];
    for (let n = Math.ceil(most * this.clock.random()); n > 0; n -= 1) this.#borrow();
    this.clock.timer(everyMs * (0.5 + this.clock.random()), () => this.#burst());
  }
}
