// The abrupt end of a socket. Owns when it counts as gone.

import type { PgConnection } from './shapes.ts';

/** Cuts the socket of a connection; resolves when it is closed. */
export function destroyed(connection: PgConnection, why?: Error): Promise<void> {
  const { stream } = connection;
  if (stream.closed) return Promise.resolve();
  return new Promise((resolve) => {
    stream.once('close', () => resolve());
    stream.destroy(why);
  });
}
