// graphile-worker on the pool: jobs are added and run, one of them fails, and the worker stops and gives back all it held.

import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import { balances, close, lent, pool, until } from './kit.mjs';

const logger = new Logger(() => () => {});
const worked = [];
let stopped = () => {};
const all = new Promise((resolve) => {
  stopped = resolve;
});

await pool.query('DROP SCHEMA IF EXISTS graphile_worker CASCADE');
const utils = await makeWorkerUtils({ pgPool: pool, logger });
await utils.migrate();
const runner = await run({
  pgPool: pool,
  logger,
  concurrency: 2,
  pollInterval: 500,
  noHandleSignals: true,
  taskList: {
    async deposit({ balance }, helpers) {
      await helpers.query('INSERT INTO accounts (balance) VALUES ($1)', [balance]);
      assert.ok(lent() >= 1, 'it listens');
      worked.push(balance);
      if (worked.length === 3) stopped();
    },
    async broken(_, helpers) {
      await helpers.query('SELECT 1 / 0');
    },
  },
});
await utils.addJob('broken', {}, { maxAttempts: 1 });
await utils.addJob('deposit', { balance: 1 });
await runner.addJob('deposit', { balance: 2 });
await utils.addJob('deposit', { balance: 3 });
await all;
// The worker notes in the background what became of a job, and `stop()` does not wait for that.
const left = 'SELECT task_identifier, last_error FROM graphile_worker.jobs';
const failed = [{ task_identifier: 'broken', last_error: 'division by zero' }];
await until('only the failed job is left', async () => isDeepStrictEqual((await pool.query(left)).rows, failed));
await runner.stop();
await utils.release();

assert.deepEqual(worked.toSorted(), [1, 2, 3]);
assert.deepEqual((await balances()).toSorted(), [1, 2, 3]);
await until('nothing is lent', () => lent() === 0);
await close();
console.log('done');
