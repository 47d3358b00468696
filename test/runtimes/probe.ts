// One probe of a runtime: something that the pool promises, tried once against a real server, within a bound. Owns how a probe is played and
// what it is given; knows none of them. No test runner: the runtimes differ most in those.

import type pg from 'pg';
import type { Pool, PoolOptions } from '../../src/doors/index.ts';
import { type Scope, withPool } from '../postgres/harness.ts';

/** What a probe has to work with; what it makes here goes when it ends. */
export interface Stage extends Scope {
  /** The server's. */
  readonly url: string;
  /** Asks and does things behind the pool's back. */
  readonly admin: pg.Client;
  pool(options?: PoolOptions): Pool;
}

export interface Probe {
  /** A sentence about what has to be so. */
  readonly name: string;
  /** Throws, or rejects, if it is not so. What it resolves with is told on the page. */
  run(stage: Stage): Promise<unknown>;
}

export interface Outcome {
  readonly name: string;
  readonly ok: boolean;
  /** Why it failed, or what was found out; empty if there is nothing to say. */
  readonly detail: string;
}

const BOUND_MS = 10_000;

async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  let bound: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    bound = setTimeout(() => reject(new Error(`${what} did not end within ${BOUND_MS / 1_000} s`)), BOUND_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(bound);
  }
}

/** In one line, so that it fits into a table. */
function inWords(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.replaceAll(/\s+/g, ' ').slice(0, 300);
}

export async function play(probe: Probe, url: string, admin: pg.Client): Promise<Outcome> {
  const { name } = probe;
  const undo: (() => Promise<void>)[] = [];
  const after = (fn: () => Promise<void>): void => void undo.push(fn);
  const stage: Stage = {
    after,
    url,
    admin,
    pool: (options) => withPool(stage, { connectionString: url, max: 2, ...options }),
  };
  let outcome: Outcome;
  try {
    const said = await within('it', probe.run(stage));
    outcome = { name, ok: true, detail: typeof said === 'string' ? said : '' };
  } catch (error) {
    outcome = { name, ok: false, detail: inWords(error) };
  }
  for (const fn of undo.reverse()) {
    try {
      await within('tidying up', fn());
    } catch (error) {
      if (outcome.ok) outcome = { name, ok: false, detail: inWords(error) };
    }
  }
  return outcome;
}
