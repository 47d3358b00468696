// A pool with all its connections out and a crowd before it: what each contestant can do with one. Owns the limits that stand in
// for a pool where the question is what rejecting alone costs.

import type { Contestant } from '../lib/contestant.ts';
import { Limit } from '../lib/limit.ts';
import { Ours } from '../lib/ours.ts';
import { PgPool } from '../lib/peers.ts';

/** What a waiter may say; only ours listens to both. */
export interface Ask {
  readonly acquireTimeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface Crowd extends Contestant {
  acquire(ask?: Ask): Promise<unknown>;
}

const CROWDS = {
  ours: (timeoutMs?: number): Crowd => new Ours(timeoutMs === undefined ? {} : { acquireTimeoutMs: timeoutMs }),
  'pg-pool': (): Crowd => new PgPool(),
  'pg-pool, connectionTimeoutMillis': (timeoutMs = 30_000): Crowd => new PgPool({ connectionTimeoutMillis: timeoutMs }),
  limit: (timeoutMs?: number): Crowd => new LeavingLimit(timeoutMs),
};

export type Name = keyof typeof CROWDS;

export function isName(name: string | undefined): name is Name {
  return name !== undefined && name in CROWDS;
}

export const NAMES: readonly Name[] = Object.keys(CROWDS).filter(isName);

/** `timeoutMs` is the pool's own acquire timeout, where it has one. */
export function crowd(name: Name, timeoutMs?: number): Crowd {
  return CROWDS[name](timeoutMs);
}

/** As the limit, and its waiters can leave: all at one timer, or with their signal. Nobody is taken out of a queue. */
class LeavingLimit extends Limit implements Crowd {
  readonly #timeoutMs: number | undefined;
  #leaving: ((error: unknown) => void)[] = [];
  #signal: AbortSignal | undefined;

  constructor(timeoutMs: number | undefined) {
    super();
    this.#timeoutMs = timeoutMs;
  }

  override acquire(ask?: Ask): ReturnType<Limit['acquire']> {
    if (ask?.signal !== undefined)
      return new Promise((_, reject) => this.#leaveWith(ask.signal as AbortSignal, reject));
    if (this.#timeoutMs === undefined || this.connections.some(({ busy }) => !busy)) return super.acquire();
    return new Promise((_, reject) => {
      if (this.#leaving.length === 0) setTimeout(this.#expire, this.#timeoutMs);
      this.#leaving.push(reject);
    });
  }

  #expire = (): void => {
    const leaving = this.#leaving;
    this.#leaving = [];
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    for (const reject of leaving) reject(new Error('timeout'));
    Error.stackTraceLimit = limit;
  };

  /** One listener a signal: more cost the platform a walk over all of them each. */
  #leaveWith(signal: AbortSignal, reject: (error: unknown) => void): void {
    if (signal !== this.#signal) {
      const leaving: ((error: unknown) => void)[] = [];
      this.#signal = signal;
      this.#leaving = leaving;
      signal.addEventListener('abort', () => {
        for (const one of leaving) one(signal.reason);
      });
    }
    this.#leaving.push(reject);
  }
}
