// Lending: who gets which connection, and when. Owns the fast path, the hand-over in one turn, and what a waiter is told when
// it leaves with nothing. Does not connect, clean, check or close: it asks for that.

import type { Session } from '../contracts/driver.ts';
import type { Explanation } from '../contracts/explain.ts';
import type { PoolSnapshot } from '../contracts/snapshot.ts';
import { Aborts } from './aborts.ts';
import type { Household } from './household.ts';
import type { Lease, LeaseClass, LeaseHome } from './lease.ts';
import { queueFullError, relevantFailure, timeoutError, withoutStack } from './refusals.ts';
import type { Slot } from './slot.ts';
import { State } from './states.ts';
import { type Request, Waiter } from './wait-queue.ts';

/** A wall clock that moved against the monotonic one by more than this slept meanwhile. */
const SLEPT_MS = 1_000;
/** The second clock is looked at once in this time at most: it costs as much as the rest of a lend. */
const WALL_LOOK_MS = 1;

export class Dispatcher<S extends Session, L extends Lease<S>> {
  readonly #house: Household<S>;
  readonly #home: LeaseHome<S>;
  readonly #Lease: LeaseClass<S, L>;
  readonly #checksEachLend: boolean;
  readonly #maxUses: number;
  readonly #keepsNothing: boolean;
  #leases = 0;
  #clockGap: number;
  #lookedAt: number;
  #expired: Waiter<S>[] = [];
  readonly #aborts: Aborts<Waiter<S>> = new Aborts((waiter, reason) => {
    this.#leave(waiter);
    this.#reject(waiter, 'aborted', reason as Error);
  });

  constructor(house: Household<S>, home: LeaseHome<S>, leaseClass: LeaseClass<S, L>) {
    this.#house = house;
    this.#home = home;
    this.#Lease = leaseClass;
    const { check, idleTimeoutMs, maxUses } = house.settings;
    this.#maxUses = maxUses;
    this.#keepsNothing = idleTimeoutMs === 0;
    this.#lookedAt = house.clock.now();
    this.#clockGap = house.clock.wall() - this.#lookedAt;
    this.#checksEachLend = check === 'always' || check === 'custom';
  }

  /** One that is idle, alive as far as can be known, and wanted by nobody else; or undefined. Never waits. */
  take(label: string | undefined): L | undefined {
    const house = this.#house;
    if (house.queue.length > 0) return undefined;
    const slot = house.idle.first;
    if (slot === null) return undefined;
    const now = house.clock.now();
    if (!this.#fresh(slot, now)) return undefined;
    house.idle.remove(slot);
    house.counters.served += 1;
    return this.#lend(slot, now, 0, label, undefined);
  }

  /** Queues a borrower. The caller has found that it may wait. */
  wait(request: Request | undefined): Promise<L> {
    const house = this.#house;
    const timeoutMs = request?.acquireTimeoutMs ?? house.settings.acquireTimeoutMs;
    if (timeoutMs === 0) return this.#refuseAtOnce();
    if (house.queue.length >= house.settings.maxWaiting) {
      return this.#refuse('queue-full', queueFullError(house.snapshot(), house.settings.maxWaiting));
    }
    const now = house.clock.now();
    const { ledger } = house;
    const origin = now < ledger.silentUntil ? undefined : ledger.asked(house.queue.length, now);
    const waiter = new Waiter<S>(now, request, origin);
    const promise = new Promise<L>((resolve, reject) => {
      waiter.resolve = resolve as (lease: Lease<S>) => void;
      waiter.reject = reject;
    });
    house.queue.push(waiter);
    house.deadlines.set(waiter, timeoutMs, now);
    house.counters.requestsQueued += 1;
    if (request?.signal !== undefined) this.#aborts.watch(request.signal, waiter);
    house.hold();
    house.traffic.waiting(house.queue.length, request?.label);
    // With all connections out nothing but a return can help.
    if (house.idle.first !== null || house.book.size < house.max) house.pump();
    return promise;
  }

  rest(slot: Slot<S>, now: number): void {
    const house = this.#house;
    if (this.#checksEachLend && house.queue.length > 0 && house.lending) {
      slot.custody?.end();
      const reason = house.fate(slot, now);
      if (reason !== undefined) house.retire(slot, reason);
      else void house.examine(slot, true);
    } else {
      this.verified(slot, now);
    }
  }

  verified(slot: Slot<S>, now: number): void {
    const house = this.#house;
    if (slot.custody !== undefined) slot.custody.end();
    if (this.#mayHaveToGo(slot, now)) {
      const reason = house.fate(slot, now);
      if (reason !== undefined) {
        house.retire(slot, reason);
        return;
      }
    }
    house.book.move(slot, State.idle);
    const waiter = house.queue.first;
    if (waiter !== null && house.lending) {
      this.#handOver(slot, waiter, now);
    } else {
      house.idle.add(slot);
      const { idleTimeoutMs, idlePingMs } = house.settings;
      const lookAt = Math.min(now + idleTimeoutMs, now + idlePingMs, slot.expiresAt);
      if (lookAt < house.nextSweepAt) house.lookBy(lookAt);
    }
    if (house.attentive) house.settled();
  }

  pump(): void {
    const house = this.#house;
    if (house.lending) {
      for (let waiter = house.queue.first; waiter !== null; waiter = house.queue.first) {
        const slot = house.idle.first;
        const now = house.clock.now();
        if (slot === null || !this.#fresh(slot, now)) break;
        house.idle.remove(slot);
        this.#handOver(slot, waiter, now);
      }
      if (house.queue.length > 0) house.checkForWaiters();
    }
    house.dial();
  }

  turnAway(reason: 'closed' | 'connect' | 'paused', error: () => Error, most: number = Infinity): number {
    const { queue } = this.#house;
    // Those who stand here now: an observer that asks again at once must not keep this going for ever.
    const turned = Math.min(queue.length, most);
    for (let left = turned; left > 0 && queue.first !== null; left -= 1) {
      const waiter = queue.first;
      this.#leave(waiter);
      this.#reject(waiter, reason, withoutStack(error));
    }
    return turned;
  }

  /** A waiter's deadline has passed. */
  timedOut(waiter: Waiter<S>): void {
    this.#leave(waiter);
    this.#expired.push(waiter);
  }

  /** Rejects the waiters that expired together: they share one snapshot, taken after all of them have left the queue. */
  flushExpired(): void {
    if (this.#expired.length === 0) return;
    const house = this.#house;
    const expired = this.#expired;
    this.#expired = [];
    const now = house.clock.now();
    const snapshot = house.snapshot();
    const first = expired[0] as Waiter<S>;
    const explanation = this.#explain(snapshot, now - first.since, first.extension?.givenBackMs ?? 0);
    for (const waiter of expired) {
      const facts = {
        pgManners: house.settings.pgManners,
        snapshot,
        explanation,
        waitedMs: now - waiter.since,
        givenBackMs: waiter.extension?.givenBackMs ?? 0,
        timeoutMs: waiter.request?.acquireTimeoutMs ?? house.settings.acquireTimeoutMs,
        failure: relevantFailure(house, waiter.since),
        now,
      };
      this.#reject(
        waiter,
        'timeout',
        withoutStack(() => timeoutError(facts)),
      );
    }
  }

  /** Most returns are clear of all this, and asking for each one's fate would cost a tenth of a lend. */
  #mayHaveToGo(slot: Slot<S>, now: number): boolean {
    const house = this.#house;
    return (
      slot.generation !== house.generation ||
      now >= slot.expiresAt ||
      slot.uses >= this.#maxUses ||
      house.book.living > house.max ||
      this.#keepsNothing ||
      house.ending ||
      house.permits.pressure > 0
    );
  }

  /** Whether `slot` may be lent without a round trip. */
  #fresh(slot: Slot<S>, now: number): boolean {
    const { settings } = this.#house;
    if (slot.suspect || now >= slot.expiresAt) return false;
    if (settings.check !== 'stale') return settings.check === 'never';
    if (now - slot.seenAt > settings.checkAfterIdleMs) return false;
    return now - this.#lookedAt < WALL_LOOK_MS || !this.#slept(now);
  }

  /** Looks at both clocks; a gap means that the process slept, and then every connection at rest is suspect. */
  #slept(now: number): boolean {
    const gap = this.#house.clock.wall() - now;
    const before = this.#clockGap;
    this.#clockGap = gap;
    this.#lookedAt = now;
    if (Math.abs(gap - before) <= SLEPT_MS) return false;
    this.#house.suspectAll();
    return true;
  }

  #lend(slot: Slot<S>, now: number, waitedMs: number, label: string | undefined, origin: object | undefined): L {
    const house = this.#house;
    house.book.move(slot, State.lent);
    slot.uses += 1;
    this.#leases += 1;
    slot.lentAt = now;
    const lease = new this.#Lease(this.#home, slot, this.#leases, label, origin);
    slot.lease = lease;
    house.lent.push(slot);
    if (!house.held) house.hold();
    if (now >= house.ledger.silentUntil) house.ledger.lent(lease, 2 * house.lent.length > house.max, now);
    house.traffic.lent(slot.id, lease.id, waitedMs, label, lease.session);
    return lease;
  }

  /** In one turn: the waiter leaves the queue and has the connection. It was alive: the dead are not in the queue. */
  #handOver(slot: Slot<S>, waiter: Waiter<S>, now: number): void {
    this.#leave(waiter);
    const waitedMs = now - waiter.since;
    this.#house.counters.waitMs.record(waitedMs);
    waiter.resolve(this.#lend(slot, now, waitedMs, waiter.request?.label, waiter.origin));
  }

  /** The waiter is out of every list before it hears anything. */
  #leave(waiter: Waiter<S>): void {
    this.#house.queue.remove(waiter);
    this.#house.deadlines.remove(waiter);
    const signal = waiter.request?.signal;
    if (signal !== undefined) this.#aborts.forget(signal, waiter);
  }

  #reject(waiter: Waiter<S>, reason: 'timeout' | 'aborted' | 'closed' | 'connect' | 'paused', error: Error): void {
    const house = this.#house;
    house.counters.refused(reason);
    waiter.reject(error);
    house.events.refused(reason, error);
  }

  #refuse(reason: 'timeout' | 'queue-full', error: Error): Promise<never> {
    this.#house.counters.refused(reason);
    this.#house.events.refused(reason, error);
    return Promise.reject(error);
  }

  /** A verdict that cannot be given must not cost anybody the answer. */
  #explain(snapshot: PoolSnapshot, waitedMs: number, givenBackMs: number): Explanation | undefined {
    const house = this.#house;
    try {
      return house.explainer.explain({ snapshot, holders: house.holders(), waitedMs, givenBackMs });
    } catch (error) {
      const message = `${house.settings.name}: no explanation: ${error instanceof Error ? error.message : String(error)}`;
      house.reporter.report({ code: 'OXBOW_CALLBACK_FAILED', message, error });
      return undefined;
    }
  }

  #refuseAtOnce(): Promise<never> {
    const house = this.#house;
    const now = house.clock.now();
    const snapshot = house.snapshot();
    const explanation = this.#explain(snapshot, 0, 0);
    const failure = relevantFailure(house, now);
    // Who never waits must find a connection some day: what is stale is asked, and where there is none one is made.
    const stale = house.idle.first;
    if (house.lending && house.queue.length === 0) {
      if (stale === null) house.wish();
      else void house.examine(stale, false);
    }
    return this.#refuse(
      'timeout',
      timeoutError({
        pgManners: house.settings.pgManners,
        snapshot,
        explanation,
        waitedMs: 0,
        givenBackMs: 0,
        timeoutMs: 0,
        failure,
        now,
      }),
    );
  }
}
