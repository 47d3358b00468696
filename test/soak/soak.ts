// One pool under mixed load for a while, and its books. Owns the order of things: borrowers and disturbances, quiet, close, count.

import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { ConnectionBook } from '../../demo/books/connection-book.ts';
import { Pool, type PoolOptions } from '../../src/doors/index.ts';
import type { PostgresServer } from '../../src/testing/embedded-postgres.ts';
import type { SoakFigures } from './balance.ts';
import { BORROWERS, type Ground } from './borrowers.ts';
import { Disturber } from './disturbances.ts';
import { Door } from './door.ts';
import { Sampler } from './sampler.ts';
import { Tally } from './tally.ts';

const MAX = 6;
const CROWD = 16;
/** Longer than every deadline of a request taken together. */
const ANSWERED_WITHIN_MS = 20_000;

/** Each pool's rows are told apart by the session that wrote them. */
export const TABLE =
  "create table soak (id text primary key, pool text not null default current_setting('application_name'))";

export interface Outcome {
  readonly name: string;
  readonly figures: SoakFigures;
  readonly lingering: number;
  readonly samples: number;
  readonly measures: Readonly<Record<string, number>>;
  readonly reports: Readonly<Record<string, number>>;
  /** Everything that was found wrong, in words. */
  readonly findings: readonly string[];
}

export async function soak(
  server: PostgresServer,
  reset: 'rollback' | 'discard',
  seconds: number,
  say: (text: string) => void,
): Promise<Outcome> {
  const name = `soak-${reset}`;
  const applicationName = `${name}-${process.pid}`;
  const door = await Door.build();
  const book = new ConnectionBook();
  const tally = new Tally();
  const reports: Record<string, number> = {};
  const pool = new Pool({ ...settings(server, reset), name, application_name: applicationName, stream: door.make });
  pool.observe(book);
  pool.observe({
    report: ({ code }) => {
      reports[code] = (reports[code] ?? 0) + 1;
    },
  });
  const admin = new pg.Client(server.config);
  admin.on('error', () => {}); // its queries reject with it
  await admin.connect();
  await pool.open();

  const until = performance.now() + seconds * 1_000;
  const sampler = new Sampler(admin, door, applicationName);
  const disturber = new Disturber({ pool, door, admin, applicationName, max: MAX });
  const ground: Ground = { pool, tally, discards: reset === 'discard' };
  const ticker = setInterval(() => {
    const { lent, idle, waiting } = pool.snapshot();
    say(`${name}: ${tally.asked} asked, ${tally.served} served, lent ${lent}, idle ${idle}, waiting ${waiting}`);
  }, 5_000);
  const crowd = Promise.all(Array.from({ length: CROWD }, () => live(ground, until)));
  await Promise.all([sampler.run(until), disturber.run(until), within(crowd, until + ANSWERED_WITHIN_MS)]);
  clearInterval(ticker);

  await pool.close({ drainMs: 5_000 });
  const { mostLiving, mostLingering, samples } = sampler;
  const figures: SoakFigures = {
    max: MAX,
    asked: tally.asked,
    served: tally.served,
    failed: { ...tally.failed },
    unanswered: tally.asked - tally.served - Object.values(tally.failed).reduce((sum, n) => sum + n, 0),
    unexpected: tally.unexpected.length,
    violations: tally.violations.length,
    rows: await rowsOf(admin, tally, applicationName),
    connections: book.figures(),
    stats: pool.stats(),
    sockets: { made: door.sockets.made, gone: door.sockets.gone, peak: door.sockets.peak },
    sessions: { mostLiving, left: await sampler.left() },
    measuresThatFailed: disturber.faults.length,
  };
  await admin.end();
  const { oddities } = figures.connections;
  const findings = [...tally.violations, ...tally.unexpected, ...disturber.faults, ...oddities];
  return { name, figures, lingering: mostLingering, samples, measures: disturber.done, reports, findings };
}

/** Short limits, so that each of them is met often. */
function settings(server: PostgresServer, reset: 'rollback' | 'discard'): PoolOptions {
  return {
    ...server.config,
    min: 1,
    max: MAX,
    reset,
    acquireTimeoutMs: 3_000,
    connectTimeoutMs: 3_000,
    returnTimeoutMs: 2_000,
    idleTimeoutMs: 300,
    maxLifetimeMs: 4_000,
    maxUses: 300,
    checkAfterIdleMs: 20,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  };
}

/** One member of the crowd: one request after the other. */
async function live(ground: Ground, until: number): Promise<void> {
  const borrowers = Object.entries(BORROWERS);
  while (performance.now() < until) {
    const [name, borrower] = borrowers[Math.floor(Math.random() * borrowers.length)] as (typeof borrowers)[number];
    await ground.tally.request(name, () => borrower(ground));
    await sleep(Math.random() < 0.02 ? 500 : Math.random() * 15);
  }
}

async function within(work: Promise<unknown>, deadline: number): Promise<void> {
  const done = new AbortController();
  const bound = sleep(deadline - performance.now(), undefined, { signal: done.signal }).catch(() => {});
  await Promise.race([work, bound]);
  done.abort();
}

async function rowsOf(admin: pg.Client, tally: Tally, applicationName: string): Promise<SoakFigures['rows']> {
  const { rows } = await admin.query<{ id: string }>('select id from soak where pool = $1', [applicationName]);
  const found = new Set(rows.map(({ id }) => id));
  const count = (ids: ReadonlySet<string>): number => [...ids].filter((id) => found.has(id)).length;
  const [acknowledgedFound, inDoubtFound, forbiddenFound] = [tally.acknowledged, tally.inDoubt, tally.forbidden].map(
    count,
  ) as [number, number, number];
  return {
    acknowledged: tally.acknowledged.size,
    acknowledgedFound,
    inDoubtFound,
    forbiddenFound,
    found: rows.length,
  };
}
