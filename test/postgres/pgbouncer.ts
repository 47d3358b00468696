// PgBouncer as tests need it: in front of a server, in either pool mode, to be restarted, killed and frozen. Owns the process,
// its folder and whether the machine has the program at all. Knows nothing of the pool.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chownSync, closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import nodeTest, { type TestContext } from 'node:test';
import pg from 'pg';
import { Guard } from '../../src/testing/embedded-guard.ts';
import { freePort, isFree } from '../../src/testing/embedded-port.ts';
import { freeze, removeFolder, signal, thaw } from '../../src/testing/embedded-processes.ts';
import { environment, serverUser } from '../../src/testing/embedded-run.ts';
import type { EmbeddedPostgresOptions, ServerConfig } from '../../src/testing/embedded-server.ts';
import { eventually, type Scope, withClient, withServer } from './harness.ts';

/** Debian puts it where only root's PATH looks. */
const PATH = [process.env.PATH, '/usr/sbin'].join(delimiter);

const version = spawnSync('pgbouncer', ['--version'], { env: { PATH }, encoding: 'utf8' });

/** Whether this machine has the program. */
export const pgbouncerFound: boolean = version.status === 0;

let told = false;

/**
 * `test` of `node:test` where PgBouncer is installed. Elsewhere a file's tests are one that is skipped and says what to do: so many
 * as there are files is what scripts/test.mjs expects.
 */
export function test(name: string, fn: (t: TestContext) => Promise<void>): void {
  if (pgbouncerFound) {
    nodeTest(name, fn);
  } else if (!told) {
    told = true;
    const skip = 'install PgBouncer: apt-get install pgbouncer, as .ci/run does';
    nodeTest('every test of this file needs PgBouncer', { skip }, () => {});
  }
}

export type PoolMode = 'session' | 'transaction';

export interface PgBouncerOptions {
  /** The server behind it. */
  readonly server: ServerConfig;
  readonly mode: PoolMode;
  /** More lines for the section `[pgbouncer]` of its file. */
  readonly settings?: Readonly<Record<string, string | number>> | undefined;
}

/** Enough sessions for any test, and no wait of PgBouncer's own longer than a test's patience. */
const DEFAULTS = {
  auth_type: 'any',
  unix_socket_dir: '',
  default_pool_size: 20,
  max_client_conn: 100,
  server_login_retry: 1,
};

/** Quotes a value of a connect string. */
function quoted(value: string | number): string {
  return `'${String(value).replaceAll("'", "''")}'`;
}

export class PgBouncer {
  readonly port: number;
  readonly #folder: string;
  readonly #options: PgBouncerOptions;
  readonly #guard = new Guard();
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  private constructor(options: PgBouncerOptions, port: number) {
    this.#options = options;
    this.port = port;
    this.#folder = mkdtempSync(join(tmpdir(), 'oxbow-bouncer-'));
    this.#watch();
    // Where the guard looks for what runs in this folder.
    mkdirSync(join(this.#folder, 'data'));
    writeFileSync(this.#file('pgbouncer.ini'), this.#ini(), { mode: 0o600 });
    const user = serverUser();
    if (user === undefined) return;
    for (const path of [this.#folder, join(this.#folder, 'data'), this.#file('pgbouncer.ini')]) {
      chownSync(path, user.uid, user.gid);
    }
  }

  /** Starts one; resolves when it answers, rejects with the end of its log when it does not. */
  static async start(options: PgBouncerOptions): Promise<PgBouncer> {
    const one = new PgBouncer(options, await freePort());
    try {
      await one.#start();
    } catch (error) {
      await one.stop();
      throw error;
    }
    return one;
  }

  /** How to connect through it: the server's own database and user. */
  get config(): ServerConfig {
    const { user, database } = this.#options.server;
    return { host: '127.0.0.1', port: this.port, user, database };
  }

  get pid(): number | undefined {
    return this.#child?.exitCode === null && this.#child.signalCode === null ? this.#child.pid : undefined;
  }

  /** Cuts every connection, to both sides, and starts again on the same port. `'kill'` gives it no time for a word of farewell. */
  async restart(how: 'stop' | 'kill' = 'stop'): Promise<void> {
    await this.end(how);
    await eventually(`port ${this.port} is free again`, () => isFree(this.port));
    await this.#start();
  }

  /** Ends the process and leaves its port deserted. */
  async end(how: 'stop' | 'kill' = 'stop'): Promise<void> {
    const { pid } = this;
    if (pid === undefined) return;
    thaw(pid); // a stopped process heeds nothing
    signal(pid, how === 'kill' ? 'SIGKILL' : 'SIGTERM');
    const late = setTimeout(() => signal(pid, 'SIGKILL'), 3_000);
    await this.#ended;
    clearTimeout(late);
    this.#watch();
  }

  /** Freezes it where it stands: sockets stay open, nothing passes. */
  freeze(): void {
    if (this.pid !== undefined) freeze(this.pid);
  }

  thaw(): void {
    if (this.pid !== undefined) thaw(this.pid);
  }

  /** Asks its console, such as `SHOW POOLS` or `PAUSE`. */
  async ask(command: string): Promise<Record<string, unknown>[]> {
    const client = new pg.Client({ ...this.config, database: 'pgbouncer', connectionTimeoutMillis: 5_000 });
    client.on('error', () => {}); // the command rejects with it
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(command)).rows;
    } finally {
      await client.end();
    }
  }

  /** The end of its log. */
  log(): string {
    return readFileSync(this.#file('log'), 'utf8').slice(-4_000);
  }

  /** Ends it and removes all of it; always the same promise. */
  stop(): Promise<void> {
    this.#stopped ??= this.end().then(async () => {
      removeFolder(this.#folder);
      await this.#guard.release();
    });
    return this.#stopped;
  }

  #file(name: string): string {
    return join(this.#folder, 'data', name);
  }

  #watch(pid?: number): void {
    this.#guard.watch({ folders: [this.#folder], server: { folder: this.#folder, pid } });
  }

  #ini(): string {
    const { server, mode, settings } = this.#options;
    const { host, port, user, database: dbname, password = '' } = server;
    const target = Object.entries({ host, port, user, dbname, password }).filter(([, value]) => value !== '');
    const fixed = { listen_addr: '127.0.0.1', listen_port: this.port, pool_mode: mode, admin_users: user };
    const lines = { ...fixed, ...DEFAULTS, ...settings };
    return [
      '[databases]',
      `${dbname} = ${target.map(([name, value]) => `${name}=${quoted(value)}`).join(' ')}`,
      '[pgbouncer]',
      ...Object.entries(lines).map(([name, value]) => `${name} = ${value}`),
      '',
    ].join('\n');
  }

  async #start(): Promise<void> {
    const user = serverUser();
    const log = openSync(this.#file('log'), 'a');
    const child = spawn('pgbouncer', [this.#file('pgbouncer.ini')], {
      ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
      cwd: this.#folder,
      env: { ...environment(), PATH },
      // In a group of its own: a Ctrl-C at the terminal is the test's to handle.
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    this.#child = child;
    this.#ended = new Promise((resolve) => child.once('exit', () => resolve()).once('error', () => resolve()));
    child.unref();
    this.#watch(child.pid);
    await eventually('PgBouncer answers', async () => {
      if (this.pid === undefined) return Promise.reject(new Error(`it has ended: ${this.log()}`));
      await this.ask('SHOW VERSION');
      return true;
    });
  }
}

/** One for the test or, with `test` of `node:test` as the scope, for the whole file. */
export async function withPgBouncer(scope: Scope, options: PgBouncerOptions): Promise<PgBouncer> {
  const one = await PgBouncer.start(options);
  scope.after(() => one.stop());
  return one;
}

export interface Behind {
  server(): ServerConfig;
  /** Somebody who looks at the server from outside, not through PgBouncer. */
  admin(): pg.Client;
  /** Restarts the server, and connects `admin` anew. */
  restartServer(): Promise<void>;
  /** All that the server has logged, up to a megabyte. */
  serverLog(): string;
}

/** A server for the whole file, to have PgBouncer in front of it; none where PgBouncer is missing and no test will ask. */
export async function behindPgBouncer(
  scope: Scope,
  settings: EmbeddedPostgresOptions['settings'] = {},
): Promise<Behind> {
  const missing = (): never => {
    throw new Error('PgBouncer is not installed');
  };
  if (!pgbouncerFound) return { server: missing, admin: missing, restartServer: missing, serverLog: missing };
  const server = await withServer(scope, { url: false, settings });
  let admin = await withClient(scope, server.config);
  return {
    server: () => server.config,
    admin: () => admin,
    restartServer: async () => {
      await server.restart('fast');
      admin = await withClient(scope, server.config);
    },
    serverLog: () => server.log(1_000_000),
  };
}
