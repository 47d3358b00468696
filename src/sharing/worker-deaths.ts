// Which of the threads that this one started are gone: a thread that ends, by itself or by `terminate()`, runs none of its own code any
// more, and what it held would be held for ever. Owns the listeners on workers; what is done about a death is its listeners' business.

import process from 'node:process';
import type { Worker } from 'node:worker_threads';

type Gone = (thread: number) => void;

/** By what they watch for: a budget that is joined a second time in this thread is the same. */
const listeners = new Map<string, Gone>();
const watched = new WeakSet<Worker>();
let watching = false;

function watch(worker: Worker): void {
  if (watched.has(worker)) return;
  watched.add(worker);
  // It is -1 once the thread has ended.
  const { threadId } = worker;
  if (threadId < 0) return;
  worker.once('exit', () => {
    for (const gone of [...listeners.values()]) gone(threadId);
  });
}

/**
 * For `what`, calls `gone` with the id of each thread that this one started, when it has ended: of those that are started from now on, and of those that
 * `watchWorkers()` is told of. Node tells of new threads; a runtime that does not has to be told of them all.
 */
export function onWorkerGone(what: string, gone: Gone): void {
  listeners.set(what, gone);
  if (watching) return;
  watching = true;
  process.on('worker', watch);
}

/** Threads that were started before. */
export function watchWorkers(workers: Iterable<Worker>): void {
  for (const worker of workers) watch(worker);
}
