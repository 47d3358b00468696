// OpenTelemetry's tracer, enabled before the pool or pg is loaded, as its documents ask for: no query goes past it.

import assert from 'node:assert/strict';
import test from 'node:test';
import { askInEveryWay, assertSeen, framesIn, tracer } from './spans.ts';

const { instrumentation, texts } = tracer();
const { withPool, withServer } = await import('./harness.ts');

const server = await withServer(test);

/** Two transactions: one with another inside it, one that fails. */
const FRAMES = ['BEGIN', 'SAVEPOINT oxbow_1', 'RELEASE SAVEPOINT oxbow_1', 'COMMIT', 'BEGIN', 'ROLLBACK'];

test('a tracer that was there first sees each query once, and pg speaks', async (t) => {
  const pool = withPool(t, server.config);
  const asked = await askInEveryWay(pool);
  const seen = texts();
  assertSeen(seen, asked);
  assert.deepEqual(framesIn(seen), FRAMES);
  assert.equal(pool.stats().queriesByCodec, 0);
  const { speaker } = pool.snapshot();
  assert.equal(speaker?.who, 'pg');
  assert.match(speaker?.why ?? '', /Client\.prototype\.\w+ is not pg's own/);
});

test('when it is gone the codec speaks on the connections that are opened from then on, and it sees nothing more', async (t) => {
  instrumentation.disable();
  const pool = withPool(t, server.config);
  await askInEveryWay(pool);
  assert.deepEqual(texts(), []);
  assert.ok((pool.stats().queriesByCodec ?? 0) > 30);
  assert.deepEqual(pool.snapshot().speaker, { who: 'codec' });
});
