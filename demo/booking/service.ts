// The booking service over HTTP: two routes in front of the desk. Owns how an outcome becomes a status: 201 booked, 200 read,
// 409 taken, 503 failed and why.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { causeOf } from '../books/cause.ts';
import type { Desk, Order } from './desk.ts';

export class Service {
  readonly #desk: Desk;
  readonly #server: Server;

  constructor(desk: Desk) {
    this.#desk = desk;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  /** Resolves with the port. */
  async listen(): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const flight = /^\/flights\/(\d+)$/.exec(request.url ?? '')?.[1];
      if (request.method === 'GET' && flight !== undefined) {
        say(response, 200, { free: await this.#desk.freeSeats(Number(flight)) });
      } else if (request.method === 'POST' && request.url === '/bookings') {
        const reply = await this.#desk.book(JSON.parse(await bodyOf(request)) as Order);
        say(response, reply === 'booked' ? 201 : 409, { reply });
      } else {
        say(response, 404, { cause: `unexpected: no route ${request.method} ${request.url}` });
      }
    } catch (error) {
      say(response, 503, { cause: causeOf(error) });
    }
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  return body;
}

function say(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
