// tracePool() beside OpenTelemetry's own tracer of pg: whoever of the two is at work, a query has one span.

import assert from 'node:assert/strict';
import test from 'node:test';
import { PgInstrumentation } from '@opentelemetry/instrumentation-pg';
import { tracedProgram } from './otel-spans.ts';

const { provider, spans } = tracedProgram();
const instrumentation = new PgInstrumentation();
instrumentation.setTracerProvider(provider);
const { tracePool } = await import('../../src/doors/otel.ts');
const { withPool, withServer } = await import('./harness.ts');
const { askInEveryWay, assertSeen } = await import('./spans.ts');

const server = await withServer(test);

/** The texts of the spans that ended since it was asked last, by either convention. */
function texts(): string[] {
  return spans().flatMap(({ attributes }) => {
    const both = [attributes['db.query.text'], attributes['db.statement']].filter((text) => typeof text === 'string');
    assert.ok(both.length <= 1);
    return both;
  });
}

test('while that tracer is at work each query has one span, its own; when it has gone each that the codec speaks has ours', async (t) => {
  const pool = withPool(t, server.config);
  t.after(async () => tracePool(pool, { tracerProvider: provider })());
  const undo = tracePool(pool, { tracerProvider: provider });
  const asked = await askInEveryWay(pool);
  assertSeen(texts(), asked);
  assert.equal(pool.stats().queriesByCodec, 0);

  instrumentation.disable();
  await pool.replaceAll();
  const again = await askInEveryWay(pool);
  const seen = texts();
  assert.equal(seen.length, pool.stats().queriesByCodec);
  // What went past the codec, to pg itself, is nobody's: what is asked of the client, and a name when it is new to a connection.
  const left = [...again];
  for (const text of seen.filter((one) => one.startsWith('/*'))) {
    assert.ok(left.includes(text), `a second span of ${text}`);
    left.splice(left.indexOf(text), 1);
  }
  assert.ok(left.length < 8, left.join());
  undo();
});

test('a wait has one span, ours, also while that tracer is at work', async (t) => {
  instrumentation.enable();
  const pool = withPool(t, server.config);
  const undo = tracePool(pool, { tracerProvider: provider });
  await pool.query('SELECT 1');
  (await pool.connect()).release();
  undo();
  const names = spans().map(({ name }) => name);
  assert.equal(names.filter((name) => name === 'pool.acquire').length, 2);
  assert.ok(!names.includes('pg-pool.connect'));
});
