// The port to the answer of "why": what a verdict is concluded from, and its shape. The decision itself is a pure function behind the port.

import type { Fault } from './driver.ts';
import type { Holder, PoolSnapshot } from './snapshot.ts';

/** Every verdict there is; docs/reference/errors.md has a paragraph for each. */
export const VERDICTS = [
  'ok',
  'exhausted',
  'held-idle',
  'leak',
  'deadlock',
  'server-down',
  'server-full',
  'connecting-slowly',
  'loop-blocked',
  'frozen',
  'paused',
  'budget',
  'wrong-loop',
  'closed',
] as const;

export type Verdict = (typeof VERDICTS)[number];

/** Tasks that hold everything and wait for more; *probable*, since who waits for what inside a task cannot be seen. */
export interface Deadlock {
  /** Who holds what, of all pools that are part of it. */
  readonly cycle: readonly Holder[];
  /** For how long nothing could move, in milliseconds. */
  readonly forMs: number;
}

/** What the loop was kept from doing, as late timers measured it. */
export interface LoopEvidence {
  /** For how long it was blocked within the time that is asked about; never more than that. */
  readonly blockedMs: number;
  /** The whole process stood still (SIGSTOP, a sleeping machine, a frozen function): for how long, and how long ago that ended. */
  readonly frozen: { readonly forMs: number; readonly agoMs: number } | undefined;
}

/** How connecting goes. */
export interface ConnectEvidence {
  /** Connects in flight, and the oldest one's age. */
  readonly underway: number;
  readonly oldestMs: number;
  /** How long connects have lately taken; undefined before the first. */
  readonly usualMs: number | undefined;
  /** The last failed connect, if it is still going on or fell into the time that is asked about: an older one explains nothing. */
  readonly failure:
    | { readonly error: Error; readonly fault: Fault; readonly agoMs: number; readonly attempts: number }
    | undefined;
  /** No connect has succeeded since that failure. */
  readonly refusing: boolean;
  /** When the next one is tried, if that is what is waited for. */
  readonly retryInMs: number | undefined;
}

/** Everything a verdict may be concluded from, read in one turn. */
export interface Evidence {
  readonly snapshot: PoolSnapshot;
  readonly holders: readonly Holder[];
  /** Somebody was just refused: one more than `snapshot.waiting` counts. Else it is only a question. */
  readonly refused: boolean;
  /** How long the refused one has waited, or else the oldest waiter, in milliseconds. */
  readonly waitedMs: number;
  /** What the refused one was ready to wait. */
  readonly timeoutMs: number;
  /** How much time was given back because the loop was blocked. */
  readonly givenBackMs: number;
  readonly leakAfterMs: number;
  readonly deadlockGraceMs: number;
  readonly connects: ConnectEvidence;
  readonly loop: LoopEvidence;
  readonly deadlock: Deadlock | undefined;
  /** Waits for a permit of the budget, of which there is none. */
  readonly awaitsPermit: boolean;
  /** For how long the pool has been paused; undefined if it is not. */
  readonly pausedForMs: number | undefined;
  /** Where the pool lives and where it is asked, if that is not the same event loop. */
  readonly elsewhere: { readonly lives: string; readonly used: string; readonly instead: string } | undefined;
}

export interface Explanation {
  verdict: Verdict;
  /** One sentence with the figures. */
  summary: string;
  /** What it was concluded from: plain data, no secret. */
  evidence: Record<string, unknown>;
  /** What to do, most useful first. */
  advice: string[];
}

export interface Explainer {
  explain(evidence: Evidence): Explanation | undefined;
}

/** The inert part: errors then carry the snapshot alone. */
export const noExplainer: Explainer = { explain: () => undefined };
