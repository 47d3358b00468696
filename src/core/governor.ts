// How eagerly the pool may connect (DESIGN B4, B5): freely while the server accepts, by one prober with back-off while it
// refuses, in a slow start after that. Owns the outage; dials nothing itself.

import type { Clock } from '../contracts/clock.ts';
import type { Fault } from '../contracts/driver.ts';
import { fullJitter } from '../foundation/backoff.ts';

const BACKOFF_BASE_MS = 50;
const BACKOFF_CAP_MS = 10_000;
/** A fault that cannot heal is asked about at least this often while somebody waits: each newcomer deserves an answer. */
const PERMANENT_CAP_MS = 1_000;

export interface Failure {
  readonly error: Error;
  readonly fault: Fault;
  readonly at: number;
}

export class Governor {
  readonly #clock: Clock;
  readonly #healthy: number;
  readonly #reconnectTimeoutMs: number;
  #allowed: number;
  #failures = 0;
  #retryAt = 0;
  #outageSince: number | undefined;
  #givenUp = false;
  /** The most recent failed connect, kept after the outage: a timeout may want to show it, with its age. */
  last: Failure | undefined;

  constructor(clock: Clock, connectConcurrency: number, reconnectTimeoutMs: number) {
    this.#clock = clock;
    this.#healthy = connectConcurrency;
    this.#allowed = connectConcurrency;
    this.#reconnectTimeoutMs = reconnectTimeoutMs;
  }

  /** Whether the last connect failed and none has succeeded since. */
  get refusing(): boolean {
    return this.#failures > 0;
  }

  /** Counts attempts within an outage, from 1. */
  get attempt(): number {
    return this.#failures + 1;
  }

  /** Connects allowed in flight now. */
  concurrency(now: number): number {
    if (!this.refusing) return this.#allowed;
    return now >= this.#retryAt ? 1 : 0;
  }

  /** Milliseconds until the next probe; undefined while nothing holds connects back. */
  retryInMs(now: number): number | undefined {
    return this.refusing && now < this.#retryAt ? this.#retryAt - now : undefined;
  }

  succeeded(): void {
    // One more for each success doubles per round, as TCP's slow start does: 1, 2, 4.
    this.#allowed = this.refusing ? 1 : Math.min(this.#healthy, this.#allowed + 1);
    this.#failures = 0;
    this.#outageSince = undefined;
    this.#givenUp = false;
  }

  /**
   * A connect that began at `begunAt` failed. Several in flight that fail together are one failure. Returns true once per
   * outage: when it has lasted `reconnectTimeoutMs`.
   */
  failed(error: Error, fault: Fault, begunAt: number): boolean {
    const now = this.#clock.now();
    const sameBlow = this.last !== undefined && this.refusing && begunAt < this.last.at;
    this.last = { error, fault, at: now };
    if (!sameBlow) {
      this.#failures += 1;
      const cap = fault === 'permanent' ? PERMANENT_CAP_MS : BACKOFF_CAP_MS;
      this.#retryAt = now + this.#delay(cap);
    }
    // A full server is no outage: it works, only not for us.
    if (fault === 'full') return false;
    this.#outageSince ??= now;
    const over = now - this.#outageSince >= this.#reconnectTimeoutMs;
    if (!over) {
      this.#retryAt = Math.min(this.#retryAt, this.#outageSince + this.#reconnectTimeoutMs);
      return false;
    }
    if (this.#givenUp) return false;
    this.#givenUp = true;
    return true;
  }

  /** The next probe may go out at once: credentials are asked for anew. */
  hurry(): void {
    this.#retryAt = this.#clock.now();
  }

  #delay(capMs: number): number {
    // Given up: the slowest pace, spread over its upper half.
    if (this.#givenUp) return capMs * (0.5 + 0.5 * this.#clock.random());
    return fullJitter(this.#failures, BACKOFF_BASE_MS, capMs, this.#clock.random());
  }
}
