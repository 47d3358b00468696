// OpenTelemetry's tracer of pg, and what a program asks of a pool in each way there is. To be imported ahead of pg, and knows none of it: a tracer
// that comes first sees pg being loaded.

import assert from 'node:assert/strict';
import { PgInstrumentation } from '@opentelemetry/instrumentation-pg';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type pg from 'pg';
import type { Pool } from '../../src/doors/index.ts';

export interface Tracer {
  readonly instrumentation: PgInstrumentation;
  /** The texts of the spans since it was asked last, in their order. */
  texts(): string[];
}

/** Enabled from its making on. */
export function tracer(): Tracer {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  const instrumentation = new PgInstrumentation();
  instrumentation.setTracerProvider(provider);
  return {
    instrumentation,
    texts: () => {
      const spans = exporter.getFinishedSpans();
      exporter.reset();
      return spans.flatMap(({ attributes }) => {
        const text = attributes['db.statement'];
        return typeof text === 'string' ? [text] : [];
      });
    },
  };
}

/** As often as it takes for a text to be prepared by itself, and then some. */
const TIMES = 8;

/** Asks in every way; each text bears a number. Returns those texts, as often as each was sent. */
export async function askInEveryWay(pool: Pool): Promise<string[]> {
  const asked: string[] = [];
  const text = (rest: string, again = 1): string => {
    const numbered = `/*${new Set(asked).size}*/ ${rest}`;
    for (let time = 0; time < again; time += 1) asked.push(numbered);
    return numbered;
  };
  await pool.query(text('SELECT 1'));
  await pool.query(text('SELECT $1::int'), [1]);
  await pool.query({ text: text('SELECT $1::text'), values: ['a'], rowMode: 'array' });
  const often = text('SELECT $1::int + 1', TIMES);
  for (let time = 0; time < TIMES; time += 1) await pool.query(often, [time]);
  const named = { name: 'named', text: text('SELECT $1::int + 2', 3) };
  for (let time = 0; time < 3; time += 1) await pool.query({ ...named, values: [time] });
  await pool.query({ text: text('SELECT 3'), timeoutMs: 5_000, signal: new AbortController().signal });
  await assert.rejects(pool.query(text('SELECT nowhere')));
  await Promise.all(Array.from({ length: 20 }, (_, n) => pool.query(text(`SELECT ${n} + 100`))));
  await new Promise<void>((resolve, reject) => {
    pool.query(text('SELECT 4'), (error: Error | undefined, _result: pg.QueryResult) =>
      error ? reject(error) : resolve(),
    );
  });
  const lease = await pool.acquire();
  await lease.query(text('SELECT 5'));
  await lease.client.query(text('SELECT 6'));
  await lease.query(text('SELECT $1::int + 7'), [7]);
  await Promise.all([
    lease.query(text('SELECT 8')),
    lease.client.query(text('SELECT $1::int + 9'), [9]),
    lease.query(text('SELECT 10')),
  ]);
  lease.release();
  await pool.transaction(async (tx) => {
    await tx.query(text('SELECT 11'));
    await tx.transaction(async (inner) => {
      await inner.query(text('SELECT $1::int + 12'), [12]);
    });
    await tx.client.query(text('SELECT 13'));
  });
  await assert.rejects(
    pool.transaction(async (tx) => {
      await tx.query(text('SELECT 1/0'));
    }),
  );
  const client = await pool.connect();
  await client.query(text('SELECT 14'));
  client.release();
  return asked;
}

/** Each was seen as often as it was sent. */
export function assertSeen(seen: readonly string[], asked: readonly string[]): void {
  assert.deepEqual(seen.filter((text) => text.startsWith('/*')).sort(), [...asked].sort());
}

/** What begins and ends a transaction, as far as it was seen. */
export function framesIn(seen: readonly string[]): string[] {
  return seen.filter((text) => /^(?:BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)/.test(text));
}
