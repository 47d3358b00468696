// What can be said about why somebody waits, or was turned away: the evidence, read in one turn, and the question to whoever concludes from
// it. Owns that no verdict, or one that cannot be given, costs anybody the answer; concludes nothing.

import type { Session } from '../contracts/driver.ts';
import type { Deadlock, Evidence, Explanation } from '../contracts/explain.ts';
import type { PoolSnapshot } from '../contracts/snapshot.ts';
import type { Household } from './household.ts';
import { relevantFailure } from './refusals.ts';
import { State } from './states.ts';

/** Who was refused. */
export interface Refused {
  readonly waitedMs: number;
  readonly timeoutMs: number;
  readonly givenBackMs: number;
  /** What it is turned away for; it waits no more, so that nobody would see it. */
  readonly deadlock?: Deadlock | undefined;
}

/** What the other parts know of it. */
export interface Witnesses {
  readonly pausedForMs: number | undefined;
  readonly awaitsPermit: boolean;
  readonly retryInMs: number | undefined;
}

export class Explaining<S extends Session> {
  readonly #house: Household<S>;
  readonly #witnesses: () => Witnesses;

  constructor(house: Household<S>, witnesses: () => Witnesses) {
    this.#house = house;
    this.#witnesses = witnesses;
  }

  /** Undefined where nobody concludes anything, or that failed, which is reported. */
  explain(refused?: Refused, snapshot: PoolSnapshot = this.#house.snapshot()): Explanation | undefined {
    const house = this.#house;
    try {
      return house.explainer.explain(this.#evidence(refused, snapshot));
    } catch (error) {
      const message = `${house.settings.name}: no explanation: ${error instanceof Error ? error.message : String(error)}`;
      house.reporter.report({ code: 'OXBOW_CALLBACK_FAILED', message, error });
      return undefined;
    }
  }

  #evidence(refused: Refused | undefined, snapshot: PoolSnapshot): Evidence {
    const house = this.#house;
    const { acquireTimeoutMs, deadlockGraceMs, leakAfterMs } = house.settings;
    const now = house.clock.now();
    const waitedMs = refused?.waitedMs ?? snapshot.oldestWaitMs;
    const since = now - waitedMs;
    const { awaitsPermit, pausedForMs, retryInMs } = this.#witnesses();
    const failure = relevantFailure(house, since);
    const opening = [...house.slots].filter(({ state }) => state === State.opening);
    const { blockedMs, frozen } = house.loop.read(since, now);
    return {
      snapshot,
      holders: house.holders(),
      refused: refused !== undefined,
      waitedMs,
      timeoutMs: refused?.timeoutMs ?? acquireTimeoutMs,
      givenBackMs: refused?.givenBackMs ?? 0,
      leakAfterMs,
      deadlockGraceMs,
      connects: {
        underway: opening.length,
        oldestMs: opening.reduce((oldest, { dialledAt }) => Math.max(oldest, now - dialledAt), 0),
        usualMs: house.counters.connect.value,
        failure: failure && {
          error: failure.error,
          fault: failure.fault,
          agoMs: now - failure.at,
          attempts: house.governor.attempt - 1,
        },
        // One that nobody has followed up says nothing of now.
        refusing: house.governor.refusing && failure !== undefined,
        retryInMs,
      },
      loop: { blockedMs: Math.min(blockedMs, waitedMs), frozen },
      deadlock: refused?.deadlock ?? house.jam(),
      awaitsPermit,
      // Whoever is turned away for a deadlock is so whatever else keeps others waiting.
      pausedForMs: refused?.deadlock === undefined ? pausedForMs : undefined,
      elsewhere: undefined,
    };
  }
}
