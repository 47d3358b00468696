// What happens to a crowd of waiters, each timed by itself: they queue, they are served one after the other, their time runs out,
// they are aborted. Each phase checks that every waiter got exactly the end it should have.

import { collect, type Figures } from '../lib/child.ts';
import { give, mustAddUp, take } from '../lib/connection.ts';
import { MAX } from '../lib/contestant.ts';
import { stopwatch } from '../lib/stopwatch.ts';
import type { Ask, Crowd } from './crowd.ts';

/** The pool's connections, all out. */
async function holdAll(pool: Crowd): Promise<unknown[]> {
  const held: unknown[] = [];
  for (let count = 0; count < MAX; count += 1) held.push(await pool.acquire());
  for (const one of held) take(pool.connectionOf(one));
  return held;
}

function giveBack(pool: Crowd, held: readonly unknown[]): void {
  for (const one of held) {
    give(pool.connectionOf(one));
    pool.release(one);
  }
}

/** Calls back when every promise has ended; the ends must all be of the wanted kind. */
class Ends {
  readonly all: Promise<void>;
  #left: number;
  #done: () => void = () => {};

  constructor(count: number) {
    this.#left = count;
    this.all = new Promise((resolve) => {
      this.#done = resolve;
    });
  }

  one(): void {
    this.#left -= 1;
    if (this.#left === 0) this.#done();
  }
}

function unwanted(): never {
  throw new Error('a waiter got a connection that nobody gave back');
}

/** Enqueue and hand-off. */
export async function serve(pool: Crowd, waiters: number): Promise<Figures> {
  const held = await holdAll(pool);
  for (const connection of pool.connections) connection.served = 0;
  const promises: Promise<unknown>[] = new Array(waiters);
  promises.fill(Promise.resolve());
  const ends = new Ends(waiters);
  const served = (one: unknown): void => {
    const connection = pool.connectionOf(one);
    take(connection);
    give(connection);
    pool.release(one);
    ends.one();
  };
  const enqueuing = stopwatch();
  for (let at = 0; at < waiters; at += 1) promises[at] = pool.acquire();
  const enqueued = enqueuing();
  const failed = ((error: unknown) => {
    throw error;
  }) satisfies (error: unknown) => never;
  for (const promise of promises) promise.then(served, failed);
  const handing = stopwatch();
  giveBack(pool, held);
  await ends.all;
  const handed = handing();
  mustAddUp(pool.connections, waiters, MAX);
  return { enqueue: enqueued.cpuUs / waiters, handOff: handed.cpuUs / waiters };
}

/** Long enough for the whole crowd to have queued before the first one's time is up. */
export function timeoutFor(waiters: number): number {
  return 150 + Math.round(waiters / 100);
}

/** All expire; the time between is idle and costs no CPU. */
export async function expire(pool: Crowd, waiters: number): Promise<Figures> {
  const held = await holdAll(pool);
  const ends = new Ends(waiters);
  let givenBack = 0;
  const expired = (error: unknown): void => {
    if (!(error instanceof Error) || !error.message.includes('timeout')) throw error;
    if (Number(Reflect.get(error, 'givenBackMs') ?? 0) > 0) givenBack += 1;
    ends.one();
  };
  for (let at = 0; at < waiters; at += 1) pool.acquire().then(unwanted, expired);
  const expiring = stopwatch();
  await ends.all;
  const over = expiring();
  giveBack(pool, held);
  return { expire: over.cpuUs / waiters, givenBack };
}

/** All abort, under one signal or under one each, these in scattered order: leaving from the middle of the queue. */
export async function abort(pool: Crowd, waiters: number, each: boolean): Promise<Figures> {
  const held = await holdAll(pool);
  const ends = new Ends(waiters);
  const reason = new Error('not wanted any more');
  const aborted = (error: unknown): void => {
    if (error !== reason) throw error;
    ends.one();
  };
  const controllers = Array.from({ length: each ? waiters : 1 }, () => new AbortController());
  for (let at = 0; at < waiters; at += 1) {
    const { signal } = controllers[each ? at : 0] as AbortController;
    pool.acquire({ signal }).then(unwanted, aborted);
  }
  const leaving = stopwatch();
  // 7 919 is prime and divides no crowd: every index comes once.
  for (let at = 0; at < controllers.length; at += 1) controllers[(at * 7_919) % controllers.length]?.abort(reason);
  await ends.all;
  const left = leaving();
  giveBack(pool, held);
  return { [each ? 'abortEach' : 'abortShared']: left.cpuUs / waiters };
}

/** Live heap per waiter: its promise with both resolving functions included, what the caller hangs on the promise not. */
export async function weigh(pool: Crowd, waiters: number): Promise<Figures> {
  const held = await holdAll(pool);
  const promises: Promise<unknown>[] = new Array(waiters);
  promises.fill(Promise.resolve());
  const ends = new Ends(waiters);
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let at = 0; at < waiters; at += 1) promises[at] = pool.acquire();
  collect();
  const bytes = (process.memoryUsage().heapUsed - before) / waiters;
  for (const promise of promises) {
    promise.then((one) => {
      pool.release(one);
      ends.one();
    });
  }
  giveBack(pool, held);
  await ends.all;
  return { bytes };
}

/**
 * The longest turn of the event loop while a crowd expires within the same millisecond; by the clock, and in CPU time of the
 * process, which other work on the machine does not lengthen.
 */
export async function block(pool: Crowd, waiters: number): Promise<Figures> {
  const timeoutMs = timeoutFor(waiters);
  const held = await holdAll(pool);
  const ends = new Ends(waiters);
  let givenBack = 0;
  const expired = (error: unknown): void => {
    if (Number(Reflect.get(Object(error), 'givenBackMs') ?? 0) > 0) givenBack += 1;
    ends.one();
  };
  const due = performance.now() + timeoutMs;
  for (let at = 0; at < waiters; at += 1) {
    const ask: Ask = { acquireTimeoutMs: Math.max(1, Math.round(due - performance.now())) };
    pool.acquire(ask).then(unwanted, expired);
  }
  // What queueing left behind is not what expiring costs.
  collect();
  let longestMs = 0;
  let longestCpuMs = 0;
  let over = false;
  let lap = stopwatch();
  const turn = (): void => {
    const { cpuUs, wallUs } = lap();
    lap = stopwatch();
    longestMs = Math.max(longestMs, wallUs / 1_000);
    longestCpuMs = Math.max(longestCpuMs, cpuUs / 1_000);
    if (!over) setImmediate(turn);
  };
  setImmediate(turn);
  await ends.all;
  over = true;
  turn();
  giveBack(pool, held);
  return { longestMs, longestCpuMs, givenBack };
}
