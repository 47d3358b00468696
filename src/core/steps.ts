// Every wait of the engine for somebody else: the registry of their names, and the one function that waits, always with a
// bound and never throwing. A law refuses any other `await` in the core; the matrix suite takes its axes from here.

import type { Clock } from '../contracts/clock.ts';
import type { TaskContext } from '../contracts/task-context.ts';
import { Alarm, type Deadlines, EXTENSIONS } from '../foundation/deadlines.ts';
import { timeLeft } from '../foundation/time-left.ts';

/** Name of each step and who answers it. */
export const STEPS = {
  permit: 'the budget gives leave to have a session',
  open: 'the driver connects and authenticates',
  admit: 'the budget has a new session prove its permit',
  abandon: 'the driver gives up a connect that nobody wants any more',
  configure: "the user's hook prepares a new connection",
  ping: 'the driver makes a liveness round trip',
  check: "the user's hook judges a connection before it is lent",
  settle: 'the driver cancels what runs and reads its reply',
  rollback: 'the driver ends an open transaction',
  discard: 'the driver forgets all session state',
  restore: 'the driver undoes what a borrower changed in the session',
  reset: "the user's hook cleans a returned connection",
  inquire: 'the server is asked through another session what a silent one does',
  probe: 'the driver opens a short session to ask through, where no other can',
  end: 'the driver says goodbye and closes the socket',
  destroy: 'the driver cuts the socket',
} as const;

export type StepName = keyof typeof STEPS;

/**
 * How a step went. `late` means that its bound passed; `rest` tells how it went in the end, if it ever ends. `leftMs` is what it left of its
 * bound, for whatever follows under the same deadline: elapsed time alone would count what a blocked loop took (DESIGN B14).
 */
export type Outcome<T> =
  | { readonly is: 'done'; readonly value: T; readonly leftMs: number }
  | { readonly is: 'failed'; readonly error: unknown }
  | { readonly is: 'late'; readonly rest: Promise<Settled<T>> };

export type Settled<T> = Exclude<Outcome<T>, { readonly is: 'late' }>;

export class Stepper {
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #tasks: TaskContext;

  constructor(clock: Clock, deadlines: Deadlines, tasks: TaskContext) {
    this.#clock = clock;
    this.#deadlines = deadlines;
    this.#tasks = tasks;
  }

  /**
   * Does `work` and tells how it went, after `boundMs` at the latest; at once as `late` when `signal` aborts. Never rejects,
   * never throws. What is done for the pool is done in no borrower's context (DESIGN B17), whoever made it necessary.
   */
  step<T>(_name: StepName, work: () => T | PromiseLike<T>, boundMs: number, signal?: AbortSignal): Promise<Outcome<T>> {
    return new Promise((resolve) => {
      let later: ((settled: Settled<T>) => void) | undefined;
      const passed = (): void => {
        this.#deadlines.remove(bound);
        signal?.removeEventListener('abort', passed);
        resolve({
          is: 'late',
          rest: new Promise((settle) => {
            later = settle;
          }),
        });
      };
      const bound = new Alarm(passed);
      const settle = (settled: Settled<T>): void => {
        this.#deadlines.remove(bound);
        signal?.removeEventListener('abort', passed);
        if (later === undefined) resolve(settled);
        else later(settled);
      };
      let promised: T | PromiseLike<T>;
      try {
        promised = this.#tasks.detached(work);
      } catch (error) {
        resolve({ is: 'failed', error });
        return;
      }
      // The work itself may have brought the abort about.
      if (signal?.aborted === true) {
        passed();
      } else {
        signal?.addEventListener('abort', passed);
        this.#deadlines.set(bound, Math.max(0, boundMs), this.#clock.now());
      }
      Promise.resolve(promised).then(
        (value) => settle({ is: 'done', value, leftMs: leftOf(bound, boundMs, this.#clock.now()) }),
        (error: unknown) => settle({ is: 'failed', error }),
      );
    });
  }
}

/** What an alarm that has not rung leaves; one that was extended as often as may be leaves nothing beyond its time. */
function leftOf({ dueAt, extension }: Alarm, boundMs: number, now: number): number {
  if (boundMs === Infinity) return Infinity;
  const leftMs = dueAt - now;
  return (extension?.count ?? 0) < EXTENSIONS ? timeLeft(leftMs, boundMs) : Math.max(0, leftMs);
}
