// Which threads stand above this one. A thread that ends takes those that it started with it, and whoever hears of its end knows nothing of
// them: so each leaves its own id and those above it to the threads that it starts. Knows no budget.

import { workerThreads } from './worker-threads.ts';

/** Threads see what the one that started them had set; the number is the layout's. */
const KEY = 'oxbow.threads.above/1';

/** The ids of the threads above this one, the nearest first; those that were started before anybody shared anything know of none. */
export function threadsAbove(): number[] {
  const { getEnvironmentData, threadId } = workerThreads();
  const above: unknown = getEnvironmentData(KEY);
  // This one's own id is there too, for its children.
  return Array.isArray(above) ? above.filter((id) => typeof id === 'number' && id !== threadId) : [];
}

/** What the threads that this one starts from now on will know. */
export function tellThreadsBelow(): void {
  const { setEnvironmentData, threadId } = workerThreads();
  setEnvironmentData(KEY, [threadId, ...threadsAbove()]);
}
