// What an operator may ask of a running pool: resize, replace all, check, trim. Owns the bookkeeping of these requests; each
// measure is taken by the part that owns it.

import type { Session } from '../contracts/driver.ts';
import type { CheckReport } from '../contracts/snapshot.ts';
import { Alarm } from '../foundation/deadlines.ts';
import type { Household } from './household.ts';
import type { Slot } from './slot.ts';
import { State } from './states.ts';

/** Somebody waits until a set of slots is gone. */
interface Farewell<S extends Session> {
  readonly left: Set<Slot<S>>;
  readonly done: () => void;
}

export class Operator<S extends Session> {
  readonly #house: Household<S>;
  /** `trim()` was asked for: the floor is forgotten until the next use. */
  trimmed = false;
  #farewells: Farewell<S>[] = [];

  constructor(house: Household<S>) {
    this.#house = house;
  }

  resize(min: number, max: number): void {
    const house = this.#house;
    house.min = min;
    house.max = max;
    for (const slot of house.idle.fromOldest()) {
      if (house.book.living <= max) break;
      house.retire(slot, 'resized');
    }
    // What belonged to the old floor may have been idle for long.
    house.lookBy(house.clock.now());
    house.pump();
  }

  /** Every connection made anew, the idle ones spread over `overMs`; resolves when the last old one is gone. */
  replaceAll(overMs: number): Promise<void> {
    const house = this.#house;
    house.generation += 1;
    const old = new Set(house.slots);
    const idle = [...house.idle.fromOldest()];
    const gapMs = idle.length > 1 ? overMs / (idle.length - 1) : 0;
    for (const [index, slot] of idle.entries()) {
      if (slot.state !== State.idle) continue;
      if (gapMs === 0 || index === 0) house.retire(slot, 'replaced');
      else {
        const turn = new Alarm(() => {
          if (slot.state !== State.idle) return;
          house.retire(slot, 'replaced');
          house.pump();
        });
        house.deadlines.set(turn, gapMs * index, house.clock.now());
      }
    }
    house.pump();
    return this.#gone(old);
  }

  /** Every connection that there is now dies when it comes to rest. */
  supersede(): void {
    void this.replaceAll(0);
  }

  /**
   * Closes idle connections, oldest first, until `to` are left, and gives up connects that nobody waits for; resolves with how many were
   * idle, when all these sockets are gone.
   */
  trim(to: number): Promise<number> {
    const house = this.#house;
    this.trimmed = true;
    const leaving = new Set<Slot<S>>();
    for (const slot of house.idle.fromOldest()) {
      if (house.idle.length <= to) break;
      house.retire(slot, 'trimmed');
      leaving.add(slot);
    }
    const trimmed = leaving.size;
    // Nobody waits for these any more: they would be idle in a moment, and stay.
    for (const slot of house.slots) {
      const enough = Math.max(to, house.floor, house.queue.length);
      if (slot.state !== State.opening || house.idle.length + house.book.count(State.opening) <= enough) continue;
      house.abandon(slot);
      leaving.add(slot);
    }
    return this.#gone(leaving).then(() => trimmed);
  }

  /** The pool is used again: the floor counts as before. */
  untrim(): void {
    if (!this.trimmed) return;
    this.trimmed = false;
    this.#house.dial();
  }

  /** Asks the idle connections for a proof of life, one after the other, so that the rest can be lent meanwhile. */
  async check(timeoutMs: number): Promise<CheckReport> {
    const house = this.#house;
    const until = house.clock.now() + timeoutMs;
    const report: CheckReport = { tested: 0, kept: 0, replaced: 0, late: 0 };
    for (const slot of [...house.idle.fromOldest()]) {
      if (house.clock.now() >= until) break;
      if (slot.state !== State.idle) continue;
      report.tested += 1;
      report[await house.examine(slot, false)] += 1;
    }
    return report;
  }

  /** How many wait until others are gone. */
  get waiting(): number {
    return this.#farewells.length;
  }

  slotGone(slot: Slot<S>): void {
    if (this.#farewells.length === 0) return;
    this.#farewells = this.#farewells.filter((farewell) => {
      farewell.left.delete(slot);
      if (farewell.left.size > 0) return true;
      farewell.done();
      return false;
    });
  }

  #gone(slots: ReadonlySet<Slot<S>>): Promise<void> {
    const left = new Set([...slots].filter((slot) => slot.state !== State.gone));
    if (left.size === 0) return Promise.resolve();
    this.#house.hold();
    return new Promise((done) => {
      this.#farewells.push({ left, done });
    });
  }
}
