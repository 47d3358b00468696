// In whose asynchronous context things are told: what happens to a connection in nobody's, since a connection is of no request; what happens to a
// lend in that of its borrower, or in nobody's. Owns which is which.

import type { EngineEvents } from '../contracts/events.ts';
import type { TaskContext } from '../contracts/task-context.ts';

/** Instead of a time that was waited. */
export const AT_ONCE = -1;

export function toldOutside(events: EngineEvents, tasks: TaskContext): EngineEvents {
  return {
    phase: (from, to) => tasks.detached(() => events.phase(from, to)),
    opening: (attempt) => tasks.detached(() => events.opening(attempt)),
    opened: (id, ms, session) => tasks.detached(() => events.opened(id, ms, session)),
    openFailed: (error, attempt, retryInMs) => tasks.detached(() => events.openFailed(error, attempt, retryInMs)),
    // Somebody else's doing, as often as not: who closes the pool, or aborts.
    refused: (reason, error) => tasks.detached(() => events.refused(reason, error)),
    retired: (id, reason) => tasks.detached(() => events.retired(id, reason)),
    lost: (id, error, state, session) => tasks.detached(() => events.lost(id, error, state, session)),
    closed: (id, bySocketDestroyed, session) => tasks.detached(() => events.closed(id, bySocketDestroyed, session)),
    examined: (outcome, ms, session) => tasks.detached(() => events.examined(outcome, ms, session)),
    waiting: (position, label) => events.waiting(position, label),
    lent: (id, lease, waitedMs, label, session) => {
      if (waitedMs === AT_ONCE) events.lent(id, lease, 0, label, session);
      // A hand-over happens in the context of whoever gave the connection back.
      else tasks.detached(() => events.lent(id, lease, waitedMs, label, session));
    },
    released: (session, reason) => events.released(session, reason),
    returned: (id, lease, heldMs, outcome) => events.returned(id, lease, heldMs, outcome),
  };
}
