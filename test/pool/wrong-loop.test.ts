// What is told to whoever uses a pool in an event loop that is not its own.

import assert from 'node:assert/strict';
import test from 'node:test';
import { isOxbowError, OxbowError, Pool, WrongLoopError } from '../../src/doors/index.ts';
import { watchNesting } from '../../src/pool/nested-guard.ts';
import { RequestGuard } from '../../src/pool/request-guard.ts';

test('the error of a wrong loop says where the pool lives, where it was used, and what to do instead', () => {
  const facts = {
    lives: 'pool-1 lives in the request that used it first',
    used: 'in another request',
    instead: 'make a pool for each request',
  };
  const error = new WrongLoopError(facts);
  assert.equal(
    error.message,
    'pool-1 lives in the request that used it first, and was used in another request: make a pool for each request',
  );
  const { lives, used, instead } = error;
  assert.deepEqual({ lives, used, instead }, facts);
  assert.ok(error instanceof OxbowError && isOxbowError(error));
  assert.deepEqual([error.name, error.kind, error.code], ['WrongLoopError', 'POOL_WRONG_LOOP', 'POOL_WRONG_LOOP']);
  assert.equal(error.docs, 'oxbow/docs/reference/errors.md#pool_wrong_loop');
});

test('whoever forbids nested calls is told of a wrong loop all the same', async () => {
  const pool = new Pool({ name: 'shop', host: '127.0.0.1', port: 1 });
  let here = true;
  const guard = new RequestGuard(pool.name, {
    mint: () => ({
      kind: 'request',
      get here() {
        return here;
      },
    }),
  });
  guard.watch(pool);
  watchNesting(pool, { dev: false, nestedAcquire: 'forbid' }, () => {});
  assert.equal(guard.fault(), undefined);
  here = false;
  for (const asked of [
    pool.query('SELECT 1'),
    pool.acquire(),
    pool.use(() => 1),
    pool.transaction(() => 1),
    pool.connect(),
  ])
    await assert.rejects(asked, WrongLoopError);
  assert.throws(() => pool.tryAcquire(), WrongLoopError);
  here = true;
  await pool.close();
});
