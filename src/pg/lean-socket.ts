// A socket of Node's that reads into memory which is there already, instead of into a new piece for each read: that costs a third of all that a
// small answer costs. Owns that memory, and that whoever listens for "data" is given bytes of his own.

import { Socket, type SocketConstructorOpts } from 'node:net';
import process from 'node:process';
import { Duplex } from 'node:stream';

/** What Node reads at once as well. */
const SIZE = 65_536;

/**
 * Told of what was read: it stands at the beginning, up to `end`, and is overwritten by the next read of any socket. False: nothing more is to be
 * read until somebody asks the stream for it.
 */
export type Reader = (bytes: Buffer, end: number) => boolean;

interface Reading {
  reader: Reader;
}

const readings = new WeakMap<Socket, Reading>();
let shared: Buffer | undefined;

/** One read is over before another begins, so all sockets of a thread have the same; on Windows one begins long before it is over. */
function memory(): Buffer {
  if (process.platform === 'win32') return Buffer.allocUnsafeSlow(SIZE);
  shared ??= Buffer.allocUnsafeSlow(SIZE);
  return shared;
}

/** Other runtimes have the name of Node's option, and not always the option. */
const REAL =
  process.release.name === 'node' && process.versions.bun === undefined && process.versions.deno === undefined;

/** Not connected; undefined where there is none such. Until somebody else reads it is a stream like any socket of Node's. */
export function leanSocket(): Socket | undefined {
  if (!REAL) return undefined;
  const reading: Reading = { reader: (bytes, end) => giveStream(socket, bytes.subarray(0, end)) };
  const callback = (length: number, bytes: Uint8Array): boolean => reading.reader(bytes as Buffer, length);
  // The constructor has the option; Node's types know it of `connect()` alone.
  const options = { onread: { buffer: memory(), callback } } as SocketConstructorOpts;
  const socket: Socket = new Socket(options);
  // As with any other socket, what is not read yet is kept in the stream until there is enough of it; with the option a pause would stop the
  // line, and nobody who then listens for "readable" starts it again.
  socket.pause = Duplex.prototype.pause as Socket['pause'];
  readings.set(socket, reading);
  return socket;
}

/**
 * Puts bytes into the stream, which keeps them: whoever listens for "data", reads by "readable" or pipes finds them there (pg-copy-streams does
 * the second). False if it has enough for now.
 */
export function giveStream(socket: Socket, bytes: Buffer): boolean {
  return socket.push(Buffer.from(bytes));
}

/** From now on `reader` is told of what a lean socket reads, and nobody else; false if it is none. */
export function readBy(socket: Socket, reader: Reader): boolean {
  const reading = readings.get(socket);
  if (reading === undefined) return false;
  reading.reader = reader;
  return true;
}
