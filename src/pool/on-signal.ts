// A polite end on SIGTERM and SIGINT: stop the server, close the pool, then let the signal have its way. Owns the signal handlers it
// installs, and takes them away again; a pool never installs any by itself.

import { constants } from 'node:os';
import { systemClock } from '../foundation/system-clock.ts';
import type { CloseOptions } from './requests.ts';

/** What has to be stopped first: a `http.Server`, or anything that stops like one. */
export interface StoppableServer {
  close(done?: (error?: Error) => void): unknown;
  closeIdleConnections?(): void;
}

/** What can be closed: a `Pool`. */
export interface Closable {
  close(options?: CloseOptions): Promise<unknown>;
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
/** A process that is still there so long after its own signal was raised again is PID 1, which has no default action. */
const STILL_HERE_MS = 250;
const FIRST_EXIT_CODE = 128;

/**
 * On the first of the signals: stops the server, closes the pool, removes itself and raises the same signal again, so that the process
 * ends as it would have, with the exit code its parent expects. Returns the undo.
 */
export function onSignal(pool: Closable, options: SignalOptions = {}): () => void {
  const { signals = ['SIGTERM', 'SIGINT'], server, close = {} } = options;
  const remove = (): void => {
    for (const signal of signals) process.removeListener(signal, hear);
  };
  let heard = false;
  const hear = (signal: NodeJS.Signals): void => {
    if (heard) return;
    heard = true;
    void stop(pool, server, close).then(() => {
      remove();
      raise(signal);
    });
  };
  for (const signal of signals) process.on(signal, hear);
  return remove;
}

async function stop(pool: Closable, server: StoppableServer | undefined, close: CloseOptions): Promise<void> {
  const drainMs = close.drainMs ?? DRAIN_MS;
  const began = systemClock.now();
  if (server !== undefined) await stopped(server, drainMs);
  const leftMs = Math.max(0, drainMs - (systemClock.now() - began));
  await pool.close({ ...close, drainMs: Math.min(drainMs, leftMs) });
}

function stopped(server: StoppableServer, withinMs: number): Promise<void> {
  return new Promise((resolve) => {
    const late = systemClock.timer(withinMs, resolve, true);
    server.close(() => {
      late.cancel();
      resolve();
    });
    server.closeIdleConnections?.();
  });
}

function raise(signal: NodeJS.Signals): void {
  const others = process.listenerCount(signal);
  process.kill(process.pid, signal);
  if (others > 0) return;
  systemClock.timer(STILL_HERE_MS, () => process.exit(FIRST_EXIT_CODE + constants.signals[signal]), true);
}
