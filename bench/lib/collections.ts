// How often V8 collected garbage between two moments: what was freed meanwhile is missing in a difference of heap sizes.

import { PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';

/** Collections are told a turn later. */
async function told(): Promise<void> {
  await turn();
  await turn();
}

export async function collections(): Promise<{ end(): Promise<number> }> {
  let seen = 0;
  const observer = new PerformanceObserver((list) => {
    seen += list.getEntries().length;
  });
  observer.observe({ entryTypes: ['gc'] });
  await told();
  seen = 0;
  return {
    async end() {
      await told();
      observer.disconnect();
      return seen;
    },
  };
}
