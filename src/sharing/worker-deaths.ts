// Which of the threads that this one started are gone: a thread that ends, by itself or by `terminate()`, runs none of its own code any
// more, and what it held would be held for ever. Owns the listeners on workers; what is done about a death is its listeners' business.

import process from 'node:process';
import type { Worker } from 'node:worker_threads';

type Gone = (thread: number) => void;

const listeners = new Set<Gone>();
const watched = new WeakSet<Worker>();
let watching = false;

function watch(worker: Worker): void {
  if (watched.has(worker)) return;
  watched.add(worker);
  // It is -1 once the thread has ended.
  const { threadId } = worker;
  worker.once('exit', () => {
    for (const gone of [...listeners]) gone(threadId);
  });
}

/**
 * Calls `gone` with the id of each thread that this one started, when it has ended: of those that are started from now on, and of those that
 * `watchWorkers()` is told of. Node tells of new threads; a runtime that does not has to be told of them all.
 */
export function onWorkerGone(gone: Gone): void {
  listeners.add(gone);
  if (watching) return;
  watching = true;
  process.on('worker', watch);
}

/** Threads that were started before. */
export function watchWorkers(workers: Iterable<Worker>): void {
  for (const worker of workers) watch(worker);
}
