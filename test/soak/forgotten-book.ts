// Leases that were forgotten on purpose, and what became of each by the pool's events alone: taken back, or lost with its connection. Owns
// nothing of the pool's own count of them.

import type { Observer } from '../../src/doors/index.ts';

export interface ForgottenFigures {
  readonly forgotten: number;
  readonly takenBack: number;
  readonly lost: number;
  readonly out: number;
}

export class ForgottenBook implements Partial<Observer> {
  /** Which lease each lent connection has. */
  readonly #lent = new Map<number, number>();
  readonly #out = new Set<number>();
  #forgotten = 0;
  #takenBack = 0;
  #lost = 0;

  /** Its borrower has dropped it while its connection was alive. */
  forgot(lease: number): void {
    this.#forgotten += 1;
    this.#out.add(lease);
  }

  readonly lent = ({ id, lease }: { id: number; lease: number }): void => {
    this.#lent.set(id, lease);
  };

  readonly returned = ({ lease }: { lease: number }): void => {
    if (this.#out.delete(lease)) this.#takenBack += 1;
  };

  readonly lost = ({ id, state }: { id: number; state: string }): void => {
    const lease = this.#lent.get(id);
    if (state === 'lent' && lease !== undefined && this.#out.delete(lease)) this.#lost += 1;
  };

  figures(): ForgottenFigures {
    return { forgotten: this.#forgotten, takenBack: this.#takenBack, lost: this.#lost, out: this.#out.size };
  }
}
