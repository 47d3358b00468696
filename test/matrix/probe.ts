// Sees every step that any engine of this process takes, at the one place where engines wait. Owns the patch; what to do about
// a step is for the case that is being played.

import { type StepName, Stepper } from '../../src/core/steps.ts';

type Work = () => unknown;

export interface Seen {
  /** Done in place of the step's own. */
  readonly work: Work;
  /** Called between the outcome and whatever the engine does about it. */
  readonly over: (how: 'done' | 'failed' | 'late') => void;
}

/** Whoever wants to see the steps. */
export interface Watcher {
  /** A step begins. */
  stepping(name: StepName, boundMs: number, work: Work): Seen;
}

let watcher: Watcher | undefined;

/** One watcher at a time: cases are played one after the other. */
export function watchSteps(by: Watcher | undefined): void {
  watcher = by;
}

Stepper.prototype.step = new Proxy(Stepper.prototype.step, {
  apply(step, self, args: [StepName, Work, number, AbortSignal | undefined]): unknown {
    const [name, work, boundMs, signal] = args;
    const by = watcher;
    if (by === undefined) return Reflect.apply(step, self, args);
    const seen = by.stepping(name, boundMs, work);
    const outcome = Reflect.apply(step, self, [name, seen.work, boundMs, signal]);
    void outcome.then((how) => seen.over(how.is));
    return outcome;
  },
});
