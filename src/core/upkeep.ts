// The scheduled sweeps (DESIGN B13): lifetimes, idle time, keep-alive, the floor. Owns one timer and when it is due; each
// measure is taken by another part.

import type { Timer } from '../contracts/clock.ts';
import type { Session } from '../contracts/driver.ts';
import { FROZEN_MS, LATE_MS } from '../foundation/deadlines.ts';
import { BEAT_MS } from './bounds.ts';
import type { Household } from './household.ts';
import type { Slot } from './slot.ts';
import { State } from './states.ts';

/** Due times are not looked at more often than this. */
const SHORTEST_MS = 5;
/** Keep-alive pings are spread over the last tenth of their period. */
const JITTER = 0.1;

export class Upkeep<S extends Session> {
  readonly #house: Household<S>;
  #timer: Timer | undefined;
  #pinging = false;
  /** Successors to be opened before the connections they follow expire: as many as slots are marked `expiring`. */
  spares = 0;

  constructor(house: Household<S>) {
    this.#house = house;
  }

  lookBy(at: number): void {
    const { phase } = this.#house;
    if (at >= this.#house.nextSweepAt || phase === 'closing' || phase === 'closed') return;
    const now = this.#house.clock.now();
    this.#arm(Math.max(at, now + SHORTEST_MS), now);
  }

  /** A slot is on its way out: nobody needs a successor in advance for it any more. */
  left(slot: Slot<S>): void {
    if (!slot.expiring) return;
    slot.expiring = false;
    this.spares -= 1;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#house.nextSweepAt = Infinity;
  }

  #arm(at: number, now: number): void {
    this.#timer?.cancel();
    this.#house.nextSweepAt = at;
    this.#timer = this.#house.clock.timer(at - now, () => {
      const late = this.#house.clock.now() - at;
      this.#timer = undefined;
      this.#house.nextSweepAt = Infinity;
      // After a block, what the sockets have to say comes first.
      if (late > LATE_MS) this.#house.clock.pollPhase(() => this.#wake(late));
      else this.#sweep();
    });
  }

  #wake(lateMs: number): void {
    this.#house.loop.late(lateMs, this.#house.clock.now());
    if (lateMs >= FROZEN_MS) this.#house.suspectAll();
    this.#sweep();
  }

  #sweep(): void {
    const house = this.#house;
    if (house.phase !== 'open' && house.phase !== 'opening' && house.phase !== 'paused') return;
    const now = house.clock.now();
    let next = this.#markExpiring(now);
    for (const slot of house.idle.fromOldest()) next = Math.min(next, this.#dismiss(slot, now));
    next = Math.min(next, this.#keepAlive(now));
    if (house.idle.length > 0) next = Math.min(next, now + BEAT_MS);
    house.pump();
    this.lookBy(Math.max(next, now + SHORTEST_MS));
  }

  /** Lent ones expire too: they are replaced when they come back, and their successors are opened before. */
  #markExpiring(now: number): number {
    let next = Infinity;
    for (const slot of this.#house.slots) {
      if (slot.state === State.opening || slot.state === State.closing || slot.expiring) continue;
      if (now < slot.renewAt) next = Math.min(next, slot.renewAt);
      else {
        slot.expiring = true;
        this.spares += 1;
      }
    }
    return next;
  }

  /** Retires an idle slot whose time has come; returns when it is to be looked at again. */
  #dismiss(slot: Slot<S>, now: number): number {
    const house = this.#house;
    const idleUntil = slot.usedAt + house.settings.idleTimeoutMs;
    const surplus = house.book.living > house.floor;
    if (now >= slot.expiresAt) house.retire(slot, 'lifetime');
    else if (surplus && now >= idleUntil) house.retire(slot, 'idle');
    else return surplus || idleUntil > now ? Math.min(slot.expiresAt, idleUntil) : slot.expiresAt;
    return Infinity;
  }

  /** Pings, one at a time, the idle connections that count towards the floor, from the cold end; returns when to look again. */
  #keepAlive(now: number): number {
    const house = this.#house;
    const { idlePingMs } = house.settings;
    if (idlePingMs === Infinity) return Infinity;
    let counting = house.floor - (house.book.living - house.idle.length);
    let next = Infinity;
    for (const slot of house.idle.fromOldest()) {
      if (counting <= 0) break;
      counting -= 1;
      const dueAt = slot.seenAt + idlePingMs * (1 - JITTER * house.clock.random());
      if (now < dueAt) next = Math.min(next, dueAt);
      else if (!this.#pinging) void this.#ping(slot);
    }
    return next;
  }

  async #ping(slot: Slot<S>): Promise<void> {
    this.#pinging = true;
    await this.#house.examine(slot, false);
    this.#pinging = false;
    this.lookBy(this.#house.clock.now());
  }
}
