// The catalogue as instruments of OpenTelemetry. Owns that there is one instrument of each kind for a meter, whatever number of pools report
// through it, and that nothing of a pool is read but when somebody collects. Which figure means what is the catalogue's.

import {
  type Attributes,
  type BatchObservableResult,
  type Histogram,
  type Meter,
  type MeterProvider,
  metrics,
  type Observable,
} from '@opentelemetry/api';
import { OptionError } from '../contracts/errors.ts';
import { BUCKETS, LIMIT_ALIAS, POOL_NAME, READ, type ReadMetric, TIMED } from './metrics.ts';
import { pointsOf } from './points.ts';
import { Shared } from './shared.ts';
import { checkMeasured, type Duration, type MeasuredPool, Tally } from './tally.ts';

export interface MeasureOptions {
  /** Where the instruments are made. Default: the meter `oxbow` of `meterProvider`. */
  meter?: Meter | undefined;
  /** Default: the one that is registered when this is called. */
  meterProvider?: MeterProvider | undefined;
  /** Tells the limit under its deprecated name `db.client.connection.max` as well. Default false. */
  limitAlias?: boolean | undefined;
}

/** A point that was told, which a reader of OpenTelemetry keeps telling until it hears another figure. */
interface Told {
  readonly observable: Observable;
  readonly attributes: Attributes;
}

/** All pools that are measured through one meter. */
class Measuring {
  readonly #meter: Meter;
  readonly #histograms: ReadonlyMap<Duration, Histogram>;
  readonly #observables = new Map<ReadMetric, Observable>();
  readonly #shared = new Shared<MeasuredPool, Tally>();
  /** Who takes part, each as often as it was asked for; true: with the alias. */
  #parts: readonly (readonly [Tally, boolean])[] = [];
  #watched: Observable[] = [];
  /** What must be taken back when it is true no longer. */
  #told: ReadonlyMap<string, Told> = new Map();
  readonly #collect = (result: BatchObservableResult): void => {
    const tallies = [...new Set(this.#parts.map(([tally]) => tally))];
    const readings = new Map(tallies.map((tally) => [tally, tally.read()]));
    const aliased = new Set(this.#parts.flatMap(([tally, alias]) => (alias ? tally : [])));
    const told = new Map<string, Told>();
    for (const [metric, observable] of this.#observables) {
      const { instrument, lasting, attribute, name } = metric;
      const whose = tallies.filter((tally) => metric !== LIMIT_ALIAS || aliased.has(tally));
      const points = pointsOf(
        metric,
        whose.flatMap((tally) => readings.get(tally) ?? []),
      );
      for (const { pool, value, amount } of points) {
        const attributes: Attributes = { [POOL_NAME]: pool };
        if (attribute !== undefined) attributes[attribute.key] = value;
        result.observe(observable, amount, attributes);
        if (instrument === 'counter' || lasting) continue;
        told.set(JSON.stringify([name, pool, value]), { observable, attributes });
      }
    }
    for (const [key, { observable, attributes }] of this.#told)
      if (!told.has(key)) result.observe(observable, 0, attributes);
    this.#told = told;
    // Not at once: the meter is going through its callbacks.
    if (told.size === 0) void Promise.resolve().then(() => this.#watch());
  };

  constructor(meter: Meter) {
    this.#meter = meter;
    for (const metric of READ) this.#observables.set(metric, this.#make(metric));
    this.#histograms = new Map(
      TIMED.map(({ name, description, unit, timed }) => {
        const advice = { explicitBucketBoundaries: [...BUCKETS] };
        return [timed, meter.createHistogram(name, { description, unit, advice })];
      }),
    );
  }

  /** Returns the undo. */
  add(pool: MeasuredPool, alias: boolean): () => void {
    const attributes: Attributes = { [POOL_NAME]: pool.name };
    const timed = (what: Duration, seconds: number): void => this.#histograms.get(what)?.record(seconds, attributes);
    const { what: tally, release } = this.#shared.take(pool, () => new Tally(pool, timed));
    if (alias && !this.#observables.has(LIMIT_ALIAS)) this.#observables.set(LIMIT_ALIAS, this.#make(LIMIT_ALIAS));
    const part = [tally, alias] as const;
    this.#parts = [...this.#parts, part];
    this.#watch();
    return () => {
      this.#parts = this.#parts.filter((other) => other !== part);
      this.#watch();
      release();
    };
  }

  #make({ name, instrument, description, unit }: ReadMetric): Observable {
    switch (instrument) {
      case 'counter':
        return this.#meter.createObservableCounter(name, { description, unit });
      case 'updowncounter':
        return this.#meter.createObservableUpDownCounter(name, { description, unit });
      case 'gauge':
        return this.#meter.createObservableGauge(name, { description, unit });
    }
  }

  /** One reading of each pool serves all instruments. With no pool left, and nothing to take back, the meter calls nothing of ours. */
  #watch(): void {
    const wanted = this.#parts.length === 0 && this.#told.size === 0 ? [] : [...this.#observables.values()];
    if (wanted.length === this.#watched.length) return;
    if (this.#watched.length > 0) this.#meter.removeBatchObservableCallback(this.#collect, this.#watched);
    if (wanted.length > 0) this.#meter.addBatchObservableCallback(this.#collect, wanted);
    this.#watched = wanted;
  }
}

const measuring = new WeakMap<Meter, Measuring>();

function meterOf({ meter, meterProvider }: MeasureOptions): Meter {
  return meter ?? (meterProvider ?? metrics.getMeterProvider()).getMeter('oxbow');
}

function checkOptions(options: unknown): void {
  if (typeof options !== 'object' || options === null) throw new OptionError('options', options, 'an object');
  for (const [key, value] of Object.entries(options)) {
    if (!['meter', 'meterProvider', 'limitAlias'].includes(key))
      throw new OptionError(key, value, 'one of meter, meterProvider, limitAlias');
    if (value === undefined) continue;
    const can = (verb: string): boolean => typeof Reflect.get(Object(value), verb) === 'function';
    if (key === 'meter' && !can('createHistogram')) throw new OptionError(key, value, 'a Meter of @opentelemetry/api');
    if (key === 'meterProvider' && !can('getMeter'))
      throw new OptionError(key, value, 'a MeterProvider of @opentelemetry/api');
    if (key === 'limitAlias' && typeof value !== 'boolean') throw new OptionError(key, value, 'true or false');
  }
}

/**
 * Reports what a pool does as metrics of OpenTelemetry, from now on, under the pool's name; docs/reference/metrics.md lists them. Returns the
 * undo, which leaves no listener at the pool, and none at the meter once that has told that nothing is left. Without `meter` and `meterProvider` the provider must have been
 * registered before.
 */
export function measurePool(pool: MeasuredPool, options: MeasureOptions = {}): () => void {
  checkMeasured(pool);
  checkOptions(options);
  const meter = meterOf(options);
  const there = measuring.get(meter) ?? new Measuring(meter);
  measuring.set(meter, there);
  return there.add(pool, options.limitAlias === true);
}
