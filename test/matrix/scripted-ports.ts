// The ports of a case: inert, or ones that write down what they are told and check that it adds up.

import type { Explainer } from '../../src/contracts/explain.ts';
import type { LeaseRecord, Ledger } from '../../src/contracts/ledger.ts';
import type { Permits } from '../../src/contracts/permits.ts';
import type { TaskContext } from '../../src/contracts/task-context.ts';

export type Complain = (violation: string) => void;

/** Who holds what; complains if the engine enters or takes out a lease twice. */
export class CheckedLedger implements Ledger {
  readonly out: Set<LeaseRecord> = new Set();
  entered = 0;
  readonly #complain: Complain;

  constructor(complain: Complain) {
    this.#complain = complain;
  }

  readonly silentUntil = -Infinity;
  asked(): undefined {}

  lent(record: LeaseRecord): void {
    if (this.out.has(record)) this.#complain(`the ledger was told twice of lease ${record.id}`);
    this.out.add(record);
    this.entered += 1;
  }

  returned(record: LeaseRecord): void {
    if (!this.out.delete(record)) this.#complain(`lease ${record.id} left the ledger without being in it`);
  }

  site(record: LeaseRecord): string {
    return `borrower.ts:${record.id}`;
  }
}

/** Counts what runs detached; while a pool closes, whoever asks already holds something. */
export class CountedTasks implements TaskContext {
  detachments = 0;

  detached<T>(work: () => T): T {
    this.detachments += 1;
    return work();
  }

  current(): object | undefined {
    return undefined;
  }

  holdsLease(): boolean {
    return true;
  }
}

/** Has an answer for every second asker, and throws at the others. */
export class FickleExplainer implements Explainer {
  #asked = 0;

  explain(): { verdict: string; summary: string; evidence: Record<string, unknown>; advice: string[] } {
    this.#asked += 1;
    if (this.#asked % 2 === 1) throw new Error('no verdict');
    return { verdict: 'scripted', summary: 'as scripted', evidence: {}, advice: [] };
  }
}

/** Plenty of permits, until it is told that there are none to be had without waiting. */
export class CheckedPermits implements Permits {
  taken = 0;
  readonly pressure = 0;
  /** Whether leave must be waited for. */
  exhausted = false;
  /** How a wait for leave goes; asked with what takes the permit in the end. */
  wait: (take: () => boolean) => Promise<boolean> = (take) => Promise.resolve(take());
  readonly #complain: Complain;

  constructor(complain: Complain) {
    this.#complain = complain;
  }

  tryTake(): boolean {
    if (this.exhausted) return false;
    this.taken += 1;
    return true;
  }

  take(wanted: () => number): Promise<boolean> {
    return this.wait(() => {
      if (wanted() === 0) return false;
      this.taken += 1;
      return true;
    });
  }

  give(): void {
    this.taken -= 1;
    if (this.taken < 0) this.#complain('more permits were given back than taken');
  }

  yields(): boolean {
    return false;
  }

  onPressure(): () => void {
    return () => {};
  }
}
