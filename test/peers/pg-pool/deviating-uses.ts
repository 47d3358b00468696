// Deviations in what borrowers do: statements, returns, deaths.

import assert from 'node:assert/strict';
import type pg from 'pg';
import { ConnectionLostError, QueryTimeoutError, StrayTransactionError } from '../../../src/doors/index.ts';
import { eventually } from '../../postgres/harness.ts';
import { admin, type Bench, deviation, failure } from './contestants.ts';

async function badQuery(b: Bench): Promise<pg.Pool> {
  const pool = b.pool({ max: 1 });
  await failure(pool.query('I am no SQL'));
  return pool;
}

deviation('an SQL error costs no connection', {
  theirs: async (b) => assert.equal((await badQuery(b)).totalCount, 0),
  ours: async (b) => {
    const pool = await badQuery(b);
    assert.equal(pool.totalCount, 1);
    await eventually('it is idle', () => pool.idleCount === 1);
  },
});

/** The state of the connection for a borrower who comes after one that began and left. */
async function afterBegin(b: Bench): Promise<unknown> {
  const pool = b.pool({ max: 1 });
  const client = await pool.connect();
  await client.query('BEGIN');
  client.release();
  const next = await pool.connect();
  assert.equal(next, client);
  const status = next.getTransactionStatus();
  next.release(true);
  return status;
}

deviation('a transaction left open does not reach the next borrower', {
  theirs: async (b) => assert.equal(await afterBegin(b), 'T'),
  ours: async (b) => assert.equal(await afterBegin(b), 'I'),
});

/** What became of a statement that was running when its client was released and lent again. */
async function leftRunning(b: Bench): Promise<unknown> {
  const pool = b.pool({ max: 1 });
  const client = await pool.connect();
  const left = client.query('SELECT pg_sleep(0.8)').then(
    () => 'it ran to its end',
    (error: unknown) => Reflect.get(Object(error), 'code'),
  );
  client.release();
  const next = await pool.connect();
  assert.equal(next, client);
  next.release();
  return left;
}

deviation('a statement still running at the return is cancelled', {
  theirs: async (b) => assert.equal(await leftRunning(b), 'it ran to its end'),
  ours: async (b) => assert.equal(await leftRunning(b), '57014'),
});

deviation('a BEGIN through pool.query is refused, and in a longer text undone', {
  theirs: async (b) => {
    const pool = b.pool({ max: 1 });
    await pool.query('BEGIN');
    const client = await pool.connect();
    assert.equal(client.getTransactionStatus(), 'T');
    client.release(true);
  },
  ours: async (b) => {
    const pool = b.pool({ max: 1 });
    for (const text of ['BEGIN', 'BEGIN; SELECT 1']) {
      assert.ok((await failure(pool.query(text))) instanceof StrayTransactionError);
      const client = await pool.connect();
      assert.equal(client.getTransactionStatus(), 'I');
      client.release();
    }
  },
});

/** A query that times out, and how many of its kind then run on the server. */
async function timesOut(b: Bench): Promise<{ error: Error; running: () => Promise<number> }> {
  const name = `late-${b.door}`;
  const pool = b.pool({ application_name: name, query_timeout: 100 });
  const error = await failure(pool.query('SELECT pg_sleep(2)'));
  const text = "SELECT FROM pg_stat_activity WHERE application_name = $1 AND state = 'active'";
  return { error, running: async () => (await admin.query(text, [name])).rowCount ?? 0 };
}

deviation('a query that takes too long is cancelled on the server', {
  theirs: async (b) => {
    const { error, running } = await timesOut(b);
    assert.equal(error.message, 'Query read timeout');
    assert.equal(await running(), 1);
  },
  ours: async (b) => {
    const { error, running } = await timesOut(b);
    assert.ok(error instanceof QueryTimeoutError);
    await eventually('it has ended', async () => (await running()) === 0, { withinMs: 1_500 });
  },
});

/** A query in the turn in which the only connection loses its socket. */
async function unsent(b: Bench): Promise<Promise<pg.QueryResult>> {
  const pool = b.pool({ max: 1 });
  pool.on('error', () => {});
  const client = await pool.connect();
  client.release();
  client.connection.stream.destroy();
  return pool.query('SELECT 1 AS one');
}

deviation('a query that was not sent when its connection died goes to another one', {
  theirs: async (b) => {
    await failure(unsent(b));
  },
  ours: async (b) => assert.deepEqual((await unsent(b)).rows, [{ one: 1 }]),
});

/** What a query answers whose value is changed behind the call, with an idle connection. */
async function changedBehind(b: Bench): Promise<unknown> {
  const pool = b.pool({ max: 1 });
  await pool.query('SELECT 1');
  const values = [1];
  const answer = pool.query('SELECT $1::int AS n', values);
  values[0] = 2;
  return (await answer).rows[0]?.n;
}

deviation('what is changed after the call does not reach a query that was sent', {
  theirs: async (b) => assert.equal(await changedBehind(b), 2),
  ours: async (b) => assert.equal(await changedBehind(b), 1),
});

/** The error of a query that kills its own connection. */
function dies(b: Bench): Promise<Error> {
  const pool = b.pool();
  pool.on('error', () => {});
  return failure(pool.query('SELECT pg_terminate_backend(pg_backend_pid())'));
}

deviation('a query whose connection dies says whether it may have been executed', {
  theirs: async (b) => {
    const error = await dies(b);
    assert.ok(!('mayHaveExecuted' in error));
    assert.equal(Reflect.get(error, 'code'), '57P01');
  },
  ours: async (b) => {
    const error = await dies(b);
    assert.ok(error instanceof ConnectionLostError);
    assert.equal(error.mayHaveExecuted, true);
    assert.equal(error.code, '57P01');
  },
});

const LENT = `
  const pool = new Pool({ ...config, max: 1 });
  const client = await pool.connect();
  client.emit('error', new Error('a socket died'));
  say(pool.totalCount);
  await pool.query('SELECT 1');
  say('served');
  process.exit(0);
`;

deviation('an error on a lent client crashes nothing and frees its place', {
  theirs: async (b) => {
    const { code, stdout, stderr } = await b.run(LENT);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /a socket died/);
  },
  ours: async (b) => {
    const { code, stdout } = await b.run(LENT);
    assert.deepEqual([code, stdout], [0, '0\nserved\n']);
  },
});

const IDLE = `
  const pool = new Pool({ ...config, max: 1 });
  const client = await pool.connect();
  client.release();
  client.emit('error', new Error('a socket died'));
  await pool.query('SELECT 1');
  say('served');
  process.exit(0);
`;

deviation('an idle client that dies crashes no process that does not listen', {
  theirs: async (b) => {
    const { code, stdout, stderr } = await b.run(IDLE);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /a socket died/);
  },
  ours: async (b) => {
    const { code, stdout, stderr } = await b.run(IDLE);
    assert.deepEqual([code, stdout], [0, 'served\n']);
    assert.match(stderr, /OXBOW_CONNECTION_LOST.*a socket died/);
  },
});

const LISTENER = `
  const pool = new Pool({ ...config, max: 1 });
  for (const name of ['connect', 'acquire', 'release']) pool.on(name, () => { throw new Error('a bad metric'); });
  await pool.query('SELECT 1');
  say('served');
  process.exit(0);
`;

deviation('a listener that throws crashes nothing', {
  theirs: async (b) => {
    const { code, stdout, stderr } = await b.run(LISTENER);
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /a bad metric/);
  },
  ours: async (b) => {
    const { code, stdout, stderr } = await b.run(LISTENER);
    assert.deepEqual([code, stdout], [0, 'served\n']);
    assert.match(stderr, /OXBOW_CALLBACK_FAILED.*a bad metric/);
  },
});

/** Whether the same connection is lent again after this error. */
async function keptAfter(b: Bench, code: string): Promise<boolean> {
  const pool = b.pool({ max: 1 });
  const client = await pool.connect();
  const { processID } = client as unknown as { processID: number };
  await failure(client.query(`DO $$ BEGIN RAISE EXCEPTION 'made up' USING ERRCODE = '${code}'; END $$`));
  client.release();
  const next = await pool.connect();
  const kept = Reflect.get(next, 'processID') === processID;
  next.release();
  return kept;
}

deviation('an error that condemns its connection has it replaced though it was given back as good', {
  theirs: async (b) => assert.equal(await keptAfter(b, '57P01'), true),
  ours: async (b) => {
    assert.equal(await keptAfter(b, '57P01'), false);
    assert.equal(await keptAfter(b, '22012'), true);
  },
});

/** How a named statement fares after a DISCARD ALL: the errors of two attempts. */
async function afterDiscard(b: Bench): Promise<unknown[]> {
  const pool = b.pool({ max: 1 });
  const named = { name: 'known', text: 'SELECT 1' };
  await pool.query(named);
  await pool.query('DISCARD ALL');
  const codes: unknown[] = [];
  const client = await pool.connect();
  for (let n = 0; n < 2; n += 1) {
    codes.push(
      await client.query(named).then(
        () => 'works',
        (error: unknown) => Reflect.get(Object(error), 'code'),
      ),
    );
  }
  client.release();
  return codes;
}

deviation('a named statement that the server has forgotten works again', {
  theirs: async (b) => assert.deepEqual(await afterDiscard(b), ['26000', '26000']),
  ours: async (b) => assert.deepEqual(await afterDiscard(b), ['works', 'works']),
});
