// The audit after the pool is closed, over a connection of its own: what stands in the tables against what customers were told,
// and what the server still has of us.

import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Rows } from '../books/balance.ts';
import type { Order } from './desk.ts';

interface Row {
  request: string;
  flight: number;
  seat: number;
}

export async function auditRows(
  client: pg.Client,
  acknowledged: ReadonlyMap<string, Order>,
  inDoubt: ReadonlyMap<string, Order>,
): Promise<Rows> {
  const { rows } = await client.query<Row>('select request, flight, seat from bookings');
  const found = new Map(rows.map((row) => [key(row.request, row.flight, row.seat), row]));
  const seats = new Set(rows.map(({ flight, seat }) => `${flight}/${seat}`));
  const doubt = counted(inDoubt, found);
  const sure = counted(acknowledged, found);
  const one = async (text: string): Promise<number> => {
    const { rows: answer } = await client.query<{ n: number }>(text);
    return answer[0]?.n ?? Number.NaN;
  };
  return {
    acknowledged: sure.asked,
    found: rows.length,
    foundAcknowledged: sure.found,
    foundInDoubt: doubt.found,
    halves: doubt.halves + sure.halves,
    soldTwice: rows.length - seats.size,
    payments: await one('select count(*)::int as n from payments join bookings using (booking)'),
    countedByFlights: await one('select sum(sold)::int as n from flights'),
  };
}

function counted(
  orders: ReadonlyMap<string, Order>,
  found: ReadonlyMap<string, Row>,
): { asked: number; found: number; halves: number } {
  const count = { asked: 0, found: 0, halves: 0 };
  for (const { request, flight, seats } of orders.values()) {
    const there = seats.filter((seat) => found.has(key(request, flight, seat))).length;
    count.asked += seats.length;
    count.found += there;
    if (there > 0 && there < seats.length) count.halves += 1;
  }
  return count;
}

function key(request: string, flight: number, seat: number): string {
  return `${request}/${flight}/${seat}`;
}

/** Sessions under this name; a backend needs a moment to go after its socket, so it is asked for up to five seconds. */
export async function sessionsLeft(client: pg.Client, applicationName: string): Promise<number> {
  for (let tries = 0; ; tries += 1) {
    const left = await sessions(client, applicationName);
    if (left === 0 || tries === 100) return left;
    await sleep(50);
  }
}

export async function sessions(client: pg.Client, applicationName: string): Promise<number> {
  const text = 'select count(*)::int as n from pg_stat_activity where application_name = $1';
  const { rows } = await client.query<{ n: number }>(text, [applicationName]);
  return rows[0]?.n ?? 0;
}
