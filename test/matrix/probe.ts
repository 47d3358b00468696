// Sees every step that any engine of this process takes, at the one place where engines wait. Owns the patch; what to do about
// a step is for the case that is being played.

import { type StepName, Stepper } from '../../src/core/steps.ts';

type Work = () => unknown;

/** Whoever wants to see the steps. */
export interface Watcher {
  /** A step begins; what is returned is done in place of `work`. */
  stepping(name: StepName, boundMs: number, work: Work): Work;
  stepped(name: StepName, boundMs: number, how: 'done' | 'failed' | 'late'): void;
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
    const outcome = Reflect.apply(step, self, [name, by.stepping(name, boundMs, work), boundMs, signal]);
    void outcome.then((how) => by.stepped(name, boundMs, how.is));
    return outcome;
  },
});
