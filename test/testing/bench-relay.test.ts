// The relay of the benchmark of queries: everything arrives, in its order, and not before its time. How much later than that is not tested.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import test, { type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { startChild } from '../../bench/lib/child.ts';

/** A client of an echo, with the relay between them; and the echo's end of it. */
async function through(t: TestContext): Promise<{ client: Socket; far: Socket }> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.setNoDelay(true);
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const relay = startChild(new URL('../../bench/queries/relay.js', import.meta.url), 'relay');
  t.after(() => relay.end());
  const { port = 0 } = await relay.ask({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  const accepted = once(server, 'connection');
  const client = connect({ host: '127.0.0.1', port, noDelay: true });
  const [far] = await accepted;
  return { client, far: far as Socket };
}

test('no round trip through the relay is shorter than a millisecond', async (t) => {
  const { client } = await through(t);
  for (let count = 0; count < 30; count += 1) {
    const began = performance.now();
    client.write('x');
    await once(client, 'data');
    const ms = performance.now() - began;
    assert.ok(ms >= 1, `${ms} ms`);
  }
  client.destroy();
});

test('bytes leave the relay in the order in which they came, in both directions', async (t) => {
  const { client } = await through(t);
  const sent = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * 7 + (at >> 8)) % 256));
  const pieces: Buffer[] = [];
  let length = 0;
  const all = new Promise<void>((resolve) => {
    client.on('data', (piece) => {
      pieces.push(piece);
      length += piece.length;
      if (length >= sent.length) resolve();
    });
  });
  // In many small pieces, of which some are on their way there while others are on their way back.
  for (let at = 0; at < sent.length; at += 300) {
    client.write(sent.subarray(at, at + 300));
    await turn();
  }
  await all;
  assert.ok(Buffer.concat(pieces).equals(sent));
  client.destroy();
});

test('an end reaches the other side of the relay', async (t) => {
  const { client, far } = await through(t);
  const closed = once(far, 'close');
  client.destroy();
  await closed;
});
