// Every connection of one pool from its events alone: when it came, how it ended, who had it. Owns nothing of the pool's own
// counters, so that the two can be compared; whatever could not happen to a sound pool is written down as an oddity.

import type { Observer, RetireReason } from '../../src/doors/index.ts';

interface Life {
  readonly pid: number;
  lease: number | undefined;
  end: RetireReason | 'lost' | undefined;
  /** The state it was lost in. */
  lostWhile: string | undefined;
  gone: boolean;
}

export interface ConnectionFigures {
  readonly attempts: number;
  readonly opened: number;
  /** Attempts whose socket went without ever having been a connection. */
  readonly neverOpened: number;
  readonly connectFailures: number;
  readonly lost: number;
  readonly lostWhileLent: number;
  readonly retired: Partial<Record<RetireReason, number>>;
  /** Given up for a reason before they were connections. */
  readonly retiredUnopened: number;
  /** Not ended, and ended with the socket still there. */
  readonly open: number;
  readonly ending: number;
  readonly lent: number;
  readonly returned: number;
  readonly stillLent: number;
  readonly oddities: readonly string[];
}

export class ConnectionBook implements Partial<Observer> {
  readonly #lives = new Map<number, Life>();
  readonly #oddities: string[] = [];
  #attempts = 0;
  #neverOpened = 0;
  #connectFailures = 0;
  #retiredUnopened = 0;
  #lent = 0;
  #returned = 0;

  readonly opening = (): void => {
    this.#attempts += 1;
  };

  readonly openFailed = (): void => {
    this.#connectFailures += 1;
  };

  readonly opened = ({ id, pid }: { id: number; pid: number }): void => {
    if (this.#lives.has(id)) this.#odd(`connection ${id} was opened twice`);
    this.#lives.set(id, { pid, lease: undefined, end: undefined, lostWhile: undefined, gone: false });
  };

  readonly lent = ({ id, lease }: { id: number; lease: number }): void => {
    this.#lent += 1;
    const life = this.#lives.get(id);
    if (life === undefined || life.end !== undefined) {
      this.#odd(`connection ${id} was lent but is not open`);
      return;
    }
    if (life.lease !== undefined) this.#odd(`connection ${id} was lent twice: leases ${life.lease} and ${lease}`);
    life.lease = lease;
  };

  readonly returned = ({ id, lease }: { id: number; lease: number }): void => {
    this.#returned += 1;
    const life = this.#lives.get(id);
    if (life?.lease !== lease) this.#odd(`lease ${lease} came back with connection ${id}, which it did not have`);
    if (life !== undefined) life.lease = undefined;
  };

  readonly retired = ({ id, reason }: { id: number; reason: RetireReason }): void => {
    if (!this.#lives.has(id)) this.#retiredUnopened += 1;
    this.#ends(id, reason);
  };

  readonly lost = ({ id, state }: { id: number; state: string }): void => {
    const life = this.#lives.get(id);
    this.#ends(id, 'lost');
    if (life === undefined) return;
    life.lostWhile = state;
    if (state === 'lent') life.lease = undefined;
  };

  readonly closed = ({ id }: { id: number }): void => {
    const life = this.#lives.get(id);
    if (life === undefined) {
      this.#neverOpened += 1;
      return;
    }
    if (life.gone) this.#odd(`the socket of connection ${id} went twice`);
    if (life.end === undefined) this.#odd(`the socket of connection ${id} went without a reason`);
    life.gone = true;
  };

  /** How the session with this process id ended, or undefined while it lives. */
  endOf(pid: number): { end: RetireReason | 'lost'; lostWhile: string | undefined } | undefined {
    let last: Life | undefined;
    for (const life of this.#lives.values()) if (life.pid === pid) last = life;
    return last?.end === undefined ? undefined : { end: last.end, lostWhile: last.lostWhile };
  }

  figures(): ConnectionFigures {
    const lives = [...this.#lives.values()];
    const retired: Partial<Record<RetireReason, number>> = {};
    for (const { end } of lives) if (end !== undefined && end !== 'lost') retired[end] = (retired[end] ?? 0) + 1;
    return {
      attempts: this.#attempts,
      opened: lives.length,
      neverOpened: this.#neverOpened,
      connectFailures: this.#connectFailures,
      lost: lives.filter(({ end }) => end === 'lost').length,
      lostWhileLent: lives.filter(({ lostWhile }) => lostWhile === 'lent').length,
      retired,
      retiredUnopened: this.#retiredUnopened,
      open: lives.filter(({ end }) => end === undefined).length,
      ending: lives.filter(({ end, gone }) => end !== undefined && !gone).length,
      lent: this.#lent,
      returned: this.#returned,
      stillLent: lives.filter(({ lease }) => lease !== undefined).length,
      oddities: [...this.#oddities],
    };
  }

  #ends(id: number, how: RetireReason | 'lost'): void {
    const life = this.#lives.get(id);
    if (life === undefined) return; // an attempt that never became a connection
    if (life.end !== undefined) this.#odd(`connection ${id} ended twice: ${life.end}, then ${how}`);
    life.end ??= how;
  }

  #odd(what: string): void {
    this.#oddities.push(what);
  }
}
