// One pool's side of a budget that the threads of a process share. Owns when it takes, when it waits and when it gives way; where the permits
// are is the memory's, how the others are woken the caller's. A thread whose loop is blocked keeps what it has until it runs again.

import type { Clock, Timer } from '../contracts/clock.ts';
import type { Session } from '../contracts/driver.ts';
import type { BudgetFigures, Member, Permits } from '../contracts/permits.ts';
import { answered } from './answered.ts';
import { fairShares } from './fair-share.ts';
import { HOLD_MS, isSpare, STARVING_MS } from './patience.ts';
import { claimOf, MAX_MEMBERS, type MemberView, type ThreadMemory } from './thread-memory.ts';
import { Unchanged } from './unchanged.ts';

/** By which one member hears that something has changed, and tells the others. */
export interface Wakes {
  /** Wakes all others, in this thread and in the rest. */
  shout(): void;
  leave(): void;
}

/** `woken` is called when another member shouts. */
export type JoinWakes = (woken: () => void) => Wakes;

/** A row for a pool of this thread, if there is one left. */
export type EnterMemory = (memory: ThreadMemory) => number | undefined;

/** Waits that follow each other so closely are one. */
const BETWEEN_MS = 10;
/** A wake-up can be missed: whoever waits looks by itself at this pace. */
const LOOK_MS = 100;
/**
 * Who starves and has not looked for so long cannot take what is free, and who has not given for so long what it promised cannot do that: its loop
 * is blocked. It is waited for no longer, until it runs again.
 */
const SILENT_MS = 500;

interface Wait {
  readonly wanted: () => number;
  readonly settle: (taken: boolean) => void;
}

export class ThreadPermits implements Permits {
  pressure = 0;
  readonly #memory: ThreadMemory;
  readonly #member: Member;
  readonly #join: JoinWakes;
  readonly #enterMemory: EnterMemory;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  #row: number | undefined;
  #left = false;
  #wakes: Wakes | undefined;
  #wait: Wait | undefined;
  #timer: Timer | undefined;
  /** Since when it has wanted one without a break. */
  #hungrySince: number | undefined;
  /** Whether it has told the others in this wait, and when it last heard anybody. */
  #said = false;
  #heardAt = -Infinity;
  /** When its last wait ended. */
  #servedAt = -Infinity;
  /** When it took its last one. */
  #tookAt = -Infinity;
  /** How many it gives way with at this moment: their sockets are not gone yet. */
  #yielding = 0;
  /** What the other members were last seen to say, by their rows. */
  readonly #asked: Unchanged;
  readonly #gave: Unchanged;

  constructor(memory: ThreadMemory, member: Member, join: JoinWakes, enter: EnterMemory) {
    this.#memory = memory;
    this.#member = member;
    this.#join = join;
    this.#enterMemory = enter;
    this.#clock = member.clock;
    this.#asked = new Unchanged(this.#clock);
    this.#gave = new Unchanged(this.#clock);
  }

  tryTake(): boolean {
    const row = this.#enter();
    return row !== undefined && this.#mayTake(row, true) && this.#take(row);
  }

  take(wanted: () => number): Promise<boolean> {
    const row = this.#enter();
    if (row === undefined) return Promise.reject(new Error(`more than ${MAX_MEMBERS} pools share one thread budget`));
    return new Promise((settle) => {
      const now = this.#clock.now();
      // Who wants several goes on with the next one at once, and has not waited for nothing.
      if (now - this.#servedAt > BETWEEN_MS) this.#hungrySince = undefined;
      this.#wait = { wanted, settle };
      this.#said = false;
      this.#look(true);
      if (this.#wait === undefined) return;
      const inMs = STARVING_MS - (now - (this.#hungrySince ?? now));
      if (inMs <= 0) this.#say();
      this.#again(inMs <= 0 ? LOOK_MS : inMs);
    });
  }

  /** An abandoned statement ends with its client, not some time later: what the limit promises holds on the server too. */
  async admit(session: Session): Promise<boolean> {
    if (session.bond !== undefined) await answered(this.#clock, session.bond.fence());
    return true;
  }

  give(): void {
    // Granted in the very turn in which the pool closed: it went with the rest.
    if (this.#left) return;
    const row = this.#row;
    if (row === undefined || !this.#memory.give(row)) throw new Error('a permit was given back that was never taken');
    if (this.#yielding > 0) {
      this.#yielding -= 1;
      this.#memory.tell(row, { promised: this.#yielding });
    }
    if (this.#wait !== undefined) this.#look(true);
    if (this.#memory.members().some((member) => member.row !== row && member.want > 0)) this.#wakes?.shout();
  }

  yields(needed: boolean, heldMs: number, idleMs: number): boolean {
    const row = this.#row;
    if (row === undefined) return false;
    if (!needed && !isSpare(heldMs, idleMs)) return false;
    const grave = this.#weigh();
    if (this.pressure <= 0) return false;
    // What cannot be divided evenly goes round, but not at every turn; and nobody gives up one that has only just come, or all would connect
    // for each other, and nobody would work.
    if (needed && !grave && (heldMs < HOLD_MS || this.#clock.now() - this.#tookAt < HOLD_MS)) return false;
    this.#yielding += 1;
    this.pressure -= 1;
    this.#memory.tell(row, { promised: this.#yielding });
    return true;
  }

  onPressure(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  leave(): void {
    this.#left = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    const wait = this.#wait;
    this.#wait = undefined;
    wait?.settle(false);
    if (this.#row === undefined) return;
    this.#memory.clear(this.#row);
    this.#row = undefined;
    this.#wakes?.shout();
    this.#wakes?.leave();
    this.#wakes = undefined;
  }

  figures(): BudgetFigures {
    const { limit, used } = this.#memory;
    const held = this.#row === undefined ? 0 : this.#memory.held(this.#row);
    return { kind: 'threads', limit, used, held, members: this.#memory.members().length };
  }

  /** Its row, from the first permit on: a pool that is never used shares nothing. */
  #enter(): number | undefined {
    if (this.#row !== undefined) return this.#row;
    this.#row = this.#enterMemory(this.#memory);
    if (this.#row !== undefined) this.#wakes = this.#member.detached(() => this.#join(() => this.#woken()));
    return this.#row;
  }

  /** Somebody wants one, has given one back, or has gone. */
  #woken(): void {
    this.#heardAt = this.#clock.now();
    if (this.#wait !== undefined) this.#look(true);
    this.#weigh();
    if (this.pressure > 0) for (const listener of this.#listeners) listener();
  }

  /** Steps back for those who starve: above its share, and, while there are not enough for all, for those who stand before it in the line. */
  #mayTake(row: number, inLine: boolean): boolean {
    const members = this.#members();
    if (!members.some((member) => member.row !== row && member.hungry)) return true;
    const held = this.#memory.held(row);
    // What stands in the row may be old, or nothing yet: one more is asked for now.
    const claims = members.map((member) => (member.row === row ? { demand: held + 1 } : claimOf(member)));
    const shares = fairShares(this.#memory.limit, claims);
    if (held >= this.#share(row, members, shares)) return false;
    let left = this.#memory.limit - this.#memory.used;
    for (const [at, member] of members.entries()) {
      if (member.row === row || !inLine) break;
      if (member.hungry) left -= Math.max(0, (shares[at] ?? 0) - member.held);
    }
    return left > 0;
  }

  #take(row: number): boolean {
    if (!this.#memory.take(row)) return false;
    this.#tookAt = this.#clock.now();
    return true;
  }

  /**
   * Whoever waits takes by itself what is free, if it is still wanted. Not `inLine`: whoever stands before it has been woken, and has not
   * come: its loop may be blocked.
   */
  #look(inLine: boolean): void {
    const wait = this.#wait;
    const row = this.#row;
    if (wait === undefined || row === undefined) return;
    const now = this.#clock.now();
    const want = wait.wanted();
    if (want > 0 && !(this.#mayTake(row, inLine) && this.#take(row))) {
      this.#hungrySince ??= now;
      this.#tell(row, want, now - this.#hungrySince >= STARVING_MS);
      return;
    }
    this.#wait = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#servedAt = now;
    const starved = now - (this.#hungrySince ?? now) >= STARVING_MS;
    this.#tell(row, 0, false);
    // Others gave way for it, or stood back.
    if (want === 0 && starved) this.#wakes?.shout();
    wait.settle(want > 0);
  }

  /** What it wants only to keep it warm it takes from nobody. */
  #tell(row: number, want: number, hungry: boolean): void {
    const seen = this.#member.waiting?.() === 0 ? { want: 0, hungry: false } : { want, hungry };
    this.#memory.tell(row, { ...seen, needs: this.#member.needs() });
    this.#memory.beat(row);
  }

  /** Tells the others that it starves. */
  #say(): void {
    this.#said = true;
    if (this.#member.waiting?.() !== 0) this.#wakes?.shout();
  }

  /** Looks again after a while, and tells the others as long as it starves. */
  #again(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.timer(ms, () => {
      this.#timer = undefined;
      this.#look(false);
      if (this.#wait === undefined) return;
      // One shout has everybody look at everything: with many that starve each need not say so.
      if (!this.#said || this.#clock.now() - this.#heardAt >= LOOK_MS / 2) this.#say();
      // Not all at the same moment, or nobody would hear the first.
      this.#again(LOOK_MS * (0.75 + this.#clock.random() / 2));
    });
  }

  /**
   * How many permits the others are short of and have a better claim to than we; whether that cannot wait: somebody has none, and we have
   * another one, or we have far too many.
   */
  #weigh(): boolean {
    const row = this.#row;
    if (row === undefined) return false;
    this.#memory.tell(row, { needs: this.#member.needs() });
    this.#passTurn(row);
    const members = this.#members();
    const shares = fairShares(this.#memory.limit, members.map(claimOf));
    let short = 0;
    let promised = 0;
    let bare = false;
    for (const [at, member] of members.entries()) {
      promised += member.promised;
      const lacks = member.row === row || !member.hungry ? 0 : Math.max(0, (shares[at] ?? 0) - member.held);
      short += lacks;
      if (lacks > 0 && member.held === 0) bare = true;
    }
    const free = this.#memory.limit - this.#memory.used;
    const kept = this.#memory.held(row) - this.#yielding;
    const over = kept - this.#share(row, members, shares);
    this.pressure = Math.max(0, Math.min(over, short - promised - free));
    return over > 1 || (bare && kept > 1);
  }

  /**
   * Whoever has had what cannot be divided evenly for a while goes to the end of the line, if somebody wants it: those who took one longest
   * ago stand first, and somebody who keeps what it has would stand there for ever.
   */
  #passTurn(row: number): void {
    if (this.#clock.now() - this.#tookAt < HOLD_MS) return;
    const members = this.#members();
    if (!members.some((member) => member.row !== row && member.hungry)) return;
    const kept = this.#memory.held(row) - this.#yielding;
    if (kept > this.#share(row, members)) return;
    const own = members.filter((member) => member.row === row);
    const line = [...members.filter((member) => member.row !== row), ...own];
    if (kept > this.#share(row, line)) this.#memory.goLast(row);
  }

  /** All members. Of one that is blocked neither what it asked for counts, nor what it was about to give back. */
  #members(): MemberView[] {
    return this.#memory.members().map((member) => {
      const { row, held, want, hungry, promised, ticket, beat } = member;
      if (row === this.#row) return member;
      const asksNoMore = hungry && this.#asked.forMs(row, `${beat}`) >= SILENT_MS;
      const givesNotYet = promised > 0 && this.#gave.forMs(row, `${promised} ${held} ${ticket}`) >= SILENT_MS;
      if (!asksNoMore && !givesNotYet) return member;
      return {
        ...member,
        want: asksNoMore ? 0 : want,
        hungry: hungry && !asksNoMore,
        promised: givesNotYet ? 0 : promised,
      };
    });
  }

  #share(
    row: number,
    members: readonly MemberView[],
    shares = fairShares(this.#memory.limit, members.map(claimOf)),
  ): number {
    return shares[members.findIndex((member) => member.row === row)] ?? 0;
  }
}
