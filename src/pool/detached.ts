// The pool's own asynchronous context: sockets and timers are made in it, and hooks run in it, so that none of them belongs to the request which
// happened to need them first. Knows no borrower's store.

import { AsyncResource } from 'node:async_hooks';
import type { TaskContext } from '../contracts/task-context.ts';
import { detached } from '../foundation/system-clock.ts';

export const detachedTasks: TaskContext = {
  detached,
  bound: (work) => AsyncResource.bind(work),
  current: () => undefined,
  holdsLease: () => false,
};
