// OpenTelemetry's tracer, enabled while a pool is in use and its connections are open: from then on no query goes past it.

import assert from 'node:assert/strict';
import test from 'node:test';
import { askInEveryWay, assertSeen, framesIn, tracer } from './spans.ts';

const { instrumentation, texts } = tracer();
// It has to see pg being loaded, to find it later.
instrumentation.disable();
const { withPool, withServer } = await import('./harness.ts');

const server = await withServer(test);

const FRAMES = ['BEGIN', 'SAVEPOINT oxbow_1', 'RELEASE SAVEPOINT oxbow_1', 'COMMIT', 'BEGIN', 'ROLLBACK'];

test('a tracer that comes while a pool is in use sees each query from then on, once, on connections old and new', async (t) => {
  const pool = withPool(t, { ...server.config, max: 4 });
  for (let turn = 0; turn < 3; turn += 1) {
    instrumentation.disable();
    await askInEveryWay(pool);
    assert.deepEqual(texts(), []);
    const { queriesByCodec = 0 } = pool.stats();
    assert.ok(queriesByCodec > 0);

    instrumentation.enable();
    // The first turn on connections that were opened before it, the others on such and on new ones.
    const asked = await askInEveryWay(pool);
    const seen = texts();
    assertSeen(seen, asked);
    assert.deepEqual(framesIn(seen), FRAMES);
    assert.equal(pool.stats().queriesByCodec, queriesByCodec, 'the codec is silent');
    await pool.trim({ to: turn });
  }
});

test('one that comes in the middle of a transaction sees what is left of it', async (t) => {
  instrumentation.disable();
  const pool = withPool(t, server.config);
  await pool.transaction(async (tx) => {
    await tx.query('SELECT 1');
    texts();
    instrumentation.enable();
    await tx.query('SELECT 2');
    await tx.query('SELECT $1::int', [3]);
    instrumentation.disable();
    await tx.query('SELECT 4');
    instrumentation.enable();
  });
  assert.deepEqual(texts(), ['SELECT 2', 'SELECT $1::int', 'COMMIT']);
});

test('when it is gone the codec speaks again', async (t) => {
  instrumentation.enable();
  const pool = withPool(t, server.config);
  await askInEveryWay(pool);
  texts();
  instrumentation.disable();
  await pool.trim({ to: 0 });
  await askInEveryWay(pool);
  assert.deepEqual(texts(), []);
  assert.ok((pool.stats().queriesByCodec ?? 0) > 0);
});
