// The way from a pool to the server: every socket is made here, and while the door is shut connects end at a port where nobody
// listens. Owns which local ports are open.

import type { Socket } from 'node:net';
import { SocketCount } from '../../demo/books/socket-count.ts';
import { freePort } from '../../src/testing/embedded-port.ts';

export class Door {
  readonly sockets: SocketCount = new SocketCount();
  shut = false;
  readonly #nowhere: number;

  private constructor(nowhere: number) {
    this.#nowhere = nowhere;
  }

  static async build(): Promise<Door> {
    return new Door(await freePort());
  }

  /** For pg's option `stream`. */
  readonly make = (): Socket => {
    const socket = this.sockets.make();
    const connect = socket.connect.bind(socket);
    const whereTheDoorLeads = (port: number, host: string): Socket => connect(this.shut ? this.#nowhere : port, host);
    Object.defineProperty(socket, 'connect', { value: whereTheDoorLeads });
    return socket;
  };

  /** Whether the session on this local port still has its socket here. */
  isOpen(localPort: number): boolean {
    return this.sockets.open.some((socket) => socket.localPort === localPort);
  }
}
