// The port to the answer of "why": what a verdict is made of. The decision itself is a pure function behind the port.

import type { Holder, PoolSnapshot } from './snapshot.ts';

/** Everything a verdict may be concluded from, read in one turn. */
export interface Evidence {
  readonly snapshot: PoolSnapshot;
  readonly holders: readonly Holder[];
  /** How long the asker has waited, in milliseconds; 0 when nobody failed. */
  readonly waitedMs: number;
  /** How much of that was given back because the loop was blocked. */
  readonly givenBackMs: number;
}

export interface Explanation {
  verdict: string;
  /** One sentence with the figures. */
  summary: string;
  evidence: Record<string, unknown>;
  /** What to do, most useful first. */
  advice: string[];
}

export interface Explainer {
  explain(evidence: Evidence): Explanation | undefined;
}

/** The inert part: errors then carry the snapshot alone. */
export const noExplainer: Explainer = { explain: () => undefined };
