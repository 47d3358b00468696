// Deviations in manners: events, the end, texts, options.

import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import type pg from 'pg';
import { OptionError, PoolClosedError } from '../../../src/doors/index.ts';
import { eventually } from '../../postgres/harness.ts';
import { type Bench, deviation, failure, type Options, quietly } from './contestants.ts';

async function idleError(b: Bench): Promise<Error> {
  const pool = b.pool();
  const heard = new Promise<Error>((resolve) => pool.on('error', resolve));
  const client = await pool.connect();
  client.release();
  client.emit('error', new Error('a socket died'));
  const error = await heard;
  assert.equal(Reflect.get(error, 'client'), client);
  return error;
}

deviation('the client of an error does not show when the error is printed', {
  theirs: async (b) => assert.deepEqual(Object.keys(await idleError(b)), ['client']),
  ours: async (b) => {
    const error = await idleError(b);
    assert.deepEqual(Object.keys(error), []);
    assert.doesNotMatch(inspect(error), /connectionParameters/);
  },
});

function listeners(b: Bench): number[] {
  // The bench itself listens to `connect`.
  const pool = b.pool().on('error', () => {});
  return [pool.listenerCount('error'), pool.listenerCount('connect')];
}

deviation('the listeners of error and connect are one more than were added', {
  theirs: (b) => assert.deepEqual(listeners(b), [1, 1]),
  ours: (b) => assert.deepEqual(listeners(b), [2, 2]),
});

async function stackOfAWaiter(b: Bench): Promise<string> {
  const pool = b.pool({ max: 1, connectionTimeoutMillis: 1_000 });
  const client = await pool.connect();
  const whoAsks = async (): Promise<unknown> => await pool.connect();
  const { stack } = await failure(whoAsks());
  client.release();
  return String(stack);
}

deviation('the error of a waiter does not have the stack of whoever asked', {
  theirs: async (b) => assert.match(await stackOfAWaiter(b), /whoAsks/),
  ours: async (b) => assert.doesNotMatch(await stackOfAWaiter(b), /whoAsks/),
});

/** The events of a connection that expires while idle. */
async function expiry(b: Bench): Promise<string[]> {
  const pool = b.pool({ maxLifetimeSeconds: 0.2 });
  const told: string[] = [];
  (await pool.connect()).release();
  for (const name of ['acquire', 'release', 'remove'] as const) pool.on(name, () => void told.push(name));
  await eventually('it is gone', () => told.includes('remove'));
  return told;
}

deviation('an idle connection that expires is not told of as lent', {
  theirs: async (b) => assert.deepEqual(await expiry(b), ['acquire', 'release', 'remove']),
  ours: async (b) => assert.deepEqual(await expiry(b), ['remove']),
});

async function verified(b: Bench): Promise<string[]> {
  const told: string[] = [];
  const pool = b.pool({
    onConnect: () => void told.push('onConnect'),
    verify: (client, done) => {
      told.push('verify');
      client.query('SELECT 1').then(() => done(), done);
    },
  });
  for (const name of ['connect', 'acquire'] as const) pool.on(name, () => void told.push(name));
  for (let n = 0; n < 2; n += 1) (await pool.connect()).release();
  return told;
}

deviation('verify is asked before anybody hears of the connection', {
  theirs: async (b) => assert.deepEqual(await verified(b), ['onConnect', 'connect', 'acquire', 'verify', 'acquire']),
  ours: async (b) => assert.deepEqual(await verified(b), ['onConnect', 'verify', 'connect', 'acquire', 'acquire']),
});

async function logged(b: Bench): Promise<unknown[]> {
  const said: unknown[] = [];
  const pool = b.pool({ maxUses: 1, log: (text: unknown) => void said.push(text) });
  await pool.query('SELECT 1');
  await pool.end();
  for (const text of ['connecting new client', 'new client connected', 'remove expended client', 'ending']) {
    assert.ok(said.includes(text), `${text} in ${said}`);
  }
  return said;
}

deviation('log is told of connections, and not of each query', {
  theirs: async (b) => assert.ok((await logged(b)).includes('dispatching query')),
  ours: async (b) => assert.ok(!(await logged(b)).includes('dispatching query')),
});

/** A waiter in front of whom the pool is ended. */
async function waitsAtTheEnd(b: Bench): Promise<{ waiter: Promise<pg.PoolClient>; ended: Promise<void> }> {
  const pool = b.pool({ max: 1 });
  const client = await pool.connect();
  const waiter = pool.connect();
  waiter.catch(() => {});
  const ended = pool.end();
  client.release();
  return { waiter, ended };
}

async function forgotten(b: Bench): Promise<void> {
  const { waiter, ended } = await waitsAtTheEnd(b);
  await ended;
  assert.equal(await Promise.race([waiter, quietly(100)]), undefined);
}

/** A borrower whose connect is under way when the pool is ended. */
function connectsAtTheEnd(b: Bench): { waiter: Promise<pg.PoolClient>; ended: Promise<void> } {
  const pool = b.pool();
  const waiter = pool.connect();
  waiter.catch(() => {});
  return { waiter, ended: pool.end() };
}

async function servedAtTheEnd({
  waiter,
  ended,
}: {
  waiter: Promise<pg.PoolClient>;
  ended: Promise<void>;
}): Promise<void> {
  const client = await waiter;
  await client.query('SELECT 1');
  client.release();
  await ended;
}

async function onlyTheQueuedForgotten(b: Bench): Promise<void> {
  await forgotten(b);
  await servedAtTheEnd(connectsAtTheEnd(b));
}

deviation('who waits when end() is called is served', {
  theirs: onlyTheQueuedForgotten,
  ours: async (b) => {
    await servedAtTheEnd(await waitsAtTheEnd(b));
    await servedAtTheEnd(connectsAtTheEnd(b));
  },
});

deviation('who waits when end() is called is refused', {
  theirs: onlyTheQueuedForgotten,
  ours: async (b) => {
    for (const { waiter, ended } of [await waitsAtTheEnd(b), connectsAtTheEnd(b)]) {
      assert.ok((await failure(waiter)) instanceof PoolClosedError);
      await ended;
    }
  },
});

async function closedAtTheEnd(b: Bench): Promise<boolean> {
  const pool = b.pool();
  const client = await pool.connect();
  client.release();
  await pool.end();
  return client.connection.stream.closed;
}

deviation('end() resolves when the sockets are closed', {
  theirs: async (b) => assert.equal(await closedAtTheEnd(b), false),
  ours: async (b) => assert.equal(await closedAtTheEnd(b), true),
});

/** How `connect(callback)` answers after the end: in which turn, and with how many arguments. */
async function afterTheEnd(b: Bench): Promise<unknown[]> {
  const pool = b.pool();
  await pool.end();
  let turn = 'in the turn of the call';
  const answer = new Promise<unknown[]>((resolve) => {
    Reflect.apply(pool.connect, pool, [(...args: unknown[]) => resolve([turn, typeof args[2]])]);
  });
  turn = 'later';
  return answer;
}

deviation('connect with a callback after end() calls back in a later turn', {
  theirs: async (b) => assert.deepEqual(await afterTheEnd(b), ['in the turn of the call', 'undefined']),
  ours: async (b) => assert.deepEqual(await afterTheEnd(b), ['later', 'function']),
});

const CLOSED = 'Cannot use a pool after calling end on the pool';

async function closedText(b: Bench): Promise<string> {
  const pool = b.pool();
  await pool.end();
  return (await failure(pool.connect())).message;
}

deviation('pg’s text is part of ours', {
  theirs: async (b) => assert.equal(await closedText(b), CLOSED),
  ours: async (b) => {
    const text = await closedText(b);
    assert.ok(text.length > CLOSED.length);
    assert.ok(b.door === 'oxbow' ? text.endsWith(CLOSED) : text.startsWith(CLOSED), text);
  },
});

const MEANT: readonly Options[] = [{ max: 0 }, { max: -1 }, { min: 20, max: 10 }];

deviation('an option that cannot be meant is refused by the constructor', {
  theirs: (b) => {
    for (const options of MEANT) assert.doesNotThrow(() => b.pool(options));
    assert.equal(b.pool({ max: 0 }).options.max, 10);
  },
  ours: (b) => {
    for (const options of MEANT) assert.throws(() => b.pool(options), OptionError);
    assert.equal(b.pool({ max: '7' as unknown as number }).options.max, 7);
  },
});

/** The options of a string argument are read by the constructor alone: nothing is dialled. */
const URL_TEXT = 'postgres://someone:s3cret@db.example:6543/shop';

deviation('a string is a connection string', {
  theirs: (b) => assert.throws(() => b.bare(URL_TEXT as unknown as Options), TypeError),
  ours: (b) => assert.equal(b.bare(URL_TEXT as unknown as Options).options.host, 'db.example'),
});

deviation('what prints the options prints no password', {
  theirs: (b) => assert.match(JSON.stringify(b.bare({ connectionString: URL_TEXT }).options), /s3cret/),
  ours: (b) => {
    const { options } = b.bare({ connectionString: URL_TEXT });
    assert.doesNotMatch(JSON.stringify(options), /s3cret/);
    assert.doesNotMatch(inspect(options), /s3cret/);
    assert.equal(Reflect.get(options, 'connectionString'), URL_TEXT);
  },
});

function place(b: Bench): unknown[] {
  const { host, port, database, user } = b.bare({ connectionString: URL_TEXT }).options;
  return [host, port, database, user];
}

deviation('the options say where a connection string leads', {
  theirs: (b) => assert.deepEqual(place(b), [undefined, undefined, undefined, undefined]),
  ours: (b) => assert.deepEqual(place(b), ['db.example', 6543, 'shop', 'someone']),
});

class Promised<T> extends Promise<T> {}

async function promiseOf(b: Bench): Promise<unknown> {
  const answer: Promise<unknown> = b.pool({ Promise: Promised }).query('SELECT 1');
  await answer;
  return answer.constructor;
}

deviation('promises are the platform’s own', {
  theirs: async (b) => assert.equal(await promiseOf(b), Promised),
  ours: async (b) => assert.equal(await promiseOf(b), Promise),
});

async function privately(b: Bench): Promise<unknown[]> {
  const pool = b.pool({ max: 1 });
  (await pool.connect()).release();
  return ['_clients', '_idle', '_pendingQueue'].map((name) => Reflect.get(Object(Reflect.get(pool, name)), 'length'));
}

deviation('the private fields of pg’s pool are there and empty', {
  theirs: async (b) => assert.deepEqual(await privately(b), [1, 1, 0]),
  ours: async (b) => assert.deepEqual(await privately(b), [0, 0, 0]),
});
