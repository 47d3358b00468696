// Scene two: a booking service under load whose connections are killed and whose server is restarted. Owns the order of things
// and what is left of them; the figures are judged in the books.

import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { Pool } from '../../src/doors/index.ts';
import { withClient } from '../../src/testing/embedded-client.ts';
import type { PostgresServer } from '../../src/testing/embedded-postgres.ts';
import type { Figures } from '../books/balance.ts';
import { ConnectionBook } from '../books/connection-book.ts';
import { percentile } from '../books/percentile.ts';
import { SocketCount } from '../books/socket-count.ts';
import type { Screen } from '../screen.ts';
import { auditRows, sessionsLeft } from './audit.ts';
import { Customers } from './customers.ts';
import { Desk } from './desk.ts';
import { FaultPlan } from './faults.ts';
import { createTables, flightsFor } from './schema.ts';
import { Service } from './service.ts';

const MAX = 8;
const CUSTOMERS = 24;
const ACQUIRE_TIMEOUT_MS = 5_000;
/** How long the load goes on after the last fault, at least. */
const AFTERWARDS_MS = 500;

export interface BookingResult {
  readonly figures: Figures;
  readonly conflicts: Readonly<Record<string, number>>;
  readonly killed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly slowestMs: number;
  /** How the pool ended its last connections. */
  readonly atClose: { readonly closed: number; readonly cancelled: number; readonly destroyed: number };
  /** What the pool found worth reporting, by code. */
  readonly reports: Readonly<Record<string, number>>;
}

export async function bookingScene(
  server: PostgresServer,
  seconds: number,
  screen: Screen,
  signal: AbortSignal,
): Promise<BookingResult> {
  const flights = flightsFor(seconds);
  const admin = <T>(work: (client: pg.Client) => Promise<T>): Promise<T> => withClient(server.config, work);
  await admin((client) => createTables(client, flights));

  const sockets = new SocketCount();
  const book = new ConnectionBook();
  const reports: Record<string, number> = {};
  const applicationName = `oxbow-demo-${process.pid}`;
  const pool = new Pool({
    ...server.config,
    name: 'bookings',
    application_name: applicationName,
    max: MAX,
    acquireTimeoutMs: ACQUIRE_TIMEOUT_MS,
    stream: sockets.make,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  });
  pool.observe(book);
  pool.observe({
    report: ({ code }) => {
      reports[code] = (reports[code] ?? 0) + 1;
    },
  });

  screen.text(
    `${CUSTOMERS} customers book seats over HTTP (keep-alive) for ${seconds} s through one Pool of max ${MAX}; several want the ` +
      'same seat. Seats are sold by SELECT … FOR UPDATE, by a unique constraint, and in pairs by serializable transactions.',
  );
  screen.line();
  const began = performance.now();
  const clock = (): string => `${((performance.now() - began) / 1_000).toFixed(1).padStart(5)} s`;
  const desk = new Desk(pool);
  const service = new Service(desk);
  const faults = new FaultPlan(server, pool, book, (what) => screen.line(`  ${clock()}  ${what}`));
  let customers: Customers | undefined;
  let ticker: NodeJS.Timeout | undefined;
  let finished = false;
  try {
    await pool.open({ signal });
    customers = new Customers(await service.listen(), CUSTOMERS, flights);
    customers.start();
    const crowd = customers;
    ticker = setInterval(() => screen.status(`${clock()}  ${standing(pool, crowd)}`), 100);
    await faults.run(seconds, signal);
    customers.markRecovery();
    const leftMs = seconds * 1_000 - (performance.now() - began);
    await sleep(Math.max(AFTERWARDS_MS, leftMs), undefined, { signal });
    finished = true;
  } finally {
    clearInterval(ticker);
    await customers?.stop();
    await service.close();
    screen.clearStatus();
    if (!finished) await pool.close({ drainMs: 1_000 });
  }
  const { closed, cancelled, destroyed } = await pool.close();
  const { acknowledged, inDoubt } = customers;
  const figures: Figures = {
    max: MAX,
    answers: customers.answers(),
    rows: await admin((client) => auditRows(client, acknowledged, inDoubt)),
    faults: faults.figures(),
    connections: book.figures(),
    stats: pool.stats(),
    sockets: { made: sockets.made, gone: sockets.gone, peak: sockets.peak },
    sessionsAfterClose: await admin((client) => sessionsLeft(client, applicationName)),
  };
  return {
    figures,
    conflicts: desk.conflicts,
    killed: faults.killed,
    p50Ms: percentile(customers.latenciesMs, 0.5),
    p99Ms: percentile(customers.latenciesMs, 0.99),
    slowestMs: percentile(customers.latenciesMs, 1),
    atClose: { closed, cancelled, destroyed },
    reports,
  };
}

function standing(pool: Pool, customers: Customers): string {
  const { lent, idle, opening, waiting, max } = pool.snapshot();
  return [
    `${customers.requests} requests`,
    `${customers.failures} failed`,
    `lent ${lent}/${max}`,
    `idle ${idle}`,
    `opening ${opening}`,
    `waiting ${waiting}`,
  ].join(', ');
}
