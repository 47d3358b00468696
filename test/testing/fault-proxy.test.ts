// The fault proxy between plain sockets: an echo server behind it, and clients that look at every byte and every end.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import type { FaultProxy } from '../../src/testing/fault-proxy.ts';
import { faultProxy } from '../../src/testing/fault-proxy.ts';
import type { ProxiedConnection } from '../../src/testing/fault-proxy-connection.ts';
import type { ProxyEvent } from '../../src/testing/fault-proxy-verbs.ts';
import { eventually } from '../postgres/harness.ts';

/** One end of a wire, and what became of it. */
class End {
  readonly socket: Socket;
  heard = '';
  fin = false;
  error: string | undefined;
  closed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.heard += chunk.toString('latin1');
    });
    socket.on('end', () => {
      this.fin = true;
    });
    socket.on('error', (error) => {
      this.error = String(Reflect.get(error, 'code'));
    });
    socket.on('close', () => {
      this.closed = true;
    });
  }

  hears(text: string): Promise<boolean> {
    return eventually(`hears ${JSON.stringify(text)}`, () => this.heard === text, { everyMs: 2 });
  }
}

interface Wire {
  readonly proxy: FaultProxy;
  /** The server's ends, oldest first. */
  readonly served: End[];
  readonly events: ProxyEvent[];
  client(): Promise<End>;
  /** A client whose connection has reached the server. */
  pair(): Promise<{ client: End; server: End; connection: ProxiedConnection }>;
}

/** A proxy in front of a server that keeps what it hears. */
async function wire(t: TestContext, path?: string): Promise<Wire> {
  const served: End[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => served.push(new End(socket)));
  await new Promise<void>((resolve) => {
    if (path === undefined) server.listen({ host: '127.0.0.1', port: 0 }, resolve);
    else server.listen(path, resolve);
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const proxy = await faultProxy({ target: path ?? { host: '127.0.0.1', port } });
  const clients: End[] = [];
  t.after(async () => {
    await proxy.close();
    for (const end of [...clients, ...served]) end.socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const events: ProxyEvent[] = [];
  proxy.observe((event) => events.push(event));
  const client = async (): Promise<End> => {
    const socket = connect({ port: proxy.port, host: proxy.host, allowHalfOpen: true });
    const end = new End(socket);
    clients.push(end);
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return end;
  };
  const pair = async (): ReturnType<Wire['pair']> => {
    const before = served.length;
    const known = new Set(proxy.connections);
    const end = await client();
    const other = await eventually('the server accepts', () => served[before]);
    const connection = proxy.connections.find((one) => !known.has(one));
    assert.ok(connection !== undefined);
    return { client: end, server: other, connection };
  };
  return { proxy, served, events, client, pair };
}

/** The sixteen bytes of a cancel request. */
function cancelRequest(): Buffer {
  const message = Buffer.alloc(16);
  message.writeInt32BE(16, 0);
  message.writeInt32BE(80_877_102, 4);
  return message;
}

/** A start-up message of protocol 3.0 without parameters. */
function startup(): Buffer {
  const message = Buffer.alloc(9);
  message.writeInt32BE(9, 0);
  message.writeInt32BE(196_608, 4);
  return message;
}

const TERMINATE = Buffer.from([0x58, 0, 0, 0, 4]);

test('bytes pass both ways, in order, and are counted', async (t) => {
  const { proxy, pair } = await wire(t);
  const { client, server, connection } = await pair();
  client.socket.write('ab');
  client.socket.write('cd');
  await server.hears('abcd');
  server.socket.write('xyz');
  await client.hears('xyz');
  assert.deepEqual(proxy.bytes, { toServer: 4, toClient: 3 });
  assert.deepEqual([connection.toServer.received, connection.toServer.passed, connection.toServer.lost], [4, 4, 0]);
  assert.deepEqual([connection.toClient.received, connection.toClient.passed, connection.toClient.held], [3, 3, 0]);
});

test('ends pass both ways, one direction at a time', async (t) => {
  const { proxy, pair } = await wire(t);
  const { client, server } = await pair();
  client.socket.end('bye');
  await server.hears('bye');
  await eventually('the server sees the end', () => server.fin);
  assert.equal(client.fin, false);
  server.socket.end('too');
  await client.hears('too');
  await proxy.until(() => proxy.connections.length === 0);
  await eventually('both are closed', () => client.closed && server.closed);
  assert.deepEqual([client.error, server.error], [undefined, undefined]);
});

test('a Unix socket can be the target', { skip: process.platform === 'win32' }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'oxbow-proxy-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const { pair } = await wire(t, join(folder, 'socket'));
  const { client, server, connection } = await pair();
  client.socket.write('ab');
  await server.hears('ab');
  await connection.reset();
  await eventually('both are closed', () => client.closed && (server.fin || server.closed));
  assert.equal(client.error, 'ECONNRESET');
});

test('cut closes both sides in order, one connection or all', async (t) => {
  const { proxy, pair } = await wire(t);
  const [first, second, third] = [await pair(), await pair(), await pair()];
  await first.connection.cut();
  assert.deepEqual(
    proxy.connections.map(({ id }) => id),
    [2, 3],
  );
  await eventually('both sides see the end', () => first.client.fin && first.server.fin);
  assert.equal(first.client.error, undefined);
  assert.deepEqual([second.client.fin, third.client.fin], [false, false]);
  await proxy.cut();
  assert.deepEqual([proxy.open, proxy.connections.length], [0, 0]);
  await eventually('the others see it too', () => second.client.fin && third.server.fin);
});

test('reset is an RST to both sides', async (t) => {
  const { proxy, pair } = await wire(t);
  const { client, server } = await pair();
  await proxy.reset();
  assert.equal(proxy.connections.length, 0);
  await eventually('both are reset', () => client.error === 'ECONNRESET' && server.error === 'ECONNRESET');
});

test('a connection is gone after a reset in the very turn in which its end is passed on', {
  timeout: 10_000,
}, async (t) => {
  const { proxy, pair } = await wire(t);
  const { server, connection } = await pair();
  const reset = new Promise<void>((resolve) => {
    proxy.observe(({ type }) => {
      if (type === 'ended') resolve(connection.reset());
    });
  });
  server.socket.end();
  await reset;
  await proxy.close();
});

test("a client's reset reaches the server as one, and the other way round", async (t) => {
  const { proxy, pair } = await wire(t);
  const one = await pair();
  one.client.socket.resetAndDestroy();
  await eventually('the server is reset', () => one.server.error === 'ECONNRESET');
  const two = await pair();
  two.server.socket.resetAndDestroy();
  await eventually('the client is reset', () => two.client.error === 'ECONNRESET');
  await proxy.until(() => proxy.connections.length === 0);
});

test('stall keeps everything, resume hands it over in order, ends included', async (t) => {
  const { pair } = await wire(t);
  const { client, server, connection } = await pair();
  await connection.stall();
  client.socket.write('one');
  client.socket.end('two');
  server.socket.write('back');
  await eventually('the proxy has it', () => connection.toServer.held === 6 && connection.toClient.held === 4);
  assert.deepEqual([server.heard, client.heard, server.fin], ['', '', false]);
  await connection.resume();
  assert.deepEqual([connection.toServer.held, connection.toServer.passed], [0, 6]);
  await server.hears('onetwo');
  await client.hears('back');
  await eventually('the end came', () => server.fin);
});

test('stall can hold one direction only', async (t) => {
  const { proxy, pair } = await wire(t);
  const { client, server, connection } = await pair();
  await proxy.stall('toClient');
  client.socket.write('there');
  server.socket.write('back');
  await server.hears('there');
  await eventually('the proxy has it', () => connection.toClient.held === 4);
  assert.equal(client.heard, '');
  await proxy.resume('toClient');
  await client.hears('back');
});

test('a stall of the proxy holds for those who come later, until resume or heal', async (t) => {
  const { proxy, pair } = await wire(t);
  for (const undo of ['resume', 'heal'] as const) {
    await proxy.stall();
    const { client, server, connection } = await pair();
    client.socket.write('a');
    await eventually('the proxy has it', () => connection.toServer.held === 1);
    assert.equal(server.heard, '');
    await proxy[undo]();
    await server.hears('a');
    const later = await pair();
    later.client.socket.write('b');
    await later.server.hears('b');
  }
});

test('dropped bytes vanish for good while the socket stays; heal lets later ones pass', async (t) => {
  const { proxy, pair } = await wire(t);
  const { client, server, connection } = await pair();
  await proxy.drop();
  client.socket.write('gone');
  server.socket.write('gone too');
  await proxy.until(() => connection.toServer.lost === 4 && connection.toClient.lost === 8);
  assert.deepEqual([client.fin, server.fin, proxy.open], [false, false, 1]);
  await proxy.heal();
  client.socket.write('kept');
  server.socket.write('kept');
  await server.hears('kept');
  await client.hears('kept');
  const later = await pair();
  later.client.socket.write('b');
  await later.server.hears('b');
});

test('dropping one direction leaves the other whole, and hides that side’s end', async (t) => {
  const { pair, proxy } = await wire(t);
  const { client, server, connection } = await pair();
  await connection.drop('toServer');
  client.socket.end('gone');
  server.socket.write('here');
  await client.hears('here');
  await proxy.until(() => connection.toServer.lost === 4);
  assert.deepEqual([server.heard, server.fin], ['', false]);
  await connection.heal();
  await eventually('healed, the end is told', () => server.fin);
});

test('delay adds to a round trip what was asked for, and keeps the order', async (t) => {
  const { proxy, pair } = await wire(t);
  const { client, server } = await pair();
  server.socket.on('data', (chunk) => server.socket.write(chunk));
  await proxy.delay(120);
  const began = performance.now();
  client.socket.write('a');
  client.socket.write('b');
  await client.hears('ab');
  assert.ok(performance.now() - began >= 119, 'the delay was shorter than asked for');
  await proxy.delay(10_000);
  client.socket.write('c');
  await proxy.until(() => proxy.bytes.toServer === 3);
  await proxy.heal();
  await client.hears('abc');
});

test('half open: bytes pass, but the end of one side stays unknown to the other', async (t) => {
  const { pair, proxy, events } = await wire(t);
  const { client, server, connection } = await pair();
  await proxy.halfOpen('toClient');
  server.socket.end('last words');
  await client.hears('last words');
  await eventually('the proxy saw the end', () => events.some((event) => event.type === 'ended'));
  client.socket.write('still here');
  await server.hears('still here');
  assert.deepEqual([client.fin, client.closed, connection.open], [false, false, true]);
  await proxy.heal();
  await eventually('healed, the end is told', () => client.fin);
});

test('half closed: one direction ends, the other goes on', async (t) => {
  const { pair } = await wire(t);
  for (const direction of ['toClient', 'toServer'] as const) {
    const { client, server, connection } = await pair();
    const [ended, other] = direction === 'toClient' ? [client, server] : [server, client];
    await connection.halfClose(direction);
    await eventually('that side sees the end', () => ended.fin);
    ended.socket.write('on');
    await other.hears('on');
    assert.equal(other.fin, false);
  }
});

test('cutAfter passes exactly that many bytes, then cuts', async (t) => {
  const { pair } = await wire(t);
  const { client, server, connection } = await pair();
  const gone = connection.cutAfter(5);
  server.socket.write('123');
  server.socket.write('45678');
  await gone;
  await eventually('the client is cut', () => client.fin);
  assert.equal(client.heard, '12345');
  const other = await pair();
  await other.connection.cutAfter(0, 'toServer');
  await eventually('at once, with nothing to pass', () => other.client.fin);
});

test('stallAfter passes exactly that many bytes and keeps the rest', async (t) => {
  const { pair, proxy } = await wire(t);
  const { client, server, connection } = await pair();
  const stalled = proxy.stallAfter(2, 'toServer');
  client.socket.write('1234');
  await stalled;
  await server.hears('12');
  assert.equal(connection.toServer.held, 2);
  await connection.resume();
  await server.hears('1234');
});

test('refuse: new ones are refused, present ones go on, and serve listens again on the same port', async (t) => {
  const { pair, proxy, client } = await wire(t);
  const present = await pair();
  await proxy.refuse();
  await assert.rejects(client(), { code: 'ECONNREFUSED' });
  present.client.socket.write('on');
  await present.server.hears('on');
  await proxy.serve();
  const later = await pair();
  later.client.socket.write('back');
  await later.server.hears('back');
  assert.equal(proxy.accepted, 2);
});

test('deaf: new ones are accepted and never answered, not even when they end', async (t) => {
  const { pair, proxy, client, served } = await wire(t);
  const present = await pair();
  await proxy.deaf();
  const deaf = await client();
  deaf.socket.end('hello?');
  await proxy.until(() => proxy.bytes.toServer === 6 && proxy.open === 1);
  present.client.socket.write('on');
  await present.server.hears('on');
  assert.deepEqual([served.length, deaf.fin, deaf.closed], [1, false, false]);
  await proxy.serve();
  await pair();
});

test('a server that is not there resets the client and is told', async (t) => {
  const proxy = await faultProxy({ target: { host: '127.0.0.1', port: 1 } });
  t.after(() => proxy.close());
  const events: string[] = [];
  proxy.observe((event) => events.push(event.type));
  const socket = connect(proxy.port, proxy.host);
  const end = new End(socket);
  await eventually('the client is closed', () => end.closed);
  assert.equal(end.error, 'ECONNRESET');
  await proxy.until(() => proxy.connections.length === 0);
  assert.ok(events.includes('unreachable'));
});

test('cancel requests are recognised in pieces, counted apart, and made late', async (t) => {
  const { proxy, client, served, events } = await wire(t);
  await proxy.lateCancel(Infinity);
  const end = await client();
  const message = cancelRequest();
  for (const at of message.keys()) {
    end.socket.write(message.subarray(at, at + 1));
    await proxy.until(() => proxy.bytes.toServer === at + 1);
  }
  end.socket.end();
  await eventually('it is there', () => served.length === 1 && proxy.connections[0]?.toServer.held === 9);
  assert.deepEqual([proxy.cancels, proxy.accepted, proxy.open, proxy.peak], [1, 1, 0, 0]);
  await proxy.heal();
  await eventually('the server heard all of it', () => served[0]?.heard.length === 16 && served[0].fin);

  await proxy.lateCancel(80);
  const began = performance.now();
  const late = await client();
  late.socket.end(message);
  await eventually('the server heard it', () => served[1]?.heard.length === 16, { everyMs: 2 });
  assert.ok(performance.now() - began >= 79, 'it was not late');
  assert.deepEqual(
    events.filter((event) => event.type === 'kind').map((event) => event.kind),
    ['cancel', 'cancel'],
  );
});

test('a session, its goodbye and a TLS client are recognised', async (t) => {
  const { proxy, pair } = await wire(t);
  const { client, server, connection } = await pair();
  client.socket.write(startup());
  // A goodbye inside a message is none.
  const query = Buffer.concat([Buffer.from([0x51, 0, 0, 0, 9]), TERMINATE]);
  client.socket.write(query);
  await proxy.until(() => connection.toServer.received === 9 + query.length);
  assert.deepEqual([connection.kind, connection.goodbye], ['session', false]);
  client.socket.end(TERMINATE);
  await eventually('the server saw the end', () => server.fin);
  assert.equal(connection.goodbye, true);
  assert.equal(connection.open, true, 'a goodbye counts until it was answered');
  server.socket.end();
  await proxy.until(() => !connection.open);

  const tls = await pair();
  const request = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
  tls.client.socket.write(Buffer.concat([request, Buffer.from([0x16, 3, 1])]));
  await proxy.until(() => tls.connection.kind === 'opaque');
});

test('a client that ends without a goodbye no longer counts, though the server goes on', async (t) => {
  const { proxy, pair } = await wire(t);
  const { client, server, connection } = await pair();
  client.socket.write(startup());
  await server.hears(startup().toString('latin1'));
  client.socket.destroy();
  await proxy.until(() => proxy.open === 0);
  assert.deepEqual([proxy.connections.length, connection.open], [1, false]);
  server.socket.destroy();
  await proxy.until(() => proxy.connections.length === 0);
});

test('hung close: a goodbye reaches the server and is never answered', async (t) => {
  const { proxy, pair } = await wire(t);
  const { client, server, connection } = await pair();
  await proxy.hangClose();
  client.socket.write(startup());
  server.socket.write('welcome');
  await client.hears('welcome');
  client.socket.end(TERMINATE);
  await eventually('the server sees the end', () => server.fin);
  server.socket.end();
  await eventually('the server is closed', () => server.closed);
  assert.deepEqual([client.fin, client.closed, proxy.open], [false, false, 0]);
  assert.equal(proxy.connections.length, 1);
  await connection.heal();
  await eventually('healed, it is answered', () => client.closed);
});

test('the peak counts sockets that exist together, those alone that are no cancel requests', async (t) => {
  const { proxy, pair } = await wire(t);
  const first = await pair();
  const second = await pair();
  for (const { client } of [first, second]) client.socket.write(startup());
  const third = await pair();
  assert.equal(proxy.peak, 3, 'one that has said nothing yet is a socket');
  third.client.socket.write(cancelRequest());
  await proxy.until(() => proxy.cancels === 1);
  assert.deepEqual([proxy.open, proxy.peak, proxy.accepted], [2, 2, 3]);
  first.client.socket.destroy();
  await proxy.until(() => proxy.open === 1);
  const fourth = await pair();
  fourth.client.socket.write(startup());
  await proxy.until(() => fourth.connection.kind === 'session');
  assert.deepEqual([proxy.open, proxy.peak], [2, 2]);
});

test('one that closes before the next connects never makes a peak of two', async (t) => {
  const { proxy, client } = await wire(t);
  for (let round = 0; round < 200; round++) {
    const end = await client();
    end.socket.write(startup());
    end.socket.destroy();
    await new Promise((resolve) => end.socket.once('close', resolve));
  }
  await proxy.until(() => proxy.accepted === 200 && proxy.open === 0);
  assert.equal(proxy.peak, 1);
});

test('close leaves nothing, whatever the faults, and is the same promise', async (t) => {
  const { proxy, pair, client } = await wire(t);
  const ends = [await pair(), await pair()];
  await proxy.stall();
  await proxy.hangClose();
  ends[0]?.client.socket.end('x');
  assert.equal(proxy.close(), proxy.close());
  await proxy.close();
  assert.deepEqual([proxy.open, proxy.connections.length], [0, 0]);
  await assert.rejects(client(), { code: 'ECONNREFUSED' });
  await assert.rejects(proxy.serve(), /closed/);
  await eventually('the server sees both go', () => ends.every(({ server }) => server.fin || server.closed));
});

test('events come as they happen', async (t) => {
  const { proxy, pair, events } = await wire(t);
  const { client, server } = await pair();
  client.socket.write(startup());
  client.socket.end(TERMINATE);
  await eventually('the server sees the end', () => server.fin);
  server.socket.end('z');
  await proxy.until(() => proxy.connections.length === 0);
  const told = events.filter((event) => event.type !== 'bytes').map((event) => ('by' in event ? event.by : event.type));
  assert.deepEqual(told, ['accepted', 'kind', 'goodbye', 'client', 'left', 'server', 'closed']);
});

test('options that make no sense are refused', async () => {
  for (const target of ['', { host: '127.0.0.1', port: 0 }]) {
    await assert.rejects(faultProxy({ target }), /`target`/);
  }
});
