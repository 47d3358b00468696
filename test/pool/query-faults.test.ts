// What becomes of a connection when asking on it throws before anything was sent. Owns a session that does so; knows nothing of a server.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Driver, Session, SessionStatus } from '../../src/contracts/driver.ts';
import { Pool } from '../../src/doors/index.ts';

class Throwing implements Session {
  readonly status: SessionStatus = 'idle';
  readonly client: object = {};

  speak(): boolean {
    throw new Error('no way to ask');
  }

  onLost(): void {}
  async ping(): Promise<void> {}
  async rollback(): Promise<void> {}
  async discard(): Promise<void> {}
  async settle(): Promise<boolean> {
    return false;
  }
  async end(): Promise<void> {}
  async destroy(): Promise<void> {}
}

test('a query whose session throws at once is refused with that, and the connection is back, whether it waited or not', async () => {
  const driver: Driver = { open: async () => new Throwing(), classify: () => 'transient' };
  await using pool = new Pool({ driver, max: 1, acquireTimeoutMs: 2_000 });
  for (let round = 0; round < 2; round += 1) await assert.rejects(pool.query('select 1'), /no way to ask/);
  assert.deepEqual([pool.snapshot().lent, pool.snapshot().idle], [0, 1]);
});
