// `oxbow/otel`: what a pool does, for OpenTelemetry. Hand-listed re-exports, no logic.

export { type MeasureOptions, measurePool } from '../telemetry/otel-metrics.ts';
export { type TraceOptions, tracePool } from '../telemetry/spans.ts';
export type { MeasuredPool } from '../telemetry/tally.ts';
