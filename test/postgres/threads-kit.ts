// Threads with a part of a shared pool each, ordered about by a test; and what the server sees of them all.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type pg from 'pg';
import { Pool, type PoolOptions, type PoolSnapshot } from '../../src/doors/index.ts';
import type { SharedPool } from '../../src/doors/threads.ts';
import { backends, freshName, type Scope } from './harness.ts';

/** As it goes into a thread. */
export interface Start {
  readonly handle?: SharedPool | undefined;
  readonly overrides?: PoolOptions | undefined;
}

interface Statement {
  readonly n: number;
  readonly statement: string;
}

/** What can be ordered, what goes with it, what comes back. */
export interface Orders {
  join: [{ handle: SharedPool }, undefined];
  hammer: [{ tasks: number; ms: number; statement: string }, { done: number; worstMs: number; connects: number }];
  lend: [{ n: number }, { permitMs: number; readyMs: number }];
  hold: [Statement, undefined];
  release: [undefined, undefined];
  query: [{ text: string }, unknown[]];
  onOne: [{ texts: readonly string[]; before?: string }, unknown[]];
  trim: [undefined, undefined];
  face: [undefined, { kind: string; name: string; max: number; budget: PoolSnapshot['budget'] }];
  block: [{ ms: number }, undefined];
  close: [undefined, undefined];
  exit: [undefined, undefined];
  nest: [Statement, { thread: number }];
  endBelow: [undefined, undefined];
  sleep: [{ ms: number }, undefined];
  thread: [undefined, number];
}

export interface Order<O extends keyof Orders> {
  readonly id: number;
  readonly op: O;
  readonly given: Orders[O][0];
}

export interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** A pool without anything that cannot cross, closed with the scope. */
export function plainPool(scope: Scope, options: PoolOptions): Pool {
  const pool = new Pool({ name: freshName(), ...options });
  scope.after(async () => {
    await pool.close({ drainMs: 0, cancelMs: 200 });
  });
  return pool;
}

export class Thread {
  readonly worker: Worker;
  readonly #asked = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #lastId = 0;

  constructor(scope: Scope, start: Start = {}) {
    this.worker = new Worker(new URL('./threads-worker.js', import.meta.url), { workerData: start });
    this.worker.on('message', ({ id, value, error }: Answer) => {
      if (id === 0) return this.#fail(new Error(error));
      const asked = this.#asked.get(id);
      this.#asked.delete(id);
      if (error === undefined) asked?.resolve(value as never);
      else asked?.reject(new Error(error));
    });
    this.worker.on('exit', () => this.#fail(new Error('the thread has ended')));
    scope.after(() => this.end());
  }

  order<O extends keyof Orders>(
    op: O,
    ...[given]: Orders[O][0] extends undefined ? [] : [Orders[O][0]]
  ): Promise<Orders[O][1]> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject });
      this.worker.postMessage({ id, op, given });
    });
  }

  #fail(error: Error): void {
    for (const { reject } of this.#asked.values()) reject(error);
    this.#asked.clear();
  }

  async end(): Promise<void> {
    await this.worker.terminate();
  }
}

export interface Watch {
  /** The most sessions that were seen in two samples in a row. */
  readonly most: number;
  readonly samples: number;
  stop(): Promise<void>;
}

/** Counts the sessions of this `application_name` every 8 ms or so. */
export function watch(admin: pg.Client, name: string): Watch {
  let [most, samples, before] = [0, 0, 0];
  let on = true;
  const watching = (async (): Promise<void> => {
    while (on) {
      const now = await backends(admin, name).catch(() => undefined);
      if (now === undefined) return; // the server has gone before us
      most = Math.max(most, Math.min(now, before));
      before = now;
      samples += 1;
      await sleep(8);
    }
  })();
  return {
    get most() {
      return most;
    },
    get samples() {
      return samples;
    },
    async stop() {
      on = false;
      await watching;
    },
  };
}

export function median(numbers: readonly number[]): number {
  assert.ok(numbers.length % 2 === 1, 'an odd number of them');
  return numbers.toSorted((one, other) => one - other)[(numbers.length - 1) / 2] ?? 0;
}
