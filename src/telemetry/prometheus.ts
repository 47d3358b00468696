// Pools on a register of prom-client, and as text for those who have none. Owns which pool is told where and until when. prom-client is not
// imported: a register takes whatever can be asked for its values.

import { OptionError } from '../contracts/errors.ts';
import { METRICS, type Metric } from './metrics.ts';
import { familiesOf, familyName, familyOf, familyType, Scribe } from './prometheus-families.ts';
import { Shared } from './shared.ts';
import { checkMeasured, type MeasuredPool } from './tally.ts';

/** What a register asks of a metric. */
export interface Collected {
  get(): Promise<unknown>;
  reset(): void;
}

/** A `Registry` of prom-client 15. */
export interface Register {
  registerMetric(metric: Collected): void;
  getSingleMetric(name: string): unknown;
  removeSingleMetric(name: string): void;
}

export interface CollectOptions {
  /** Where the pool is told; several pools may share one. */
  register: Register;
}

/** One for each pool, wherever it is told, so that all who tell it say the same. */
const scribes = new Shared<MeasuredPool, Scribe>();

/** One metric of all pools on a register, as prom-client's own metrics look from there. */
class Collection implements Collected {
  /** OpenMetrics has its own name for a counter, which the register writes here. */
  name: string;
  readonly help: string;
  readonly type: string;
  readonly aggregator: string;
  readonly #metric: Metric;
  readonly #scribes: () => readonly Scribe[];

  constructor(metric: Metric, scribes: () => readonly Scribe[]) {
    this.name = familyName(metric);
    this.help = metric.description;
    this.type = familyType(metric);
    this.aggregator = metric.instrument === 'gauge' ? 'max' : 'sum';
    this.#metric = metric;
    this.#scribes = scribes;
  }

  async get(): Promise<unknown> {
    const { name, help, type, aggregator } = this;
    const scribes = this.#scribes();
    const readings = this.#metric.instrument === 'histogram' ? [] : scribes.map((scribe) => scribe.read());
    const values = familyOf(this.#metric, scribes, readings).series.map((series) => {
      const { labels, value } = series;
      return this.#metric.instrument === 'histogram' ? { metricName: series.name, labels, value } : { labels, value };
    });
    return { name, help, type, aggregator, values };
  }

  /** There is nothing to forget: what is told is what the pools did. */
  reset(): void {}
}

/** All pools on one register. */
class Collecting {
  readonly #register: Register;
  readonly #told = new Set<Scribe>();
  readonly #shared = new Shared<MeasuredPool, { stop(): void }>();
  readonly #collections: ReadonlyMap<string, Collection>;

  constructor(register: Register) {
    this.#register = register;
    const told = (): readonly Scribe[] => [...this.#told];
    this.#collections = new Map(METRICS.map((metric) => [familyName(metric), new Collection(metric, told)]));
  }

  /** Returns the undo. */
  add(pool: MeasuredPool): () => void {
    const register = this.#register;
    for (const [name, collection] of this.#collections) {
      const there = register.getSingleMetric(name);
      if (there !== undefined && there !== collection)
        throw new OptionError('register', name, `a register without a metric of that name`);
    }
    // Also those that were there: a user may have cleared the register.
    for (const collection of this.#collections.values()) register.registerMetric(collection);
    return this.#shared.take(pool, () => this.#tell(pool)).release;
  }

  #tell(pool: MeasuredPool): { stop(): void } {
    const { what: scribe, release } = scribes.take(pool, () => new Scribe(pool));
    this.#told.add(scribe);
    const stop = (): void => {
      this.#told.delete(scribe);
      release();
      if (this.#told.size === 0) this.#clear();
    };
    return { stop };
  }

  #clear(): void {
    for (const [name, collection] of this.#collections)
      if (this.#register.getSingleMetric(name) === collection) this.#register.removeSingleMetric(name);
  }
}

const collecting = new WeakMap<Register, Collecting>();

function isRegister(value: unknown): value is Register {
  const verbs = ['registerMetric', 'getSingleMetric', 'removeSingleMetric'];
  return verbs.every((verb) => typeof Reflect.get(Object(value), verb) === 'function');
}

/**
 * Puts what a pool does on a register of prom-client, from now on, read at each scrape; docs/reference/metrics.md lists the series. Several
 * pools share a register, told apart by their names. Returns the undo, which leaves no listener at the pool, and with the last pool no
 * metric on the register.
 */
export function collectPool(pool: MeasuredPool, options: CollectOptions): () => void {
  checkMeasured(pool);
  const register: unknown = Reflect.get(Object(options), 'register');
  if (!isRegister(register)) throw new OptionError('register', register, "prom-client's register, or a Registry");
  const there = collecting.get(register) ?? new Collecting(register);
  collecting.set(register, there);
  return there.add(pool);
}

/** Pools that were rendered once: they are counted for as long as they live. */
const rendered = new WeakMap<MeasuredPool, Scribe>();

/**
 * The same as text, in the exposition format 0.0.4, without prom-client. A pool is counted from the first call for it on: call it once where
 * the pool is made.
 */
export function renderText(...pools: readonly MeasuredPool[]): string {
  const told = [...new Set(pools)].map((pool) => {
    checkMeasured(pool);
    const scribe = rendered.get(pool) ?? scribes.take(pool, () => new Scribe(pool)).what;
    rendered.set(pool, scribe);
    return scribe;
  });
  const blocks = familiesOf(told).map(({ name, type, help, series }) => [
    `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`,
    `# TYPE ${name} ${type}`,
    ...series.map((one) => `${one.name}{${labelsText(one.labels)}} ${one.value}`),
  ]);
  return `${blocks.flat().join('\n')}\n`;
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  const quoted = (text: string): string =>
    `"${text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')}"`;
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${quoted(value)}`)
    .join(',');
}
