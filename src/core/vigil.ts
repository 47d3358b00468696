// The look that is taken every so often while anything is lent or anybody waits: at leases that nobody uses, that are held too long, or that
// were forgotten, and at tasks that wait for each other. Owns when something is said or done about them, and that it is said once; what a
// jam is stands behind the port.

import type { Party, Wait } from '../contracts/deadlocks.ts';
import type { Session } from '../contracts/driver.ts';
import { DeadlockError, LeaseError } from '../contracts/errors.ts';
import type { Deadlock } from '../contracts/explain.ts';
import type { LeaseRecord } from '../contracts/ledger.ts';
import { LATE_MS } from '../foundation/deadlines.ts';
import { duration } from '../foundation/words.ts';
import { Forgotten } from './forgotten.ts';
import type { Household } from './household.ts';
import { leaseName } from './lease-name.ts';
import { withoutStack } from './refusals.ts';
import type { Slot } from './slot.ts';
import { State } from './states.ts';
import type { Waiter } from './wait-queue.ts';

/** Whoever has waited for so long starves; a limit that is shorter counts instead. */
const STARVES_MS = 1_000;
/** From this age on only the borrower's own reference keeps a lease (DESIGN B20). */
const WEAK_AFTER_MS = 1_000;
/** A jam is looked for so many times within its grace. */
const LOOKS = 4;

export class Vigil<S extends Session> implements Party {
  readonly #house: Household<S>;
  readonly #forgotten: Forgotten<S>;
  readonly #looksForJams: boolean;
  #joined = false;
  movedAt: number = -Infinity;
  #lookForJamAt = 0;
  /** Call sites, or leases, whose jam was reported. */
  readonly #warned = new Set<string | number>();
  /** Leases that were reported as held for too long. */
  readonly #reported = new Set<number>();

  constructor(house: Household<S>) {
    this.#house = house;
    this.#forgotten = new Forgotten(house);
    this.#looksForJams = house.settings.nestedAcquire === 'detect' || house.settings.nestedAcquire === 'warn';
  }

  /** Called every 50 ms while anything is lent or waited for; `lateMs` too late this time. */
  look(lateMs: number): void {
    const house = this.#house;
    const { book, loop, queue, settings } = house;
    const now = house.clock.now();
    if (lateMs > LATE_MS) loop.late(lateMs, now);
    else loop.turned();
    const { first } = queue;
    if (book.count(State.lent) > 0) this.#lookAtLeases(now, first === null ? 0 : now - first.since);
    if (!this.#looksForJams || first === null || book.count(State.lent) < house.max) {
      // A pool that is dropped without being closed must not be kept by the graph.
      this.stop();
      return;
    }
    house.tasks.matters();
    this.#join();
    // What the sockets have to say after a block comes first.
    if (lateMs > LATE_MS || now < this.#lookForJamAt) return;
    const graceMs = settings.deadlockGraceMs;
    this.#lookForJamAt = now + graceMs / LOOKS;
    const jam = house.deadlocks.look(this);
    if (jam === undefined) return;
    // While the loop did not turn nobody could have given anything back.
    const leftMs = graceMs - jam.forMs + loop.read(now - jam.forMs, now).blockedMs;
    if (leftMs <= 0) jam.victim.party.end(jam.victim.wait, jam);
    else this.#lookForJamAt = now + leftMs;
  }

  /** Somebody was turned away for want of a connection: whoever sits on one has starved him. */
  starved(waitedMs: number): void {
    this.#lookAtLeases(this.#house.clock.now(), Math.max(waitedMs, STARVES_MS));
  }

  /** A lease came back; without a time: its connection was lost. */
  returned(lease: LeaseRecord, heldMs: number | undefined): void {
    if (!this.#forgetReport(lease.id) || heldMs === undefined) return;
    this.#say(lease, 'OXBOW_LEASE_HELD', `came back after ${duration(heldMs)}`, true);
  }

  /** The jam that this pool is part of, whether or not it has lasted. */
  jam(): Deadlock | undefined {
    const { book, deadlocks, max } = this.#house;
    if (!this.#looksForJams || book.count(State.lent) < max) return undefined;
    this.#join();
    return deadlocks.look(this);
  }

  /** The pool has ended, or nobody waits for it. */
  stop(): void {
    if (!this.#joined) return;
    this.#house.deadlocks.leave(this);
    this.#joined = false;
  }

  // Party

  now(): number {
    return this.#house.clock.now();
  }

  get still(): boolean {
    const { book, max, slots } = this.#house;
    if (book.count(State.lent) < max) return false;
    for (const slot of slots) if (slot.state !== State.lent || slot.session?.status === 'busy') return false;
    return true;
  }

  get turnsAway(): boolean {
    return this.#house.settings.nestedAcquire === 'detect';
  }

  *loans(): Generator<{ task: LeaseRecord['task']; quietSince: number }> {
    for (const slot of this.#house.slots) {
      // The lease's own, as long as there is one: a task of its own may begin long after the record was written.
      if (slot.state === State.lent) yield { task: (slot.held ?? slot.record)?.task, quietSince: quietSince(slot) };
    }
  }

  *waits(): Generator<Wait> {
    yield* this.#house.queue;
    yield* this.#house.leaving;
  }

  holders(): ReturnType<Household<S>['holders']> {
    const { name } = this.#house.settings;
    return this.#house.holders().map((holder) => ({ ...holder, pool: name }));
  }

  end(wait: Wait, deadlock: Deadlock): void {
    const waiter = wait as Waiter<S>;
    // Its deadline has passed: it is out of the queue, and about to hear of that.
    if (this.#house.leaving.includes(waiter)) return;
    if (this.turnsAway) this.#fail(waiter, deadlock);
    else this.#warn(waiter, deadlock);
  }

  #fail(waiter: Waiter<S>, deadlock: Deadlock): void {
    const house = this.#house;
    const { ledger, settings } = house;
    const site = ledger.site(waiter);
    this.movedAt = house.clock.now();
    house.turnOneAway(waiter, 'deadlock', () => {
      const snapshot = house.snapshot();
      const waitedMs = house.clock.now() - waiter.since;
      const explanation = house.explain({ waitedMs, timeoutMs: waitedMs, givenBackMs: 0, deadlock }, snapshot);
      const message = `${settings.name}: ${jamText(deadlock, site)}`;
      return withoutStack(() => new DeadlockError(message, { cycle: deadlock.cycle, site, snapshot, explanation }));
    });
  }

  #join(): void {
    if (this.#joined) return;
    this.#joined = true;
    this.#house.deadlocks.join(this);
  }

  #warn(waiter: Waiter<S>, deadlock: Deadlock): void {
    const { ledger, reporter, settings } = this.#house;
    const site = ledger.site(waiter);
    const [first] = deadlock.cycle;
    const once = site ?? first?.site ?? first?.id ?? 0;
    if (this.#warned.has(once)) return;
    this.#warned.add(once);
    const message = `${settings.name}: ${jamText(deadlock, site)}`;
    reporter.report({ code: 'OXBOW_PROBABLE_DEADLOCK', message, site });
  }

  #lookAtLeases(now: number, starvedMs: number): void {
    const house = this.#house;
    const { borrowLimitMs, dev, leakAfterMs } = house.settings;
    const starves = starvedMs >= Math.min(STARVES_MS, leakAfterMs) && this.#needsReturns;
    for (const slot of house.slots) {
      const { record } = slot;
      if (slot.state !== State.lent || record === undefined) continue;
      const heldMs = now - slot.lentAt;
      if (heldMs >= borrowLimitMs) {
        this.#takeAway(slot, record, heldMs);
        continue;
      }
      if (heldMs >= WEAK_AFTER_MS) this.#forgotten.watch(slot);
      if ((starves || dev) && heldMs >= leakAfterMs && slot.session?.status !== 'busy') {
        const idleMs = now - quietSince(slot);
        if (idleMs >= leakAfterMs) this.#reportLeak(slot, record, idleMs);
      }
    }
  }

  /** Whoever waits is helped by a return and by nothing else: not paused, and no connect that fails is what keeps him waiting. */
  get #needsReturns(): boolean {
    const { book, governor, lending, max } = this.#house;
    return lending && (book.count(State.lent) >= max || !governor.refusing);
  }

  #reportLeak(slot: Slot<S>, record: LeaseRecord, idleMs: number): void {
    if (this.#reported.has(record.id)) return;
    this.#reported.add(record.id);
    this.#house.overdue = this.#reported.size;
    const { counters, leaving, queue, clock } = this.#house;
    counters.leaksReported += 1;
    const { session } = slot;
    const count = queue.length + leaving.length;
    const waiting = count === 0 ? '' : count === 1 ? ' while somebody waits' : ` while ${count} wait`;
    // What ran before belongs to another borrower.
    const ran = (session?.quietSince ?? -1) >= slot.lentAt && session?.lastStatement !== undefined;
    const last = ran ? `; it last ran: ${session?.lastStatement}` : '; it ran nothing';
    const text = `has been held for ${duration(clock.now() - slot.lentAt)}, without a running query for ${duration(idleMs)}${waiting}${last}`;
    this.#say(record, 'OXBOW_LEASE_HELD', text);
  }

  #forgetReport(id: number): boolean {
    const reported = this.#reported.delete(id);
    this.#house.overdue = this.#reported.size;
    return reported;
  }

  #takeAway(slot: Slot<S>, record: LeaseRecord, heldMs: number): void {
    const { settings } = this.#house;
    const text = `was held for ${duration(heldMs)}, longer than borrowLimitMs (${duration(settings.borrowLimitMs)}), and is revoked; its connection is replaced`;
    this.#forgetReport(record.id);
    this.#house.takeAway(slot, new LeaseError('LEASE_REVOKED', `lease ${record.id} ${text}`));
    this.#say(record, 'OXBOW_LEASE_HELD', text);
  }

  #say(record: LeaseRecord, code: 'OXBOW_LEASE_HELD', text: string, sequel = false): void {
    const { ledger, reporter, settings } = this.#house;
    const site = ledger.site(record);
    const message = `${settings.name}: ${leaseName(record, site)} ${text}`;
    reporter.report({ code, message, site, ...(sequel ? { sequel } : {}) });
  }
}

/** Since when nothing has been running on it for its present borrower. */
function quietSince<S extends Session>(slot: Slot<S>): number {
  return Math.max(slot.lentAt, slot.session?.quietSince ?? 0);
}

/** Who holds what, and who asked for more. */
function jamText({ cycle, forMs }: Deadlock, site: string | undefined): string {
  const held = cycle.map(({ id, site: at, lastStatement, pool }) => {
    const where = at === undefined ? '' : ` taken at ${at}`;
    const last = lastStatement === undefined ? '' : ` after: ${lastStatement}`;
    return `lease ${id} of ${pool ?? 'it'}${where}${last}`;
  });
  const asked = site === undefined ? '' : `; the last to ask did so at ${site}`;
  const who =
    cycle.length === 1
      ? 'the only connection is held by a task that waits'
      : `all ${cycle.length} connections are held by tasks that wait`;
  return `probable deadlock: ${who} for another one, and nothing has moved for ${duration(forMs)}: ${held.join('; ')}${asked}`;
}
