// The relay of the benchmark of queries: everything arrives, in its order, and not before its time. How much later than that is not tested.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import test from 'node:test';
import { startChild } from '../../bench/lib/child.ts';

test('the relay keeps the order of bytes, adds a millisecond to a round trip, and hands on the end', async (t) => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const relay = startChild(new URL('../../bench/queries/relay.js', import.meta.url), 'relay');
  t.after(() => relay.end());
  const { port = 0 } = await relay.ask({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });

  const sent = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * 7 + (at >> 8)) % 256));
  const socket = connect({ host: '127.0.0.1', port });
  await once(socket, 'connect');
  const began = performance.now();
  let firstAfterMs: number | undefined;
  const pieces: Buffer[] = [];
  let length = 0;
  const all = new Promise<void>((resolve) => {
    socket.on('data', (piece) => {
      firstAfterMs ??= performance.now() - began;
      pieces.push(piece);
      length += piece.length;
      if (length >= sent.length) resolve();
    });
  });
  for (let at = 0; at < sent.length; at += 1_000) socket.write(sent.subarray(at, at + 1_000));
  await all;
  assert.ok(Buffer.concat(pieces).equals(sent));
  assert.ok((firstAfterMs ?? 0) >= 1, `the first byte was back after ${firstAfterMs} ms`);

  const closed = once(socket, 'close');
  socket.end();
  await closed;
});
