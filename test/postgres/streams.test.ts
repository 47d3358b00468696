// Connections whose sockets the user makes himself (pg's option `stream`), as tunnels and the connectors of clouds do: whatever the pool
// sends besides goes the same way.

import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import * as nodeTest from 'node:test';
import { test } from 'node:test';
import { QueryTimeoutError } from '../../src/doors/index.ts';
import { pidOf, rejection, reports, withPool, withServer } from './harness.ts';

const server = await withServer(nodeTest);

/** Leads to the server, whatever name it is told. */
class Tunnel extends Socket {
  static readonly asked: string[] = [];

  override connect(...args: unknown[]): this {
    const [port, host] = args;
    Tunnel.asked.push(`${String(host)}:${String(port)}`);
    return super.connect({ port: server.config.port, host: server.config.host });
  }
}

test('a cancel request goes through the sockets that the user makes, to the name that they were told', async (t) => {
  const heard = reports();
  const through = { host: 'behind.the.tunnel', port: 6_000, stream: () => new Tunnel() };
  const pool = withPool(t, { ...server.config, ...through, max: 1, logger: heard.logger });
  const pid = await pool.use(pidOf);
  await rejection(pool.query({ text: 'SELECT pg_sleep(30)', timeoutMs: 100 }), QueryTimeoutError);
  assert.equal(await pool.use(pidOf), pid);
  assert.deepEqual(Tunnel.asked, ['behind.the.tunnel:6000', 'behind.the.tunnel:6000']);
  assert.deepEqual(heard.said, []);
});
