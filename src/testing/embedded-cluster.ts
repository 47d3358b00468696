// One PostgreSQL cluster in a temporary folder: its files, its postmaster, starting and stopping it. Root writes here only
// before the folder is handed to the server's user, so that no link planted later can mislead it. Knows neither options nor
// the watchdog's protocol beyond telling it what would be left behind.

import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync, closeSync, fstatSync, mkdtempSync, openSync, readSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Guard } from './embedded-guard.ts';
import { endSync, freeze, removeFolder, signal, thaw } from './embedded-processes.ts';
import { type RunAs, run, spawnOptions } from './embedded-run.ts';

export const SUPERUSER = 'postgres';

/** macOS allows 103 bytes for a socket's path, Linux 107. */
const LONGEST_SOCKET_PATH = 103;

/** Nothing here outlives the test, so nothing has to reach a disk. Dynamic shared memory as files: they go with the folder. */
const FAST = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  autovacuum: 'off',
  jit: 'off',
  shared_buffers: '32MB',
  max_connections: '100',
  dynamic_shared_memory_type: 'mmap',
  lc_messages: 'C',
  log_line_prefix: '%m [%p] ',
};

export interface ClusterPlan {
  readonly bin: string;
  readonly user: RunAs | undefined;
  readonly auth: 'trust' | 'scram';
  readonly password: string;
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  readonly timeoutMs: number;
}

export class Cluster {
  readonly folder: string;
  readonly #data: string;
  readonly #log: number;
  readonly guard: Guard;
  readonly #others: string[] = [];
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #paused = false;

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'oxbow-pg-'));
    this.#data = join(this.folder, 'data');
    this.#log = openSync(join(this.folder, 'log'), 'ax+', 0o600);
    this.guard = new Guard();
    this.#tell(undefined);
  }

  /** The postmaster's, while it runs. */
  get pid(): number | undefined {
    return this.#child?.exitCode === null && this.#child.signalCode === null ? this.#child.pid : undefined;
  }

  /** Another folder to be removed with this one. */
  temporary(folder: string): void {
    this.#others.push(folder);
    this.#tell(this.pid);
  }

  #tell(pid: number | undefined): void {
    this.guard.watch({ folders: [this.folder, ...this.#others], server: { folder: this.folder, pid } });
  }

  /** Makes the cluster's files. */
  async create(plan: ClusterPlan): Promise<void> {
    const socket = join(this.folder, '.s.PGSQL.65535');
    if (Buffer.byteLength(socket) > LONGEST_SOCKET_PATH) {
      throw new Error(
        `embeddedPostgres(): the Unix socket ${socket} would have a name of more than ${LONGEST_SOCKET_PATH} bytes; set TMPDIR to a folder with a shorter name`,
      );
    }
    const settings = { ...FAST, listen_addresses: '127.0.0.1', unix_socket_directories: this.folder, ...plan.settings };
    const lines = Object.entries(settings).map(
      ([name, value]) => `${name} = '${String(value).replaceAll("'", "''")}'\n`,
    );
    const secret = join(this.folder, 'secret');
    const files = { settings: join(this.folder, 'settings.conf'), secret };
    writeFileSync(files.settings, lines.join(''), { flag: 'wx', mode: 0o644 });
    if (plan.auth === 'scram') writeFileSync(secret, `${plan.password}\n`, { flag: 'wx', mode: 0o600 });
    if (plan.user !== undefined) {
      if (plan.auth === 'scram') chownSync(secret, plan.user.uid, plan.user.gid);
      chownSync(this.folder, plan.user.uid, plan.user.gid);
    }
    const method = plan.auth === 'scram' ? 'scram-sha-256' : 'trust';
    const { ok, text } = await run(
      join(plan.bin, 'initdb'),
      [
        ...['-D', this.#data, '-U', SUPERUSER, '-E', 'UTF8', '--no-locale', '--no-sync'],
        ...[`--auth=${method}`, ...(plan.auth === 'scram' ? [`--pwfile=${secret}`] : [])],
      ],
      { user: plan.user, cwd: this.folder, timeoutMs: plan.timeoutMs, started: (pid) => this.#tell(pid) },
    );
    this.#tell(undefined);
    if (plan.auth === 'scram') unlinkSync(secret);
    if (!ok)
      throw new Error(`embeddedPostgres(): initdb failed${plan.user ? ` as user ${plan.user.name}` : ''}:\n${text}`);
  }

  /** Starts the postmaster; resolves when the process exists, not yet when it answers. */
  async launch(plan: ClusterPlan, port: number): Promise<void> {
    const child = spawn(
      join(plan.bin, 'postgres'),
      ['-D', this.#data, '-c', `config_file=${join(this.folder, 'settings.conf')}`, '-p', String(port)],
      { ...spawnOptions(plan.user, this.folder), stdio: ['ignore', this.#log, this.#log] },
    );
    this.#child = child;
    this.#exited = new Promise((resolve) => child.once('exit', () => resolve()));
    this.#tell(child.pid);
    child.unref();
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
  }

  /** Ends the postmaster and everything below it; resolves when it is gone. */
  async halt(mode: 'fast' | 'immediate'): Promise<void> {
    this.resume();
    // The timers of `#gone` keep the loop alive for the exit of a process that does not.
    for (const [name, withinMs] of [
      ...(mode === 'fast' ? [['SIGINT', 15_000] as const] : []),
      ['SIGQUIT', 8_000] as const,
    ]) {
      const pid = this.pid;
      if (pid === undefined) break;
      signal(pid, name);
      if (await this.#gone(withinMs)) break;
    }
    if (this.pid !== undefined) endSync(this.folder, this.pid);
    await this.#gone(2_000);
    this.#tell(undefined);
  }

  async #gone(withinMs: number): Promise<boolean> {
    if (this.pid === undefined) return true;
    const late = new AbortController();
    const timer = sleep(withinMs, false, { signal: late.signal }).catch(() => false);
    const gone = await Promise.race([this.#exited.then(() => true), timer]);
    late.abort();
    return gone;
  }

  pause(): void {
    const pid = this.pid;
    if (pid === undefined) throw new Error('embeddedPostgres(): the server is not running, so it cannot be paused');
    this.#paused = true;
    freeze(pid);
  }

  resume(): void {
    const pid = this.pid;
    if (this.#paused && pid !== undefined) thaw(pid);
    this.#paused = false;
  }

  /** The end of what initdb's server and the server itself said. */
  log(bytes: number): string {
    const { size } = fstatSync(this.#log);
    const buffer = Buffer.alloc(Math.min(size, bytes));
    return buffer.toString('utf8', 0, readSync(this.#log, buffer, 0, buffer.length, size - buffer.length));
  }

  /** Ends and removes all of it. */
  async remove(): Promise<void> {
    await this.halt('immediate');
    closeSync(this.#log);
    for (const folder of [this.folder, ...this.#others]) removeFolder(folder);
    await this.guard.release();
  }
}
