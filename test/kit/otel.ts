// A real SDK of OpenTelemetry that keeps in memory what it exports, and what was exported as plain figures. Knows no metric.

import {
  AggregationTemporality,
  type ExponentialHistogram,
  type Histogram,
  InMemoryMetricExporter,
  MeterProvider,
  type MetricData,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';

export type Figure = number | Histogram | ExponentialHistogram;

export interface Sdk {
  readonly meterProvider: MeterProvider;
  /** What is exported now: by name and attributes, `name{key=value,…}` in the order in which they were given. */
  collect(): Promise<ReadonlyMap<string, Figure>>;
  /** The same with what stands beside the figures. */
  data(): Promise<readonly MetricData[]>;
}

function figuresOf(data: readonly MetricData[]): Map<string, Figure> {
  const found = new Map<string, Figure>();
  for (const { descriptor, dataPoints } of data) {
    for (const { attributes, value } of dataPoints) {
      const labels = Object.entries(attributes).map(([key, said]) => `${key}=${String(said)}`);
      const key = `${descriptor.name}{${labels.join(',')}}`;
      if (found.has(key)) throw new Error(`twice: ${key}`);
      found.set(key, value);
    }
  }
  return found;
}

export function startSdk(scope: { after(fn: () => Promise<void>): void }): Sdk {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter });
  const meterProvider = new MeterProvider({ readers: [reader] });
  scope.after(() => meterProvider.shutdown());
  const data = async (): Promise<readonly MetricData[]> => {
    exporter.reset();
    await meterProvider.forceFlush();
    return exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics));
  };
  return { meterProvider, data, collect: async () => figuresOf(await data()) };
}
