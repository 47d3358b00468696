// `oxbow/null`: a pool that keeps nothing. Hand-listed re-exports, no logic.

export { NullPool } from '../pool/null-pool.ts';
export type { PoolOptions } from '../pool/options.ts';
