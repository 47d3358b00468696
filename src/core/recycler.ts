// The return path (DESIGN B8): from "the borrower is done" to "at rest". Owns that nothing is lent while a reply is
// outstanding or a transaction is open, and that it takes no longer than `returnTimeoutMs`; else the connection is replaced.

import type { Session } from '../contracts/driver.ts';
import type { LeaseError } from '../contracts/errors.ts';
import type { RetireReason, ReturnOutcome } from '../contracts/figures.ts';
import type { LeaseRecord } from '../contracts/ledger.ts';
import { CANCEL_MS } from './bounds.ts';
import { Custody } from './custody.ts';
import type { Household } from './household.ts';
import type { Lease, LeaseHome } from './lease.ts';
import { leaseName } from './lease-name.ts';
import type { Slot } from './slot.ts';
import { State } from './states.ts';
import type { Outcome, StepName } from './steps.ts';

/** Here and not looked up: they are needed at every lend and return. */
const { returning: RETURNING } = State;

/** What was found wrong, in words for a report. */
class Spoiled extends Error {}

/** What is left of `returnTimeoutMs` for the steps still to come; time that one of them was given back is not taken from the next. */
interface Budget {
  leftMs: number;
}

/** Whether the borrower wants it replaced. */
function isUnwanted(reason: Error | boolean | null | undefined): boolean {
  return reason !== undefined && reason !== null && reason !== false;
}

export class Recycler<S extends Session> implements LeaseHome<S> {
  readonly #house: Household<S>;
  /** What comes back at rest needs nothing more. */
  readonly #trusts: boolean;
  /** So does what is not dirty, as the driver knows. */
  readonly #tracks: boolean;
  /** The generation that the last failover began: what was born before it is condemned by the same event. */
  #sinceFailover = 0;

  constructor(house: Household<S>) {
    this.#house = house;
    const { reset } = house.settings;
    this.#trusts = reset === 'rollback' || reset === 'none';
    this.#tracks = reset === 'tracked';
  }

  now(): number {
    return this.#house.clock.now();
  }

  bound(work: () => void): () => void {
    return this.#house.tasks.bound?.(work) ?? work;
  }

  takeBack(lease: Lease<S>, slot: Slot<S>, reason: Error | boolean | null | undefined, now: number): void {
    const house = this.#house;
    const heldMs = this.#receive(lease, slot, reason, now);
    const trusted = this.#trusts || (this.#tracks && slot.session?.dirty === false);
    if (trusted && (slot.session as S).status === 'idle' && !isUnwanted(reason)) {
      if (house.traffic === undefined || this.#told(slot, lease, heldMs, 'clean')) house.rest(slot, now);
    } else {
      this.#look(lease, slot, reason, heldMs);
    }
  }

  /** It does not go straight back to rest. */
  #look(lease: LeaseRecord, slot: Slot<S>, reason: Error | boolean | null | undefined, heldMs: number): void {
    const session = slot.session as S;
    const { status } = session;
    if (status === 'lost') {
      this.#spoiled(slot, lease, heldMs);
      this.#house.lose(slot, new Error('it had ended before it was given back'));
    } else if (status === 'condemned') {
      this.#condemned(slot, lease, heldMs);
    } else if (isUnwanted(reason)) {
      this.#replace(slot, lease, heldMs, status === 'idle');
    } else {
      const blame = session.cancelling !== true;
      void this.#house.tasks.detached(() => this.#clean(slot, lease, heldMs, blame));
    }
  }

  /** The lease is taken away from its borrower: what runs is cancelled and what is open rolled back, and that is nobody's mistake. */
  revoke(lease: Lease<S>, slot: Slot<S>, now: number): void {
    const heldMs = this.#receive(lease, slot, undefined, now);
    if (slot.state === RETURNING) void this.#house.tasks.detached(() => this.#clean(slot, lease, heldMs, false));
  }

  /** Nobody has the lease any more: its connection is cleaned like one that came back, and the one to blame was named already. */
  reclaim(record: LeaseRecord, slot: Slot<S>): void {
    const heldMs = this.#receive(record, slot, undefined, this.now());
    if (slot.state === RETURNING) void this.#house.tasks.detached(() => this.#clean(slot, record, heldMs, false));
  }

  /** It was held for too long: what runs is cancelled, and whoever still has the client must not meet the next borrower. */
  takeAway(slot: Slot<S>, error: LeaseError): void {
    const { held, record } = slot;
    if (record === undefined) return;
    held?.end(error);
    // Whoever was told may have brought it down, or given it back.
    if (slot.record !== record) return;
    this.#spoiled(slot, record, this.#receive(record, slot, error, this.now()));
    if (slot.state === RETURNING) void this.#house.tasks.detached(() => this.#cancelAndCut(slot, 'condemned'));
  }

  #receive(lease: LeaseRecord, slot: Slot<S>, reason: unknown, now: number): number {
    const house = this.#house;
    const heldMs = now - slot.lentAt;
    slot.parted();
    house.book.move(slot, RETURNING);
    house.counters.returns += 1;
    house.counters.useMs.record(heldMs);
    house.ledger.returned(lease);
    house.idle.used(slot, now);
    slot.seenAt = now;
    house.traffic?.released(slot.session as S, reason);
    if (house.overdue > 0) house.cameBack(lease, heldMs);
    return heldMs;
  }

  /** False if the connection died while they were told: then it is on its way out already. */
  #told(slot: Slot<S>, lease: LeaseRecord, heldMs: number, outcome: ReturnOutcome): boolean {
    this.#house.traffic?.returned(slot.id, lease.id, heldMs, outcome);
    return slot.state === State.returning;
  }

  #spoiled(slot: Slot<S>, lease: LeaseRecord, heldMs: number): void {
    this.#house.counters.returnsBad += 1;
    this.#house.traffic?.returned(slot.id, lease.id, heldMs, 'condemned');
  }

  /** An error came on it after which it must not be used again (DESIGN B11), and that may say something about the others. */
  #condemned(slot: Slot<S>, lease: LeaseRecord, heldMs: number): void {
    const house = this.#house;
    const { why, others } = slot.session?.condemned ?? { why: 'the driver condemned it', others: 'keep' };
    this.#spoiled(slot, lease, heldMs);
    // Whoever was told may have brought it down.
    if (slot.state === RETURNING) house.retire(slot, 'condemned');
    if (others === 'suspect') house.suspectAll();
    if (others === 'replace' && slot.generation >= this.#sinceFailover) {
      const message = `${house.settings.name}: ${why}; the server is no longer what it was, so all its connections are replaced`;
      house.reporter.report({ code: 'OXBOW_FAILOVER', message });
      house.supersede();
      this.#sinceFailover = house.generation;
    }
    house.pump();
  }

  /** The borrower does not want it reused: goodbye if it is at rest, else its statement cancelled and its socket cut. */
  #replace(slot: Slot<S>, lease: LeaseRecord, heldMs: number, atRest: boolean): void {
    const house = this.#house;
    this.#spoiled(slot, lease, heldMs);
    // Whoever was told may have brought it down.
    if (slot.state !== RETURNING) return;
    if (atRest) house.retire(slot, 'released');
    else void house.tasks.detached(() => this.#cancelAndCut(slot, 'released'));
    house.pump();
  }

  /** What still runs on the server would go on there without its client: it is cancelled first (DESIGN B12), if that is quick. */
  async #cancelAndCut(slot: Slot<S>, reason: RetireReason): Promise<void> {
    const house = this.#house;
    const session = slot.session as S;
    const custody = new Custody(slot);
    if (session.status === 'busy') {
      await house.steps.step('settle', () => session.settle(), Math.min(CANCEL_MS, house.settings.returnTimeoutMs));
    }
    if (custody.held) house.condemn(slot, reason);
    house.pump();
  }

  async #clean(slot: Slot<S>, lease: LeaseRecord, heldMs: number, blame: boolean): Promise<void> {
    const house = this.#house;
    const custody = new Custody(slot);
    const budget: Budget = { leftMs: house.settings.returnTimeoutMs };
    let outcome: ReturnOutcome = 'clean';
    try {
      if (slot.session?.status === 'busy') {
        if (await this.#settle(slot, custody, blame ? lease : undefined, budget)) outcome = 'cancelled';
        if (custody.held && slot.session.status === 'busy') throw new Spoiled('still busy after the cancel');
      }
      if (custody.held && slot.session?.status === 'condemned') {
        this.#condemned(slot, lease, heldMs);
        return;
      }
      if (custody.held && slot.session?.status !== 'idle') {
        await this.#rollBack(slot, custody, blame ? lease : undefined, budget);
        if (outcome === 'clean') outcome = 'rolled-back';
      }
      if (custody.held && (await this.#reset(slot, custody, budget)) && outcome === 'clean') outcome = 'reset';
      if (custody.held) {
        if (this.#told(slot, lease, heldMs, outcome)) house.rest(slot, house.clock.now());
      } else {
        this.#spoiled(slot, lease, heldMs);
      }
    } catch (error) {
      this.#spoiled(slot, lease, heldMs);
      if (!custody.held) return;
      if (slot.session?.status === 'lost') {
        house.lose(slot, error instanceof Error ? error : new Error(String(error)));
        return;
      }
      const why = error instanceof Error ? error.message : String(error);
      this.#report(lease, 'OXBOW_RESET_FAILED', `could not be cleaned and is replaced: ${why}`);
      house.condemn(slot, error instanceof Spoiled ? 'condemned' : 'reset');
    } finally {
      // Whatever went wrong above: a slot still in this custody would be lost.
      if (custody.held) house.condemn(slot, 'condemned');
      house.pump();
    }
  }

  /** Returned with a reply outstanding; true if a statement still ran and was cancelled. */
  async #settle(slot: Slot<S>, custody: Custody<S>, lease: LeaseRecord | undefined, budget: Budget): Promise<boolean> {
    const house = this.#house;
    const session = slot.session as S;
    const text = session.lastStatement;
    const cancelled = await this.#do('settle', custody, () => session.settle(), budget);
    if (cancelled !== true) return false;
    this.#report(
      lease,
      'OXBOW_BUSY_RETURN',
      `came back with a statement still running${text === undefined ? '' : `: ${text}`}; cancelled`,
    );
    house.counters.cancelled += 1;
    return true;
  }

  async #rollBack(slot: Slot<S>, custody: Custody<S>, lease: LeaseRecord | undefined, budget: Budget): Promise<void> {
    const house = this.#house;
    const session = slot.session as S;
    const { status } = session;
    if (house.settings.reset === 'none') throw new Spoiled(`status "${status}" and reset: 'none'`);
    const text = session.lastStatement;
    const which = status === 'failed' ? 'a failed' : 'an open';
    this.#report(
      lease,
      'OXBOW_OPEN_TRANSACTION',
      `came back in ${which} transaction${text === undefined ? '' : ` after: ${text}`}; rolled back`,
    );
    await this.#do('rollback', custody, () => session.rollback(), budget);
    if (custody.held && session.status !== 'idle') throw new Spoiled(`status "${session.status}" after the rollback`);
    house.counters.rolledBack += 1;
  }

  /** Runs the reset of the options; true if there was one. */
  async #reset(slot: Slot<S>, custody: Custody<S>, budget: Budget): Promise<boolean> {
    const { settings, hooks, counters } = this.#house;
    const session = slot.session as S;
    switch (settings.reset) {
      case 'rollback':
      case 'none':
        return false;
      case 'custom':
        await this.#do('reset', custody, () => hooks.reset?.(session), budget);
        break;
      case 'discard':
        await this.#do('discard', custody, () => session.discard(), budget);
        await this.#configure(session, custody, budget);
        break;
      case 'tracked':
        if (session.dirty === false) return false;
        // A driver that does not watch cannot know what to undo.
        if (session.restore === undefined) await this.#do('discard', custody, () => session.discard(), budget);
        else await this.#do('restore', custody, () => session.restore?.(), budget);
        await this.#configure(session, custody, budget);
        if (custody.held) session.baseline?.();
        break;
    }
    if (custody.held && session.status !== 'idle')
      throw new Error(`reset left the connection in state "${session.status}"`);
    counters.reset += 1;
    return true;
  }

  /** Anew: what it had set was undone with all the rest. */
  async #configure(session: S, custody: Custody<S>, budget: Budget): Promise<void> {
    const { configure } = this.#house.hooks;
    if (configure !== undefined && custody.held) await this.#do('configure', custody, () => configure(session), budget);
  }

  /** One step of the way; throws what went wrong, unless somebody else has taken charge meanwhile. */
  async #do<T>(
    name: StepName,
    custody: Custody<S>,
    work: () => T | Promise<T>,
    budget: Budget,
  ): Promise<T | undefined> {
    const { steps, settings } = this.#house;
    const done: Outcome<T> = await steps.step(name, work, budget.leftMs);
    if (done.is === 'done') {
      budget.leftMs = done.leftMs;
      return done.value;
    }
    if (!custody.held) return undefined;
    if (done.is === 'late')
      throw new Spoiled(`${name} did not end within returnTimeoutMs (${settings.returnTimeoutMs} ms)`);
    throw done.error instanceof Error ? done.error : new Error(String(done.error));
  }

  /** Nothing, if there is nobody to blame. */
  #report(
    lease: LeaseRecord | undefined,
    code: 'OXBOW_OPEN_TRANSACTION' | 'OXBOW_BUSY_RETURN' | 'OXBOW_RESET_FAILED',
    text: string,
  ): void {
    if (lease === undefined) return;
    const { reporter, ledger, settings } = this.#house;
    const site = ledger.site(lease);
    reporter.report({
      code,
      message: `${settings.name}: the connection of ${leaseName(lease, site)} ${text}`,
      site,
    });
  }
}
