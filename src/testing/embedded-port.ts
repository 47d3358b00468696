// Which TCP port is free. Knows nothing of servers.

import { createServer } from 'node:net';

/** Below every system's ephemeral ports, so that no outgoing connection takes it while its server restarts. */
const LOWEST = 15_000;
const HIGHEST = 32_000;

/** Whether somebody could listen on it at 127.0.0.1 now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port }, () => server.close(() => resolve(true)));
  });
}

/** A port at 127.0.0.1 that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 200; tries++) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (await isFree(port)) return port;
  }
  throw new Error(`embeddedPostgres(): found no free port between ${LOWEST} and ${HIGHEST}`);
}
