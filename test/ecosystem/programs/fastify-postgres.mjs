// @fastify/postgres on the pool, given as a pg-shaped module in `pg`: connections and transactions in callbacks and in promises, and a
// transaction for each request of a route; closing the app ends the pool that the plugin made.

import assert from 'node:assert/strict';
import plugin from '@fastify/postgres';
import Fastify from 'fastify';
import { balances, close, isWhole, namespace } from './kit.mjs';

const { DATABASE_URL: connectionString, APPLICATION_NAME: application_name } = process.env;
const app = Fastify();
app.register(plugin, { pg: namespace, connectionString, application_name, max: 3 });

const insert = 'INSERT INTO accounts (balance) VALUES ($1) RETURNING balance';
app.get('/connect', (_, reply) => {
  app.pg.connect((error, client, release) => {
    if (error) return reply.send(error);
    client.query('SELECT 0 AS balance', (failed, result) => {
      release();
      reply.send(failed ?? result.rows);
    });
  });
});
app.get('/query', (_, reply) => {
  app.pg.query(insert, [1], (error, result) => reply.send(error ?? result.rows));
});
app.get('/transact', () => app.pg.transact(async (client) => (await client.query(insert, [2])).rows));
app.get('/transact-callback', (_, reply) => {
  app.pg.transact(
    (client, commit) => client.query(insert, [3], commit),
    (error, result) => reply.send(error ?? result.rows),
  );
});
app.get('/fails', () =>
  app.pg.transact(async (client) => {
    await client.query(insert, [99]);
    throw new Error('no');
  }),
);
app.register(async (scope) => {
  scope.get('/route', { pg: { transact: true } }, async (request) => (await request.pg.query(insert, [4])).rows);
  scope.get('/route-fails', { pg: { transact: true } }, async (request) => {
    await request.pg.query(insert, [99]);
    throw new Error('no');
  });
});
await app.ready();

for (const [at, path] of ['connect', 'query', 'transact', 'transact-callback', 'route'].entries()) {
  const { statusCode, body } = await app.inject(`/${path}`);
  assert.deepEqual([statusCode, body], [200, JSON.stringify([{ balance: at }])], path);
}
for (const path of ['fails', 'route-fails']) assert.equal((await app.inject(`/${path}`)).statusCode, 500, path);
assert.deepEqual(await balances(), [1, 2, 3, 4]);

const { pool } = app.pg;
assert.ok(pool instanceof namespace.Pool);
assert.ok(isWhole(pool));
await app.close();
assert.equal(pool.totalCount, 0);
await close();
console.log('done');
