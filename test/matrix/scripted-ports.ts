// The ports of a case: inert, or ones that write down what they are told and check that it adds up.

import type { Session } from '../../src/contracts/driver.ts';
import type { Explainer, Explanation } from '../../src/contracts/explain.ts';
import type { LeaseRecord, Ledger } from '../../src/contracts/ledger.ts';
import type { Permits } from '../../src/contracts/permits.ts';
import type { TaskContext } from '../../src/contracts/task-context.ts';

export type Complain = (violation: string) => void;

/** Who holds what; complains if the engine enters or takes out a lease twice. */
export class CheckedLedger implements Ledger {
  /** By their numbers: of a lease that is held for long only its borrower has the object. */
  readonly out: Set<number> = new Set();
  entered = 0;
  readonly #complain: Complain;

  constructor(complain: Complain) {
    this.#complain = complain;
  }

  readonly silentUntil = -Infinity;
  asked(): undefined {}

  lent(record: LeaseRecord): void {
    if (this.out.has(record.id)) this.#complain(`the ledger was told twice of lease ${record.id}`);
    this.out.add(record.id);
    this.entered += 1;
  }

  returned(record: LeaseRecord): void {
    if (!this.out.delete(record.id)) this.#complain(`lease ${record.id} left the ledger without being in it`);
  }

  site(): string {
    return 'borrower.ts:1';
  }

  plain(): object {
    return {};
  }
}

/** Knows what runs detached; while a pool closes, whoever asks already holds something. */
export class KnownTasks implements TaskContext {
  #depth = 0;

  /** Whether what runs now is of the pool, and of no request. */
  get isDetached(): boolean {
    return this.#depth > 0;
  }

  detached<T>(work: () => T): T {
    this.#depth += 1;
    try {
      return work();
    } finally {
      this.#depth -= 1;
    }
  }

  current(): undefined {}

  matters(): void {}

  holdsLease(): boolean {
    return true;
  }
}

/** Has an answer for every second asker, and throws at the others. */
export class FickleExplainer implements Explainer {
  #asked = 0;

  explain(): Explanation {
    this.#asked += 1;
    if (this.#asked % 2 === 1) throw new Error('no verdict');
    return { verdict: 'exhausted', summary: 'as scripted', evidence: {}, advice: [] };
  }
}

/** What a scene does to the budget. */
export interface BudgetScene {
  /** It has nothing to give without waiting, from `act` on. */
  readonly exhausted?: boolean;
  /** It answers a wait with no, although somebody waits. */
  readonly refuses?: boolean;
  /** A new session has to prove its permit. */
  readonly proves?: boolean;
  /** Others starve for so many permits, from `act` on, and get them even if somebody waits here. */
  readonly pressure?: number;
}

type Wanted = () => number;

/**
 * Plenty of permits, until it is told otherwise. Complains unless each one is given back exactly once, for the session that it was for and
 * when its socket is gone, and unless the pool takes its leave once, with nothing in its hands.
 */
export class CheckedPermits implements Permits {
  taken = 0;
  /** How often the pool took its leave. */
  left = 0;
  pressure = 0;
  /** Whether leave must be waited for. */
  exhausted = false;
  /** How a wait for leave goes; asked with what takes the permit in the end. */
  wait: (take: () => boolean) => Promise<boolean> = (take) => Promise.resolve(take());
  admit: Permits['admit'];
  /** Whether the driver keeps sockets that it was told to destroy. */
  keeps: () => boolean = () => false;
  readonly #proven = new Map<Session, 'seeks' | 'proven' | 'ended'>();
  readonly #signals = new Map<Session, AbortSignal>();
  readonly #given = new Set<Session>();
  /** Granted after a wait, and the pool has not heard of it yet. */
  #underWay = 0;
  readonly #complain: Complain;

  constructor(complain: Complain) {
    this.#complain = complain;
  }

  /** From now on a session has to prove its permit, in the way of `seek`. */
  prove(seek: (session: Session, wanted: Wanted, signal: AbortSignal) => Promise<boolean>): void {
    this.admit = async (session, wanted, signal) => {
      this.#unlessLeft('a proof');
      if (this.#proven.has(session)) this.#complain('a session was to prove its permit twice');
      if (signal.aborted) this.#complain('a session that is given up was to prove its permit');
      this.#proven.set(session, 'seeks');
      this.#signals.set(session, signal);
      // Also where the work throws before it began.
      try {
        const proven = await seek(session, wanted, signal);
        this.#proven.set(session, proven ? 'proven' : 'ended');
        return proven;
      } catch (error) {
        this.#proven.set(session, 'ended');
        throw error;
      }
    };
  }

  proven(session: Session): boolean {
    return this.admit === undefined || this.#proven.get(session) === 'proven';
  }

  /** Whether the permit of this session came back. */
  gave(session: Session): boolean {
    return this.#given.has(session);
  }

  /** Sessions that still seek to prove their permit. */
  get seeking(): number {
    return [...this.#proven.values()].filter((how) => how === 'seeks').length;
  }

  tryTake(): boolean {
    this.#unlessLeft('a permit');
    if (this.exhausted) return false;
    this.taken += 1;
    return true;
  }

  take(wanted: Wanted): Promise<boolean> {
    this.#unlessLeft('a permit');
    const taken = this.wait(() => {
      if (wanted() === 0) return false;
      this.taken += 1;
      this.#underWay += 1;
      return true;
    });
    // Before whoever asked goes on.
    void taken.then(
      (granted) => queueMicrotask(() => queueMicrotask(() => granted && this.#arrived())),
      () => {},
    );
    return taken;
  }

  give(session: Session | undefined): void {
    this.taken -= 1;
    if (this.taken < 0) this.#complain('more permits were given back than taken');
    // What was granted in the turn of the end comes back after it.
    if (this.left > 0 && (session !== undefined || this.#underWay === 0)) this.#complain('a permit came back too late');
    if (session === undefined) return;
    if (this.#given.has(session)) this.#complain('the permit of a session was given back twice');
    if (session.status !== 'lost' && !this.keeps())
      this.#complain('the permit of a session was given back while its socket is there');
    if (this.#proven.get(session) === 'seeks' && this.#signals.get(session)?.aborted === false)
      this.#complain('a session is gone, and whoever proves its permit was not told');
    this.#given.add(session);
  }

  yields(needed: boolean, heldMs: number, idleMs: number): boolean {
    this.#unlessLeft('whether one yields');
    if (this.pressure <= 0) this.#complain('asked whether one yields while nobody starves');
    if (!(heldMs >= 0 && idleMs >= 0 && idleMs <= heldMs)) this.#complain(`held for ${heldMs} ms, idle for ${idleMs}`);
    if (needed && idleMs > 0) this.#complain('one that somebody waits for is idle');
    this.pressure -= 1;
    return true;
  }

  onPressure(): () => void {
    return () => {};
  }

  leave(): void {
    this.left += 1;
    if (this.left > 1) this.#complain('the pool took its leave twice');
    if (this.taken > this.#underWay) this.#complain(`the pool left with ${this.taken} permits`);
  }

  #arrived(): void {
    this.#underWay -= 1;
  }

  #unlessLeft(what: string): void {
    if (this.left > 0) this.#complain(`asked for ${what} after the pool took its leave`);
  }
}
