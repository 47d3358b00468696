// Counts the sockets a pool really makes, beneath the pool and beneath pg: pg's own `stream` option gives them out. Owns how many
// there were, are and were at most at once. A socket is gone when its descriptor is (`closed`); the event comes a little later.

import { Socket } from 'node:net';

export class SocketCount {
  made = 0;
  peak = 0;
  readonly #open = new Set<Socket>();

  /** For pg's option `stream`. The short sockets of cancel requests are made and not counted. */
  readonly make = (about?: { readonly cancel?: boolean }): Socket => {
    const socket = new Socket();
    if (about?.cancel === true) return socket;
    this.made += 1;
    this.#open.add(socket);
    this.peak = Math.max(this.peak, this.open.length);
    return socket;
  };

  get open(): Socket[] {
    for (const socket of this.#open) if (socket.closed) this.#open.delete(socket);
    return [...this.#open];
  }

  get gone(): number {
    return this.made - this.open.length;
  }
}
