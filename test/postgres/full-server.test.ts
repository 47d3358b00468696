// A server that has no room: 53300 means "not now". Many processes with one full server between them, each with a pool that knows nothing of
// the others; none of their queries fails.

import assert from 'node:assert/strict';
import * as nodeTest from 'node:test';
import { test } from 'node:test';
import pg from 'pg';
import { PoolTimeoutError } from '../../src/doors/index.ts';
import { Pool as DropIn } from '../../src/doors/pg.ts';
import { eventually, rejection, runProgram, withClient, withPool, withServer } from './harness.ts';

/** For everybody but superusers: three are kept for those, and one of the others is taken by the test itself. */
const SLOTS = 57;
const PROCESSES = 8;
const QUERIES = 20;

const server = await withServer(nodeTest, { url: false, settings: { max_connections: SLOTS + 4 } });
const admin = await withClient(nodeTest, server.config);
await admin.query('CREATE ROLE app LOGIN');
const config = { ...server.config, user: 'app' };

const APPS = "SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename = 'app'";

/** How many connections of `app` there are, looked at until `stop`. */
async function peakOf(until: Promise<unknown>): Promise<number> {
  let over = false;
  const end = (): void => {
    over = true;
  };
  until.then(end, end);
  let peak = 0;
  await eventually(
    'all processes have ended',
    async () => {
      const { rows } = await admin.query<{ n: number }>(APPS);
      peak = Math.max(peak, rows[0]?.n ?? 0);
      return over;
    },
    { withinMs: 90_000 },
  );
  return peak;
}

test(`${PROCESSES} processes × 10 connections against ${SLOTS} slots: no failed query`, async () => {
  const program = `
    const pool = new Pool({ ...config, max: 10 });
    const asked = Array.from({ length: ${QUERIES} }, () => pool.query('SELECT pg_sleep(0.3)').then(() => 'ok', String));
    const failures = (await Promise.all(asked)).filter((answer) => answer !== 'ok');
    console.log(JSON.stringify({ failures, refused: pool.stats().connectsFailed }));
    await pool.close();`;
  const ended = Promise.all(Array.from({ length: PROCESSES }, () => runProgram(program, config, 90_000)));
  const [results, peak] = await Promise.all([ended, peakOf(ended)]);
  const told = results.map(({ stdout, stderr }) => JSON.parse(stdout || JSON.stringify({ failures: [stderr] })));
  assert.deepEqual(
    told.flatMap(({ failures }) => failures),
    [],
  );
  assert.ok(peak <= SLOTS, `${peak} connections`);
  const refused = told.reduce((sum, each) => sum + Number(each.refused), 0);
  console.log(`${PROCESSES * QUERIES} queries served; ${refused} refusals absorbed, at most ${peak} connections`);
});

/** Takes all slots but `left`; returns what gives one back. */
async function occupied(t: nodeTest.TestContext, left: number): Promise<() => Promise<void>> {
  const clients: pg.Client[] = [];
  const occupy = async (): Promise<boolean> => {
    const client = new pg.Client(config);
    client.on('error', () => {}); // ended with the server at the latest
    try {
      await client.connect();
    } catch (error) {
      assert.equal(Reflect.get(Object(error), 'code'), '53300');
      return false;
    }
    clients.push(client);
    return true;
  };
  // Those of the test before are leaving, and would make room later.
  await eventually('nobody is left', async () => (await admin.query<{ n: number }>(APPS)).rows[0]?.n === 0);
  while (await occupy());
  for (let n = left; n > 0; n -= 1) await clients.pop()?.end();
  // The server takes a moment to clean up after a client that has gone.
  await eventually('the rest is free', async () => {
    const { rows } = await admin.query<{ n: number }>(APPS);
    return rows[0]?.n === clients.length;
  });
  t.after(async () => {
    await Promise.all(clients.map((client) => client.end()));
  });
  return async () => {
    await clients.pop()?.end();
  };
}

test('with a connection of its own a pool waits for that, and grows when there is room', async (t) => {
  const free = await occupied(t, 1);
  const one = withPool(t, { ...config, max: 3 });
  const lease = await one.acquire();
  const waiting = [one.query('SELECT 1 AS one'), one.query('SELECT 2 AS two')];
  await eventually('the server has refused', () => one.stats().connectsFailed > 0);
  lease.release();
  await Promise.all(waiting);
  // It may be trying for another at this moment.
  const { size, opening } = one.snapshot();
  assert.equal(size - opening, 1, JSON.stringify(one.snapshot()));
  const again = await one.acquire();
  const grown = one.query('SELECT pg_backend_pid()');
  await free();
  await grown;
  again.release();
});

test('without one its borrowers wait for room until their deadline, and are told why', async (t) => {
  const free = await occupied(t, 0);
  const one = withPool(t, { ...config, max: 3 });
  const error = await rejection(one.acquire({ acquireTimeoutMs: 300 }), PoolTimeoutError);
  assert.equal(Reflect.get(Object(error.cause), 'code'), '53300');
  const refused = one.stats().connectsFailed;
  const waiting = one.query('SELECT 1 AS one');
  await eventually('it was refused while it waited', () => one.stats().connectsFailed > refused);
  await free();
  assert.deepEqual((await waiting).rows, [{ one: 1 }]);
});

test("by pg's manners too nobody fails while a connection may come back; only with none at all", async (t) => {
  const free = await occupied(t, 1);
  const one = new DropIn({ ...config, max: 3, connectionTimeoutMillis: 20_000 });
  t.after(() => one.end());
  const client = await one.connect();
  const waiting = one.query('SELECT 1 AS one');
  await eventually('the server has refused', () => one.stats().connectsFailed > 0);
  client.release();
  assert.deepEqual((await waiting).rows, [{ one: 1 }]);
  const other = new DropIn({ ...config, max: 3 });
  t.after(() => other.end());
  assert.equal(Reflect.get(await rejection(other.query('SELECT 1'), Error), 'code'), '53300');
  await free();
});
