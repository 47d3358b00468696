// The socket that reads into memory which is there already: who listens for "data" keeps what it was given, who reads keeps nothing, and
// ends, pauses and losses are those of any socket. A server of Node's own; what is sent and when is decided by the test.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import test, { type TestContext } from 'node:test';
import { leanSocket, readBy } from '../../src/pg/lean-socket.ts';
import { eventually } from '../postgres/harness.ts';

interface Line {
  readonly near: Socket;
  readonly far: Socket;
}

async function line(t: TestContext): Promise<Line> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const arrived = once(server, 'connection');
  const near = leanSocket();
  assert.ok(near !== undefined);
  near.connect(address.port, '127.0.0.1');
  const [[far]] = (await Promise.all([arrived, once(near, 'connect')])) as [[Socket], unknown];
  t.after(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  return { near, far };
}

/** So often something went over another line, and was read, that anything that was under way before has come. */
async function turnsOf({ near, far }: Line): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) {
    const heard = once(near, 'data');
    far.write('.');
    await heard;
  }
}

test('bytes that were given to a listener stay what they were', async (t) => {
  const lines = await Promise.all(Array.from({ length: 8 }, () => line(t)));
  const heard = lines.map(({ near }) => {
    const chunks: Buffer[] = [];
    near.on('data', (chunk: Buffer) => chunks.push(chunk));
    return chunks;
  });
  for (let round = 0; round < 50; round += 1) {
    for (const [n, { far }] of lines.entries())
      far.write(Buffer.alloc(1 + ((round * 977 * (n + 1)) % 9_000), 0x41 + n));
    if (round % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const sent = (n: number): number =>
    Array.from({ length: 50 }, (_, round) => 1 + ((round * 977 * (n + 1)) % 9_000)).reduce((sum, one) => sum + one, 0);
  for (const [n, chunks] of heard.entries()) {
    await eventually(`all of line ${n}`, () => Buffer.concat(chunks).length === sent(n));
    const all = Buffer.concat(chunks);
    assert.ok(all.equals(Buffer.alloc(sent(n), 0x41 + n)), `line ${n} heard nothing but its own`);
  }
});

test('whoever reads is given the bytes of its line, and listeners no more', async (t) => {
  const { near, far } = await line(t);
  const heard: string[] = [];
  near.on('data', (chunk: Buffer) => heard.push(chunk.toString()));
  far.write('one');
  await eventually('it is heard', () => heard.join('') === 'one');
  const read: string[] = [];
  assert.equal(
    readBy(near, (bytes, end) => read.push(bytes.toString('latin1', 0, end)) > 0),
    true,
  );
  far.write('two');
  await eventually('it is read', () => read.join('') === 'two');
  assert.deepEqual(heard, ['one']);
});

test('it is a stream: whoever reads by "readable", iterates or pipes has all of it', async (t) => {
  const first = await line(t);
  const sent = Buffer.from(Array.from({ length: 300_000 }, (_, n) => n % 251));
  const read: Buffer[] = [];
  first.near.on('readable', () => {
    for (let chunk = first.near.read(1_000); chunk !== null; chunk = first.near.read(1_000)) read.push(chunk);
  });
  first.far.write(sent);
  await eventually('all of it', () => Buffer.concat(read).equals(sent));
  const second = await line(t);
  second.far.end(sent);
  const iterated: Buffer[] = [];
  for await (const chunk of second.near) iterated.push(chunk as Buffer);
  assert.ok(Buffer.concat(iterated).equals(sent));
  // Others may be given the socket's own events in between: pg-copy-streams takes the listener for "data" away and puts it back.
  const third = await line(t);
  const heard: Buffer[] = [];
  const listener = (chunk: Buffer): void => void heard.push(chunk);
  third.near.on('data', listener);
  third.far.write('before');
  await eventually('it is heard', () => Buffer.concat(heard).toString() === 'before');
  third.near.off('data', listener);
  const between: Buffer[] = [];
  const readable = (): void => {
    for (let chunk = third.near.read(); chunk !== null; chunk = third.near.read()) between.push(chunk);
  };
  third.near.on('readable', readable);
  third.far.write('between');
  await eventually('it is read', () => Buffer.concat(between).toString() === 'between');
  third.near.off('readable', readable);
  third.near.on('data', listener);
  third.far.write('after');
  await eventually('it is heard again', () => Buffer.concat(heard).toString() === 'beforeafter');
});

test('an ordinary socket is none that can be read so', async (t) => {
  const { far } = await line(t);
  assert.equal(
    readBy(far, () => true),
    false,
  );
});

test('it stops while it is paused, and loses nothing', async (t) => {
  const { near, far } = await line(t);
  const other = await line(t);
  other.near.on('data', () => {});
  let heard = 0;
  near.on('data', (chunk: Buffer) => {
    heard += chunk.length;
  });
  far.write(Buffer.alloc(10));
  await eventually('it reads', () => heard === 10);
  near.pause();
  far.write(Buffer.alloc(4_000_000));
  await turnsOf(other);
  const paused = heard;
  await turnsOf(other);
  assert.equal(heard, paused);
  assert.ok(paused < 4_000_010);
  near.resume();
  await eventually('all of it is there', () => heard === 4_000_010);
});

test('an end and a loss are told as of any socket', async (t) => {
  const first = await line(t);
  first.near.on('data', () => {});
  const ended = once(first.near, 'end');
  first.far.end('bye');
  await ended;
  const second = await line(t);
  second.near.on('data', () => {});
  const errors: unknown[] = [];
  second.near.on('error', (error) => errors.push(error));
  const closed = new Promise((resolve) => second.near.once('close', resolve));
  second.far.resetAndDestroy();
  await closed;
  assert.equal(Reflect.get(errors[0] as object, 'code'), 'ECONNRESET');
});
