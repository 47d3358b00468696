// The errors that a borrower is turned away with: their texts, made of figures. Pure; decides nothing.

import type { Session } from '../contracts/driver.ts';
import {
  PG_CLOSED_TEXT,
  PG_TIMEOUT_TEXT,
  PoolClosedError,
  PoolTimeoutError,
  QueueFullError,
} from '../contracts/errors.ts';
import type { Explanation } from '../contracts/explain.ts';
import type { BudgetFigures } from '../contracts/permits.ts';
import type { Phase } from '../contracts/phase.ts';
import type { PoolSnapshot } from '../contracts/snapshot.ts';
import { duration, plural } from '../foundation/words.ts';
import { BACKOFF_CAP_MS, type Failure } from './governor.ts';
import type { Household, Settings } from './household.ts';
import { State } from './states.ts';

/** What the connections are doing, in a few words: `5/5 lent, 2 more waiting, oldest lease held 1.2 s`. */
export function standing(s: PoolSnapshot): string {
  const parts = [`${s.lent}/${s.max} lent`];
  if (s.idle > 0) parts.push(`${s.idle} idle`);
  if (s.opening > 0) parts.push(`${s.opening} being opened`);
  if (s.returning > 0) parts.push(`${s.returning} returning or being checked`);
  if (s.closing > 0) parts.push(`${s.closing} being closed`);
  if (s.budget !== undefined) parts.push(shared(s.budget));
  if (s.waiting > 0) parts.push(`${s.waiting} more waiting`);
  if (s.lent > 0) parts.push(`oldest lease held ${duration(s.oldestLeaseMs)}`);
  return parts.join(', ');
}

/** How the limit that is shared with others stands: `6 of 6 permits of the threads budget taken, 2 of them here, shared by 4 pools`. */
export function shared({ kind, limit, used, held, members }: BudgetFigures): string {
  const taken =
    used === undefined
      ? `${limit} permits of the ${kind} budget`
      : `${used} of ${limit} permits of the ${kind} budget taken`;
  const by = members === undefined ? '' : `, shared by ${plural(members, 'pool')}`;
  return `${taken}, ${held} of them here${by}`;
}

/** pg's words, which people match, where they look for them. */
function withPgText(text: string, pgText: string, pgManners: boolean): string {
  return pgManners ? `${pgText}: ${text}` : `${text}; ${pgText}`;
}

export interface TimeoutFacts {
  readonly pgManners: boolean;
  readonly snapshot: PoolSnapshot;
  readonly explanation: Explanation | undefined;
  readonly waitedMs: number;
  readonly givenBackMs: number;
  readonly timeoutMs: number;
  /** The last failed connect, if it explains anything. */
  readonly failure: Failure | undefined;
  readonly now: number;
}

export function timeoutError(f: TimeoutFacts): PoolTimeoutError {
  const within = f.givenBackMs > 0 ? f.waitedMs : f.timeoutMs;
  const what = f.timeoutMs === 0 ? ': none idle and ready' : ` within ${duration(within)}`;
  if (f.explanation !== undefined) {
    return new PoolTimeoutError(withPgText(f.explanation.summary, PG_TIMEOUT_TEXT, f.pgManners), f, f.failure?.error);
  }
  let text = `${f.snapshot.name}: no connection${what}; ${standing(f.snapshot)}`;
  if (f.snapshot.phase === 'paused') text += '; the pool is paused';
  if (f.failure !== undefined) {
    text += `; the last connect failed ${duration(f.now - f.failure.at)} ago: ${f.failure.error.message}`;
  }
  if (f.givenBackMs > 0) {
    text += `; the event loop was blocked, ${duration(f.givenBackMs)} of that were given back`;
  }
  return new PoolTimeoutError(withPgText(text, PG_TIMEOUT_TEXT, f.pgManners), f, f.failure?.error);
}

export function queueFullError(snapshot: PoolSnapshot, maxWaiting: number): QueueFullError {
  const text = `${snapshot.name}: ${plural(maxWaiting, 'request')} already waiting (maxWaiting); ${standing(snapshot)}`;
  return new QueueFullError(text, snapshot);
}

export function closedError({ name, pgManners }: Named, phase: Phase): PoolClosedError {
  const text =
    phase === 'created'
      ? `${name} is not open yet: call open() first (autoOpen is false)`
      : phase === 'closing'
        ? `${name} is closing and lends nothing more`
        : `${name} is closed and cannot be used again`;
  return new PoolClosedError(phase === 'created' ? text : withPgText(text, PG_CLOSED_TEXT, pgManners), phase);
}

/** Of the settings, what an error's text depends on. */
type Named = Pick<Settings, 'name' | 'pgManners'>;

/** For what only an open pool can do. */
export function notOpenError(settings: Named, phase: Phase): PoolClosedError {
  if (phase === 'closing' || phase === 'closed') return closedError(settings, phase);
  return new PoolClosedError(`${settings.name} is not open yet (${phase}): wait for open() or ready() first`, phase);
}

/** The next attempt may be late by so much. */
const SLACK_MS = 1_000;

/** The last failed connect, if it is still going on or fell into the time waited. */
export function relevantFailure<S extends Session>(house: Household<S>, since: number): Failure | undefined {
  const { last, refusing } = house.governor;
  if (last === undefined || last.at >= since) return last;
  // It is going on as long as one attempt follows another. Where nobody wanted a connection for longer, it is past.
  let triedAt = house.clock.now();
  for (const { dialledAt, state } of house.slots) {
    if (state === State.opening) triedAt = Math.min(triedAt, dialledAt);
  }
  return refusing && triedAt - last.at <= BACKOFF_CAP_MS + SLACK_MS ? last : undefined;
}

/** Creates errors without a stack: one made in a timer has no frame that tells anybody anything, and costs most of its time there. */
export function withoutStack<E extends Error>(make: () => E): E {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return make();
  } finally {
    Error.stackTraceLimit = limit;
  }
}
