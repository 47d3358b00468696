// The one function of `oxbow/workers`. Owns what a user sees of it; the pool is another file's.

import type { Pool } from './pool.ts';
import type { WorkersPoolOptions } from './workers-options.ts';
import { WorkersPool } from './workers-pool.ts';

/**
 * A pool for runtimes that tie sockets to the request which opened them (Cloudflare Workers), to be kept in a module variable. It has the interface
 * of `Pool`; making it does nothing that is forbidden outside of a request. Each request gets connections of its own, closed a moment after their
 * last use, and all of an isolate together have at most `max`; a Durable Object keeps its connections from request to request. Elsewhere (Node,
 * Bun, Deno) it is one ordinary pool. `contexts: 'error'` refuses every request but the first instead.
 */
export function createWorkersPool(options: WorkersPoolOptions | string = {}): Pool {
  return new WorkersPool(options);
}
