// How many connections to open now: a pure function of a few figures (DESIGN B4). Knows no slot, no clock, no driver.

/** How long to wait for a returning connection before dialling, while nothing is known about holds and connects. */
export const HOLD_OFF_MS = 25;

export interface Demand {
  readonly waiting: number;
  /** For how long the first of them has waited. */
  readonly oldestWaitMs: number;
  /** Being dialled. */
  readonly opening: number;
  /** Idle ones whose liveness is being checked for a waiter. */
  readonly checking: number;
  readonly lent: number;
  /** Every session that exists, those being closed included. */
  readonly size: number;
  /** Without those being closed. */
  readonly living: number;
  /** How many are to exist even if nobody asks. */
  readonly floor: number;
  readonly max: number;
  /** Connects allowed in flight. */
  readonly concurrency: number;
  /** Recent time that borrowers held a connection, and that a connect took; undefined while unknown. */
  readonly holdMs: number | undefined;
  readonly connectMs: number | undefined;
}

export interface Answer {
  /** How many to dial now. */
  readonly dial: number;
  /** When to ask again even if nothing happens; undefined if only an event can change the answer. */
  readonly againInMs: number | undefined;
}

const NOTHING: Answer = { dial: 0, againInMs: undefined };

/** How many to dial. Spikes are left to returning connections where those are faster; a cold pool fills at once. */
export function howManyToDial(d: Demand): Answer {
  const room = Math.min(d.max - d.size, d.concurrency - d.opening);
  if (room <= 0) return NOTHING;
  const short = d.floor - d.living;
  const unserved = d.waiting - d.opening - d.checking;
  const wanted = Math.min(room, Math.max(short, unserved));
  if (wanted <= 0) return NOTHING;
  // Those being checked will turn over as the lent ones do.
  const turning = d.lent + d.checking;
  if (unserved <= 0 || turning === 0) return { dial: wanted, againInMs: undefined };

  // Connections are turning over. Dial only if the queue would otherwise wait longer than a connect takes; what was
  // expected and did not happen within that time is no longer believed.
  const patience =
    d.holdMs === undefined || d.connectMs === undefined
      ? HOLD_OFF_MS
      : (d.waiting * d.holdMs) / turning <= d.connectMs
        ? Math.max(d.connectMs, HOLD_OFF_MS)
        : 0;
  if (d.oldestWaitMs >= patience) return { dial: wanted, againInMs: undefined };
  return { dial: Math.max(0, Math.min(room, short)), againInMs: patience - d.oldestWaitMs };
}
