// Loaded ahead of every test with `--import` where OXBOW_TEST_WHY is set: every pool detects deadlocks, at both doors, and everything that can
// listen does: metrics of OpenTelemetry and of prom-client, spans, every diagnostics channel, an observer of each event. For the code that
// tests import and for the built package that programs take. Knows no test.

import assert from 'node:assert/strict';
import { channel, subscribe } from 'node:diagnostics_channel';
import { existsSync } from 'node:fs';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base';
import { Registry } from 'prom-client';

const built = new URL('../../src/', import.meta.url);
const shipped = new URL('../../../dist/', import.meta.url);
const NOTHING = (): void => {};

async function load(base: URL, path: string): Promise<object> {
  const module: unknown = await import(new URL(path, base).href);
  return Object(module);
}

function called(owner: unknown, name: string, ...args: unknown[]): unknown {
  const value: unknown = Reflect.get(Object(owner), name);
  assert.ok(typeof value === 'function', `${name} is a function`);
  return Reflect.apply(value, owner, args);
}

/** Detects at both doors. */
function detect(table: unknown): void {
  const defaults: unknown = Reflect.get(Object(Reflect.get(Object(table), 'nestedAcquire')), 'default');
  for (const door of ['oxbow', 'pg']) assert.ok(Reflect.set(Object(defaults), door, 'detect'), 'the table was frozen');
}

/** Each pool is listened to from the moment at which its engine is there. */
async function listenTo(base: URL): Promise<void> {
  const [{ OPTIONS }, otel, prometheus, telemetry, door] = await Promise.all([
    load(base, 'core/option-table.js') as Promise<{ OPTIONS: unknown }>,
    load(base, 'doors/otel.js'),
    load(base, 'doors/prometheus.js'),
    load(base, 'pool/observers.js'),
    load(base, 'doors/index.js'),
  ]);
  detect(OPTIONS);
  const reader = new PeriodicExportingMetricReader({
    exporter: new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE),
    exportIntervalMillis: 2_000,
    exportTimeoutMillis: 1_000,
  });
  const meterProvider = new MeterProvider({ readers: [reader] });
  const tracerProvider = new BasicTracerProvider();
  const names: unknown = Reflect.get(telemetry, 'EVENTS');
  assert.ok(Array.isArray(names));
  const observer = Object.fromEntries(names.map((name: string) => [name, NOTHING]));
  const known = new WeakSet<object>();
  const attach = (pool: object): void => {
    if (known.has(pool)) return;
    known.add(pool);
    called(pool, 'observe', observer);
    called(otel, 'measurePool', pool, { meterProvider });
    called(otel, 'tracePool', pool, { tracerProvider });
    called(prometheus, 'collectPool', pool, { register: new Registry() });
  };
  const { prototype } = Reflect.get(door, 'Pool') as { prototype: object };
  for (const verb of ['open', 'acquire', 'use', 'transaction', 'query', 'connect', 'tryAcquire']) {
    const own: unknown = Reflect.get(prototype, verb);
    assert.ok(typeof own === 'function');
    // Before the call and not around it: a frame of ours would be what call sites name.
    const get = function (this: object): unknown {
      if (this !== prototype && !Object.hasOwn(this, verb)) attach(this);
      return own;
    };
    Object.defineProperty(prototype, verb, { get, configurable: true });
  }
}

const { CHANNELS } = (await load(built, 'telemetry/events.js')) as {
  CHANNELS: Readonly<Record<string, { kind: string }>>;
};
for (const [name, { kind }] of Object.entries(CHANNELS)) {
  if (kind === 'plain') subscribe(name, NOTHING);
  else
    for (const part of ['start', 'end', 'asyncStart', 'asyncEnd', 'error'])
      subscribe(`tracing:${name}:${part}`, NOTHING);
}
assert.ok(channel('pg:pool:release').hasSubscribers);
await listenTo(built);
if (existsSync(shipped)) await listenTo(shipped);
