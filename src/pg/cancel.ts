// The cancel request of the wire protocol, on a socket of its own. Owns the sixteen bytes and that the promise tells when the
// server has closed that socket: only then can the request hit nothing any more.

import { connect } from 'node:net';

const CANCEL_CODE = 80_877_102;

export interface CancelTarget {
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  readonly secretKey: number | Buffer;
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

/** Resolves when the server has read the request and closed the socket. */
export function sendCancel(target: CancelTarget): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = target.host.startsWith('/')
      ? connect(`${target.host}/.s.PGSQL.${target.port}`)
      : connect(target.port, target.host);
    // The pool holds the process while it waits for a cancel; a host that never answers must not.
    socket.unref();
    let failure: Error | undefined;
    socket.on('connect', () => {
      socket.write(cancelMessage(target));
    });
    // A reset is how some servers close it; what counts is that it is closed after it was connected.
    socket.on('error', (error) => {
      if (socket.connecting) failure = error;
    });
    socket.on('close', () => {
      if (failure === undefined) resolve();
      else reject(failure);
    });
    socket.resume();
  });
}
