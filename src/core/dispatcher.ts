// Lending: who gets which connection, and when. Owns the fast path, the hand-over in one turn, and what a waiter is told when
// it leaves with nothing. Does not connect, clean, check or close: it asks for that.

import type { Session } from '../contracts/driver.ts';
import type { RefusalReason } from '../contracts/figures.ts';
import { Aborts } from './aborts.ts';
import { BEAT_MS } from './bounds.ts';
import type { Household } from './household.ts';
import type { Lease, LeaseClass, LeaseHome } from './lease.ts';
import { queueFullError, relevantFailure, timeoutError, withoutStack } from './refusals.ts';
import type { Slot } from './slot.ts';
import { State } from './states.ts';
import { AT_ONCE } from './told-outside.ts';
import { Refusal, type Request, type Settle, type Standing, Waiter } from './wait-queue.ts';

/** Here and not looked up: they are needed at every lend and return. */
const { idle: IDLE, lent: LENT } = State;

/** A wall clock that moved against the monotonic one by more than this slept meanwhile. */
const SLEPT_MS = 1_000;
/** The second clock is looked at once in this time at most: it costs as much as the rest of a lend. */
const WALL_LOOK_MS = 1;

export class Dispatcher<S extends Session, L extends Lease<S>> {
  readonly #house: Household<S>;
  readonly #home: LeaseHome<S>;
  readonly #Lease: LeaseClass<S, L>;
  readonly #checksEachLend: boolean;
  readonly #timeoutMs: number;
  readonly #maxWaiting: number;
  readonly #maxUses: number;
  /** So long after it came to rest somebody looks at a connection. */
  readonly #restMs: number;
  /** So long after its last proof of life a connection may be lent unasked. */
  readonly #freshMs: number;
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
    const { acquireTimeoutMs, check, checkAfterIdleMs, idlePingMs, idleTimeoutMs, maxUses, maxWaiting } =
      house.settings;
    this.#timeoutMs = acquireTimeoutMs;
    this.#maxWaiting = maxWaiting;
    this.#maxUses = maxUses;
    this.#keepsNothing = idleTimeoutMs === 0;
    this.#restMs = Math.min(idleTimeoutMs, idlePingMs, BEAT_MS);
    this.#freshMs = check === 'stale' ? checkAfterIdleMs : check === 'never' ? Infinity : -1;
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
    return this.#lend(slot, now, AT_ONCE, label, undefined);
  }

  /** Queues a borrower. The caller has found that it may wait. */
  wait(request: Request | undefined): Promise<L> {
    const house = this.#house;
    const timeoutMs = request?.acquireTimeoutMs ?? this.#timeoutMs;
    if (timeoutMs === 0) return this.#refuseAtOnce();
    if (house.queue.length >= this.#maxWaiting)
      return this.#refuse('queue-full', queueFullError(house.snapshot(), this.#maxWaiting));
    const waiter = this.#waiter(request);
    const promise = new Promise<L>((resolve) => {
      waiter.who = resolve as Settle<S>;
    });
    this.#queue(waiter, timeoutMs);
    return promise;
  }

  /** Whoever says nothing of its own is not turned away at once. */
  get mayStand(): boolean {
    return this.#timeoutMs !== 0 && this.#house.queue.length < this.#maxWaiting;
  }

  /** As `wait()`, for who needs no promise. */
  stand(who: Standing<S, L>): void {
    const waiter = this.#waiter(undefined);
    waiter.who = who as Standing<S>;
    this.#queue(waiter, this.#timeoutMs);
  }

  #waiter(request: Request | undefined): Waiter<S> {
    const { clock, ledger, tasks } = this.#house;
    const now = clock.now();
    return new Waiter<S>(now, request, now < ledger.silentUntil ? undefined : this.#asked(now), tasks.current());
  }

  #queue(waiter: Waiter<S>, timeoutMs: number): void {
    const house = this.#house;
    const { request } = waiter;
    house.deadlines.join(waiter, timeoutMs);
    house.queue.push(waiter);
    house.counters.requestsQueued += 1;
    if (request?.signal !== undefined) this.#aborts.watch(request.signal, waiter);
    if (!house.held) house.hold();
    house.traffic?.waiting(house.queue.length, request?.label);
    // With all connections out nothing but a return can help.
    if (house.idle.first !== null || house.book.size < house.max) house.pump();
  }

  rest(slot: Slot<S>, now: number): void {
    if (this.#checksEachLend) this.#restUnchecked(slot, now);
    else this.verified(slot, now);
  }

  verified(slot: Slot<S>, now: number): void {
    const house = this.#house;
    if (slot.custody !== undefined) slot.custody.end();
    if (this.#mayHaveToGo(slot, now) && this.#goes(slot, now)) return;
    house.book.move(slot, IDLE);
    const waiter = house.queue.first;
    if (waiter !== null && house.lending) this.#handOver(slot, waiter, now);
    else this.#layDown(slot, now);
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

  /** One that still waits. */
  turnOneAway(waiter: Waiter<S>, reason: 'deadlock', error: () => Error): void {
    this.#leave(waiter);
    this.#reject(waiter, reason, error());
  }

  /** Whose deadline has passed and who was not told yet. */
  get leaving(): readonly Waiter<S>[] {
    return this.#expired;
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
    const now = house.clock.now();
    const snapshot = house.snapshot();
    const first = expired[0] as Waiter<S>;
    const explanation = house.explain(
      {
        waitedMs: now - first.since,
        timeoutMs: first.request?.acquireTimeoutMs ?? this.#timeoutMs,
        givenBackMs: first.alarm?.extension?.givenBackMs ?? 0,
      },
      snapshot,
    );
    house.starved(now - first.since);
    this.#expired = [];
    for (const waiter of expired) {
      const facts = {
        pgManners: house.settings.pgManners,
        snapshot,
        explanation,
        waitedMs: now - waiter.since,
        givenBackMs: waiter.alarm?.extension?.givenBackMs ?? 0,
        timeoutMs: waiter.request?.acquireTimeoutMs ?? this.#timeoutMs,
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

  /** A connection that is asked before each lend: whoever waits gets it after that. */
  #restUnchecked(slot: Slot<S>, now: number): void {
    const house = this.#house;
    if (house.queue.length > 0 && house.lending) {
      slot.custody?.end();
      if (!this.#goes(slot, now)) void house.examine(slot, true);
    } else {
      this.verified(slot, now);
    }
  }

  #layDown(slot: Slot<S>, now: number): void {
    const house = this.#house;
    house.idle.add(slot);
    const lookAt = Math.min(now + this.#restMs, slot.expiresAt);
    if (lookAt < house.nextSweepAt) house.lookBy(lookAt);
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

  #goes(slot: Slot<S>, now: number): boolean {
    const reason = this.#house.fate(slot, now);
    if (reason === undefined) return false;
    this.#house.retire(slot, reason);
    return true;
  }

  /** Whether `slot` may be lent without a round trip. */
  #fresh(slot: Slot<S>, now: number): boolean {
    if (slot.suspect || now >= slot.expiresAt) return false;
    if (now - slot.seenAt > this.#freshMs) return false;
    return now - this.#lookedAt < WALL_LOOK_MS || this.#freshMs === Infinity || !this.#slept(now);
  }

  /** Looks at both clocks; a gap means that the process slept, and then every connection at rest is suspect. */
  #slept(now: number): boolean {
    const gap = this.#house.clock.wall() - now;
    const before = this.#clockGap;
    this.#clockGap = gap;
    this.#lookedAt = now;
    if (Math.abs(gap - before) <= SLEPT_MS) return false;
    if (gap > before) this.#house.loop.slept(gap - before, now);
    this.#house.suspectAll();
    return true;
  }

  #lend(slot: Slot<S>, now: number, waitedMs: number, label: string | undefined, origin: object | undefined): L {
    const house = this.#house;
    house.book.move(slot, LENT);
    slot.uses += 1;
    this.#leases += 1;
    slot.lentAt = now;
    const lease = new this.#Lease(this.#home, slot, this.#leases, label, origin);
    slot.lease = lease;
    if (!house.held) house.hold();
    if (now >= house.ledger.silentUntil || house.traffic !== undefined) this.#announce(lease, slot.id, now, waitedMs);
    return lease;
  }

  #announce(lease: L, id: number, now: number, waitedMs: number): void {
    const { book, ledger, max, traffic } = this.#house;
    if (now >= ledger.silentUntil) ledger.lent(lease, 2 * book.count(LENT) > max, now, waitedMs !== AT_ONCE);
    traffic?.lent(id, lease.id, waitedMs, lease.label, lease.session);
  }

  #asked(now: number): object | undefined {
    const { ledger, queue } = this.#house;
    return ledger.asked(queue.length, now);
  }

  /** In one turn: the waiter leaves the queue and has the connection. It was alive: the dead are not in the queue. */
  #handOver(slot: Slot<S>, waiter: Waiter<S>, now: number): void {
    this.#leave(waiter);
    const waitedMs = now - waiter.since;
    this.#house.counters.waitMs.record(waitedMs);
    waiter.settle(this.#lend(slot, now, waitedMs, waiter.request?.label, waiter.origin));
  }

  /** The waiter is out of every list before it hears anything. */
  #leave(waiter: Waiter<S>): void {
    this.#house.queue.remove(waiter);
    if (waiter.alarm !== null) this.#house.deadlines.remove(waiter.alarm);
    const signal = waiter.request?.signal;
    if (signal !== undefined) this.#aborts.forget(signal, waiter);
  }

  #reject(waiter: Waiter<S>, reason: RefusalReason, error: Error): void {
    const house = this.#house;
    house.counters.refused(reason);
    waiter.settle(new Refusal(error));
    house.events.refused(reason, error);
  }

  #refuse(reason: 'timeout' | 'queue-full', error: Error): Promise<never> {
    this.#house.counters.refused(reason);
    this.#house.events.refused(reason, error);
    return Promise.reject(error);
  }

  #refuseAtOnce(): Promise<never> {
    const house = this.#house;
    const now = house.clock.now();
    const snapshot = house.snapshot();
    const refused = { waitedMs: 0, timeoutMs: 0, givenBackMs: 0 };
    const explanation = house.explain(refused, snapshot);
    const failure = relevantFailure(house, now);
    // Who never waits must find a connection some day: what is stale is asked, and where there is none one is made.
    const stale = house.idle.first;
    if (house.lending && house.queue.length === 0) {
      if (stale === null) house.wish();
      else void house.examine(stale, false);
    }
    const { pgManners } = house.settings;
    return this.#refuse('timeout', timeoutError({ ...refused, pgManners, snapshot, explanation, failure, now }));
  }
}
