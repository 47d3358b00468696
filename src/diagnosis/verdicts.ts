// Why nobody got a connection: the verdict, as a pure function of the evidence (DESIGN B19). Owns which of several truths is the one to say; the
// words for it stand in a file of their own. Whoever asks, a thrown error, `explain()`, a log line, is told the same.
//
// The order is that of what would have to change first:
//   1. where nothing can come of waiting at all: the wrong event loop, a closed pool, a paused one
//   2. what holds up everything else: tasks that wait for each other, a process that stood still, a loop that does not turn
//   3. with room for another connection: why none comes (the server, the budget, or it is on its way)
//   4. without room: what those who hold the connections do with them

import type { Evidence, Verdict } from '../contracts/explain.ts';
import type { Holder } from '../contracts/snapshot.ts';

/** Idle for less than this a lease is at work: its borrower computes between two statements. */
export const IDLE_MS = 1_000;
/** What took this part of the time waited is the reason: a blocked loop, a process that stood still, a connect under way. */
const MOST = 0.5;

/** Whether `holder` has had no statement running for so long that it is doing something else. */
export function isIdle({ busy, idleMs }: Holder, forMs: number = IDLE_MS): boolean {
  return !busy && idleMs >= forMs;
}

/**
 * Those without a query for `leakAfterMs`. Where nobody waits for longer than that, they must have been so before he came: with both limits at
 * 30 s whoever takes a connection and asks the pool for another one would else be a leak at the very moment at which he times out.
 */
export function leaked({
  holders,
  leakAfterMs,
  timeoutMs,
  waitedMs,
}: Pick<Evidence, 'holders' | 'leakAfterMs' | 'timeoutMs' | 'waitedMs'>): Holder[] {
  const beforeMs = timeoutMs <= leakAfterMs ? waitedMs + IDLE_MS : 0;
  return holders.filter((holder) => isIdle(holder, Math.max(leakAfterMs, beforeMs)));
}

export function verdictOf(evidence: Evidence): Verdict {
  const { elsewhere, pausedForMs, refused, snapshot } = evidence;
  if (elsewhere !== undefined) return 'wrong-loop';
  if (snapshot.phase === 'closing' || snapshot.phase === 'closed') return 'closed';
  if (pausedForMs !== undefined) return 'paused';
  if (!refused && snapshot.waiting === 0) return 'ok';
  if (isDeadlock(evidence)) return 'deadlock';
  return whatStoppedTheProcess(evidence) ?? whyNoneComes(evidence) ?? whatHoldersDo(evidence);
}

/** It has lasted, by the pool's own measure or by that of whoever waited in vain. */
function isDeadlock({ deadlock, deadlockGraceMs, waitedMs }: Evidence): boolean {
  return deadlock !== undefined && deadlock.forMs >= Math.min(deadlockGraceMs, waitedMs * MOST);
}

function whatStoppedTheProcess({ connects, loop, waitedMs }: Evidence): Verdict | undefined {
  // A server that says no has said so to a loop that turned; one that was not heard may have been kept waiting itself.
  if (connects.refusing && !isSilence(connects.failure?.error)) return undefined;
  if (stoodStill(loop.frozen, waitedMs)) return 'frozen';
  return waitedMs > 0 && loop.blockedMs >= waitedMs * MOST ? 'loop-blocked' : undefined;
}

function stoodStill(frozen: Evidence['loop']['frozen'], waitedMs: number): boolean {
  return frozen !== undefined && frozen.agoMs <= waitedMs && frozen.forMs >= waitedMs * MOST;
}

/** A connect that ended for want of an answer. */
function isSilence(error: Error | undefined): boolean {
  const code: unknown = error === undefined ? undefined : Reflect.get(error, 'code');
  return code === 'ETIMEDOUT' || /no answer within/.test(error?.message ?? '');
}

/** With room for another connection one could be made; and where nobody holds one, no borrower is to blame. */
function whyNoneComes(evidence: Evidence): Verdict | undefined {
  const { lent, max, opening, size } = evidence.snapshot;
  const why = size - opening < max ? whyNoneIsMade(evidence) : undefined;
  return why ?? (lent === 0 ? 'connecting-slowly' : undefined);
}

function whyNoneIsMade({ awaitsPermit, connects, snapshot, waitedMs }: Evidence): Verdict | undefined {
  if (connects.refusing) return connects.failure?.fault === 'full' ? 'server-full' : 'server-down';
  if (awaitsPermit && !hasAllPermits(snapshot)) return 'budget';
  // One that was begun a moment ago, in place of one that died, is not what was waited for.
  const takesMs = Math.max(connects.oldestMs, connects.usualMs ?? 0);
  return connects.underway > 0 && takesMs >= waitedMs * MOST ? 'connecting-slowly' : undefined;
}

/** Then the budget is to this pool what a smaller `max` would be. */
function hasAllPermits({ budget }: Evidence['snapshot']): boolean {
  return budget !== undefined && budget.held >= budget.limit;
}

function whatHoldersDo(evidence: Evidence): Verdict {
  if (leaked(evidence).length > 0) return 'leak';
  const { holders } = evidence;
  const idle = holders.filter((holder) => isIdle(holder)).length;
  // More than half of them: that one of the others begins or rolls back at this very moment changes nothing.
  return 2 * idle > holders.length ? 'held-idle' : 'exhausted';
}
