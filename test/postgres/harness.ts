// What tests against a real server share: one server for a file, waiting for a condition, looking at and ending backends, and
// peers that do not behave. Everything made here goes when the test (or file) that asked for it ends.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type Logger, Pool, type PoolOptions } from '../../src/doors/index.ts';
import { freePort } from '../../src/testing/embedded-port.ts';
import {
  type EmbeddedPostgresOptions,
  embeddedPostgres,
  type PostgresServer,
} from '../../src/testing/embedded-postgres.ts';

/** A test's context, or `node:test` itself for the whole file. */
export interface Scope {
  after(fn: () => Promise<void>): void;
}

/** A server for the test or, with `test` of `node:test` as the scope, for the whole file. */
export async function withServer(scope: Scope, options: EmbeddedPostgresOptions = {}): Promise<PostgresServer> {
  const server = await embeddedPostgres(options);
  scope.after(() => server.stop());
  return server;
}

/** A connected client of pg's own, ended with the scope; a death that the test brings about does not crash it. */
export async function withClient(scope: Scope, config: pg.ClientConfig): Promise<pg.Client> {
  const client = new pg.Client({ connectionTimeoutMillis: 10_000, ...config });
  client.on('error', () => {}); // queries reject with it
  await client.connect();
  scope.after(async () => {
    const cut = setTimeout(() => client.connection.stream.destroy(), 2_000);
    await client.end();
    clearTimeout(cut);
  });
  return client;
}

export interface Patience {
  /** Default 10 000. */
  withinMs?: number;
  /** Default 20. */
  everyMs?: number;
}

/**
 * Calls `fn` until it neither throws nor gives false or undefined; resolves with what it gave. Rejects after `withinMs`, saying
 * what was waited for and what came last.
 */
export async function eventually<T>(
  what: string,
  fn: () => T | false | undefined | Promise<T | false | undefined>,
  { withinMs = 10_000, everyMs = 20 }: Patience = {},
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    let last: unknown;
    try {
      const value = await fn();
      if (value !== false && value !== undefined) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      const came = last instanceof Error ? `${last.name}: ${last.message}` : String(last);
      throw new assert.AssertionError({ message: `not within ${withinMs} ms: ${what}; last came ${came}` });
    }
    await sleep(everyMs);
  }
}

/** How many sessions the server has under this `application_name`, the asking one left out. */
export async function backends(client: pg.Client, applicationName: string): Promise<number> {
  const text =
    'SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()';
  const { rows } = await client.query<{ n: number }>(text, [applicationName]);
  return rows[0]?.n ?? 0;
}

/** Ends a session on the server; resolves when it is gone there. */
export async function killBackend(client: pg.Client, pid: number): Promise<void> {
  const { rows } = await client.query<{ done: boolean }>('SELECT pg_terminate_backend($1) AS done', [pid]);
  assert.equal(rows[0]?.done, true, `the server has no session with process id ${pid}`);
  await eventually(`session ${pid} is gone from the server`, async () => {
    const { rowCount } = await client.query('SELECT FROM pg_stat_activity WHERE pid = $1', [pid]);
    return rowCount === 0;
  });
}

/** A port at 127.0.0.1 where nobody listens at this moment: connecting to it is refused. */
export function unusedPort(): Promise<number> {
  return freePort();
}

export interface DeafServer {
  readonly host: string;
  readonly port: number;
  /** Connections open at this moment. */
  readonly open: number;
  /** Connections there ever were. */
  readonly accepted: number;
  /** Bytes that came in, from all of them. */
  readonly heard: number;
  close(): Promise<void>;
}

/** Accepts TCP connections and never answers; closed with the scope, with all its connections. */
export async function deafServer(scope: Scope): Promise<DeafServer> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  let heard = 0;
  const server = createServer((socket) => {
    accepted += 1;
    sockets.add(socket);
    socket.on('data', (chunk) => {
      heard += chunk.length;
    });
    socket.on('error', () => {}); // the other side's rudeness is not ours
    socket.on('close', () => sockets.delete(socket));
  });
  const port = await freePort();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port }, resolve);
  });
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
    return closed;
  };
  scope.after(close);
  return {
    host: '127.0.0.1',
    port,
    get open() {
      return sockets.size;
    },
    get accepted() {
      return accepted;
    },
    get heard() {
      return heard;
    },
    close,
  };
}

let names = 0;

/** A name that no other pool of this run has; as `application_name` it tells the pool's sessions from all others. */
export function freshName(): string {
  names += 1;
  return `test-${process.pid}-${names}`;
}

/** A pool with a name of its own, closed with the scope, whoever still holds what. What it reports stays off the terminal. */
export function withPool(scope: Scope, options: PoolOptions): Pool {
  const pool = new Pool({ name: freshName(), logger: reports().logger, ...options });
  keepLeases();
  scope.after(async () => {
    // Without a file's own client nothing else might keep the process here until the sockets are gone.
    const here = setTimeout(() => {}, 30_000);
    await pool.close({ drainMs: 0, cancelMs: 200 });
    clearTimeout(here);
  });
  return pool;
}

/**
 * A test that only wants something to be lent seldom keeps the lease, and a pool takes back what the garbage collector finds forgotten. So in
 * a process with pools of `withPool` nothing that a weak reference leads to is collected; tests of that make their pools by themselves.
 */
function keepLeases(): void {
  if (WeakRef.name === 'KeepingRef') return;
  const kept: unknown[] = [];
  class KeepingRef<T extends WeakKey> extends WeakRef<T> {
    constructor(target: T) {
      super(target);
      kept.push(target);
    }
  }
  globalThis.WeakRef = KeepingRef;
}

export interface Reports {
  readonly logger: Logger;
  /** What was reported so far, oldest first. */
  readonly said: { code: string; message: string }[];
}

/** A logger that remembers what was reported to it. */
export function reports(): Reports {
  const said: { code: string; message: string }[] = [];
  const note = (about: object, message: string): void => {
    // What it is told of phases and outages has no code.
    if ('code' in about) said.push({ code: String(about.code), message });
  };
  // What `debug` is told is for developers, and depends on the copy of pg: no report.
  return { logger: { debug() {}, info: note, warn: note, error: note }, said };
}

/** What `promise` was rejected with, as an instance of `type`; fails the test if it was not. */
export async function rejection<E extends Error>(
  promise: Promise<unknown>,
  type: abstract new (...args: never[]) => E,
): Promise<E> {
  const error: unknown = await promise.then(
    (value) => assert.fail(`resolved with ${String(value)}`),
    (reason: unknown) => reason,
  );
  if (error instanceof type) return error;
  throw new assert.AssertionError({
    message: `rejected, but not with a ${type.name}: ${String(error)}`,
    actual: error,
  });
}

/** The process id of the server session that a lease or client is. */
export async function pidOf(holder: { query(text: string): Promise<pg.QueryResult> }): Promise<number> {
  const { rows } = await holder.query('SELECT pg_backend_pid() AS pid');
  return Number(Reflect.get(Object(rows[0]), 'pid'));
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs `program` (the body of a module that has `Pool`, `pg` and `config`) in a process of its own until that ends by itself;
 * fails the test, and ends the process, if it does not within `withinMs` (10 000).
 */
export function runProgram(program: string, config: object, withinMs = 10_000): Promise<Ended> {
  const door = new URL('../../src/doors/index.js', import.meta.url).href;
  const source = [
    `import pg from ${JSON.stringify(import.meta.resolve('pg'))};`,
    `import { Pool } from ${JSON.stringify(door)};`,
    `const config = ${JSON.stringify(config)};`,
    program,
  ].join('\n');
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => {
      stdout += String(chunk);
    });
    child.stderr.on('data', (chunk) => {
      stderr += String(chunk);
    });
    const late = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`the program did not end within ${withinMs} ms; it wrote: ${stdout}${stderr}`));
    }, withinMs);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(late);
      resolve({ code, signal, stdout, stderr });
    });
  });
}
