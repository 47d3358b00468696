// How eagerly the pool may connect (DESIGN B4, B5): freely while the server accepts, by one prober with back-off while it
// refuses, in a slow start after that. Owns the outage; dials nothing itself.

import type { Clock } from '../contracts/clock.ts';
import type { Fault } from '../contracts/driver.ts';
import { fullJitter } from '../foundation/backoff.ts';
import type { Settings } from './household.ts';

const BACKOFF_BASE_MS = 50;
export const BACKOFF_CAP_MS = 10_000;
/** A fault that cannot heal is asked about at least this often while somebody waits: each newcomer deserves an answer. */
const PERMANENT_CAP_MS = 1_000;

/**
 * A server without room has some again as soon as anybody, here or elsewhere, closes a connection: while somebody waits that is asked about
 * at least this often.
 */
const FULL_CAP_MS = 1_000;
/** Where each failed connect fails a waiter, nobody waits for the next one but the next caller. */
const PG_CAP_MS = 100;

export interface Failure {
  readonly error: Error;
  readonly fault: Fault;
  readonly at: number;
}

export class Governor {
  readonly #clock: Clock;
  readonly #healthy: number;
  readonly #reconnectTimeoutMs: number;
  readonly #capMs: number;
  #allowed: number;
  #failures = 0;
  #retryAt = 0;
  /** The same while somebody waits, if that makes a difference. */
  #retryForWaitersAt = Infinity;
  #outageSince: number | undefined;
  #givenUp = false;
  /** How often in a row a budget did not admit what was connected, and until when the next connect waits because of that. */
  #notAdmitted = 0;
  #heldUntil = -Infinity;
  /** The most recent failed connect, kept after the outage: a timeout may want to show it, with its age. */
  last: Failure | undefined;

  constructor(clock: Clock, settings: Pick<Settings, 'connectConcurrency' | 'reconnectTimeoutMs' | 'pgManners'>) {
    this.#clock = clock;
    this.#healthy = settings.connectConcurrency;
    this.#allowed = settings.connectConcurrency;
    this.#reconnectTimeoutMs = settings.reconnectTimeoutMs;
    this.#capMs = settings.pgManners ? PG_CAP_MS : BACKOFF_CAP_MS;
  }

  /** Whether the last connect failed and none has succeeded since. */
  get refusing(): boolean {
    return this.#failures > 0;
  }

  /** Counts attempts within an outage, from 1. */
  get attempt(): number {
    return this.#failures + 1;
  }

  /** Connects allowed in flight now; `wanted`: somebody waits for one. */
  concurrency(now: number, wanted = false): number {
    if (now < this.#heldUntil) return 0;
    if (!this.refusing) return this.#allowed;
    return now >= this.#dueAt(wanted) ? 1 : 0;
  }

  /** Milliseconds until the next probe; undefined while nothing holds connects back. */
  retryInMs(now: number, wanted = false): number | undefined {
    const dueAt = Math.max(this.#heldUntil, this.refusing ? this.#dueAt(wanted) : -Infinity);
    return now < dueAt ? dueAt - now : undefined;
  }

  #dueAt(wanted: boolean): number {
    return wanted ? Math.min(this.#retryAt, this.#retryForWaitersAt) : this.#retryAt;
  }

  succeeded(): void {
    // One more for each success doubles per round, as TCP's slow start does: 1, 2, 4.
    this.#allowed = this.refusing ? 1 : Math.min(this.#healthy, this.#allowed + 1);
    this.#failures = 0;
    this.#notAdmitted = 0;
    this.#outageSince = undefined;
    this.#givenUp = false;
  }

  /** A budget did not admit a session although it was wanted. The server is well, but a storm of connects would help nobody. */
  notAdmitted(): void {
    this.#notAdmitted += 1;
    const ms = fullJitter(this.#notAdmitted, BACKOFF_BASE_MS, FULL_CAP_MS, this.#clock.random());
    this.#heldUntil = this.#clock.now() + ms;
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
      const cap = fault === 'permanent' ? Math.min(PERMANENT_CAP_MS, this.#capMs) : this.#capMs;
      this.#retryAt = now + this.#delay(cap);
      this.#retryForWaitersAt = fault === 'full' ? now + this.#delay(Math.min(FULL_CAP_MS, cap)) : Infinity;
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
