// The scheduled sweeps (DESIGN B13): lifetimes, idle time, keep-alive, the floor. Owns one timer and when it is due; each
// measure is taken by another part.

import type { Timer } from '../contracts/clock.ts';
import type { Session } from '../contracts/driver.ts';
import { LATE_MS } from '../foundation/deadlines.ts';
import type { Household } from './household.ts';
import type { Slot } from './slot.ts';
import { State } from './states.ts';

/** Due times are not looked at more often than this. */
const SHORTEST_MS = 5;
/** A replacement for an expiring connection is opened this long ahead, or twice as long as a connect has lately taken. */
const AHEAD_MS = 1_000;
/** Keep-alive pings are spread over the last tenth of their period. */
const JITTER = 0.1;

export class Upkeep<S extends Session> {
  readonly #house: Household<S>;
  #timer: Timer | undefined;
  /** Replacements to be opened before the old ones expire. */
  spares = 0;

  constructor(house: Household<S>) {
    this.#house = house;
  }

  lookBy(at: number): void {
    if (at >= this.#house.nextSweepAt) return;
    const now = this.#house.clock.now();
    this.#arm(Math.max(at, now + SHORTEST_MS), now);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#house.nextSweepAt = Infinity;
    this.spares = 0;
  }

  #arm(at: number, now: number): void {
    this.#timer?.cancel();
    this.#house.nextSweepAt = at;
    this.#timer = this.#house.clock.timer(at - now, () => {
      const late = this.#house.clock.now() - at;
      this.#timer = undefined;
      this.#house.nextSweepAt = Infinity;
      // After a block, what the sockets have to say comes first.
      if (late > LATE_MS) this.#house.clock.pollPhase(() => this.#sweep());
      else this.#sweep();
    });
  }

  #sweep(): void {
    const house = this.#house;
    if (house.phase !== 'open' && house.phase !== 'opening' && house.phase !== 'paused') return;
    const now = house.clock.now();
    const aheadMs = Math.max(AHEAD_MS, 2 * (house.counters.connect.value ?? 0));
    this.spares = 0;
    let next = Infinity;
    for (const slot of house.idle.fromOldest()) next = Math.min(next, this.#look(slot, now, aheadMs));
    // Lent ones expire too: they are replaced when they come back, and their successors may be opened before.
    for (const slot of house.lent) if (slot.expiresAt - now <= aheadMs) this.#wantSpare();
    house.pump();
    this.lookBy(next);
  }

  /** Does what is due for one idle slot; returns when it is to be looked at again. */
  #look(slot: Slot<S>, now: number, aheadMs: number): number {
    const house = this.#house;
    const { idleTimeoutMs, idlePingMs } = house.settings;
    const surplus = house.book.living > house.floor;
    if (now >= slot.expiresAt) {
      house.retire(slot, 'lifetime');
      return Infinity;
    }
    if (surplus && now - slot.usedAt >= idleTimeoutMs) {
      house.retire(slot, 'idle');
      return Infinity;
    }
    let next = slot.expiresAt;
    if (slot.expiresAt - now <= aheadMs) this.#wantSpare();
    else next = Math.min(next, slot.expiresAt - aheadMs);
    if (surplus || slot.usedAt + idleTimeoutMs > now) next = Math.min(next, slot.usedAt + idleTimeoutMs);
    if (idlePingMs !== Infinity && !surplus) {
      const dueAt = slot.seenAt + idlePingMs * (1 - JITTER * house.clock.random());
      if (now >= dueAt) {
        void house.examine(slot, false);
        return now + idlePingMs * (1 - JITTER);
      }
      next = Math.min(next, dueAt);
    }
    return Math.max(next, now + SHORTEST_MS);
  }

  /** Only where the pool is at its floor and has room: elsewhere another one serves meanwhile. */
  #wantSpare(): void {
    const { book, min, max } = this.#house;
    if (book.living - this.spares <= min && min + this.spares < max && book.count(State.opening) === 0)
      this.spares += 1;
  }
}
