// Counts the sockets a pool really makes, beneath the pool and beneath pg: pg's own `stream` option gives them out. Owns how many
// there were, are and were at most at once.

import { Socket } from 'node:net';

export class SocketCount {
  made = 0;
  gone = 0;
  peak = 0;

  /** For pg's option `stream`. */
  readonly make = (): Socket => {
    const socket = new Socket();
    this.made += 1;
    this.peak = Math.max(this.peak, this.open);
    socket.once('close', () => {
      this.gone += 1;
    });
    return socket;
  };

  get open(): number {
    return this.made - this.gone;
  }
}
