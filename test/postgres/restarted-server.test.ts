// A server that restarts, in order or by a crash, under transactions: what was acknowledged is there, what was lost is told, and who
// waited is served by the new server. Owns its server. Restarts with single statements: faults.test.ts.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { ConnectionLostError, type Pool, type PoolOptions } from '../../src/doors/index.ts';
import { backends, eventually, withClient, withPool, withServer } from './harness.ts';
import { Ledger } from './ledger.ts';

// A crash of the server alone loses no commit that was written.
const server = await withServer(test, { url: false, settings: { synchronous_commit: 'on' } });

function pool(t: TestContext, options: PoolOptions): Pool {
  return withPool(t, { ...server.config, ...options });
}

async function table(t: TestContext, name: string): Promise<void> {
  const admin = await withClient(t, server.config);
  await admin.query(`CREATE TABLE ${name} (n int PRIMARY KEY)`);
}

async function found(t: TestContext, name: string): Promise<number[]> {
  const admin = await withClient(t, server.config);
  const { rows } = await admin.query<{ n: number }>(`SELECT n FROM ${name} ORDER BY n`);
  return rows.map(({ n }) => n);
}

async function comesToRest(t: TestContext, one: Pool): Promise<void> {
  const admin = await withClient(t, server.config);
  await eventually('the server has as many sessions as the pool', async () => {
    return (await backends(admin, one.name)) === one.snapshot().size && one.idleCount === one.snapshot().size;
  });
}

for (const mode of ['fast', 'immediate'] as const) {
  test(`a ${mode} restart: transactions that are open are lost and told, those that wait are committed on the new server`, async (t) => {
    const name = `rows_${mode}`;
    await table(t, name);
    const one = await pool(t, { min: 3, max: 3 }).open();
    let goOn = (): void => {};
    const restarted = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const work = (n: number, until: Promise<void> = Promise.resolve()): Promise<unknown> =>
      one
        .transaction(
          async (tx) => {
            await tx.query(`INSERT INTO ${name} VALUES ($1)`, [n]);
            await until;
            await tx.query('SELECT 1');
          },
          { retries: 2 },
        )
        .then(
          () => n,
          (error: unknown) => error,
        );
    await work(1);
    const open = [11, 12, 13].map((n) => work(n, restarted));
    await eventually('three have written', async () => {
      const admin = await withClient(t, server.config);
      const { rowCount } = await admin.query(
        `SELECT FROM pg_stat_activity WHERE application_name = $1 AND state = 'idle in transaction' AND query LIKE 'INSERT%'`,
        [one.name],
      );
      return rowCount === 3;
    });
    const waiting = [21, 22, 23, 24].map((n) => work(n));
    assert.equal(one.waitingCount, 4);
    await server.restart(mode);
    // Their places are taken by replacements before their holders even look.
    assert.deepEqual(await Promise.all(waiting), [21, 22, 23, 24]);
    goOn();
    for (const error of await Promise.all(open)) assert.ok(error instanceof ConnectionLostError, String(error));
    assert.deepEqual(await found(t, name), [1, 21, 22, 23, 24]);
    await comesToRest(t, one);
    assert.deepEqual([one.stats().connectionsLost, one.snapshot().size], [3, 3]);
  });

  test(`a ${mode} restart under a load of transactions: every row that was acknowledged is there, and no other`, async (t) => {
    const name = `load_${mode}`;
    await table(t, name);
    const one = await pool(t, { min: 1, max: 4 }).open();
    const ledger = new Ledger(one, name);
    await ledger.more(100);
    await server.restart(mode);
    await ledger.more(100);
    await ledger.settle(await withClient(t, server.config));
    t.diagnostic(ledger.summary);
    // Only those that had a connection; who waits for one is never told.
    assert.ok(ledger.lost <= 8, `${ledger.lost} were lost`);
    assert.deepEqual(one.stats().requestsFailed, {});
    await comesToRest(t, one);
  });
}
