// The answer to "why": the verdict with a sentence that has the figures, the facts as plain data, and what to do. Owns the words of each
// verdict; which one it is, is decided elsewhere. Pure: the same evidence, the same answer.

import type { Evidence, Explainer, Explanation, Verdict } from '../contracts/explain.ts';
import type { BudgetFigures } from '../contracts/permits.ts';
import type { Holder, PoolSnapshot } from '../contracts/snapshot.ts';
import { shared } from '../core/refusals.ts';
import { duration, plural } from '../foundation/words.ts';
import { adviceFor } from './advice.ts';
import { isIdle, leaked, verdictOf } from './verdicts.ts';
import { told } from './words.ts';

/** Holders that the evidence lists, and so much of a statement. */
const LISTED = 5;
const STATEMENT_CHARS = 200;

/** What the connections are doing, in a few words: `5/5 lent, none running a query, 2 more waiting`. */
function standing({ holders, refused, snapshot: s }: Evidence): string {
  const parts = [`${s.lent}/${s.max} lent`];
  if (s.lent > 0) parts.push(running(holders));
  if (s.idle > 0) parts.push(`${s.idle} idle`);
  if (s.opening > 0) parts.push(`${s.opening} being opened`);
  if (s.returning > 0) parts.push(`${s.returning} returning or being checked`);
  if (s.closing > 0) parts.push(`${s.closing} being closed`);
  // Whoever asks is told how many wait ahead of all this.
  if (refused && s.waiting > 0) parts.push(`${s.waiting} more waiting`);
  return parts.join(', ');
}

function running(holders: readonly Holder[]): string {
  const busy = holders.filter((holder) => holder.busy).length;
  if (busy === 0) return 'none running a query';
  return busy === holders.length ? 'all running a query' : `${busy} running a query`;
}

function limitOf(budget: PoolSnapshot['budget']): string {
  return budget === undefined ? 'the budget has no permit' : shared(budget);
}

function failed({ connects }: Evidence): string {
  const { failure, retryInMs } = connects;
  if (failure === undefined) return 'no connect has succeeded yet';
  const times = failure.attempts > 1 ? `, ${failure.attempts} in a row` : '';
  const next =
    retryInMs === undefined || failure.fault === 'permanent' ? '' : `; the next is tried in ${duration(retryInMs)}`;
  return `the last connect failed ${duration(failure.agoMs)} ago${times}: ${failure.error.message}${next}`;
}

/** What happened to whoever asked. */
function head(verdict: Verdict, { givenBackMs, refused, snapshot, timeoutMs, waitedMs }: Evidence): string[] {
  if (!refused) {
    if (snapshot.waiting === 0) return verdict === 'ok' ? ['nobody waits'] : [];
    return [`${plural(snapshot.waiting, 'borrower waits', 'borrowers wait')}, the oldest for ${duration(waitedMs)}`];
  }
  if (timeoutMs === 0) return ['no connection: none idle and ready'];
  return [`no connection within ${duration(givenBackMs > 0 || timeoutMs === Infinity ? waitedMs : timeoutMs)}`];
}

/** Besides the verdict's own sentence: other things that are true and would be missed. */
function besides(verdict: Verdict, evidence: Evidence): string[] {
  const { connects, givenBackMs, loop, snapshot, waitedMs } = evidence;
  const more: string[] = [];
  const said = verdict === 'server-down' || verdict === 'server-full' || verdict === 'ok' || verdict === 'closed';
  if (connects.failure !== undefined && !said) more.push(failed(evidence));
  if (verdict !== 'loop-blocked' && verdict !== 'ok' && loop.blockedMs > 0) {
    more.push(`the event loop was blocked for ${duration(loop.blockedMs)} of the time`);
  }
  const { frozen } = loop;
  if (verdict !== 'frozen' && verdict !== 'ok' && frozen !== undefined && frozen.agoMs <= waitedMs) {
    more.push(`the process stood still for ${duration(frozen.forMs)} of it`);
  }
  if (givenBackMs > 0) more.push(`${duration(givenBackMs)} of blocked time were given back`);
  if (snapshot.budget !== undefined && verdict !== 'budget' && verdict !== 'ok') more.push(limitOf(snapshot.budget));
  return more;
}

const BODIES: Readonly<Record<Verdict, (evidence: Evidence) => string>> = {
  // Nobody waits, and yet the next one would: what is wrong is said all the same.
  ok: (e) => (e.connects.refusing && e.connects.failure !== undefined ? `${standing(e)}; ${failed(e)}` : standing(e)),
  exhausted: (e) => `no connection is free: ${standing(e)}${holding(e.holders)}`,
  'held-idle': (e) => `${standing(e)}${holding(e.holders)}`,
  leak: (e) => {
    const lost = leaked(e);
    const which = plural(lost.length, 'lease has', 'leases have');
    // If all do nothing, those who have not done so for as long are no better: they may be the ones whose place is known.
    const idle = e.holders.every((holder) => isIdle(holder)) ? e.holders : lost;
    return `${which} had no query running for more than ${duration(e.leakAfterMs)}: ${standing(e)}${holding(idle)}`;
  },
  deadlock: (e) => {
    const { cycle, forMs } = e.deadlock ?? { cycle: [], forMs: 0 };
    return `probable deadlock: those who hold the connections wait for another one themselves, and nothing has moved for ${duration(forMs)}: ${standing(e)}${holding(cycle, e.snapshot.name)}`;
  },
  'server-down': (e) => {
    const lasting = e.connects.failure?.fault === 'permanent' ? ', and trying again will not help' : '';
    return `no connection can be made${lasting}: ${failed(e)}; ${standing(e)}`;
  },
  'server-full': (e) => `the server has no room for another session: ${failed(e)}; ${standing(e)}${holding(e.holders)}`,
  'connecting-slowly': (e) => {
    const { oldestMs, underway, usualMs } = e.connects;
    const usual = usualMs === undefined ? '' : `, where one has lately taken ${duration(usualMs)}`;
    const connects =
      underway === 0
        ? 'no connection is ready'
        : `connecting takes long: ${plural(underway, 'connect')} under way${underway > 1 ? ', the oldest' : ''} for ${duration(oldestMs)}${usual}`;
    return `${connects}; ${standing(e)}`;
  },
  'loop-blocked': (e) =>
    `the event loop was blocked for ${duration(e.loop.blockedMs)} of ${duration(e.waitedMs)} by other work of this process, not by the pool or the server; ${standing(e)}${holding(idleOf(e))}`,
  frozen: (e) => {
    const { forMs, agoMs } = e.loop.frozen ?? { forMs: 0, agoMs: 0 };
    return `the whole process stood still for ${duration(forMs)}, until ${duration(agoMs)} ago (frozen, suspended, or in a synchronous call); ${standing(e)}${holding(idleOf(e))}`;
  },
  paused: (e) =>
    `the pool has been paused for ${duration(e.pausedForMs ?? 0)} and lends nothing until resume(); ${standing(e)}`,
  budget: (e) =>
    `the limit that this pool shares with others is used up: ${limitOf(e.snapshot.budget)}; ${standing(e)}`,
  'wrong-loop': (e) =>
    `${e.elsewhere?.lives ?? 'the pool lives elsewhere'}, and is used ${e.elsewhere?.used ?? 'here'}`,
  closed: (e) => `the pool is ${e.snapshot.phase}; ${standing(e)}`,
};

function holding(holders: readonly Holder[], own?: string): string {
  return holders.length === 0 ? '' : `; ${told(holders, own)}`;
}

/** Who would keep the next one waiting too, with a loop that turns. */
function idleOf({ holders }: Evidence): Holder[] {
  return holders.filter((holder) => isIdle(holder));
}

function listed(holders: readonly Holder[]): Holder[] {
  return holders.slice(0, LISTED).map((holder) => {
    const { lastStatement } = holder;
    if (lastStatement === undefined || lastStatement.length <= STATEMENT_CHARS + 1) return holder;
    return { ...holder, lastStatement: `${lastStatement.slice(0, STATEMENT_CHARS)}…` };
  });
}

/** Without what only the server knows: JSON has no word for it. */
function known(budget: BudgetFigures): Partial<BudgetFigures> {
  return Object.fromEntries(Object.entries(budget).filter(([, figure]) => figure !== undefined));
}

/** Plain data; errors as their texts, since an error may carry its driver's whole state. */
function factsOf(evidence: Evidence): Record<string, unknown> {
  const { awaitsPermit, connects, deadlock, givenBackMs, holders, loop, pausedForMs, snapshot, waitedMs } = evidence;
  const { failure } = connects;
  const { lastConnectError: _said, ...figures } = snapshot;
  return {
    ...figures,
    ...(figures.budget === undefined ? {} : { budget: known(figures.budget) }),
    waitedMs,
    givenBackMs,
    running: holders.filter(({ busy }) => busy).length,
    idleLeases: holders.filter((holder) => isIdle(holder)).length,
    inTransaction: holders.filter(({ inTransaction }) => inTransaction === true).length,
    leaks: leaked(evidence).length,
    holders: listed(holders),
    blockedMs: loop.blockedMs,
    ...(loop.frozen === undefined ? {} : { frozenForMs: loop.frozen.forMs, frozenAgoMs: loop.frozen.agoMs }),
    connects: connects.underway,
    ...(connects.usualMs === undefined ? {} : { usualConnectMs: connects.usualMs }),
    ...(failure === undefined
      ? {}
      : {
          connectError: failure.error.message,
          connectErrorAgoMs: failure.agoMs,
          connectAttempts: failure.attempts,
          fault: failure.fault,
        }),
    ...(pausedForMs === undefined ? {} : { pausedForMs }),
    ...(awaitsPermit ? { awaitsPermit } : {}),
    ...(deadlock === undefined
      ? {}
      : { cycle: listed(deadlock.cycle), cycleLength: deadlock.cycle.length, stuckForMs: deadlock.forMs }),
  };
}

export function explain(evidence: Evidence): Explanation {
  const verdict = verdictOf(evidence);
  const said = [...head(verdict, evidence), BODIES[verdict](evidence), ...besides(verdict, evidence)].join('; ');
  return {
    verdict,
    summary: `${evidence.snapshot.name}: ${said}`,
    evidence: factsOf(evidence),
    advice: adviceFor(verdict, evidence),
  };
}

/** All that can be known of a pool from an event loop that is not its own. */
export function elsewhere(snapshot: PoolSnapshot, where: NonNullable<Evidence['elsewhere']>): Evidence {
  return {
    snapshot,
    holders: [],
    refused: false,
    waitedMs: snapshot.oldestWaitMs,
    timeoutMs: 0,
    givenBackMs: 0,
    leakAfterMs: Infinity,
    deadlockGraceMs: Infinity,
    connects: {
      underway: snapshot.opening,
      oldestMs: 0,
      usualMs: undefined,
      failure: undefined,
      refusing: false,
      retryInMs: undefined,
    },
    loop: { blockedMs: 0, frozen: undefined },
    deadlock: undefined,
    awaitsPermit: false,
    pausedForMs: undefined,
    elsewhere: where,
  };
}

export const explainer: Explainer = { explain };
