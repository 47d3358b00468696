// One limit for all threads of a process. Owns the budget as its users see it: made once, handed to other threads, joined there; and that
// the permits of a thread that died come back. The rules of taking and giving are in thread-permits.

import { randomUUID } from 'node:crypto';
import { types } from 'node:util';
import type { Worker } from 'node:worker_threads';
import { OptionError } from '../contracts/errors.ts';
import type { Budget, Member, Permits } from '../contracts/permits.ts';
import { tellThreadsBelow, threadsAbove } from './lineage.ts';
import { ThreadMemory } from './thread-memory.ts';
import { ThreadPermits } from './thread-permits.ts';
import { wakeAll, wakesBy } from './thread-wakes.ts';
import { onWorkerGone, watchWorkers } from './worker-deaths.ts';
import { workerThreads } from './worker-threads.ts';

/** More permits than this cost more to look through than a limit is worth. */
const MOST_PERMITS = 10_000;

/** What another thread needs to join; can be posted to it. */
export interface ThreadBudgetHandle {
  readonly oxbow: 'thread-budget';
  readonly memory: SharedArrayBuffer;
  readonly channel: string;
}

export interface ThreadShareOptions {
  /** Threads that were started before: their permits come back when they end. Those that are started later are known. */
  readonly workers?: readonly Worker[] | undefined;
}

export class ThreadBudget implements Budget {
  readonly #memory: ThreadMemory;
  readonly #channel: string;

  constructor(memory: ThreadMemory, channel: string) {
    this.#memory = memory;
    this.#channel = channel;
    tellThreadsBelow();
    onWorkerGone(channel, (thread) => {
      if (memory.clearThread(thread)) wakeAll(channel);
    });
  }

  /** How many sessions there are at most. */
  get limit(): number {
    return this.#memory.limit;
  }

  /** How many permits are taken now. */
  get used(): number {
    return this.#memory.used;
  }

  join(member: Member): Permits {
    return new ThreadPermits(this.#memory, member, wakesBy(this.#channel), (memory) =>
      memory.enter(workerThreads().threadId, threadsAbove()),
    );
  }

  /** What another thread joins by: `joinThreadBudget(handle)`. */
  share({ workers = [] }: ThreadShareOptions = {}): ThreadBudgetHandle {
    watchWorkers(workers);
    return { oxbow: 'thread-budget', memory: this.#memory.buffer, channel: this.#channel };
  }
}

/**
 * One limit for pools in any number of threads of this process; give it to each as the option `budget`. `max` is how many sessions there are
 * at most, from 1 to 10 000. Throws `OptionError`.
 */
export function createThreadBudget(options: { readonly max: number }): ThreadBudget {
  const max: unknown = typeof options === 'object' && options !== null ? options.max : undefined;
  if (typeof max !== 'number' || !Number.isInteger(max) || max < 1 || max > MOST_PERMITS)
    throw new OptionError('max', max, `a whole number from 1 to ${MOST_PERMITS}`);
  return new ThreadBudget(new ThreadMemory(max), `oxbow-${randomUUID()}`);
}

/** The same budget in another thread, by what its `share()` gave there. Throws `OptionError`. */
export function joinThreadBudget(handle: ThreadBudgetHandle): ThreadBudget {
  const given: Partial<Record<keyof ThreadBudgetHandle, unknown>> =
    typeof handle === 'object' && handle !== null ? handle : {};
  const { memory, channel } = given;
  if (given.oxbow !== 'thread-budget' || !types.isSharedArrayBuffer(memory) || typeof channel !== 'string')
    throw new OptionError(
      'handle',
      handle,
      'what share() of a thread budget gave, as it came out of workerData or a message',
    );
  return new ThreadBudget(new ThreadMemory(memory), channel);
}
