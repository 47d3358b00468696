// The warning at the third pool for the same purpose, on a real server: what counts, what does not, and that it is said once.

import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { globalPool, Pool, type PoolOptions } from '../../src/doors/index.ts';
import { anotherCopy } from '../kit/copies.ts';
import { freshName, reports, withServer } from './harness.ts';

const server = await withServer(test, { url: false });
const { logger, said } = reports();

function warnings(): string[] {
  return said.splice(0).flatMap(({ code, message }) => (code === 'OXBOW_MANY_POOLS' ? [message] : []));
}

/** Options of one purpose: `name` would set pools apart. */
function purpose(): PoolOptions {
  return { ...server.config, application_name: freshName(), logger, max: 2 };
}

async function used(t: TestContext, pool: Pool): Promise<Pool> {
  t.after(() => pool.close({ drainMs: 0 }));
  await pool.query('SELECT 1');
  return pool;
}

/** The line below its caller's. */
function nextLine(): string {
  const at = [...(new Error().stack ?? '').matchAll(/many-pools\.test\.(?:js|ts):(\d+)/g)][1]?.[1];
  return `many-pools\\.test\\.[jt]s:${Number(at) + 1}`;
}

test('the third pool in use with the same settings is reported once, with the places where all were made', async (t) => {
  const options = purpose();
  const first = nextLine();
  await used(t, new Pool(options));
  const second = nextLine();
  await used(t, new Pool({ ...options, max: 5 }));
  assert.deepEqual(warnings(), []);
  const third = nextLine();
  await used(t, new Pool(options));
  const [message = '', ...more] = warnings();
  assert.deepEqual(more, []);
  const { user, host, port, database } = server.config;
  assert.match(message, new RegExp(`^pool-\\d+ is the third pool .* ${user} at ${host}:${port}/${database}`));
  assert.match(message, new RegExp(`${first}, pool-\\d+ made at \\S*${second}, pool-\\d+ made at \\S*${third}\\.`));
  assert.match(message, /globalPool/);
  await used(t, new Pool(options));
  await used(t, new Pool(options));
  assert.deepEqual(warnings(), [], 'once');
});

test('a connection string that says the same counts as the same', async (t) => {
  const { application_name: application, ...options } = purpose();
  const { user, host, port, database, ...rest } = options;
  await used(t, new Pool({ ...options, application_name: application }));
  const connectionString = `postgres://${user}@${host}:${port}/${database}?application_name=${application}`;
  await used(t, new Pool({ ...rest, connectionString }));
  await used(t, new Pool({ ...rest, connectionString }));
  assert.equal(warnings().length, 1);
});

test('pools of another copy of the package count as well', async (t) => {
  const other = await anotherCopy(t);
  const options = purpose();
  for (const Kind of [other.Pool, Pool, other.Pool]) {
    const pool = new Kind(options);
    t.after(() => pool.close({ drainMs: 0 }));
    await pool.query('SELECT 1');
  }
  const [message = ''] = warnings();
  assert.equal([...message.matchAll(/made at \S*many-pools\.test\.[jt]s:\d+/g)].length, 3, message);
});

test('what is not in use does not count: never used, closed, closing', async (t) => {
  const options = purpose();
  const idle = Array.from({ length: 5 }, () => new Pool(options));
  for (let round = 0; round < 5; round += 1) {
    const pool = await used(t, new Pool(options));
    await pool.close();
  }
  const closing = await used(t, new Pool(options));
  const held = await closing.acquire();
  const closed = closing.close();
  await used(t, new Pool(options));
  await used(t, new Pool(options));
  assert.deepEqual(warnings(), []);
  held.release();
  await closed;
  await used(t, idle[0] ?? assert.fail());
  assert.equal(warnings().length, 1);
});

test('another name, application_name, database, or key of globalPool sets pools apart', async (t) => {
  const options = purpose();
  const others: PoolOptions[] = [
    {},
    { name: freshName() },
    { name: freshName() },
    { name: freshName() },
    { application_name: freshName() },
    { database: 'template1' },
  ];
  for (const other of others) await used(t, new Pool({ ...options, ...other }));
  for (const key of ['a', 'b', 'c'])
    await used(
      t,
      globalPool(`${options.application_name}-${key}`, () => new Pool(options)),
    );
  assert.deepEqual(warnings(), []);
});

test('pools whose server a function tells do not count: each may go elsewhere', async (t) => {
  const { host, port, user, database, ...rest } = purpose();
  const connection = (): object => ({ host, port, user, database });
  for (let n = 0; n < 4; n += 1) await used(t, new Pool({ ...rest, connection }));
  assert.deepEqual(warnings(), []);
});

test('to count them, no function of the user’s that makes sockets or passwords is called', async (t) => {
  const calls: string[] = [];
  const options = {
    ...purpose(),
    stream: () => {
      calls.push('stream');
      throw new Error('no socket');
    },
    password: () => {
      calls.push('password');
      return 'x';
    },
    reconnectTimeoutMs: 1,
  };
  const pool = new Pool(options);
  t.after(() => pool.close({ drainMs: 0 }));
  await assert.rejects(pool.query({ text: 'SELECT 1', timeoutMs: 200 }));
  assert.ok(calls.every((call) => call === 'stream'));
  const { connects } = pool.stats();
  assert.equal(calls.length, connects, 'one for each connect');
});
