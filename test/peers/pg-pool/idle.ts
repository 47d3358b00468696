// Lines 35 to 40: idle clients, and the process they keep.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { eventually } from '../../postgres/harness.ts';
import { different, same } from './contestants.ts';
import { timed } from './timed.ts';

same(35, async (b) => {
  const pool = b.pool({ idleTimeoutMillis: 20 });
  const client = await pool.connect();
  const counts = new Promise<unknown>((resolve) => {
    pool.on('remove', (removed) => resolve([removed, pool.idleCount, pool.totalCount]));
  });
  client.release();
  assert.deepEqual([pool.idleCount, pool.totalCount], [1, 1]);
  const [removed, idle, total] = Object.values(Object(await counts));
  assert.equal(removed, client);
  assert.deepEqual([idle, total], [0, 0]);
});

same(36, async (b) => {
  const pool = b.pool({ idleTimeoutMillis: 100 });
  const [a, other] = await Promise.all([pool.connect(), pool.connect()]);
  const removed: unknown[] = [];
  pool.on('remove', (client) => removed.push(client));
  a.release();
  other.release(new Error('line 36'));
  await eventually('both are gone', () => removed.length === 2, { withinMs: 2_000 });
  assert.ok(removed.includes(a) && removed.includes(other));
  assert.deepEqual([pool.idleCount, pool.totalCount], [0, 0]);
});

different(37, 'twenty rounds with a timeout of 1 ms: gone within 6 ms each time, and made anew', {
  theirs: async (b) => {
    const pool = b.pool({ idleTimeoutMillis: 1 });
    for (let n = 0; n < 20; n += 1) {
      const gone = once(pool, 'remove');
      (await pool.connect()).release();
      assert.equal(pool.idleCount, 1);
      await gone;
      assert.equal(pool.totalCount, 0);
    }
  },
  ours: async (b) => {
    const clients = new Set<unknown>();
    const pool = b.pool({ idleTimeoutMillis: 1 });
    for (let n = 0; n < 20; n += 1) {
      const gone = once(pool, 'remove');
      const client = await pool.connect();
      clients.add(client);
      client.release();
      assert.equal(pool.idleCount, 1);
      await gone;
      assert.equal(pool.totalCount, 0);
    }
    assert.equal(clients.size, 20);
    const { pool: exact, clock } = timed(b, { idleTimeoutMillis: 1 });
    for (let n = 0; n < 20; n += 1) {
      const lease = exact.acquire();
      await clock.advance(1);
      (await lease).release();
      await clock.advance(6);
      assert.equal(exact.totalCount, 0, `round ${n + 1}`);
    }
  },
});

same(38, async (b) => {
  const pool = b.pool({ idleTimeoutMillis: 50 });
  const removed: unknown[] = [];
  pool.on('remove', (client) => removed.push(client));
  const client = await pool.connect();
  await client.query('SELECT pg_sleep(0.2)');
  assert.deepEqual([pool.totalCount, pool.idleCount, removed.length], [1, 0, 0]);
  client.release();
  assert.deepEqual([pool.totalCount, pool.idleCount], [1, 1]);
  await eventually('it is evicted after that', () => removed.length === 1);
});

const PROGRAM = `
  pool.on('remove', () => say('removed'));
  const client = await pool.connect();
  await client.query('SELECT 1');
  say('queried');
  client.release();
  say('released');
`;

same(39, async (b) => {
  const began = performance.now();
  const { code, stdout } = await b.run(
    `const pool = new Pool({ ...config, allowExitOnIdle: true, idleTimeoutMillis: 60_000 }); ${PROGRAM}`,
  );
  assert.equal(code, 0);
  assert.equal(stdout, 'queried\nreleased\n');
  assert.ok(performance.now() - began < 10_000, 'it did not have to be killed');
});

same(40, async (b) => {
  const { code, stdout } = await b.run(
    `const pool = new Pool({ ...config, allowExitOnIdle: false, idleTimeoutMillis: 300 }); ${PROGRAM}`,
  );
  assert.equal(code, 0);
  assert.equal(stdout, 'queried\nreleased\nremoved\n');
});
