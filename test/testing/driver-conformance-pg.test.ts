// The conformance suite on the driver for PostgreSQL, against a real server. Its sockets are counted where they are made; the proxy
// in between holds the end of a reply back and ends sessions from the other side.

import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import test from 'node:test';
import pg from 'pg';
import { systemClock } from '../../src/foundation/system-clock.ts';
import { PgDriver } from '../../src/pg/driver.ts';
import type { PgSession } from '../../src/pg/session.ts';
import { driverConformance } from '../../src/testing/driver-conformance.ts';
import { faultProxy } from '../../src/testing/fault-proxy.ts';
import { deafServer, eventually, unusedPort, withServer } from '../postgres/harness.ts';

const server = await withServer(test, { url: false, auth: 'scram', settings: { max_connections: 12 } });
const proxy = await faultProxy({ target: server.config });
test.after(() => proxy.close());
const deaf = await deafServer(test);
const nobody = await unusedPort();

const made = new Set<Socket>();

/** A socket for pg that is counted until the system has it no more (Node's `close` event comes a turn later). */
function counted(): Socket {
  const socket = new Socket();
  made.add(socket);
  return socket;
}

function sockets(): number {
  for (const socket of made) if (socket.closed) made.delete(socket);
  return made.size;
}

function driver(config: pg.ClientConfig = {}): PgDriver {
  return new PgDriver({
    Client: pg.Client,
    config: { ...server.config, host: proxy.host, port: proxy.port, stream: counted, ...config },
    connection: undefined,
    clock: systemClock,
    unref: false,
    queryTimeoutMs: Infinity,
  });
}

/** The proxy's end of a session. */
function connectionOf(session: PgSession): (typeof proxy.connections)[number] {
  const stream: unknown = Reflect.get(Reflect.get(session.client, 'connection'), 'stream');
  assert.ok(stream instanceof Socket);
  const found = proxy.connections.find(({ clientPort }) => clientPort === stream.localPort);
  assert.ok(found !== undefined);
  return found;
}

const cases = driverConformance(driver, {
  run: (session, text) => session.client.query(text),
  kill: (session) => connectionOf(session).cut(),
  sockets,
  async unread(session) {
    const connection = connectionOf(session);
    // The reply to a failing statement, but for its last six bytes: ReadyForQuery, which the server sends apart from the error.
    const before = connection.toClient.passed;
    await session.client.query('SELECT 1/0').catch(() => {});
    await eventually('that reply is read to its end', () => session.status === 'idle', { everyMs: 2 });
    const stalled = connection.stallAfter(connection.toClient.passed - before - 6);
    await session.client.query('SELECT 1/0').catch(() => {});
    await stalled;
    return () => connection.resume();
  },
  peers: {
    silent: () => driver({ host: deaf.host, port: deaf.port }),
    refused: () => driver({ port: nobody }),
    wrongPassword: () => driver({ password: 'wrong' }),
    unknownDatabase: () => driver({ database: 'nowhere' }),
  },
});

for (const { name, run } of cases) test(name, { timeout: 30_000 }, run);

test('a full server is known as full and leaves no socket', async () => {
  const { config } = server;
  const full = driver({ host: proxy.host, port: proxy.port, user: 'ordinary', password: 'p' });
  const admin = new pg.Client(config);
  await admin.connect();
  await admin.query("CREATE ROLE ordinary LOGIN PASSWORD 'p' CONNECTION LIMIT 0");
  const [only] = driverConformance(driver, {
    run: (session, text) => session.client.query(text),
    kill: (session) => connectionOf(session).cut(),
    sockets,
    peers: { full: () => full },
  }).filter(({ name }) => name.startsWith('a full server'));
  await only?.run();
  await admin.end();
});
