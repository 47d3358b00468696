// The two pools under the same test: the genuine `pg.Pool` and that of `oxbow/pg`. Owns the server, the registration of each line's one
// test, and that nothing of a test outlives it, whichever pool it was.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import test from 'node:test';
import pg from 'pg';
import { Pool as PgPool } from '../../../src/doors/pg.ts';
import { type Ended, freshName, withClient, withServer } from '../../postgres/harness.ts';
import { lines } from './lines.ts';

export const server = await withServer(test);
export const admin: pg.Client = await withClient(test, server.config);

type ClientClass = new (config?: pg.ClientConfig) => pg.Client;

/** What pg's pool takes beyond its published types. */
export interface Options extends Omit<pg.PoolConfig, 'Client' | 'onConnect'> {
  Client?: ClientClass;
  onConnect?: (client: pg.ClientBase) => unknown;
  poolSize?: number;
  binary?: boolean;
}

interface Kind {
  readonly name: string;
  readonly ours: boolean;
  make(options: Options | undefined): pg.Pool;
}

const genuine: Kind = { name: 'pg.Pool', ours: false, make: (options) => new pg.Pool(options as pg.PoolConfig) };
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const own: Kind = {
  name: 'oxbow/pg',
  ours: true,
  make: (options) => new PgPool(options === undefined ? undefined : { logger: quiet, ...options }),
};

export class Bench {
  readonly #kind: Kind;
  readonly #ends: (() => unknown)[] = [];

  constructor(kind: Kind) {
    this.#kind = kind;
  }

  get ours(): boolean {
    return this.#kind.ours;
  }

  /** A pool for the test's own server, whose sessions have a name of their own. */
  pool(options: Options = {}): pg.Pool {
    return this.bare({ ...server.config, application_name: freshName(), ...options });
  }

  /** A pool with these options and no others. */
  bare(options?: Options): pg.Pool {
    const pool = this.#kind.make(options);
    const clients = new Set<pg.Client>();
    pool.on('connect', (client) => clients.add(client));
    this.#ends.push(() => {
      // pg's pool can be left only by cutting what a failed test has left open.
      pool.on('error', () => {});
      for (const client of clients) {
        client.on('error', () => {});
        client.connection.stream.destroy();
      }
      if (pool instanceof PgPool) return pool.close({ drainMs: 0, cancelMs: 100 });
      if (!pool.ending) pool.end().catch(() => {});
      return undefined;
    });
    return pool;
  }

  /** Runs a program that has `Pool`, `config` and `say`; resolves when it has ended by itself. */
  run(program: string): Promise<Ended> {
    const door = this.ours ? new URL('../../../src/doors/pg.js', import.meta.url).href : import.meta.resolve('pg');
    const source = [
      `import pg from ${JSON.stringify(door)};`,
      `const { Pool } = pg;`,
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

export type Body = (bench: Bench) => unknown;

/** How often each line was registered, and as what. */
export const registered = new Map<number, ('same' | 'different')[]>();

function register(number: number, as: 'same' | 'different'): string {
  registered.set(number, [...(registered.get(number) ?? []), as]);
  return lines.find((line) => line.number === number)?.does ?? 'which is not in the table';
}

async function on(kind: Kind, body: Body): Promise<void> {
  const bench = new Bench(kind);
  try {
    await body(bench);
  } catch (error) {
    if (error instanceof Error) error.message = `on ${kind.name}: ${error.message}`;
    throw error;
  } finally {
    await bench.clear();
  }
}

/** The one test of a line: the same body against both. */
export function same(number: number, body: Body): void {
  test(`line ${number}, the same: ${register(number, 'same')}`, async () => {
    await on(genuine, body);
    await on(own, body);
  });
}

/** The one test of a line that differs: `ours` is what is so instead, and `theirs` that the line is a fact. */
export function different(number: number, instead: string, { theirs, ours }: { theirs?: Body; ours: Body }): void {
  test(`line ${number}, otherwise: ${instead} (pg: ${register(number, 'different')})`, async () => {
    if (theirs !== undefined) await on(genuine, theirs);
    await on(own, ours);
  });
}

/** A difference that no line is about. */
export function contrast(title: string, { theirs, ours }: { theirs: Body; ours: Body }): void {
  test(title, async () => {
    await on(genuine, theirs);
    await on(own, ours);
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
