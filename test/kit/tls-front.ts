// A front before a PostgreSQL server that speaks TLS to its clients, by request or from the first byte on. Owns its certificate, which is
// for tests alone, and the record of what came: how many sessions, and how many cancel requests, encrypted or in the clear.

import { connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, TLSSocket } from 'node:tls';

const TLS_CODE = 80_877_103;
const CANCEL_CODE = 80_877_102;
/** The first byte of a TLS handshake; a message of PostgreSQL's begins with a length and thus with 0. */
const HANDSHAKE = 0x16;

/** For `localhost` and 127.0.0.1, signed by itself. */
export const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBnjCCAUOgAwIBAgIUdEOdo0fniHiTgkdbog07lKtg2GEwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKb3hib3ctdGVzdDAgFw0yNjExMjgwNTMwMjZaGA8yMTI2MTEw
NDA1MzAyNlowFTETMBEGA1UEAwwKb3hib3ctdGVzdDBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABBumIiTy4fRtSLDOAargN+NyBLiyyM30BfPb78X0TqjRpFmCKOyw
flGQAbCxYBIpXamgTXqhRQUS5x514NtMlYijbzBtMB0GA1UdDgQWBBS/yAwtdUck
RSHXx8Pmrp21UbP0JDAfBgNVHSMEGDAWgBS/yAwtdUckRSHXx8Pmrp21UbP0JDAP
BgNVHRMBAf8EBTADAQH/MBoGA1UdEQQTMBGCCWxvY2FsaG9zdIcEfwAAATAKBggq
hkjOPQQDAgNJADBGAiEArhk3kHbzTp8lHEb2zvBGLbKJyp7iinZ9rKnRO4892A0C
IQDLfH+fJ3DATY938mmckXSyrqWLtuEXFjTgMWmT4aekfg==
-----END CERTIFICATE-----
`;
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg0JT78NUguZH8xSqh
BFt+i2+RSQDDAiCmA//vggqWYyKhRANCAAQbpiIk8uH0bUiwzgGq4DfjcgS4ssjN
9AXz2+/F9E6o0aRZgijssH5RkAGwsWASKV2poE16oUUFEucedeDbTJWI
-----END PRIVATE KEY-----
`;

export interface TlsFront {
  readonly host: string;
  readonly port: number;
  /** What came through TLS, and what in the clear. */
  readonly cancels: { encrypted: number; clear: number };
  readonly sessions: { encrypted: number; clear: number };
  /** How many began with a handshake, without asking for TLS first. */
  readonly direct: number;
  /** From now on TLS is refused to whoever asks. What he says after that counts, and is answered by nobody. */
  refusing: boolean;
  close(): Promise<void>;
}

export async function tlsFront(server: { host: string; port: number }): Promise<TlsFront> {
  const sockets = new Set<Socket>();
  const cancels = { encrypted: 0, clear: 0 };
  const sessions = { encrypted: 0, clear: 0 };
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    socket.on('error', () => {}); // its other end sees the close
    socket.on('close', () => sockets.delete(socket));
    return socket;
  };
  const count = (first: Buffer, encrypted: boolean): void => {
    const counted = first.readInt32BE(4) === CANCEL_CODE ? cancels : sessions;
    counted[encrypted ? 'encrypted' : 'clear'] += 1;
  };
  const pass = (client: Socket, first: Buffer, encrypted: boolean): void => {
    count(first, encrypted);
    const upstream = keep(connect(server.port, server.host));
    upstream.write(first);
    client.pipe(upstream).pipe(client);
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.end());
  };
  const receive = (secure: Socket): void => void keep(secure).once('data', (data: Buffer) => pass(secure, data, true));
  const upgrade = (raw: Socket): void => {
    raw.write('S');
    receive(new TLSSocket(raw, { isServer: true, key: KEY, cert: CERTIFICATE }));
  };
  // What has begun with a handshake goes to a listener that expects one: a byte that was read cannot be put back before it.
  const direct = createTlsServer({ key: KEY, cert: CERTIFICATE, ALPNProtocols: ['postgresql'] }, receive);
  const directPort = await listen(direct);
  let handshakes = 0;
  const handOn = (raw: Socket, first: Buffer): void => {
    handshakes += 1;
    const inner = keep(connect(directPort, '127.0.0.1'));
    inner.write(first);
    raw.pipe(inner).pipe(raw);
    raw.on('close', () => inner.destroy());
    inner.on('close', () => raw.end());
  };
  const front = {
    refusing: false,
    get direct(): number {
      return handshakes;
    },
  };
  const listener = createServer((raw) => {
    keep(raw).once('data', (data: Buffer) => {
      if (data[0] === HANDSHAKE) {
        handOn(raw, data);
      } else if (data.readInt32BE(4) !== TLS_CODE) {
        pass(raw, data, false);
      } else if (front.refusing) {
        // As PostgreSQL does it: whoever is content without TLS goes on over the same line.
        raw.write('N');
        raw.once('data', (next: Buffer) => {
          count(next, false);
          raw.end();
        });
      } else {
        upgrade(raw);
      }
    });
  });
  const port = await listen(listener);
  const parts = {
    host: '127.0.0.1',
    port,
    cancels,
    sessions,
    close: () =>
      new Promise<void>((resolve) => {
        listener.close(() => direct.close(() => resolve()));
        for (const socket of sockets) socket.destroy();
      }),
  };
  return Object.assign(front, parts);
}

/** Resolves with the port. */
async function listen(listener: Server): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject);
    listener.listen(0, '127.0.0.1', resolve);
  });
  const address = listener.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
