// The contestants of the benchmark of queries do on a real server what they are timed for, and their answers are right, value by value.

import assert from 'node:assert/strict';
import test from 'node:test';
import { serverCpuUs } from '../../bench/lib/server-cpu.ts';
import { takesPart } from '../../bench/queries/cells.ts';
import { isOurs, LINE_UP } from '../../bench/queries/line-up.ts';
import { make } from '../../bench/queries/make.ts';
import { fill, NAMES, type Queries, WORKLOADS } from '../../bench/queries/workloads.ts';
import { withClient, withServer } from './harness.ts';

const server = await withServer(test, { url: false, settings: { timezone: 'UTC' } });
const admin = await withClient(test, server.config);
for (const text of fill(3_000)) await admin.query(text);

// A date without a time zone is read in the process's own.
process.env.TZ = 'UTC';

/** Bun.sql needs a process of Bun's; slonik's end does not wait for its sessions. */
const here = LINE_UP.filter((name) => name !== 'Bun.sql' && name !== 'slonik' && name !== 'ours again');

for (const name of here) {
  test(`${name} answers each workload rightly`, async (t) => {
    const target = { config: { ...server.config, host: server.folder ?? '' }, schema: server.schema, connections: 3 };
    const queries: Queries = await make(name, target);
    t.after(() => queries.end());
    for (const workload of NAMES) {
      if (!takesPart(name, { workload, callers: 10, connections: 3, transport: 'local' }) && name.startsWith('limit'))
        continue;
      const { ask, check } = WORKLOADS[workload];
      await Promise.all([1, 10, 57, 1_999].map(async (key) => check(queries, await ask(queries, key), key, true)));
    }
  });
}

test('a transaction of each contestant moved its money and wrote its line', async () => {
  const { rows } = await admin.query<{ lines: number; moved: number }>(
    `SELECT (SELECT count(*)::int FROM bench_history WHERE delta = 1000) AS lines,
            (SELECT sum(abalance - aid % 1000)::int FROM bench_accounts) AS moved`,
  );
  assert.deepEqual(rows, [{ lines: 4 * here.length, moved: 4_000 * here.length }]);
  assert.ok(here.some(isOurs));
});

test("a server's CPU time contains that of sessions that ended", { skip: process.platform !== 'linux' }, async (t) => {
  const before = serverCpuUs(server.pid);
  const session = await withClient(t, server.config);
  await session.query('SELECT count(*) FROM generate_series(1, 2000000)');
  const during = serverCpuUs(server.pid) - before;
  await session.end();
  assert.ok(during > 20_000, `${during} microseconds`);
  assert.ok(serverCpuUs(server.pid) - before > 0.8 * during - 20_000);
});
