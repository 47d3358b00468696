// What an engine is given of the diagnosis: the call sites of its own, and the explainer, the tasks and the graph of the whole process.

import type { Ports } from '../core/household.ts';
import { CallSites, modeOf } from './call-sites.ts';
import { deadlocks } from './deadlock-graph.ts';
import { explainer } from './explain.ts';
import { tasks } from './tasks.ts';

/** Whoever forbids nested calls wants both places named. */
export function diagnosisFor(
  options: Parameters<typeof modeOf>[0] & { readonly nestedAcquire: string },
): Pick<Ports, 'deadlocks' | 'explainer' | 'ledger' | 'tasks'> {
  return {
    deadlocks,
    explainer,
    ledger: new CallSites(modeOf({ ...options, dev: options.dev || options.nestedAcquire === 'forbid' })),
    tasks,
  };
}
