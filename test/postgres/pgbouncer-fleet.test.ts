// A fleet budget behind PgBouncer: refused at once where a session of the server is not one's own, and of use where it is.

import assert from 'node:assert/strict';
import nodeTest from 'node:test';
import { ConnectError } from '../../src/doors/index.ts';
import { postgresBudget } from '../../src/sharing/postgres-budget.ts';
import { holdersOf } from './fleet-processes.ts';
import { freshName, pidOf, rejection, withPool } from './harness.ts';
import { behindPgBouncer, test, withPgBouncer } from './pgbouncer.ts';

const { server, admin } = await behindPgBouncer(nodeTest);

for (const [mode, pooler] of [
  ['transaction', 'auto'],
  ['transaction', 'transaction'],
  ['transaction', 'none'],
  ['session', 'auto'],
  ['session', 'none'],
] as const) {
  test(`behind a pooler in ${mode} mode, with pooler: '${pooler}', it is refused at once, says why, and leaves no lock`, async (t) => {
    const bouncer = await withPgBouncer(t, { server: server(), mode });
    const key = freshName();
    const pool = withPool(t, { ...bouncer.config, pooler, max: 3, budget: postgresBudget({ limit: 2, key }) });
    const since = performance.now();
    const error = await rejection(pool.acquire({ acquireTimeoutMs: 20_000 }), ConnectError);
    assert.ok(performance.now() - since < 2_000);
    assert.equal(error.transient, false);
    assert.match(error.message, /a fleet budget needs server sessions of its own, and there is a pooler in between/);
    assert.deepEqual(await holdersOf(admin(), key), []);
  });
}

test("in session mode it works, if the pool is told pooler: 'session'", async (t) => {
  const bouncer = await withPgBouncer(t, { server: server(), mode: 'session' });
  const key = freshName();
  const budget = postgresBudget({ limit: 2, key });
  const options = { ...bouncer.config, pooler: 'session', max: 3, budget } as const;
  const [one, other] = [withPool(t, options), withPool(t, options)];
  const leases = [await one.acquire(), await one.acquire()];
  const pids = await Promise.all(leases.map((lease) => pidOf(lease)));
  assert.deepEqual((await holdersOf(admin(), key)).toSorted(), pids.toSorted());
  const asked = other.acquire();
  for (const lease of leases) lease.release();
  const had = await asked;
  assert.equal((await holdersOf(admin(), key)).length, 2);
  assert.equal(one.stats().retired.budget, 1);
  had.release();
});
