// `oxbow/workers`: one pool in a module variable, where the platform ties sockets to a request. Hand-listed re-exports, no logic.

export { WrongLoopError } from '../contracts/errors.ts';
export { createWorkersPool } from '../pool/create-workers-pool.ts';
export type { PoolOptions } from '../pool/options.ts';
export type { Pool } from '../pool/pool.ts';
export type { WorkersPoolOptions } from '../pool/workers-options.ts';
