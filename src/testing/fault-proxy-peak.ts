// How many clients' sockets existed together at most, from what a proxy sees of them: exact, though the order in which a process
// reads "gone" and "new" is not always that in which they happened, and though a cancel request does not count and is known as
// one only by its first bytes. Knows nothing of sockets.

import { setImmediate } from 'node:timers';
import type { ConnectionKind } from './fault-proxy-frames.ts';

interface Counted {
  readonly open: boolean;
  /** It is not open any more because the client ended it, not because it was answered. */
  readonly abandoned: boolean;
  readonly kind: ConnectionKind;
}

/** Who was open when somebody new came, that one included. */
interface Moment {
  members: readonly Counted[];
  /** Turns of the event loop in which an end may still be read that came before. */
  turns: number;
}

/** A new connection, the last bytes of an old one and its end are read in as many turns, in this order at worst. */
const TURNS = 3;

export class Peak {
  #most = 0;
  /** Not yet settled: some member may turn out to have gone before, or to be a cancel request. */
  #moments: Moment[] = [];

  get most(): number {
    this.#settle();
    return Math.max(this.#most, ...this.#moments.map(count));
  }

  /** `newcomer` was accepted, while `others` were open. */
  accepted(newcomer: Counted, others: readonly Counted[]): void {
    const moment: Moment = { members: [newcomer, ...others], turns: TURNS };
    this.#moments.push(moment);
    const turn = (): void => {
      moment.turns -= 1;
      moment.members = moment.members.filter((one) => one === newcomer || !one.abandoned);
      if (moment.turns > 0) setImmediate(turn);
      else this.#settle();
    };
    setImmediate(turn);
  }

  #settle(): void {
    this.#moments = this.#moments.filter((moment) => {
      if (moment.turns > 0 || moment.members.some((one) => one.open && one.kind === 'unknown')) return true;
      this.#most = Math.max(this.#most, count(moment));
      return false;
    });
  }
}

function count({ members }: Moment): number {
  return members.filter((one) => one.kind !== 'cancel').length;
}
