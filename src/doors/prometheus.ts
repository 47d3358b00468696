// `oxbow/prometheus`: what a pool does, for Prometheus. Hand-listed re-exports, no logic.

export { type CollectOptions, collectPool, type Register, renderText } from '../telemetry/prometheus.ts';
export type { MeasuredPool } from '../telemetry/tally.ts';
