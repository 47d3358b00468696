// A process between client and server that hands on every byte half a millisecond later, in each direction: distance, without a limit on the
// rate. One queue for all, and every piece waits equally long, so nothing overtakes anything.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { answerAsChild } from '../lib/child.ts';

const DELAY_MS = 0.5;
/** The loop's own timers know whole milliseconds only; so it sleeps between two looks at the sockets. */
const NAP_MS = 0.05;
const bed = new Int32Array(new SharedArrayBuffer(4));

interface Piece {
  readonly due: number;
  readonly to: Socket;
  /** Undefined: the end. */
  readonly bytes: Buffer | undefined;
}

let queue: Piece[] = [];
let head = 0;

function deliver(): void {
  const now = performance.now();
  for (let piece = queue[head]; piece !== undefined && piece.due <= now; piece = queue[head]) {
    head += 1;
    if (piece.bytes === undefined) piece.to.destroy();
    else if (!piece.to.destroyed) piece.to.write(piece.bytes);
  }
  const next = queue[head];
  if (next === undefined) {
    queue = [];
    head = 0;
    return;
  }
  const left = next.due - performance.now();
  if (left > 0) Atomics.wait(bed, 0, 0, Math.min(left, NAP_MS));
  setImmediate(deliver);
}

function later(to: Socket, bytes: Buffer | undefined): void {
  queue.push({ due: performance.now() + DELAY_MS, to, bytes });
  if (queue.length === 1) setImmediate(deliver);
}

function join(from: Socket, to: Socket): void {
  from.setNoDelay(true);
  from.on('data', (bytes) => later(to, bytes));
  from.on('error', () => {}); // 'close' follows
  from.on('close', () => later(to, undefined));
}

async function listen(host: string, port: number): Promise<number> {
  const server = createServer((client) => {
    const upstream = connect({ host, port });
    join(client, upstream);
    join(upstream, client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

answerAsChild(async (question) => {
  if (typeof question !== 'object' || question === null) throw new Error('no question');
  return { port: await listen(String(Reflect.get(question, 'host')), Number(Reflect.get(question, 'port'))) };
});
