// The test process's own side of cleaning up: tells the watchdog what would be left behind, and removes it itself when the
// process ends in an orderly way. Installs no signal handler, so it never changes what a signal does: a process that dies of
// one is the watchdog's business. Knows nothing of how a server is started.

import { type ChildProcess, spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Remains, removeNow } from './embedded-remains.ts';

const living = new Set<Guard>();

function onExit(): void {
  for (const guard of living) removeNow(guard.remains);
}

/** One per server. Neither it nor the watchdog keeps the process alive. */
export class Guard {
  #remains: Remains = { folders: [] };
  readonly #watchdog: ChildProcess;
  #failed: Error | undefined;

  constructor() {
    const program = new URL(`./embedded-watchdog${extname(import.meta.url)}`, import.meta.url);
    // Detached, so that a Ctrl-C meant for the terminal's group does not reach it; a bare environment, so that test runners'
    // and debuggers' variables do not either.
    this.#watchdog = spawn(process.execPath, [fileURLToPath(program)], {
      detached: true,
      stdio: ['pipe', 'ignore', 'inherit'],
      env: process.env.PATH === undefined ? {} : { PATH: process.env.PATH },
    });
    this.#watchdog.on('error', (error) => {
      this.#failed = error;
    });
    const pipe = this.#watchdog.stdin;
    pipe?.on('error', (error) => {
      this.#failed = error;
    });
    this.#watchdog.unref();
    if (pipe instanceof Socket) pipe.unref();
    if (living.size === 0) process.on('exit', onExit);
    living.add(this);
  }

  get remains(): Remains {
    return this.#remains;
  }

  /** From now on this is what would be left behind. Written at once: a process may be killed in the next moment. */
  watch(remains: Remains): void {
    this.#remains = remains;
    this.#watchdog.stdin?.write(`${JSON.stringify(remains)}\n`);
  }

  /** Throws if nobody watches: then a killed test would leave its server behind. */
  assertWatching(): void {
    if (this.#failed === undefined && this.#watchdog.exitCode === null && this.#watchdog.signalCode === null) return;
    throw new Error(
      `embeddedPostgres() could not keep its watchdog process running (exit code ${this.#watchdog.exitCode})`,
      this.#failed === undefined ? undefined : { cause: this.#failed },
    );
  }

  /** Nothing is left: the watchdog may go. Resolves when it has gone, at the latest after five seconds. */
  async release(): Promise<void> {
    this.watch({ folders: [] });
    living.delete(this);
    if (living.size === 0) process.off('exit', onExit);
    this.#watchdog.stdin?.end();
    if (this.#watchdog.exitCode !== null || this.#watchdog.signalCode !== null || this.#watchdog.pid === undefined)
      return;
    await new Promise<void>((resolve) => {
      const late = setTimeout(() => {
        this.#watchdog.kill('SIGKILL');
        resolve();
      }, 5_000);
      this.#watchdog.once('exit', () => {
        clearTimeout(late);
        resolve();
      });
    });
  }
}
