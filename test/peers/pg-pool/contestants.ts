// The pools under the same test: the genuine `pg.Pool`, that of `oxbow/pg`, and ours. Owns the server, the registration of each line's and
// each deviation's one test, and that nothing of a test outlives it, whichever pool it was.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import test from 'node:test';
import pg from 'pg';
import { Pool, type PoolOptions } from '../../../src/doors/index.ts';
import { deviations, Pool as PgPool } from '../../../src/doors/pg.ts';
import { type Ended, freshName, withClient, withServer } from '../../postgres/harness.ts';
import { lines } from './lines.ts';

// The only wait at the top of a module: tests that are registered later than that might come when all others are over.
export const server = await withServer(test);
export const admin: pg.Client = await withClient(test, server.config);

type ClientClass = new (config?: pg.ClientConfig) => pg.Client;

/** What pg's pool takes beyond its published types. */
export interface Options extends Omit<pg.PoolConfig, 'Client' | 'onConnect'> {
  Client?: ClientClass;
  onConnect?: (client: pg.ClientBase) => unknown;
  poolSize?: number;
  binary?: boolean;
  /** Ours alone. */
  checkAfterIdleMs?: number;
  connectTimeoutMs?: number;
}

type Door = 'pg.Pool' | 'oxbow' | 'oxbow/pg';

const quiet = { debug() {}, info() {}, warn() {}, error() {} };
/** What is no object is passed on as it is. */
const said = (options: Options | undefined): PoolOptions | undefined =>
  typeof options === 'object' ? { logger: quiet, ...options } : options;

const make: Readonly<Record<Door, (options: Options | undefined) => pg.Pool>> = {
  'pg.Pool': (options) => new pg.Pool(options as pg.PoolConfig),
  'oxbow/pg': (options) => new PgPool(said(options)),
  oxbow: (options) => new Pool(said(options)),
};

const modules: Readonly<Record<Door, string>> = {
  'pg.Pool': import.meta.resolve('pg'),
  'oxbow/pg': new URL('../../../src/doors/pg.js', import.meta.url).href,
  oxbow: new URL('../../../src/doors/index.js', import.meta.url).href,
};

export class Bench {
  readonly door: Door;
  readonly #ends: (() => unknown)[] = [];

  constructor(door: Door) {
    this.door = door;
  }

  get ours(): boolean {
    return this.door !== 'pg.Pool';
  }

  /** Called when the test is over, the last one first. */
  after(end: () => unknown): void {
    this.#ends.push(end);
  }

  /** A pool for the test's own server, whose sessions have a name of their own. */
  pool(options: Options = {}): pg.Pool {
    return this.bare({ ...server.config, application_name: freshName(), ...options });
  }

  /** A pool with these options and no others. */
  bare(options?: Options): pg.Pool {
    const pool = make[this.door](options);
    const clients = new Set<pg.Client>();
    pool.on('connect', (client) => clients.add(client));
    this.#ends.push(() => {
      // pg's pool can be left only by cutting what a failed test has left open.
      pool.on('error', () => {});
      for (const client of clients) {
        client.on('error', () => {});
        client.connection.stream.destroy();
      }
      if (pool instanceof Pool) return pool.close({ drainMs: 0, cancelMs: 100 });
      if (!pool.ending) pool.end().catch(() => {});
      return undefined;
    });
    return pool;
  }

  /** Runs a program that has `Pool`, `config` and `say`; resolves when it has ended by itself. */
  run(program: string): Promise<Ended> {
    const source = [
      `import { Pool } from ${JSON.stringify(modules[this.door])};`,
      `const config = ${JSON.stringify(server.config)};`,
      `const say = (what) => process.stdout.write(what + '\\n');`,
      program,
    ].join('\n');
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, ['--input-type=module', '--eval', source]);
      let stdout = '';
      let stderr = '';
      child.stdout.on('data', (chunk) => {
        stdout += String(chunk);
      });
      child.stderr.on('data', (chunk) => {
        stderr += String(chunk);
      });
      const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
      child.on('error', reject);
      child.on('close', (code, signal) => {
        clearTimeout(late);
        resolve({ code, signal, stdout, stderr });
      });
    });
  }

  async clear(): Promise<void> {
    for (const end of this.#ends.reverse()) await end();
  }
}

/** Who hangs has failed, and what it made is cleared away all the same. */
const BOUND_MS = 8_000;

export type Body = (bench: Bench) => unknown;

/** How often each line was registered, and as what. */
export const registered = new Map<number, ('same' | 'different')[]>();

function register(number: number, as: 'same' | 'different'): string {
  registered.set(number, [...(registered.get(number) ?? []), as]);
  return lines.find((line) => line.number === number)?.does ?? 'which is not in the table';
}

async function on(door: Door, body: Body): Promise<void> {
  const bench = new Bench(door);
  let late: NodeJS.Timeout | undefined;
  const hangs = new Promise((_, reject) => {
    late = setTimeout(() => reject(new Error(`it did not end within ${BOUND_MS} ms`)), BOUND_MS);
  });
  try {
    await Promise.race([Promise.resolve(bench).then(body), hangs]);
  } catch (error) {
    if (error instanceof Error) error.message = `on ${door}: ${error.message}`;
    throw error;
  } finally {
    clearTimeout(late);
    await bench.clear();
  }
}

/** The one test of a line: the same body against both. */
export function same(number: number, body: Body): void {
  test(`line ${number}, the same: ${register(number, 'same')}`, async () => {
    await on('pg.Pool', body);
    await on('oxbow/pg', body);
  });
}

/** The one test of a line that differs: `ours` is what is so instead, and `theirs` that the line is a fact. */
export function different(number: number, instead: string, { theirs, ours }: { theirs?: Body; ours: Body }): void {
  test(`line ${number}, otherwise: ${instead} (pg: ${register(number, 'different')})`, async () => {
    if (theirs !== undefined) await on('pg.Pool', theirs);
    await on('oxbow/pg', ours);
  });
}

/** The titles of the tests that show a deviation. */
export const shown: string[] = [];

/** The one test of a deviation: `theirs` on pg's pool shows that it is a fact, `ours` on each door that differs what is so instead. */
export function deviation(title: string, { theirs, ours }: { theirs?: Body; ours: Body }): void {
  shown.push(title);
  test(title, async () => {
    if (theirs !== undefined) await on('pg.Pool', theirs);
    for (const door of deviations.find((row) => row.test === title)?.doors ?? []) await on(door, ours);
  });
}

export interface Connected {
  readonly error: Error | undefined;
  readonly client: pg.PoolClient | undefined;
  readonly done: (release?: unknown) => void;
}

/** `pool.connect(callback)`, awaited. */
export function connected(pool: pg.Pool): Promise<Connected> {
  return new Promise((resolve) => {
    pool.connect((error, client, done) => resolve({ error, client, done }));
  });
}

/** What a promise was rejected with; fails if it was not, or not with an Error. */
export async function failure(promise: Promise<unknown>): Promise<Error> {
  const error: unknown = await promise.then(
    () => assert.fail('it resolved'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof Error, `rejected with ${String(error)}`);
  return error;
}

/** A Client that does something before it connects, given which of its class it is, from 1. */
export function clientAfter(before: (nth: number) => Promise<unknown>): ClientClass {
  let made = 0;
  return class extends pg.Client {
    override connect(): Promise<pg.Client>;
    override connect(callback: (error: Error) => void): void;
    override connect(callback?: (error: Error) => void): Promise<pg.Client> | undefined {
      made += 1;
      const done = before(made).then(() => super.connect());
      if (callback === undefined) return done;
      done.then(() => Reflect.apply(callback, undefined, [null]), callback);
      return undefined;
    }
  };
}

/** Time in which nothing may happen. */
export function quietly(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
