// What can be read off an engine: snapshot, statistics, holders. Owns the shapes' filling; changes nothing but the counters
// that `popStats` zeroes.

import type { Session } from '../contracts/driver.ts';
import type { Health, Holder, PoolSnapshot, PoolStats } from '../contracts/snapshot.ts';
import type { Household } from './household.ts';
import type { Slot } from './slot.ts';
import { State } from './states.ts';

/** The default of `acquireTimeoutMs`. */
const USUAL_PATIENCE_MS = 30_000;

export class Reading<S extends Session> {
  readonly #house: Household<S>;

  constructor(house: Household<S>) {
    this.#house = house;
  }

  snapshot(): PoolSnapshot {
    const { governor } = this.#house;
    const snapshot: PoolSnapshot = this.#gauges();
    if (governor.last !== undefined) {
      snapshot.lastConnectError = { error: governor.last.error, agoMs: this.#house.clock.now() - governor.last.at };
    }
    return snapshot;
  }

  stats(): PoolStats {
    const { counters } = this.#house;
    counters.waitMs.recordZeros(counters.served);
    counters.served = 0;
    return {
      ...this.#gauges(),
      requests: counters.requests,
      requestsQueued: counters.requestsQueued,
      requestsFailed: { ...counters.requestsFailed },
      connects: counters.connects,
      connectsFailed: counters.connectsFailed,
      connectionsLost: counters.connectionsLost,
      returns: counters.returns,
      returnsBad: counters.returnsBad,
      rolledBack: counters.rolledBack,
      reset: counters.reset,
      cancelled: counters.cancelled,
      retired: { ...counters.retired },
      leaksReported: counters.leaksReported,
      leasesReclaimed: counters.leasesReclaimed,
      waitMs: counters.waitMs.read(),
      useMs: counters.useMs.read(),
      connectMs: counters.connectMs.read(),
    };
  }

  popStats(): PoolStats {
    const stats = this.stats();
    this.#house.counters.clear();
    return stats;
  }

  /** How the pool is doing, from what it has counted; takes no connection. */
  health(): Health {
    const { book, clock, governor, queue, settings, slots } = this.#house;
    const open = book.count(State.idle) + book.count(State.lent) + book.count(State.returning);
    if (open === 0 && governor.refusing) return 'down';
    if (queue.first === null) return 'up';
    // Whoever waits without end is stuck at the same time as others.
    const patienceMs = (settings.acquireTimeoutMs === Infinity ? USUAL_PATIENCE_MS : settings.acquireTimeoutMs) / 2;
    const now = clock.now();
    let lastLentAt = -Infinity;
    for (const slot of slots) if (slot.uses > 0) lastLentAt = Math.max(lastLentAt, slot.lentAt);
    return now - queue.first.since >= patienceMs && now - lastLentAt >= patienceMs ? 'stuck' : 'busy';
  }

  /** Lent connections that are past their lifetime and will be replaced at their return. */
  expired(): number {
    const now = this.#house.clock.now();
    let count = 0;
    for (const slot of this.#lent()) if (now >= slot.expiresAt) count += 1;
    return count;
  }

  /** Longest held first. */
  holders(): Holder[] {
    const house = this.#house;
    const now = house.clock.now();
    const holders: Holder[] = [];
    for (const slot of this.#lent()) {
      const holder = this.#holder(slot, now);
      if (holder !== undefined) holders.push(holder);
    }
    // Leases are numbered in the order in which they were made.
    return holders.sort((one, other) => one.id - other.id);
  }

  /** In no order: a list of its own would cost each lend more than a look at all of them costs whoever asks. */
  #lent(): Slot<S>[] {
    return [...this.#house.slots].filter(({ state }) => state === State.lent);
  }

  #oldestLeaseMs(now: number): number {
    let oldest = now;
    for (const { lentAt, state } of this.#house.slots) if (state === State.lent) oldest = Math.min(oldest, lentAt);
    return now - oldest;
  }

  #holder(slot: Slot<S>, now: number): Holder | undefined {
    const { record: lease, session } = slot;
    if (lease === undefined || session === undefined) return undefined;
    const busy = session.status === 'busy';
    const holder: Holder = {
      id: lease.id,
      heldMs: now - lease.since,
      idleMs: busy ? 0 : now - Math.max(lease.since, session.quietSince ?? 0),
      busy,
    };
    const site = this.#house.ledger.site(lease);
    if (lease.label !== undefined) holder.label = lease.label;
    // What ran before belongs to another borrower.
    const ran = busy || (session.quietSince ?? -1) >= lease.since;
    if (ran && session.lastStatement !== undefined) holder.lastStatement = session.lastStatement;
    if (site !== undefined) holder.site = site;
    if (session.pid !== undefined) holder.pid = session.pid;
    if (session.status === 'transaction' || session.status === 'failed') holder.inTransaction = true;
    return holder;
  }

  #gauges(): PoolSnapshot {
    const { book, clock, max, min, permits, phase, queue, settings } = this.#house;
    const now = clock.now();
    const budget = permits.figures?.();
    return {
      name: settings.name,
      phase,
      min,
      max,
      size: book.size,
      opening: book.count(State.opening),
      idle: book.count(State.idle),
      lent: book.count(State.lent),
      returning: book.count(State.returning),
      closing: book.count(State.closing),
      waiting: queue.length,
      oldestWaitMs: queue.first === null ? 0 : now - queue.first.since,
      oldestLeaseMs: this.#oldestLeaseMs(now),
      ...(budget === undefined ? {} : { budget }),
    };
  }
}
