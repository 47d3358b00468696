// No secret shows anywhere: a password given as a part, in a connection string or by a function, looked for in everything that a
// pool says or throws while things go right and wrong. Failing connects stand in bad-input.test.ts.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { inspect } from 'node:util';
import { Pool, type PoolOptions } from '../../src/doors/index.ts';
import { eventually, pidOf, runProgram, withClient, withServer } from './harness.ts';

const SECRET = 'hunter2-very-secret';
const server = await withServer(test, { url: false, auth: 'scram', password: SECRET });
const { host, port, user, database } = server.config;
const admin = await withClient(test, server.config);

const GIVEN: Record<string, PoolOptions | string> = {
  'a connection string': { connectionString: `postgres://${user}:${SECRET}@${host}:${port}/${database}` },
  'a connection string alone': `postgres://${user}:${SECRET}@${host}:${port}/${database}`,
  'a connection string with a query': {
    connectionString: `postgres://${host}:${port}/${database}?user=${user}&password=${SECRET}`,
  },
  'its own key': { host, port, user, database, password: SECRET },
  'a function': { host, port, user, database, password: () => Promise.resolve(SECRET) },
};

function shown(value: unknown): string {
  const text = value instanceof Error ? `${value.message} ${value.stack}` : '';
  return `${inspect(value, { depth: 20 })} ${JSON.stringify(value)} ${text}`;
}

/** A pool of which every word is kept: events, reports, warnings of the process. */
function overheard(t: TestContext, given: PoolOptions | string): { pool: Pool; words: unknown[] } {
  const words: unknown[] = [];
  const note = (...said: unknown[]): void => {
    words.push(...said);
  };
  const options =
    typeof given === 'string'
      ? given
      : { max: 1, logger: { debug: note, info: note, warn: note, error: note }, ...given };
  const pool = new Pool(options);
  process.on('warning', note);
  t.after(async () => {
    await pool.close({ drainMs: 0, cancelMs: 0 });
    process.off('warning', note);
  });
  pool.observe({
    phase: note,
    opened: note,
    openFailed: note,
    waiting: note,
    lent: note,
    refused: note,
    returned: note,
    retired: note,
    lost: note,
    closed: note,
    report: note,
  });
  return { pool, words };
}

for (const [how, given] of Object.entries(GIVEN)) {
  test(`a password given by ${how} works and shows nowhere`, async (t) => {
    const { pool, words } = overheard(t, given);
    const hear = (error: unknown): void => {
      assert.ok(error instanceof Error);
      words.push(error, error.cause, error.stack);
    };
    assert.deepEqual((await pool.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
    await pool.query('SELECT nonsense').catch(hear);
    await pool.query({ text: 'SELECT pg_sleep(60)', timeoutMs: 30 }).catch(hear);
    await pool.use((lease) => lease.query('BEGIN'));
    const lease = await pool.acquire();
    const others = await Promise.all(Array.from({ length: pool.snapshot().max - 1 }, () => pool.acquire()));
    await pool.acquire({ acquireTimeoutMs: 10 }).catch(hear);
    words.push(pool.holders(), pool.snapshot(), pool.stats(), pool.options, pool, await pool.check());
    const dead = lease.query('SELECT pg_sleep(60)').catch(hear);
    const [holder] = pool.holders();
    await admin.query('SELECT pg_terminate_backend($1)', [holder?.pid]);
    await dead;
    await eventually('the death came in', () => pool.stats().connectionsLost > 0);
    await lease.query('SELECT 1').catch(hear);
    words.push(lease.signal.reason);
    lease.release();
    for (const other of others) other.release();
    const held = await pool.acquire();
    await pidOf(held);
    words.push(await pool.close({ drainMs: 0, cancelMs: 0 }), lease, held, pool);
    await pool.query('SELECT 1').catch(hear);
    await pool.end().catch(hear);
    assert.ok(words.length > 20);
    for (const word of words) assert.ok(!shown(word).includes(SECRET), shown(word));
  });
}

test('a password does not show in what a lent or idle client shows of the pool', async (t) => {
  const { pool } = overheard(t, { host, port, user, database, password: SECRET });
  const client = await pool.connect();
  assert.ok(!shown(client).includes(SECRET));
  client.release();
});

test('an error that ends the process prints no password', async () => {
  const program = `
    const pool = new Pool(config.url);
    const lease = await pool.acquire();
    console.log(pool, pool.options, lease, JSON.stringify(pool.options));
    await lease.query('SELECT nonsense');`;
  const { code, stdout, stderr } = await runProgram(program, { url: server.url });
  assert.equal(code, 1);
  assert.match(stderr, /nonsense/);
  assert.ok(!`${stdout}${stderr}`.includes(SECRET), `${stdout}${stderr}`);
});
