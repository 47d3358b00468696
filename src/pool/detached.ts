// The pool's own asynchronous context: sockets and timers are made in it, so that none of them belongs to the request which
// happened to need them first. Owns the one resource; knows no borrower's store.

import { AsyncResource } from 'node:async_hooks';
import type { TaskContext } from '../contracts/task-context.ts';

const own = new AsyncResource('OxbowPool');

export const detachedTasks: TaskContext = {
  detached: (work) => own.runInAsyncScope(work),
  current: () => undefined,
  holdsLease: () => false,
};
