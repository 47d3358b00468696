// What a pool of many requests has in one of them: an ordinary pool, whose sockets never leave the I/O context in which they were opened. Owns
// when that pool's connections are closed, so that its request can end, and that what other contexts ask of it is done in its own.

import type { Clock, Timer } from '../contracts/clock.ts';
import type { Observer } from '../contracts/events.ts';
import type { Budget, Member } from '../contracts/permits.ts';
import type { CloseReport } from '../contracts/snapshot.ts';
import type { Contexts, IoContext } from '../sharing/io-context.ts';
import type { IsolateBudget, IsolatePermits } from '../sharing/isolate-budget.ts';
import type { PoolOptions } from './options.ts';
import { Pool } from './pool.ts';
import { RequestGuard, unguarded } from './request-guard.ts';
import type { CloseOptions } from './requests.ts';
import type { Warnings } from './warnings.ts';

/** How long closing what is idle may keep a request alive. */
const GOODBYE_MS = 2_000;
/**
 * A lease on which nothing has run for so long is taken away: whoever holds it has very likely hung, and as long as there are timers of ours the
 * platform would not notice.
 */
const HUNG_MS = 30_000;

const USE_IT_THERE = 'borrow one in each request; only release() may be called elsewhere';

export interface Making {
  readonly options: PoolOptions;
  readonly name: string;
  readonly budget: IsolateBudget;
  readonly contexts: Contexts;
  readonly clock: Clock;
  /** Known from other requests: it costs a round trip to find out. */
  readonly pooled: Map<string, boolean>;
  readonly warnings: Warnings;
  /** How long a connection that nobody uses is kept in a request. */
  readonly graceMs: number;
}

export class Cell {
  readonly context: IoContext;
  readonly pool: Pool;
  /** Which of the whole pool's observers were put on this one, and how they come off again. */
  readonly undo: Map<object, () => void> = new Map();
  /** Which of pg's events are passed on. */
  readonly relayed: Set<string> = new Set();
  readonly #making: Making;
  #permits: IsolatePermits | undefined;
  readonly #posted: (() => void)[] = [];
  #closing = false;
  #grace: Timer | undefined;
  /** Lets the request end. */
  #letGo: (() => void) | undefined;

  /** Made in the context that it is for. */
  constructor(making: Making, context: IoContext) {
    const { budget, clock, contexts, name } = making;
    this.#making = making;
    this.context = context;
    const joined: Budget = {
      join: (member: Member) => {
        this.#permits = budget.join(member);
        this.#permits.onBeat = () => this.#beat();
        this.#permits.lives = () => this.pool.snapshot().waiting > 0;
        return this.#permits;
      },
    };
    const options: PoolOptions = { ...making.options, clock, budget: joined };
    if (contexts.mortal) {
      const guard = new RequestGuard(`a lease of ${name}`, { mint: () => context }, USE_IT_THERE);
      const Lease = guard.leases((_error, work) => this.post(work));
      unguarded(options, { Lease, pooled: making.pooled, warnings: making.warnings });
    }
    this.pool = new Pool(options);
    if (contexts.mortal) this.pool.observe(this.#restful);
  }

  /** Does it in this context: now if that is this turn's, else at the next beat. */
  post(work: () => void): void {
    if (this.context.here) work();
    else this.#posted.push(work);
  }

  /** What was asked of this context meanwhile, before anything else is. */
  enter(): void {
    for (const work of this.#posted.splice(0)) work();
  }

  /** It has nothing left that anybody could wait for, or nobody is left who could. */
  get isOver(): boolean {
    const permits = this.#permits;
    const { clock, contexts } = this.#making;
    if (this.pool.phase === 'closed') return true;
    if (!contexts.mortal || permits === undefined) return false;
    if (permits.writtenOff) return true;
    const { size, waiting } = this.pool.snapshot();
    if (size > 0) return false;
    return (waiting === 0 && !permits.waits) || permits.isGone(clock.now());
  }

  close(options: CloseOptions, done: (report: CloseReport) => void): void {
    this.#closing = true;
    this.post(() => void this.pool.close(options).then(done));
  }

  /** It lends nothing from now on, or from when it is open on, if that is `still` wanted then. */
  async pause(options: { borrowers?: 'wait' | 'reject' }, still: () => boolean): Promise<void> {
    try {
      if (this.pool.phase === 'opening') await this.pool.ready();
      if (still()) await this.pool.pause(options);
    } catch {
      // It is closing, or cannot be opened: then it lends nothing either.
    }
  }

  readonly #restful: Partial<Observer> = {
    waiting: () => this.#permits?.beat(),
    lent: () => this.#busy(),
    opened: () => this.#rest(),
    returned: () => this.#rest(),
    // The slot is still being parted with.
    closed: () => void this.#making.clock.timer(0, () => this.#empty()),
  };

  /** Nothing here has to keep the request: somebody uses a connection, or none is left. */
  #busy(): void {
    this.#grace?.cancel();
    this.#letGo?.();
    this.#letGo = undefined;
  }

  /** Connections that nobody uses go after a moment, and the request lives for as long as that takes. An object keeps its own, like other pools. */
  #rest(): void {
    const { clock, contexts, graceMs } = this.#making;
    this.#grace?.cancel();
    if (this.context.kind !== 'request') return;
    if (this.#letGo === undefined) contexts.keepAlive(new Promise((resolve) => (this.#letGo = resolve)));
    this.#grace = clock.timer(graceMs, () => {
      this.#grace = clock.timer(GOODBYE_MS, () => this.#busy());
      const { lent, opening, waiting } = this.pool.snapshot();
      if (lent + opening + waiting > 0) this.#busy();
      else void this.pool.trim();
    });
  }

  /** Without a connection and without a borrower it is done, and leaves no timer behind: an object could not sleep. */
  #empty(): void {
    const { size, waiting } = this.pool.snapshot();
    if (size + waiting > 0 || this.#permits?.waits === true) return;
    this.#busy();
    this.#closing = true;
    void this.pool.close();
  }

  #beat(): void {
    this.enter();
    if (this.#closing || this.context.kind !== 'request') return;
    if (!this.pool.holders().some(({ busy, idleMs }) => !busy && idleMs > HUNG_MS)) return;
    this.#closing = true;
    void this.pool.close({ drainMs: 0, cancelMs: 0 });
  }

  /** It takes no new borrowers. */
  get closing(): boolean {
    return this.#closing;
  }
}

/** Refuses everybody with the right words. */
export function closedPool(given: PoolOptions): Pool {
  const options = { ...given };
  unguarded(options);
  const tomb = new Pool(options);
  void tomb.close();
  return tomb;
}
