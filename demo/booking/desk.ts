// The booking desk: what the service does with the database. Owns the transactions and which of the server's refusals are
// ordinary business here; knows nothing of HTTP.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool, Transaction } from '../../src/doors/index.ts';
import { COLLISIONS, codeOf } from '../books/cause.ts';
import { SEATS_PER_FLIGHT } from './schema.ts';

const UNIQUE_VIOLATION = '23505';
const TRIES = 6;

export interface Order {
  /** Made up by the customer; stands in the table, so that each answer can be checked. */
  readonly request: string;
  readonly customer: string;
  readonly flight: number;
  readonly seats: readonly number[];
  /** How the desk makes sure that nobody else gets the seat. */
  readonly by: 'lock' | 'constraint' | 'serializable';
}

export type Reply = 'booked' | 'taken';

export class Desk {
  /** Expected refusals by SQLSTATE: conflicts that the service answers itself. */
  readonly conflicts: Record<string, number> = {};
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async freeSeats(flight: number): Promise<number> {
    const text = 'select count(*)::int as sold from bookings where flight = $1';
    const { rows } = await this.#pool.query<{ sold: number }>(text, [flight]);
    return SEATS_PER_FLIGHT - (rows[0]?.sold ?? 0);
  }

  async book(order: Order): Promise<Reply> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#pool.transaction((tx) => this.#sell(tx, order), { label: `book by ${order.by}` });
      } catch (error) {
        const code = codeOf(error);
        if (code !== UNIQUE_VIOLATION && !COLLISIONS.has(code)) throw error;
        this.conflicts[code] = (this.conflicts[code] ?? 0) + 1;
        if (code === UNIQUE_VIOLATION) return 'taken';
        if (tries === TRIES) throw error;
        await sleep(Math.random() * 10 * tries);
      }
    }
  }

  async #sell(tx: Transaction, order: Order): Promise<Reply> {
    if (order.by === 'serializable') await tx.query('set transaction isolation level serializable');
    if (order.by !== 'constraint' && !(await this.#free(tx, order))) return 'taken';
    await askTheBank();
    for (const seat of order.seats) {
      const { rows } = await tx.query<{ booking: string }>(
        'insert into bookings (flight, seat, customer, request) values ($1, $2, $3, $4) returning booking',
        [order.flight, seat, order.customer, order.request],
      );
      await tx.query('insert into payments select $1, price from seats where flight = $2 and seat = $3', [
        rows[0]?.booking,
        order.flight,
        seat,
      ]);
    }
    await tx.query('update flights set sold = sold + $2 where flight = $1', [order.flight, order.seats.length]);
    return 'booked';
  }

  async #free(tx: Transaction, { by, flight, seats }: Order): Promise<boolean> {
    if (by === 'lock') {
      const lock = 'select from seats where flight = $1 and seat = any ($2) order by seat for update';
      await tx.query(lock, [flight, seats]);
    }
    const { rowCount } = await tx.query('select from bookings where flight = $1 and seat = any ($2)', [flight, seats]);
    return rowCount === 0;
  }
}

/** Money takes its time, and the transaction is open meanwhile: such backends are killed, too. */
function askTheBank(): Promise<void> {
  return sleep(1 + Math.random() * 6);
}
