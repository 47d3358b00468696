// What a pool tells on diagnostics channels of a real server: the queries that the codec speaks, each once and in the context of whoever asked,
// where they went, and nothing secret.

import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { tracingChannel } from 'node:diagnostics_channel';
import test from 'node:test';
import { inspect } from 'node:util';
import { channels } from '../kit/channels.ts';
import { listen, listenToTrace, partsOf } from '../kit/listening.ts';
import { pidOf, withPool, withServer } from './harness.ts';
import { askInEveryWay } from './spans.ts';

const server = await withServer(test);

const { host: serverAddress, port: serverPort, database } = server.config;

test('oxbow:query traces a query that the codec speaks, and one that fails with its error', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const pid = await pidOf(pool);
  const told = listenToTrace(t, 'oxbow:query');
  await pool.query('SELECT $1::int\n  AS n', [42]);
  const place = { poolName: pool.name, serverAddress, serverPort, database, client: { processID: pid } };
  const text = { text: 'SELECT $1::int AS n', operation: 'SELECT' };
  assert.deepEqual(partsOf(told), ['start', 'end', 'asyncStart', 'asyncEnd']);
  assert.deepEqual(told[0]?.message, { ...place, ...text });
  assert.deepEqual(told.at(-1)?.message, { ...place, ...text, command: 'SELECT', rowCount: 1 });
  told.length = 0;
  const error: unknown = await pool.query('SELECT nowhere').catch((thrown: unknown) => thrown);
  assert.deepEqual(partsOf(told), ['start', 'end', 'error', 'asyncStart', 'asyncEnd']);
  assert.equal(told.at(-1)?.message.error, error);
});

test('of a long text the beginning is told, as in reports', async (t) => {
  const pool = withPool(t, server.config);
  const told = listenToTrace(t, 'oxbow:query', ['start']);
  await pool.query(`SELECT ${'1 +   '.repeat(200)} 1`);
  assert.equal(told.length, 1);
  assert.equal(told[0]?.message.text, `${`SELECT ${'1 + '.repeat(200)}`.slice(0, 200)}…`);
});

test('each query that the codec speaks is told once, from its start to its end, whatever way it is asked', async (t) => {
  const pool = withPool(t, server.config);
  const told = listenToTrace(t, 'oxbow:query');
  await askInEveryWay(pool);
  const count = (part: string): number => partsOf(told).filter((one) => one === part).length;
  const { queriesByCodec } = pool.stats();
  assert.ok((queriesByCodec ?? 0) > 30);
  for (const part of ['start', 'end', 'asyncStart', 'asyncEnd']) assert.equal(count(part), queriesByCodec, part);
  assert.equal(count('error'), 2);
});

test('a query that is given up ends on its channel when its cancel has come through', async (t) => {
  const pool = withPool(t, server.config);
  const told = listenToTrace(t, 'oxbow:query');
  await assert.rejects(pool.query({ text: 'SELECT pg_sleep(60)', timeoutMs: 100 }), { kind: 'QUERY_TIMEOUT' });
  await pool.close();
  assert.deepEqual(partsOf(told), ['start', 'end', 'error', 'asyncStart', 'asyncEnd']);
  assert.equal(Reflect.get(Object(told.at(-1)?.message.error), 'code'), '57014');
});

test('each part is told in the context of whoever asked, also where somebody else has given the connection back', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  // Warm, so that they stand in its queue and wait for nothing else.
  await pool.query('SELECT 0');
  const asker = new AsyncLocalStorage<number>();
  const seen = new Map<number, (number | undefined)[]>();
  const subscribers: Record<string, (message: unknown) => void> = {};
  for (const part of ['start', 'end', 'asyncStart', 'asyncEnd']) {
    subscribers[part] = (message) => {
      const number = Number(/\d+/.exec(String(Reflect.get(Object(message), 'text')))?.[0]);
      seen.set(number, [...(seen.get(number) ?? []), asker.getStore()]);
    };
  }
  const channel = tracingChannel('oxbow:query');
  channel.subscribe(subscribers as never);
  t.after(() => void channel.unsubscribe(subscribers as never));
  const numbers = Array.from({ length: 20 }, (_, n) => n + 100);
  await Promise.all(numbers.map((n) => asker.run(n, () => pool.query(`SELECT ${n}`))));
  assert.deepEqual(
    [...seen],
    numbers.map((n) => [n, [n, n, n, n]]),
  );
});

test('oxbow:transaction is told around a transaction that commits, and of its queries COMMIT is one', async (t) => {
  const pool = withPool(t, server.config);
  const transaction = listenToTrace(t, 'oxbow:transaction');
  const query = listenToTrace(t, 'oxbow:query', ['start']);
  await pool.transaction((tx) => tx.query('SELECT 1'));
  assert.deepEqual(partsOf(transaction), ['start', 'end', 'asyncStart', 'asyncEnd']);
  assert.deepEqual(
    query.map(({ message }) => message.text),
    ['SELECT 1', 'COMMIT'],
  );
});

test('no message says a value or the password, however closely one looks at it', async (t) => {
  const value = 'a-value-of-somebody';
  const password = 'correct horse';
  const pool = withPool(t, { ...server.config, password, max: 2 });
  const told = channels.map(({ name, kind }) => (kind === 'plain' ? listen(t, name) : listenToTrace(t, name)));
  await pool.query('SELECT $1::text', [value]);
  await pool.transaction((tx) => tx.query('SELECT $1::text', [value]), { settings: { 'app.tenant': value } });
  await pool.check();
  pool.resize({ max: 3 });
  await pool.close();
  const messages = told.flat();
  assert.ok(messages.length > 20);
  const seen = messages.map(({ message }) => inspect(message, { depth: 20, showHidden: true })).join('\n');
  assert.ok(!seen.includes(value) && !seen.includes(password), seen);
});

test('a subscriber that uses the connection at once, or gives it back, takes nobody’s answer', async (t) => {
  const pool = withPool(t, { ...server.config, max: 1 });
  const trace = tracingChannel('oxbow:query');
  let act: (() => void) | undefined;
  const start = (): void => {
    const once = act;
    act = undefined;
    once?.();
  };
  const none = (): void => {};
  const parts = { start, end: none, asyncStart: none, asyncEnd: none, error: none };
  trace.subscribe(parts);
  t.after(() => trace.unsubscribe(parts));
  const audits: Promise<unknown>[] = [];
  await pool.transaction(async (tx) => {
    act = () => void audits.push(tx.query("SELECT 'audit' AS who"));
    assert.deepEqual((await tx.query("SELECT 'main' AS who")).rows, [{ who: 'main' }]);
  });
  const [audit] = await Promise.all(audits);
  assert.deepEqual(Reflect.get(Object(audit), 'rows'), [{ who: 'audit' }]);
  const lease = await pool.acquire();
  const next = pool.query("SELECT 'next' AS who");
  act = () => lease.release();
  // Given back while it runs: it is cancelled, or was answered before that; never is the answer another's.
  const first = await lease.query("SELECT 'first' AS who").then(
    ({ rows }) => rows,
    (error: unknown) => Reflect.get(Object(error), 'code'),
  );
  assert.ok(first === '57014' || Reflect.get(Object(first)[0], 'who') === 'first', String(first));
  assert.deepEqual((await next).rows, [{ who: 'next' }]);
});
