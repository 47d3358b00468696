// `oxbow/otel`: OpenTelemetry. Hand-listed re-exports, no logic.

export { type TraceOptions, tracePool } from '../telemetry/spans.ts';
