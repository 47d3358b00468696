// How a pool ends (DESIGN B16): refuse, turn away or serve, drain, cancel, cut, and done when the last socket is gone. Owns the
// order and the deadlines of these phases and the report; never throws.

import type { Session } from '../contracts/driver.ts';
import { LeaseError } from '../contracts/errors.ts';
import type { CloseReport } from '../contracts/snapshot.ts';
import { Alarm } from '../foundation/deadlines.ts';
import type { Household } from './household.ts';
import type { Lifecycle } from './lifecycle.ts';
import { closedError } from './refusals.ts';
import type { Slot } from './slot.ts';
import { State } from './states.ts';

export interface Closure {
  readonly drainMs: number;
  readonly cancelMs: number;
  readonly waiting: 'reject' | 'serve';
}

export class Closing<S extends Session> {
  readonly #house: Household<S>;
  readonly #life: Lifecycle<S>;
  readonly #quiet: () => void;
  readonly #report: CloseReport = { closed: 0, cancelled: 0, destroyed: 0, rejected: 0, stillHeld: [] };
  #promise: Promise<CloseReport> | undefined;
  #finish: ((report: CloseReport) => void) | undefined;
  #drain: Alarm | undefined;
  #cancelMs = 0;

  constructor(house: Household<S>, life: Lifecycle<S>, quiet: () => void) {
    this.#house = house;
    this.#life = life;
    this.#quiet = quiet;
  }

  /** Twice or concurrently: the same promise; a later call with less patience shortens the drain. */
  close(closure: Closure): Promise<CloseReport> {
    if (this.#promise === undefined) {
      // A promise keeps the context that it is made in, and this one is kept.
      this.#promise = this.#house.tasks.detached(
        () =>
          new Promise((resolve) => {
            this.#finish = resolve;
          }),
      );
      this.#begin(closure);
    }
    this.#hurry(closure);
    return this.#promise;
  }

  /** A slot's socket is gone. */
  slotGone(slot: Slot<S>): void {
    if (this.#finish === undefined) return;
    if (slot.session !== undefined || slot.ending === 'cut') {
      if (slot.ending === 'terminated') this.#report.closed += 1;
      else if (slot.ending === 'cancelled') this.#report.cancelled += 1;
      else this.#report.destroyed += 1;
    }
    this.look();
  }

  #begin(closure: Closure): void {
    const house = this.#house;
    this.#life.become('closing');
    this.#life.endWaits();
    this.#quiet();
    house.stopProbing();
    if (closure.waiting === 'reject') this.#turnAway();
    for (const slot of house.slots) {
      if (slot.state === State.idle) house.retire(slot, 'closed');
      else if (slot.aside && slot.state === State.returning) house.condemn(slot, 'closed');
      else if (slot.state === State.opening && house.queue.length === 0) house.abandon(slot);
    }
    // Whoever is still to be served may need a connect that only waited for its turn.
    if (house.queue.length > 0) house.pump();
    this.look();
  }

  /** Sets or shortens the time for draining. */
  #hurry(closure: Closure): void {
    if (this.#life.phase !== 'closing') return;
    const { clock, deadlines } = this.#house;
    const now = clock.now();
    const dueAt = now + closure.drainMs;
    if (this.#drain !== undefined) {
      if (this.#drain.dueGroup !== null && this.#drain.dueAt <= dueAt) return;
      if (this.#drain.dueGroup === null && this.#drain.dueAt !== 0) return;
      deadlines.remove(this.#drain);
    }
    this.#cancelMs = closure.cancelMs;
    this.#drain = new Alarm(() => this.#cancel());
    deadlines.set(this.#drain, closure.drainMs, now);
  }

  /** The drain is over: statements that still run are cancelled; their borrowers have a last moment to give back. */
  #cancel(): void {
    const house = this.#house;
    this.#turnAway();
    for (const slot of house.slots) {
      if (slot.state === State.opening) house.abandon(slot);
      if (slot.state === State.lent && slot.session?.status === 'busy') void this.#settle(slot, slot.session);
    }
    if (this.look()) return;
    house.deadlines.set(new Alarm(() => this.#cut()), this.#cancelMs, house.clock.now());
  }

  async #settle(slot: Slot<S>, session: S): Promise<void> {
    slot.ending = 'cancelled';
    const settled = await this.#house.steps.step('settle', () => session.settle(), this.#cancelMs);
    // It was over by itself.
    if (settled.is === 'done' && !settled.value && slot.ending === 'cancelled') slot.ending = 'terminated';
  }

  /** What is still there is cut, and whoever holds it is named. */
  #cut(): void {
    const house = this.#house;
    this.#report.stillHeld = house.holders();
    this.#life.lendNoMore();
    for (const slot of house.slots) {
      const { held, record } = slot;
      if (slot.state === State.lent && record !== undefined) {
        slot.parted();
        house.ledger.returned(record);
        const text = `lease ${record.id} was revoked: the pool was closed and did not wait longer`;
        // Its borrower hears of it first, and may give it back at once, or bring it down.
        held?.end(new LeaseError('LEASE_REVOKED', text));
        if (slot.state === State.lent) house.condemn(slot, 'closed');
      } else if (slot.state === State.returning || slot.state === State.idle) {
        house.condemn(slot, 'closed');
      } else if (slot.state === State.opening) {
        house.abandon(slot);
      }
    }
    this.#turnAway();
    this.look();
  }

  #turnAway(): void {
    const { settings } = this.#house;
    this.#report.rejected += this.#house.turnAway('closed', () => closedError(settings, this.#life.phase));
  }

  /** Whether everything is gone; if so, this was the end. */
  look(): boolean {
    const house = this.#house;
    if (house.book.size > 0 || house.queue.length > 0 || house.probing || this.#finish === undefined) return false;
    const finish = this.#finish;
    this.#finish = undefined;
    if (this.#drain !== undefined) house.deadlines.remove(this.#drain);
    this.#quiet();
    house.deadlines.stop();
    house.permits.leave?.();
    house.unwatch();
    this.#life.become('closed');
    finish(this.#report);
    return true;
  }
}
