// tracePool() with the real SDK of OpenTelemetry: a span for each wait and for each query of the codec, under what was active, and nothing else.

import assert from 'node:assert/strict';
import { hasSubscribers } from 'node:diagnostics_channel';
import test from 'node:test';
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { Pool } from '../../src/doors/index.ts';
import { type TraceOptions, tracePool } from '../../src/doors/otel.ts';
import { eventually, unusedPort, withPool, withServer } from './harness.ts';
import { tracedProgram } from './otel-spans.ts';
import { askInEveryWay } from './spans.ts';

const { provider, spans, within } = tracedProgram();
const server = await withServer(test);

interface Scope {
  after(fn: () => Promise<void>): void;
}

function traced(t: Scope, options: TraceOptions = {}): { pool: Pool; undo: () => void } {
  const pool = withPool(t, { ...server.config, max: 1 });
  const undo = tracePool(pool, { tracerProvider: provider, ...options });
  t.after(async () => undo());
  return { pool, undo };
}

function named(all: readonly ReadableSpan[], name: string): ReadableSpan[] {
  return all.filter((span) => span.name === name);
}

const PLACE = {
  'db.system.name': 'postgresql',
  'db.namespace': server.config.database,
  'server.address': server.config.host,
  'server.port': server.config.port,
};

test('a query is two spans, the wait and the query, both children of what was active, with the attributes of the conventions', async (t) => {
  const { pool } = traced(t);
  const parent = await within(async (span) => {
    await pool.query('SELECT $1::int AS n', [42]);
    return span.spanContext();
  });
  const [wait, query, ...others] = spans();
  assert.deepEqual([wait?.name, query?.name], ['pool.acquire', `SELECT ${server.config.database}`]);
  assert.deepEqual(
    others.map(({ name }) => name),
    ['program'],
  );
  for (const span of [wait, query]) {
    assert.equal(span?.parentSpanContext?.spanId, parent.spanId);
    assert.equal(span?.spanContext().traceId, parent.traceId);
    assert.equal(span?.kind, SpanKind.CLIENT);
    assert.equal(span?.status.code, SpanStatusCode.UNSET);
  }
  const place = { ...PLACE, 'db.client.connection.pool.name': pool.name };
  assert.deepEqual(wait?.attributes, place);
  assert.deepEqual(query?.attributes, {
    ...place,
    'db.operation.name': 'SELECT',
    'db.query.text': 'SELECT $1::int AS n',
  });
});

test('where somebody else gives the connection back, a span is still a child of its own caller', async (t) => {
  const { pool } = traced(t);
  await pool.query('SELECT 0');
  spans();
  const parents = await Promise.all(
    Array.from({ length: 10 }, (_, n) =>
      within(async (span) => {
        await pool.query(`SELECT ${n}`);
        return [`SELECT ${n}`, span.spanContext().spanId];
      }),
    ),
  );
  const seen = spans().filter(({ name }) => name.startsWith('SELECT'));
  const found = seen.map(({ attributes, parentSpanContext }) => [
    attributes['db.query.text'],
    parentSpanContext?.spanId,
  ]);
  assert.deepEqual(found, parents);
});

test('a query that fails is a span with the SQLSTATE, and with no word of its values', async (t) => {
  const { pool } = traced(t);
  await assert.rejects(pool.query('SELECT $1::int', ['a-value']), { code: '22P02' });
  const [query] = spans().filter(({ name }) => name.startsWith('SELECT'));
  assert.equal(query?.status.code, SpanStatusCode.ERROR);
  assert.equal(query?.attributes['db.response.status_code'], '22P02');
  assert.equal(query?.attributes['error.type'], '22P02');
  assert.ok(!JSON.stringify([query?.attributes, query?.status, query?.events]).includes('a-value'));
});

test("a wait that fails is a span with the error's kind, whoever asked", async (t) => {
  const pool = new Pool({ host: '127.0.0.1', port: await unusedPort(), acquireTimeoutMs: 50, dev: false });
  const undo = tracePool(pool, { tracerProvider: provider });
  t.after(undo);
  for (const ask of [() => pool.query('SELECT 1'), () => pool.connect(), () => pool.use(() => {})]) {
    await assert.rejects(ask(), { kind: 'POOL_TIMEOUT' });
    const [wait, ...others] = spans();
    assert.deepEqual([wait?.name, wait?.status.code, others.length], ['pool.acquire', SpanStatusCode.ERROR, 0]);
    assert.equal(wait?.attributes['error.type'], 'POOL_TIMEOUT');
    assert.match(wait?.status.message ?? '', /timeout exceeded|no connection/);
  }
  await pool.close();
});

test("semconv: 'compat' calls the wait as OpenTelemetry's tracer of pg-pool does", async (t) => {
  const { pool } = traced(t, { semconv: 'compat' });
  await pool.query('SELECT 1');
  assert.equal(named(spans(), 'pg-pool.connect').length, 1);
});

test('each query that the codec speaks has one span, in whatever way it is asked', async (t) => {
  const { pool } = traced(t);
  await askInEveryWay(pool);
  const texts = spans().flatMap(({ attributes }) => attributes['db.query.text'] ?? []);
  assert.equal(texts.length, pool.stats().queriesByCodec);
  assert.ok(texts.length > 30);
});

test('a query that is given up ends its span by itself', async (t) => {
  const { pool } = traced(t);
  await assert.rejects(pool.query({ text: 'SELECT pg_sleep(60)', timeoutMs: 100 }), { kind: 'QUERY_TIMEOUT' });
  const seen: ReadableSpan[] = [];
  await eventually('the span of the cancelled query', () => {
    seen.push(...spans());
    return seen.some(({ attributes }) => attributes['db.response.status_code'] === '57014');
  });
});

test('of another pool nothing is told, and after the undo of none; what is under way then is ended', async (t) => {
  const { pool, undo } = traced(t);
  const other = withPool(t, server.config);
  await other.query('SELECT 1');
  assert.deepEqual(spans(), []);
  const lease = await pool.acquire();
  spans();
  const waiting = pool.query('SELECT 1');
  undo();
  assert.deepEqual(
    spans().map(({ name }) => name),
    ['pool.acquire'],
  );
  for (const name of ['pg:pool:connect', 'oxbow:query'])
    for (const part of ['start', 'error', 'asyncEnd']) assert.equal(hasSubscribers(`tracing:${name}:${part}`), false);
  lease.release();
  await waiting;
  await pool.query('SELECT 2');
  assert.deepEqual(spans(), []);
});

test('two tracers of one pool make a span each, and without a provider the global one is asked', async (t) => {
  const { pool } = traced(t);
  trace.setGlobalTracerProvider(provider);
  t.after(async () => trace.disable());
  const undo = tracePool(pool);
  await pool.query('SELECT 1');
  assert.equal(named(spans(), 'pool.acquire').length, 2);
  undo();
});

test('what cannot be meant is an OptionError', (t) => {
  const pool = withPool(t, server.config);
  for (const wrong of [
    () => tracePool(undefined as never),
    () => tracePool(pool, { semconv: 'old' as never }),
    () => tracePool(pool, { tracerProvider: {} as never }),
    () => tracePool(pool, { tracer: provider } as never),
  ])
    assert.throws(wrong, { kind: 'INVALID_OPTION' });
});
