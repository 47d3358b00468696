// The ends of a socket. Owns when it counts as gone.

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

/**
 * A socket of Node's that is ended is closed when the server has closed it too. Cloudflare's would be at once, and the server would still have the
 * session while its place is given to another: from now on its end is left to the server, who was told goodbye, unless it is cut.
 */
export function endWithServer({ stream }: PgConnection): void {
  if (!('_cfSocket' in stream)) return;
  const { end, destroy } = stream;
  let cut = false;
  stream.end = (...args: unknown[]) => (cut ? Reflect.apply(end, stream, args) : stream);
  stream.destroy = (error) => {
    cut = true;
    return Reflect.apply(destroy, stream, [error]);
  };
}
