// The way from a pool to the server: every socket is made here, by pg's `stream` option, and while the door is shut connects end at
// a port where nobody listens. Owns the count of sockets and which local ports are open.

import { Socket } from 'node:net';
import { freePort } from '../../src/testing/embedded-port.ts';

export class Door {
  made = 0;
  gone = 0;
  peak = 0;
  shut = false;
  readonly #open = new Set<Socket>();
  readonly #nowhere: number;

  private constructor(nowhere: number) {
    this.#nowhere = nowhere;
  }

  static async build(): Promise<Door> {
    return new Door(await freePort());
  }

  readonly make = (): Socket => {
    const socket = new Socket();
    const connect = socket.connect.bind(socket);
    const toWhereTheDoorLeads = (port: number, host: string): Socket => connect(this.shut ? this.#nowhere : port, host);
    Object.defineProperty(socket, 'connect', { value: toWhereTheDoorLeads });
    this.made += 1;
    this.#open.add(socket);
    this.peak = Math.max(this.peak, this.#open.size);
    socket.once('close', () => {
      this.gone += 1;
      this.#open.delete(socket);
    });
    return socket;
  };

  /** Whether the session on this local port still has its socket here. */
  isOpen(localPort: number): boolean {
    for (const socket of this.#open) if (socket.localPort === localPort) return true;
    return false;
  }
}
