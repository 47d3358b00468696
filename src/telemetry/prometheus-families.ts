// The catalogue as families of Prometheus: named exactly as OpenTelemetry's translation names them, with their series at one moment.
// Owns the names and the buckets of durations; how a family is written or handed on is known elsewhere.

import { BUCKETS, METRICS, type Metric, POOL_NAME, type ReadMetric, type TimedMetric } from './metrics.ts';
import { pointsOf } from './points.ts';
import { type Duration, type MeasuredPool, type Reading, Tally } from './tally.ts';

export interface Series {
  /** The family's name, for a histogram with the ending of the part. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly series: readonly Series[];
}

const UNITS: Readonly<Record<string, string>> = { s: '_seconds' };

/** The name of a metric, and likewise of an attribute, where no dot may stand. */
export function labelName(key: string): string {
  return key.replaceAll('.', '_');
}

/** Units in braces are no part of the name, a counter ends with `_total`. */
export function familyName({ name, unit, instrument }: Metric): string {
  return labelName(name) + (UNITS[unit] ?? '') + (instrument === 'counter' ? '_total' : '');
}

export function familyType({ instrument }: Metric): Family['type'] {
  return instrument === 'updowncounter' ? 'gauge' : instrument;
}

/** Durations by bucket, not yet cumulated; the last bucket has no bound. */
class Durations {
  readonly buckets: number[] = [...BUCKETS.map(() => 0), 0];
  sum = 0;

  record(seconds: number): void {
    const at = BUCKETS.findIndex((bound) => seconds <= bound);
    const bucket = at === -1 ? BUCKETS.length : at;
    this.buckets[bucket] = (this.buckets[bucket] ?? 0) + 1;
    this.sum += seconds;
  }

  add(other: Durations): void {
    for (const [at, count] of other.buckets.entries()) this.buckets[at] = (this.buckets[at] ?? 0) + count;
    this.sum += other.sum;
  }
}

/** What one pool has told, kept until somebody scrapes. */
export class Scribe {
  readonly name: string;
  readonly durations: Readonly<Record<Duration, Durations>> = {
    create: new Durations(),
    wait: new Durations(),
    use: new Durations(),
  };
  readonly #tally: Tally;

  constructor(pool: MeasuredPool) {
    this.name = pool.name;
    this.#tally = new Tally(pool, (what, seconds) => this.durations[what].record(seconds));
  }

  read(): Reading {
    return this.#tally.read();
  }

  stop(): void {
    this.#tally.stop();
  }
}

function readSeries(metric: ReadMetric, readings: readonly Reading[]): Series[] {
  const name = familyName(metric);
  return pointsOf(metric, readings).map(({ pool, value, amount }) => {
    const labels: Record<string, string> = { [labelName(POOL_NAME)]: pool };
    if (metric.attribute !== undefined && value !== undefined) labels[labelName(metric.attribute.key)] = value;
    return { name, labels, value: amount };
  });
}

function timedSeries(metric: TimedMetric, scribes: readonly Scribe[]): Series[] {
  const name = familyName(metric);
  const sums = new Map<string, Durations>();
  for (const scribe of scribes) {
    const sum = sums.get(scribe.name) ?? new Durations();
    sum.add(scribe.durations[metric.timed]);
    sums.set(scribe.name, sum);
  }
  return [...sums].flatMap(([pool, { buckets, sum }]) => {
    const labels = { [labelName(POOL_NAME)]: pool };
    let count = 0;
    const cumulated = buckets.map((bucket, at) => {
      count += bucket;
      return { name: `${name}_bucket`, labels: { le: String(BUCKETS[at] ?? '+Inf'), ...labels }, value: count };
    });
    return [...cumulated, { name: `${name}_sum`, labels, value: sum }, { name: `${name}_count`, labels, value: count }];
  });
}

/** One family, of pools that were read in the same turn. */
export function familyOf(metric: Metric, scribes: readonly Scribe[], readings: readonly Reading[]): Family {
  const series = metric.instrument === 'histogram' ? timedSeries(metric, scribes) : readSeries(metric, readings);
  return { name: familyName(metric), type: familyType(metric), help: metric.description, series };
}

export function familiesOf(scribes: readonly Scribe[]): Family[] {
  const readings = scribes.map((scribe) => scribe.read());
  return METRICS.map((metric) => familyOf(metric, scribes, readings));
}
