// The customers: each sends one request after the other over a connection that is kept alive, and remembers what it was told.
// Owns the counts of answers and the orders behind them; what the database makes of them is checked elsewhere.

import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Answers } from '../books/balance.ts';
import type { Order } from './desk.ts';
import { SEATS_PER_FLIGHT } from './schema.ts';

const PATIENCE_MS = 20_000;
const FLIGHTS_ON_SALE = 3;
/** A newer flight goes on sale when so many seats were sold: some seats are always free, and some always taken. */
const SOLD_PER_STEP = 40;

interface Answer {
  readonly status: number;
  readonly cause: string;
}

export class Customers {
  /** Told that the seats are theirs. */
  readonly acknowledged = new Map<string, Order>();
  /** Told that something failed: the booking may be there or not. */
  readonly inDoubt = new Map<string, Order>();
  readonly latenciesMs: number[] = [];
  requests = 0;
  read = 0;
  taken = 0;
  failed: Record<string, number> = {};
  bookingsFailed: Record<string, number> = {};
  readonly #agent: Agent;
  readonly #port: number;
  readonly #flights: number;
  readonly #count: number;
  #seatsSold = 0;
  #servedBefore = 0;
  #stopped = false;
  #running: Promise<unknown> = Promise.resolve();

  constructor(port: number, count: number, flights: number) {
    this.#port = port;
    this.#count = count;
    this.#flights = flights;
    this.#agent = new Agent({ keepAlive: true, maxSockets: count });
  }

  start(): void {
    this.#running = Promise.all(Array.from({ length: this.#count }, (_, n) => this.#live(`customer ${n + 1}`)));
  }

  /** Resolves when each has its last answer. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    this.#agent.destroy();
  }

  /** The last fault is over: what is served from here on shows that the service has recovered. */
  markRecovery(): void {
    this.#servedBefore = this.served;
  }

  get served(): number {
    return this.read + this.acknowledged.size + this.taken;
  }

  get failures(): number {
    return Object.values(this.failed).reduce((sum, n) => sum + n, 0);
  }

  answers(): Answers {
    return {
      requests: this.requests,
      read: this.read,
      booked: this.acknowledged.size,
      taken: this.taken,
      failed: { ...this.failed },
      bookingsFailed: { ...this.bookingsFailed },
      servedAfterwards: this.served - this.#servedBefore,
    };
  }

  async #live(customer: string): Promise<void> {
    while (!this.#stopped) {
      if (Math.random() < 0.3) await this.#look();
      else await this.#order(customer);
      await sleep(5 + Math.random() * 30);
    }
  }

  async #look(): Promise<void> {
    const { status, cause } = await this.#ask('GET', `/flights/${this.#someFlight()}`);
    if (status === 200) this.read += 1;
    else this.failed[cause] = (this.failed[cause] ?? 0) + 1;
  }

  async #order(customer: string): Promise<void> {
    const order = this.#someOrder(customer);
    const { status, cause } = await this.#ask('POST', '/bookings', order);
    if (status === 201) {
      this.acknowledged.set(order.request, order);
      this.#seatsSold += order.seats.length;
    } else if (status === 409) {
      this.taken += 1;
    } else {
      this.inDoubt.set(order.request, order);
      this.failed[cause] = (this.failed[cause] ?? 0) + 1;
      this.bookingsFailed[cause] = (this.bookingsFailed[cause] ?? 0) + 1;
    }
  }

  #someFlight(): number {
    const oldest = 1 + Math.floor(this.#seatsSold / SOLD_PER_STEP);
    return Math.min(this.#flights, oldest + Math.floor(Math.random() * FLIGHTS_ON_SALE));
  }

  #someOrder(customer: string): Order {
    const flight = this.#someFlight();
    const seat = 1 + Math.floor(Math.random() * (SEATS_PER_FLIGHT - 1));
    const dice = Math.random();
    const by = dice < 0.5 ? 'lock' : dice < 0.85 ? 'constraint' : 'serializable';
    const seats = by === 'serializable' ? [seat, seat + 1] : [seat];
    return { request: `${customer}, request ${this.requests + 1}`, customer, flight, seats, by };
  }

  /** Never rejects: an answer that did not come is one too, and a bad one. */
  #ask(method: string, path: string, body?: object): Promise<Answer> {
    this.requests += 1;
    const began = performance.now();
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const headers = payload === undefined ? {} : { 'content-length': Buffer.byteLength(payload) };
    return new Promise((resolve) => {
      const asked = request({ host: '127.0.0.1', port: this.#port, agent: this.#agent, method, path, headers });
      asked.setTimeout(PATIENCE_MS, () => asked.destroy(new Error(`no answer within ${PATIENCE_MS} ms`)));
      asked.on('error', (error) => resolve({ status: 0, cause: `unexpected: HTTP: ${error.message}` }));
      asked.on('response', (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('error', (error) => resolve({ status: 0, cause: `unexpected: HTTP: ${error.message}` }));
        response.on('end', () => {
          this.latenciesMs.push(performance.now() - began);
          const { cause = 'unexpected: no cause given' } = JSON.parse(text) as { cause?: string };
          resolve({ status: response.statusCode ?? 0, cause });
        });
      });
      asked.end(payload);
    });
  }
}
