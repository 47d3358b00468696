// One limit for the pools of one isolate, where each request has a pool of its own whose sockets nobody else can reach. A counter can be
// reached by all, so permits are counted here. Owns who may take one and when those of a request that is over come back. Nothing is assigned
// to anybody and nobody waits for a foreign promise: a waiter looks again by a timer of its own context, for another one's would never ring.

import type { Timer } from '../contracts/clock.ts';
import type { Budget, BudgetFigures, Member, Permits } from '../contracts/permits.ts';

/** A waiter looks again this often, and one that has not for so long is stepped over: its request was cancelled, or is over. */
const POLL_MS = 25;
const STALE_MS = 200;
/** Such a waiter is forgotten; should it look again all the same, it stands last. */
const FORGOTTEN_MS = 2_000;
/** Whoever holds permits says so this often. */
const BEAT_MS = 100;
/** So long without a beat, and a pool is suspected to be gone; still none so much later, and it is. A blocked isolate silences all at once. */
const SILENT_MS = 400;
const CONFIRM_MS = 100;
/** A session that is needed where it is goes to another pool only after so long: of its life, and of the other one's waiting. */
const KEPT_MS = 100;
const STARVED_MS = 50;

interface Ticket {
  readonly owner: IsolatePermits;
  readonly since: number;
  seenAt: number;
  wants: number;
}

export class IsolateBudget implements Budget {
  limit: number;
  /** Whether a member can end without a word. */
  readonly #mortal: boolean;
  readonly #members = new Set<IsolatePermits>();
  readonly #queue: Ticket[] = [];
  #used = 0;
  /** Permits on their way back because somebody waits for them. */
  #yielding = 0;

  constructor(limit: number, mortal: boolean) {
    this.limit = limit;
    this.#mortal = mortal;
  }

  get used(): number {
    return this.#used;
  }

  /** Tickets, those of waiters that are gone and not yet forgotten included. */
  get waiting(): number {
    return this.#queue.length;
  }

  get members(): number {
    return this.#members.size;
  }

  join(member: Member): IsolatePermits {
    return new IsolatePermits(this, member, this.#mortal);
  }

  /** Writes off who is gone. Anybody may ask, as often as he likes; time is compared, for a timer of whoever is gone never rings. */
  sweep(now: number): void {
    for (const member of this.#members) {
      if (!this.#mortal || !member.isGone(now)) continue;
      this.#members.delete(member);
      this.#used -= member.held;
      this.#yielding -= member.yielding;
      member.writtenOff = true;
    }
    for (let at = this.#queue.length - 1; at >= 0; at -= 1)
      if (now - (this.#queue[at]?.seenAt ?? now) > FORGOTTEN_MS) this.#queue.splice(at, 1);
  }

  /** One that was written off lives after all: what it has is counted again, even if that makes more than the limit. */
  readmit(member: IsolatePermits): void {
    member.writtenOff = false;
    this.#used += member.held;
    this.#yielding += member.yielding;
    if (member.held > 0) this.#members.add(member);
  }

  /** Whether one may be taken, with so many ahead of whoever asks as stand before `ticket`, or in the whole queue. */
  take(member: IsolatePermits, ticket: Ticket | undefined, now: number): boolean {
    this.sweep(now);
    let free = this.limit - this.#used;
    for (const other of this.#queue) {
      if (free <= 0 || other === ticket) break;
      if (other.owner !== member && isLive(other, now)) free -= 1;
    }
    if (free <= 0) return false;
    this.#used += 1;
    this.#members.add(member);
    return true;
  }

  /** Takes back what `member` has, one permit of it. */
  give(member: IsolatePermits, wasYielding: boolean): void {
    if (!this.#members.has(member)) return;
    this.#used -= 1;
    if (wasYielding) this.#yielding -= 1;
    if (member.held === 0) this.#members.delete(member);
  }

  enter(ticket: Ticket): void {
    if (!this.#queue.includes(ticket)) this.#queue.push(ticket);
  }

  drop(ticket: Ticket): void {
    const at = this.#queue.indexOf(ticket);
    if (at !== -1) this.#queue.splice(at, 1);
  }

  /** How many permits others wait for that nobody is about to give back. */
  pressureOn(member: IsolatePermits, now: number): number {
    let wanted = 0;
    for (const ticket of this.#queue) if (ticket.owner !== member && isLive(ticket, now)) wanted += ticket.wants;
    return wanted === 0 ? 0 : Math.max(0, wanted - Math.max(0, this.limit - this.#used) - this.#yielding);
  }

  /** Whether `member` has more than its share while another one has waited for a while. */
  hasTooMany(member: IsolatePermits, now: number): boolean {
    const waiting = new Set<IsolatePermits>();
    let starved = false;
    for (const ticket of this.#queue) {
      if (ticket.owner === member || !isLive(ticket, now)) continue;
      waiting.add(ticket.owner);
      starved ||= now - ticket.since >= STARVED_MS;
    }
    if (!starved) return false;
    for (const holder of this.#members) waiting.add(holder);
    const share = Math.floor(this.limit / waiting.size);
    return member.held - member.yielding > Math.max(1, share);
  }

  yieldsOne(): void {
    this.#yielding += 1;
  }
}

function isLive(ticket: Ticket, now: number): boolean {
  return now - ticket.seenAt <= STALE_MS;
}

/** One pool's side. Everything here runs in that pool's own context, but for what the budget reads. */
export class IsolatePermits implements Permits {
  held = 0;
  yielding = 0;
  /** It was silent for so long that its permits went to others. */
  writtenOff = false;
  /** Called at each sign of life, in this pool's context. */
  onBeat: () => void = () => {};
  /** Whether somebody there needs a sign of life although nothing is held. */
  lives: () => boolean = () => false;
  readonly #budget: IsolateBudget;
  readonly #member: Member;
  readonly #beats: boolean;
  readonly #listeners = new Set<() => void>();
  readonly #tickets = new Map<Ticket, () => void>();
  #beat: Timer | undefined;
  #seenAt = -Infinity;
  #suspectedAt: number | undefined;

  constructor(budget: IsolateBudget, member: Member, beats: boolean) {
    this.#budget = budget;
    this.#member = member;
    this.#beats = beats;
  }

  get pressure(): number {
    return this.#budget.pressureOn(this, this.#member.clock.now());
  }

  /** Whether it waits for a permit. */
  get waits(): boolean {
    return this.#tickets.size > 0;
  }

  /** Silent for long, and still so when looked at again. */
  isGone(now: number): boolean {
    if (now - this.#seenAt < SILENT_MS) return false;
    this.#suspectedAt ??= now;
    return now - this.#suspectedAt >= CONFIRM_MS;
  }

  tryTake(): boolean {
    const now = this.#seen();
    if (!this.#budget.take(this, undefined, now)) return false;
    this.#taken();
    return true;
  }

  take(wanted: () => number): Promise<boolean> {
    if (this.tryTake()) return Promise.resolve(true);
    const now = this.#member.clock.now();
    const ticket: Ticket = { owner: this, since: now, seenAt: now, wants: Math.max(1, wanted()) };
    return new Promise((resolve) => {
      let timer: Timer | undefined;
      const look = (): void => {
        timer?.cancel();
        const seenAt = this.#seen();
        ticket.seenAt = seenAt;
        ticket.wants = wanted();
        this.onBeat();
        const granted = ticket.wants > 0 && this.#budget.take(this, ticket, seenAt);
        if (!granted && ticket.wants > 0) {
          this.#budget.enter(ticket);
          timer = this.#member.clock.timer(POLL_MS, look);
          return;
        }
        this.#budget.drop(ticket);
        this.#tickets.delete(ticket);
        if (granted) this.#taken();
        resolve(granted);
      };
      this.#tickets.set(ticket, () => {
        timer?.cancel();
        timer = this.#member.clock.timer(0, look);
      });
      this.#budget.enter(ticket);
      timer = this.#member.clock.timer(POLL_MS, look);
    });
  }

  give(): void {
    this.held -= 1;
    const wasYielding = this.yielding > 0;
    if (wasYielding) this.yielding -= 1;
    this.#budget.give(this, wasYielding);
    if (this.held === 0 && !this.lives()) this.#stop();
    // Those of this context need not wait for their next look.
    for (const soon of this.#tickets.values()) soon();
  }

  yields(needed: boolean, heldMs: number): boolean {
    // Whoever was written off is counted again first, or what it gives way with would be counted and never taken off.
    const now = this.#seen();
    if (needed && (heldMs < KEPT_MS || !this.#budget.hasTooMany(this, now))) return false;
    this.yielding += 1;
    this.#budget.yieldsOne();
    return true;
  }

  onPressure(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  figures(): BudgetFigures {
    const { limit, used, members } = this.#budget;
    return { kind: 'workers', limit, used, held: this.held, members };
  }

  #seen(): number {
    const now = this.#member.clock.now();
    this.#seenAt = now;
    this.#suspectedAt = undefined;
    if (this.writtenOff) this.#budget.readmit(this);
    return now;
  }

  #taken(): void {
    this.held += 1;
    this.beat();
  }

  /** From now on it says that it lives, until there is nothing to live for. */
  beat(): void {
    if (!this.#beats || this.#beat !== undefined) return;
    this.#seen();
    this.#beat = this.#member.clock.timer(BEAT_MS, () => {
      this.#beat = undefined;
      this.#seen();
      this.onBeat();
      if (this.pressure > 0) for (const listener of this.#listeners) listener();
      if (this.held > 0 || this.lives()) this.beat();
    });
  }

  #stop(): void {
    this.#beat?.cancel();
    this.#beat = undefined;
  }
}
