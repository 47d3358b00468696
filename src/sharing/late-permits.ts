// Permits whose source can be put in place after the pool was made: `pool.share()` turns a pool that shared with nobody into a member of a
// budget, with whatever it has open. Owns that every permit that is given back goes to where it was taken.

import type { Session } from '../contracts/driver.ts';
import { type BudgetFigures, type Permits, unlimitedPermits } from '../contracts/permits.ts';

export class LatePermits implements Permits {
  #source: Permits = unlimitedPermits;
  #held = 0;
  readonly #listeners = new Set<() => void>();

  constructor(source: Permits | undefined) {
    if (source !== undefined) this.#listen(source);
  }

  /** A field would be cheaper by nothing that can be measured: the source's is one. */
  get pressure(): number {
    return this.#source.pressure;
  }

  get held(): number {
    return this.#held;
  }

  /** From now on permits come from `source`; it must have as many for us as are held. */
  plug(source: Permits): void {
    for (let n = this.#held; n > 0; n -= 1)
      if (!source.tryTake()) throw new Error('a budget that is new has fewer permits than its founder holds');
    this.#listen(source);
  }

  tryTake(): boolean {
    const taken = this.#source.tryTake();
    if (taken) this.#held += 1;
    return taken;
  }

  async take(wanted: () => number): Promise<boolean> {
    const taken = await this.#source.take(wanted);
    if (taken) this.#held += 1;
    return taken;
  }

  get admit(): Permits['admit'] {
    return this.#source.admit?.bind(this.#source);
  }

  give(session: Session | undefined): void {
    this.#held -= 1;
    this.#source.give(session);
  }

  yields(needed: boolean, heldMs: number, idleMs: number): boolean {
    return this.#source.yields(needed, heldMs, idleMs);
  }

  onPressure(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  leave(): void {
    this.#source.leave?.();
  }

  figures(): BudgetFigures | undefined {
    return this.#source.figures?.();
  }

  #listen(source: Permits): void {
    this.#source = source;
    source.onPressure(() => {
      for (const listener of this.#listeners) listener();
    });
  }
}
