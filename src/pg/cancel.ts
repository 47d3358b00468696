// The cancel request of the wire protocol, on a socket of its own. Owns the sixteen bytes, that they go encrypted where the session is,
// and that the promise tells when the server has closed that socket: only then can the request hit nothing any more.

import { isIP, Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';

const CANCEL_CODE = 80_877_102;
const TLS_CODE = 80_877_103;
/** The server's one-byte answer to a request for TLS. */
const TLS_WELCOME = 'S'.charCodeAt(0);

export interface CancelTarget {
  /** A name, an address, or the folder of a Unix socket. The address of the session itself: a name may lead elsewhere by now. */
  readonly host: string;
  readonly port: number;
  /** Of the key that the server gave to this session. Behind a pooler that is no process at all. */
  readonly pid: number;
  readonly secretKey: number | Buffer;
  /** What makes the sockets, where the session's own was not made by Node: pg's option `stream`. */
  readonly stream?: (() => Socket) | undefined;
  /** How the session's own socket was secured, if it was. */
  readonly tls?: CancelTls | undefined;
}

export interface CancelTls {
  /** The name that was asked for: what the certificate is checked against. */
  readonly name: string;
  /** pg's `ssl`: true, or options of `tls.connect`. */
  readonly options: ConnectionOptions | true;
  /** TLS from the first byte on, without asking (`sslnegotiation=direct`). */
  readonly direct: boolean;
}

/** Length, code, process id, key (four bytes up to protocol 3.0, longer from 3.2 on). */
function cancelMessage(target: CancelTarget): Buffer {
  const key = typeof target.secretKey === 'number' ? Buffer.alloc(4) : target.secretKey;
  if (typeof target.secretKey === 'number') key.writeInt32BE(target.secretKey);
  const message = Buffer.alloc(12);
  message.writeInt32BE(12 + key.length, 0);
  message.writeInt32BE(CANCEL_CODE, 4);
  message.writeInt32BE(target.pid, 8);
  return Buffer.concat([message, key]);
}

function tlsRequest(): Buffer {
  const message = Buffer.alloc(8);
  message.writeInt32BE(8, 0);
  message.writeInt32BE(TLS_CODE, 4);
  return message;
}

/** Resolves when the server has read the request and closed the socket. `signal` cuts the socket, and rejects. */
export function sendCancel(target: CancelTarget, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = target.stream?.() ?? new Socket();
    if (target.host.startsWith('/')) socket.connect(`${target.host}/.s.PGSQL.${target.port}`);
    else socket.connect(target.port, target.host);
    // The pool holds the process while it waits for a cancel; a host that never answers must not.
    socket.unref();
    let sent = false;
    let failure: Error = new Error('the socket of the cancel request was closed before the request was sent');
    const fail = (error: Error): void => {
      failure = error;
      socket.destroy();
    };
    const cut = (): void => fail(new Error('the cancel request was given up'));
    const send = (through: Socket): void => {
      sent = true;
      through.write(cancelMessage(target));
    };
    socket.on('connect', () => {
      if (target.tls === undefined) send(socket);
      else secure(socket, target.tls, send, fail);
    });
    // A reset is how some servers close it; what counts is that it is closed after the request was sent.
    socket.on('error', (error) => {
      if (!sent) failure = error;
    });
    socket.on('close', () => {
      signal?.removeEventListener('abort', cut);
      if (sent && signal?.aborted !== true) resolve();
      else reject(failure);
    });
    signal?.addEventListener('abort', cut);
    if (signal?.aborted === true) cut();
    if (target.tls === undefined) socket.resume();
  });
}

/** The key must not go in the clear over a line on which nothing else did (as libpq, from PostgreSQL 17 on). */
function secure(
  socket: Socket,
  { name, options, direct }: CancelTls,
  send: (through: Socket) => void,
  fail: (error: Error) => void,
): void {
  const upgrade = (): void => {
    // Loaded by pg already, if this session has TLS; not worth loading for all others.
    const tls = process.getBuiltinModule('node:tls');
    const encrypted = tls.connect({
      host: name,
      ...(isIP(name) === 0 ? { servername: name } : {}),
      ...(options === true ? {} : options),
      ...(direct ? { ALPNProtocols: ['postgresql'] } : {}),
      socket,
    });
    encrypted.on('error', fail);
    encrypted.on('secureConnect', () => send(encrypted));
    encrypted.resume();
  };
  if (direct) {
    upgrade();
    return;
  }
  socket.once('data', (answer) => {
    if (answer[0] === TLS_WELCOME) upgrade();
    else fail(new Error('the server refused TLS for the cancel request'));
  });
  socket.write(tlsRequest());
}
