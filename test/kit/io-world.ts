// A platform that ties timers to the request which made them, on the virtual clock: whoever runs in a context is known, and of one that is over no
// timer rings. Knows nothing of the pool.

import { AsyncLocalStorage } from 'node:async_hooks';
import type { Clock } from '../../src/contracts/clock.ts';
import type { ContextKind, Contexts, IoContext } from '../../src/sharing/io-context.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';

export class Turns implements IoContext {
  readonly kind: ContextKind;
  readonly #current: AsyncLocalStorage<Turns>;
  /** The request is over, or was cancelled. */
  over = false;
  /** Promises that it was to be kept alive for, and has not seen settle. */
  kept = 0;

  constructor(current: AsyncLocalStorage<Turns>, kind: ContextKind) {
    this.#current = current;
    this.kind = kind;
  }

  get here(): boolean {
    return this.#current.getStore() === this;
  }

  run<T>(work: () => T): T {
    return this.#current.run(this, work);
  }
}

export class IoWorld implements Contexts {
  readonly mortal: boolean;
  readonly time: VirtualClock = new VirtualClock();
  readonly clock: Clock;
  readonly #current = new AsyncLocalStorage<Turns>();

  constructor(mortal = true) {
    this.mortal = mortal;
    const { now, wall, pollPhase, random } = this.time;
    this.clock = {
      now,
      wall,
      pollPhase,
      random,
      timer: (ms, fire) => {
        const context = this.#current.getStore();
        return this.time.timer(ms, () => {
          if (context === undefined) fire();
          else if (!context.over) context.run(fire);
        });
      },
    };
  }

  /** A request that has just come in, or a Durable Object. */
  context(kind: ContextKind = 'request'): Turns {
    return new Turns(this.#current, kind);
  }

  mint(): IoContext {
    if (!this.mortal) return { here: true, kind: 'process' };
    const context = this.#current.getStore();
    if (context === undefined) throw new Error('disallowed operation called within global scope');
    return context;
  }

  keepAlive(until: Promise<void>): void {
    const context = this.#current.getStore();
    if (context === undefined) throw new Error('there is no request to keep');
    context.kept += 1;
    void until.then(() => {
      context.kept -= 1;
    });
  }
}
