// A polite end on SIGTERM and SIGINT: stop the server, close the pool, then let the signal have its way. Owns the signal handlers it
// installs, and takes them away again; a pool never installs any by itself.

import { constants } from 'node:os';
import type { Timer } from '../contracts/clock.ts';
import type { CloseReport } from '../contracts/snapshot.ts';
import { systemClock } from '../foundation/system-clock.ts';
import { checkPool, checkRequest } from './check-request.ts';
import type { CloseOptions } from './requests.ts';

/** What has to be stopped first: a `http.Server`, a Fastify instance, or anything that stops like one: by calling back, or by a promise. */
export interface StoppableServer {
  close(done: (error?: Error | null) => void): unknown;
  closeIdleConnections?(): void;
  /** Where a framework has its `http.Server`. */
  readonly server?: { close(): unknown; closeIdleConnections?(): void };
}

/** What can be closed: a `Pool`. */
export interface Closable {
  close(options?: CloseOptions): Promise<CloseReport>;
}

export interface SignalOptions {
  /** Default SIGTERM and SIGINT. */
  signals?: readonly NodeJS.Signals[] | undefined;
  /** Takes no new request from the signal on; its answers under way may still use the pool. */
  server?: StoppableServer | undefined;
  /** As for `close()`. `drainMs` (30 000) bounds the server's stop and the pool's drain together. */
  close?: CloseOptions | undefined;
}

const DRAIN_MS = 30_000;
/** npm and shells pass one Ctrl-C on twice; what comes later than this is a human who will not wait. */
const ECHO_MS = 500;
/** A server that is closing keeps a connection whose answer went out meanwhile until its keep-alive ends; it is asked this often. */
const SWEEP_MS = 50;
/** A process that is still there so long after its own signal was raised again is PID 1, which has no default action. */
const STILL_HERE_MS = 250;
const FIRST_EXIT_CODE = 128;

/** How many stop because of a signal. The last one raises it again: one that is done sooner must not end the process of the others. */
let stopping = 0;

/**
 * On the first of the signals: stops the server, closes the pool, removes itself and raises the same signal again, so that the process
 * ends as it would have, with the exit code its parent expects. A second one, half a second later or more, ends the patience: what still
 * runs is cancelled (`close.cancelMs`); a third one has its default action. Returns the undo, which does not stop what has begun.
 */
export function onSignal(pool: Closable, options: SignalOptions = {}): () => void {
  checkPool(pool, 'close'); // all of it now, and not when it is too late
  checkRequest('onSignal', options);
  checkRequest('close', options.close);
  const { signals = ['SIGTERM', 'SIGINT'], server, close = {} } = options;
  const drainMs = close.drainMs ?? DRAIN_MS;
  const remove = (): void => {
    for (const signal of signals) process.removeListener(signal, hear);
  };
  let stop: Stop | undefined;
  const hear = (signal: NodeJS.Signals): void => {
    if (stop === undefined) {
      stop = new Stop(pool, server, close, drainMs);
      void finish(signal, stop, remove);
    } else if (stop.ranMs >= ECHO_MS) {
      remove();
      stop.hurry();
    }
  };
  try {
    for (const signal of new Set(signals)) process.on(signal, hear);
  } catch (error) {
    remove(); // one of them cannot be caught, as SIGKILL; then none is
    throw error;
  }
  return remove;
}

async function finish(signal: NodeJS.Signals, stop: Stop, remove: () => void): Promise<void> {
  stopping += 1;
  const hold = systemClock.timer(Infinity, () => {}, true); // idle sockets do not hold the process, and nothing else may be left
  await stop.run();
  hold.cancel();
  remove();
  stopping -= 1;
  if (stopping === 0) raise(signal);
}

function raise(signal: NodeJS.Signals): void {
  const others = process.listenerCount(signal);
  process.kill(process.pid, signal);
  if (others > 0) return;
  systemClock.timer(STILL_HERE_MS, () => process.exit(FIRST_EXIT_CODE + constants.signals[signal]), true);
}

/** One end of a server and its pool, within one time for both. Never rejects: the signal has to be raised again, whatever fails. */
class Stop {
  readonly #pool: Closable;
  readonly #server: StoppableServer | undefined;
  readonly #close: CloseOptions;
  readonly #began: number = systemClock.now();
  #drainMs: number;
  #giveUpServer = (): void => {};

  constructor(pool: Closable, server: StoppableServer | undefined, close: CloseOptions, drainMs: number) {
    this.#pool = pool;
    this.#server = server;
    this.#close = close;
    this.#drainMs = drainMs;
  }

  get ranMs(): number {
    return systemClock.now() - this.#began;
  }

  async run(): Promise<void> {
    try {
      if (this.#server !== undefined) await this.#stopServer(this.#server);
    } catch (error) {
      await warn(`the server did not stop: ${String(error)}`);
    }
    try {
      const { stillHeld } = await this.#closePool();
      const sites = stillHeld.map((holder) => holder.site ?? holder.label ?? `lease ${holder.id}`);
      if (sites.length > 0) await warn(`${sites.length} still lent when the pool had to close, to ${sites.join(', ')}`);
    } catch (error) {
      await warn(`the pool did not close: ${String(error)}`);
    }
  }

  /** Neither the server nor those who hold a connection are waited for any longer. */
  hurry(): void {
    this.#drainMs = 0;
    this.#giveUpServer();
    this.#closePool().catch(() => {}); // run() hears of it
  }

  #closePool(): Promise<CloseReport> {
    return this.#pool.close({ ...this.#close, drainMs: Math.max(0, this.#drainMs - this.ranMs) });
  }

  async #stopServer(server: StoppableServer): Promise<void> {
    let sweeper: Timer | undefined;
    const sweep = (): void => {
      server.closeIdleConnections?.();
      server.server?.closeIdleConnections?.();
      sweeper = systemClock.timer(SWEEP_MS, sweep);
    };
    let late: Timer | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#giveUpServer = resolve;
        late = systemClock.timer(this.#drainMs, resolve);
        const stopped = (error?: Error | null): void => (error && !wasStopped(error) ? reject(error) : resolve());
        const answer = server.close(stopped);
        if (answer instanceof Promise) answer.then(() => resolve(), reject);
        sweep();
      });
    } finally {
      late?.cancel();
      sweeper?.cancel();
    }
  }
}

function wasStopped(error: Error): boolean {
  return 'code' in error && error.code === 'ERR_SERVER_NOT_RUNNING';
}

/** Resolves when the warning was written: the process may end right after it. */
function warn(what: string): Promise<void> {
  process.emitWarning(`onSignal: ${what}`, 'OxbowWarning');
  return new Promise((resolve) => systemClock.pollPhase(resolve));
}
