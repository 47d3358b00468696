// The ends of a connection: planned and polite, planned and abrupt, unplanned. Owns that each slot leaves exactly once and
// counts until its socket is gone; when a connection must go is for others to ask, by `fate` or outright.

import type { Session } from '../contracts/driver.ts';
import { ConnectionLostError } from '../contracts/errors.ts';
import type { RetireReason } from '../contracts/figures.ts';
import type { Household } from './household.ts';
import { lostText } from './lease.ts';
import type { Slot } from './slot.ts';
import { STATE_NAMES, State } from './states.ts';

/** How long a goodbye may take before the socket is cut (DESIGN B12). */
const GOODBYE_MS = 1_000;
/** How long a driver may take to report a cut socket gone; after that it has broken its word and the slot is written off. */
const CUT_MS = 5_000;

export class Retirement<S extends Session> {
  readonly #house: Household<S>;

  constructor(house: Household<S>) {
    this.#house = house;
  }

  fate(slot: Slot<S>, now: number): RetireReason | undefined {
    const house = this.#house;
    const { settings } = house;
    if (slot.generation !== house.generation) return 'replaced';
    if (now >= slot.expiresAt) return 'lifetime';
    if (slot.uses >= settings.maxUses) return 'uses';
    if (house.book.living > house.max) return 'resized';
    const needed = house.queue.length > 0 && house.lending;
    const { permits } = house;
    // Whoever waits here goes first, unless others have had less than their share for a while. The floor is given up for nobody who comes
    // later; but for those the budget asks idle ones.
    if (permits.pressure > 0 && !house.ending && (needed || house.book.living > house.floor))
      if (permits.yields(needed, now - slot.bornAt, 0)) return 'budget';
    if (needed) return undefined;
    if (house.phase !== 'open' && (house.phase === 'closing' || house.phase === 'closed')) return 'closed';
    if (settings.idleTimeoutMs === 0 && house.book.living > house.floor) return 'idle';
    return undefined;
  }

  retire(slot: Slot<S>, reason: RetireReason | undefined): void {
    this.#enterClosing(slot, reason);
    void this.#sayGoodbye(slot);
  }

  condemn(slot: Slot<S>, reason: RetireReason | undefined): void {
    slot.ending = 'cut';
    this.#enterClosing(slot, reason);
    void this.#cut(slot);
  }

  lose(slot: Slot<S>, error: Error): void {
    const house = this.#house;
    const { state } = slot;
    if (state === State.closing || state === State.gone) return;
    house.counters.connectionsLost += 1;
    slot.ending = 'cut';
    this.#leaveLists(slot);
    house.book.move(slot, State.closing);
    const { held: lease, record } = slot;
    slot.parted();
    if (record !== undefined) {
      house.ledger.returned(record);
      if (house.overdue > 0) house.cameBack(record, undefined);
    }
    if (lease !== undefined) {
      const text = lostText(lease.id, error, 'a statement that ran then may have been executed');
      lease.end(new ConnectionLostError(text, true, error));
    }
    // Its borrower may be the one who listens, and gives it back at once.
    house.events.lost(slot.id, error, STATE_NAMES[state], slot.session as S);
    void this.#cut(slot, error);
    // Who died once is seldom alone: everything that was at rest before is asked, in one pass.
    house.suspectAll();
    house.pump();
  }

  #enterClosing(slot: Slot<S>, reason: RetireReason | undefined): void {
    const house = this.#house;
    this.#leaveLists(slot);
    house.book.move(slot, State.closing);
    if (!house.held) house.hold();
    if (reason === undefined) return;
    house.counters.retiredFor(reason);
    house.events.retired(slot.id, reason);
  }

  #leaveLists(slot: Slot<S>): void {
    slot.custody?.end();
    this.#house.left(slot);
    if (slot.state === State.idle) this.#house.idle.remove(slot);
  }

  async #sayGoodbye(slot: Slot<S>): Promise<void> {
    const session = slot.session as S;
    const ended = await this.#house.steps.step('end', () => session.end(), GOODBYE_MS);
    if (ended.is === 'done') {
      this.#house.slotGone(slot);
      return;
    }
    slot.ending = 'cut';
    await this.#cut(slot);
  }

  async #cut(slot: Slot<S>, why?: Error): Promise<void> {
    const house = this.#house;
    const session = slot.session as S;
    const cut = await house.steps.step('destroy', () => session.destroy(why), CUT_MS);
    if (cut.is !== 'done') {
      const how = cut.is === 'late' ? `within ${CUT_MS} ms` : `but failed: ${String(cut.error)}`;
      const message = `${house.settings.name}: the driver did not destroy the socket of connection ${slot.id} ${how}`;
      house.reporter.report({ code: 'OXBOW_SOCKET_STUCK', message });
    }
    house.slotGone(slot);
  }
}
