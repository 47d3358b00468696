// How many clients' sockets existed together at most, from what a proxy sees of them: exact, though the order in which a process
// reads "gone" and "new" is not always that in which they happened, and though a cancel request does not count and is known as
// one only by its first bytes. Knows nothing of sockets.

import { setImmediate } from 'node:timers';
import type { ConnectionKind } from './fault-proxy-frames.ts';

interface Counted {
  readonly open: boolean;
  readonly kind: ConnectionKind;
}

/** Who was open when `newcomer` came. */
interface Moment {
  readonly newcomer: Counted;
  readonly others: readonly Counted[];
}

/**
 * Two connects and the end between them may be read as: new, new, its bytes, its end. One that was gone within so many turns of the
 * event loop is taken to have gone before whoever came in them.
 */
const TURNS = 3;

export class Peak {
  #most = 0;
  /** Not yet settled: some member may turn out to be a cancel request, or to have gone before. */
  #moments: Moment[] = [];
  readonly #young = new Set<Counted>();
  readonly #brief = new WeakSet<Counted>();

  get most(): number {
    this.#settle();
    return Math.max(this.#most, ...this.#moments.map((moment) => this.#count(moment)));
  }

  /** `newcomer` was accepted; `open` tells who is open when it is asked. */
  accepted(newcomer: Counted, open: () => readonly Counted[]): void {
    this.#young.add(newcomer);
    // After this turn: an end that came before this connect may be read after it.
    setImmediate(() => {
      this.#moments.push({ newcomer, others: open().filter((one) => one !== newcomer) });
      this.#grow(newcomer, TURNS);
    });
  }

  left(one: Counted): void {
    if (this.#young.has(one)) this.#brief.add(one);
  }

  #grow(one: Counted, turns: number): void {
    if (turns > 0) {
      setImmediate(() => this.#grow(one, turns - 1));
      return;
    }
    this.#young.delete(one);
    this.#settle();
  }

  #settle(): void {
    this.#moments = this.#moments.filter((moment) => {
      const undecided = (one: Counted): boolean => this.#young.has(one) || (one.open && one.kind === 'unknown');
      if (undecided(moment.newcomer) || moment.others.some(undecided)) return true;
      this.#most = Math.max(this.#most, this.#count(moment));
      return false;
    });
  }

  #count({ newcomer, others }: Moment): number {
    return [newcomer, ...others.filter((one) => !this.#brief.has(one))].filter((one) => one.kind !== 'cancel').length;
  }
}
