// Liveness (DESIGN B6). Owns when a connection at rest is asked for a proof of life and what follows from the answer: late is
// not dead, but put aside; dead casts suspicion on all that were at rest. Never holds up a borrower who could be served by another.

import type { Session } from '../contracts/driver.ts';
import { Custody } from './custody.ts';
import type { Household } from './household.ts';
import type { Slot } from './slot.ts';
import { State } from './states.ts';
import type { Outcome, Settled } from './steps.ts';

export type Examined = 'kept' | 'replaced' | 'late';

/** For a suspect: three times the smoothed round trip, but never below this. */
const SUSPECT_FLOOR_MS = 250;
const SUSPECT_ROUND_TRIPS = 3;
/** How long one that is put aside may take, and how long if a waiter has nobody else. */
const ASIDE_MS = 10_000;
const ASIDE_NEEDED_MS = 2_000;
const LOOK_AGAIN_MS = 1_000;

export class Health<S extends Session> {
  readonly #house: Household<S>;
  /** Slots whose check is under way and not yet late: whoever waits may count on them. */
  readonly #asked = new Set<Slot<S>>();

  constructor(house: Household<S>) {
    this.#house = house;
  }

  get checking(): number {
    let checking = 0;
    for (const slot of this.#asked) if (slot.state === State.returning) checking += 1;
    return checking;
  }

  checkForWaiters(): void {
    const house = this.#house;
    const { check } = house.settings;
    for (const slot of house.idle) {
      if (house.queue.length <= this.checking) return;
      const now = house.clock.now();
      if (now >= slot.expiresAt) house.retire(slot, 'lifetime');
      else if (check === 'never') return;
      else void house.examine(slot, true);
    }
  }

  suspectAll(): void {
    const house = this.#house;
    if (house.settings.check === 'never') return;
    for (const slot of this.#asked) slot.suspect = true;
    for (const slot of house.idle.fromOldest()) {
      slot.suspect = true;
      void house.examine(slot, false);
    }
  }

  /** Takes a slot that is idle, or just coming to rest, into custody and asks for its proof of life. */
  async examine(slot: Slot<S>, forWaiter: boolean): Promise<Examined> {
    const house = this.#house;
    if (slot.state === State.idle) house.idle.remove(slot);
    else house.book.move(slot, State.idle);
    house.book.move(slot, State.returning);
    if (!house.held) house.hold();
    const custody = new Custody(slot);
    const session = slot.session as S;
    const since = house.clock.now();
    this.#asked.add(slot);
    const custom = house.settings.check === 'custom' && forWaiter;
    const asked = custom ? await this.#ask(slot) : await this.#ping(slot);
    this.#asked.delete(slot);
    const outcome = this.#examined(slot, custody, asked, custom);
    house.events.examined(outcome, house.clock.now() - since, session);
    return outcome;
  }

  #examined(slot: Slot<S>, custody: Custody<S>, asked: Outcome<unknown>, custom: boolean): Examined {
    const house = this.#house;
    if (!custody.held) {
      house.pump();
      return 'replaced';
    }
    if (asked.is === 'late') {
      if (custom && slot.uses === 0) house.unfit(new Error('check did not end within checkTimeoutMs'));
      if (custom || slot.suspect) return this.#dead(slot, 'check');
      void this.#putAside(slot, custody, asked.rest);
      house.pump();
      return 'late';
    }
    return this.#judge(slot, asked, custom);
  }

  async #ping(slot: Slot<S>): Promise<Outcome<void>> {
    const { clock, counters, settings, steps } = this.#house;
    const session = slot.session as S;
    const trip = counters.roundTrip.value ?? 0;
    const suspectMs = Math.max(SUSPECT_FLOOR_MS, SUSPECT_ROUND_TRIPS * trip);
    const asked = clock.now();
    let outcome = await steps.step(
      'ping',
      () => session.ping(),
      slot.suspect ? suspectMs : Math.min(suspectMs, settings.checkTimeoutMs),
    );
    if (outcome.is === 'late' && !slot.suspect) {
      // Suspicion may have fallen on it since it was asked; without it, it has the rest of its time.
      const { rest } = outcome;
      const more = await steps.step('ping', () => rest, settings.checkTimeoutMs - (clock.now() - asked));
      outcome = more.is === 'done' ? more.value : { is: 'late', rest };
    }
    if (outcome.is === 'done') counters.roundTrip.add(clock.now() - asked);
    return outcome;
  }

  async #ask(slot: Slot<S>): Promise<Outcome<unknown>> {
    const { hooks, settings, steps } = this.#house;
    const session = slot.session as S;
    return steps.step('check', () => hooks.check?.(session), settings.checkTimeoutMs);
  }

  #judge(slot: Slot<S>, asked: Settled<unknown>, custom: boolean): Examined {
    const house = this.#house;
    const session = slot.session as S;
    if (asked.is === 'done' && session.status === 'idle') {
      slot.suspect = false;
      slot.aside = false;
      slot.seenAt = house.clock.now();
      if (custom) house.fit();
      // A ping is not the check that its user wants at each lend.
      if (house.settings.check === 'custom' && !custom) house.rest(slot, slot.seenAt);
      else house.verified(slot, slot.seenAt);
      house.pump();
      return 'kept';
    }
    if (custom) {
      if (slot.uses === 0)
        house.unfit(asked.is === 'failed' ? asked.error : new Error(`check left status "${session.status}"`));
      return this.#dead(slot, 'check');
    }
    const why =
      asked.is === 'failed' && asked.error instanceof Error ? asked.error : new Error('failed its liveness check');
    house.lose(slot, why);
    return 'replaced';
  }

  #dead(slot: Slot<S>, reason: 'check'): Examined {
    this.#house.condemn(slot, reason);
    this.#house.pump();
    return 'replaced';
  }

  /** The borrower takes another one; this one may still answer. */
  async #putAside(slot: Slot<S>, custody: Custody<S>, rest: Promise<Settled<unknown>>): Promise<void> {
    const house = this.#house;
    slot.aside = true;
    const since = house.clock.now();
    let answer = await house.steps.step('ping', () => rest, ASIDE_NEEDED_MS);
    while (custody.held && answer.is === 'late') {
      const asideMs = house.clock.now() - since;
      if (asideMs >= ASIDE_MS || (house.queue.length > 0 && !this.#othersMayServe())) break;
      answer = await house.steps.step('ping', () => rest, LOOK_AGAIN_MS);
    }
    if (!custody.held) return;
    if (answer.is === 'done') this.#judge(slot, answer.value, false);
    else this.#dead(slot, 'check');
  }

  /** Whether any connection but those put aside can still come to a waiter. */
  #othersMayServe(): boolean {
    const { book, slots } = this.#house;
    if (book.count(State.lent) + book.count(State.idle) + book.count(State.opening) > 0) return true;
    for (const slot of slots) if (slot.state === State.returning && !slot.aside) return true;
    return book.size < this.#house.max;
  }
}
