// Leases that nobody holds any more and nobody gave back. Owns that an old lease is kept by its borrower alone, so that the garbage collector
// can tell, and that what was forgotten is reported and taken back. A last resort: an idle process does not collect.

import type { Session } from '../contracts/driver.ts';
import { duration } from '../foundation/words.ts';
import type { Household } from './household.ts';
import { leaseName } from './lease-name.ts';
import type { Slot } from './slot.ts';
import { Loan } from './slot.ts';
import { State } from './states.ts';

/** What the registry hands back; knows no lease. */
interface Missing<S extends Session> {
  readonly slot: Slot<S>;
  readonly loan: Loan<S>;
}

export class Forgotten<S extends Session> {
  readonly #house: Household<S>;
  /** Undefined where the platform has none: leases are then kept as they are. */
  #registry: FinalizationRegistry<Missing<S>> | undefined;

  constructor(house: Household<S>) {
    this.#house = house;
  }

  /** From now on only the borrower keeps the lease of `slot`; or it is seen to that a forgotten one is taken back. */
  watch(slot: Slot<S>): void {
    const { lease, loan } = slot;
    if (lease === undefined) {
      if (loan?.missing === true) this.#takeBack(slot, loan);
      return;
    }
    if (typeof FinalizationRegistry !== 'function' || typeof WeakRef !== 'function') return;
    this.#registry ??= new FinalizationRegistry(({ slot: lent, loan: lost }) => {
      lost.missing = true;
      if (lent.loan === lost) this.#takeBack(lent, lost);
    });
    const { id, label, since, task } = lease;
    const origin = this.#house.ledger.plain(lease);
    slot.loan = new Loan(new WeakRef(lease), { id, label, since, origin, task });
    slot.lease = undefined;
    this.#registry.register(lease, { slot, loan: slot.loan });
  }

  #takeBack(slot: Slot<S>, loan: Loan<S>): void {
    // A statement that still runs may be awaited by somebody who does not need the lease for that.
    if (slot.state !== State.lent || slot.session?.status === 'busy') return;
    const house = this.#house;
    const { record } = loan;
    const site = house.ledger.site(record);
    const held = duration(house.clock.now() - slot.lentAt);
    house.counters.leasesReclaimed += 1;
    const message = `${house.settings.name}: ${leaseName(record, site)} was forgotten: nobody has it any more and nobody gave it back, after ${held}; its connection is taken back. Call release(), or use pool.use()`;
    house.reporter.report({ code: 'OXBOW_LEASE_COLLECTED', message, site });
    // Whoever has heard that it is held too long must not hear that it came back: nobody brought it.
    if (house.overdue > 0) house.cameBack(record, undefined);
    house.reclaim(slot, record);
  }
}
