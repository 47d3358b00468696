// One pool under load and faults for a while, then a calm, then its end; and what was found. Owns the order of things and the size of
// the crowd; judges nothing.

import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectionBook, type ConnectionFigures } from '../../demo/books/connection-book.ts';
import { percentile } from '../../demo/books/percentile.ts';
import { SocketCount } from '../../demo/books/socket-count.ts';
import type { PoolOptions, PoolStats } from '../../src/doors/index.ts';
import { embeddedPostgres } from '../../src/doors/testing.ts';
import { withClient } from '../../src/testing/embedded-client.ts';
import { collect } from '../kit/gc.ts';
import type { ContestantName, Manners, Reset, SpeakerName } from './arguments.ts';
import { BORROWERS, type Borrower, mustBeFresh } from './borrowers.ts';
import { OUR_BORROWERS } from './borrowers-ours.ts';
import { Chance } from './chance.ts';
import type { Borrowed, Contestant, Limits } from './contestants/contestant.ts';
import { Oxbow } from './contestants/oxbow.ts';
import { PgPool } from './contestants/pg-pool.ts';
import { PostgresJs } from './contestants/postgres-js.ts';
import { Faults } from './faults.ts';
import type { ForgottenFigures } from './forgotten-book.ts';
import { described, type Failure, Judge, type ViolationKind } from './judge.ts';
import { Sampler } from './sampler.ts';
import { Weather } from './weather.ts';
import { Wire } from './wire.ts';
import type { WireFigures } from './wire-thread.ts';

export const TASKS = 200;

/** Short limits, so that each of them is met often. */
export const LIMITS: Limits = {
  max: 8,
  acquireTimeoutMs: 3_000,
  connectTimeoutMs: 1_500,
  queryTimeoutMs: 2_000,
  returnTimeoutMs: 1_500,
  idleTimeoutMs: 300,
  maxLifetimeMs: 4_000,
  maxUses: 300,
};

/** Longer than every deadline of a request taken together. */
export const WATCHDOG_MS = 15_000;
/** How much later than its deadline an answer may come: a turn of a busy loop, and some of them. */
export const SLACK_MS = 500;
/** Each task must have been served so soon after the last fault. */
export const FULL_SERVICE_WITHIN_MS = 15_000;
const CALM_AFTER_MS = 1_000;
const ENDS_WITHIN_MS = 15_000;
/** Between two requests of a task, on average. */
const THINK_MS = 350;

const COLLECT_EVERY_MS = 1_000;

const TABLE = 'create table soak (id text primary key)';

export interface Job {
  readonly contestant: ContestantName;
  readonly manners: Manners;
  readonly seconds: number;
  readonly seed: number;
  readonly reset: Reset;
  readonly silentAfter: number | undefined;
  readonly speaker: SpeakerName;
}

export interface Waits {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface Outcome {
  readonly job: Job;
  readonly asked: number;
  readonly served: number;
  readonly hung: number;
  readonly failed: Partial<Record<Failure, number>>;
  readonly failedInCalm: Partial<Record<Failure, number>>;
  readonly violations: Partial<Record<ViolationKind, number>>;
  readonly examples: readonly string[];
  readonly perSecond: number;
  readonly waits: { readonly calm: Waits; readonly rough: Waits };
  /** Until each task had been served after the last fault; undefined if some never were. */
  readonly fullServiceMs: number | undefined;
  readonly tasksServedAfterwards: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly rows: {
    readonly acknowledged: number;
    readonly acknowledgedFound: number;
    readonly inDoubtFound: number;
    readonly forbiddenFound: number;
    readonly found: number;
  };
  /** Counted at the proxy, and, where the pool lets its sockets be made, beneath it. */
  readonly wire: WireFigures;
  readonly sockets: { readonly made: number; readonly gone: number; readonly peak: number } | undefined;
  readonly sessions: { readonly mostLiving: number; readonly mostLingering: number; readonly left: number };
  readonly max: number;
  /** Ours alone keeps books that can be compared. */
  readonly books:
    | { readonly connections: ConnectionFigures; readonly stats: PoolStats; readonly forgotten: ForgottenFigures }
    | undefined;
  readonly reports: Readonly<Record<string, number>>;
  readonly server: string;
}

/** Each contestant has a server and a proxy of its own: several soaks at once do not meet. */
export async function soak(job: Job, say: (text: string) => void): Promise<Outcome> {
  await using server = await embeddedPostgres({ url: false });
  const wire = new Wire(server.config);
  const applicationName = 'soak';
  try {
    await withClient(server.config, (client) => client.query(TABLE));
    const { port } = await wire.figures();
    const weather = new Weather();
    const sockets = new SocketCount();
    const options = { ...server.config, host: '127.0.0.1', port, application_name: applicationName };
    const pool = contestant(job, options, sockets);
    const oxbow = pool instanceof Oxbow ? pool : undefined;
    const ours = oxbow?.pool;
    const book = new ConnectionBook();
    const reports: Record<string, number> = {};
    ours?.observe(book);
    ours?.observe({
      report: ({ code }) => {
        reports[code] = (reports[code] ?? 0) + 1;
      },
    });
    const judge = new Judge(weather, {
      classify: (error) => pool.classify(error),
      watchdogMs: WATCHDOG_MS,
      acquireTimeoutMs: LIMITS.acquireTimeoutMs,
      slackMs: SLACK_MS,
    });
    const crash = (error: unknown): void => judge.violation('the process would have crashed', described(error));
    process.on('uncaughtException', crash);
    process.on('unhandledRejection', crash);

    const sampler = new Sampler(server.config, wire, applicationName);
    const faults = new Faults({ wire, server, judge, weather, applicationName, max: LIMITS.max, pool: ours }, job.seed);
    const crowd = new Crowd(job, pool, judge);
    const began = performance.now();
    const until = began + job.seconds * 1_000;
    const ticker = setInterval(
      () => say(`${judge.asked} asked, ${judge.served} served, ${faults.count} faults`),
      10_000,
    );
    // What is forgotten is found by a collection that looks at old objects too; how soon one comes by itself is no matter of the pool's.
    const collecting = setInterval(collect, COLLECT_EVERY_MS);
    const sampling = sampler.run();
    crowd.start();
    await faults.run(until);
    await sleep(Math.max(0, until - performance.now()));
    const calmed = crowd.calmDown(weather.lastFaultEnded);
    const bound = weather.lastFaultEnded + FULL_SERVICE_WITHIN_MS - performance.now();
    await Promise.race([calmed, sleep(Math.max(0, bound), undefined, { ref: false })]);
    const fullServiceMs = crowd.allServedMs;
    if (fullServiceMs === undefined) {
      const left = TASKS - crowd.servedAfterwards;
      judge.violation('not at full service after the last fault', `${left} of ${TASKS} tasks were not served`);
    }
    await sleep(CALM_AFTER_MS);
    await crowd.stop();
    const perSecond = judge.served / ((performance.now() - began) / 1_000);
    clearInterval(ticker);
    await allCanBeHad(job, pool, judge);
    sampler.stop();
    await sampling;
    await end(pool, judge);
    clearInterval(collecting);

    const left = await new Sampler(server.config, wire, applicationName).left();
    const wireFigures = await wire.figures();
    const made = job.contestant === 'postgres.js' ? undefined : sockets;
    settle(judge, mayHave(job), {
      peak: made?.peak ?? wireFigures.peak,
      open: wireFigures.open,
      living: sampler.mostLiving,
      left,
    });
    const rows = await rowsOf(judge, (text) =>
      withClient(server.config, async (client) => (await client.query(text)).rows),
    );
    judge.stop();
    process.off('uncaughtException', crash);
    process.off('unhandledRejection', crash);
    return {
      job,
      asked: judge.asked,
      served: judge.served,
      hung: judge.hung,
      failed: judge.failed,
      failedInCalm: judge.failedInCalm,
      violations: judge.violations,
      examples: judge.examples,
      perSecond,
      waits: { calm: waits(judge.waits.calm), rough: waits(judge.waits.rough) },
      fullServiceMs,
      tasksServedAfterwards: crowd.servedAfterwards,
      faults: faults.done,
      rows,
      wire: wireFigures,
      sockets: made && { made: made.made, gone: made.gone, peak: made.peak },
      sessions: { mostLiving: sampler.mostLiving, mostLingering: sampler.mostLingering, left },
      max: mayHave(job),
      books: oxbow && {
        connections: book.figures(),
        stats: oxbow.pool.stats(),
        forgotten: oxbow.forgotten.figures(),
      },
      reports,
      server: server.version,
    };
  } finally {
    await wire.close();
  }
}

interface Options {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly application_name: string;
}

function contestant(job: Job, options: Options, sockets: SocketCount): Contestant {
  if (job.contestant === 'postgres.js') {
    const { host, port, user, database } = options;
    return new PostgresJs({ host, port, user, database, applicationName: options.application_name }, LIMITS);
  }
  const counted = { ...options, stream: sockets.make };
  return job.contestant === 'oxbow' ? new Oxbow(ours(job, counted), LIMITS) : new PgPool(counted, LIMITS);
}

function ours<O extends object>({ reset, silentAfter, speaker }: Job, options: O): O & PoolOptions {
  return { ...options, reset, speaker, ...(silentAfter === undefined ? {} : { silentAfterMs: silentAfter }) };
}

/** How many sockets there may be: a probe for silent statements stands outside the pool's max. */
function mayHave({ contestant, silentAfter }: Job): number {
  return LIMITS.max + (contestant === 'oxbow' && silentAfter !== undefined ? 1 : 0);
}

/** One entry of the table of borrowers, made for whatever contestant there is. */
interface Kind {
  readonly name: string;
  readonly weight: number;
  readonly good: boolean;
  /** Undefined: this pool cannot express it. */
  readonly run: ((judge: Judge, chance: Chance) => Promise<void>) | undefined;
}

function kindsFor(job: Pick<Job, 'reset'>, pool: Contestant | undefined): Kind[] {
  const discards = job.reset !== 'rollback' && pool instanceof Oxbow;
  const made = <C extends Contestant>(table: Readonly<Record<string, Borrower<C>>>, own: C | undefined): Kind[] =>
    Object.entries(table).map(([name, borrower]) => {
      const { weight, good, needs } = borrower;
      const can = own !== undefined && (needs === undefined || own.can.has(needs));
      const run = (judge: Judge, chance: Chance): Promise<void> =>
        own === undefined ? Promise.resolve() : borrower.run({ pool: own, judge, chance, name, discards });
      return { name, weight, good, run: can ? run : undefined };
    });
  return [...made(BORROWERS, pool), ...made(OUR_BORROWERS, pool instanceof Oxbow ? pool : undefined)];
}

/** What the n-th request of a task is: the seed alone decides. `calm`: one of the well-behaved. */
export class Choice {
  readonly #all: ReadonlyMap<string, number>;
  readonly #good: ReadonlyMap<string, number>;
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
    const kinds = kindsFor({ reset: 'rollback' }, undefined);
    this.#all = new Map(kinds.map(({ name, weight }) => [name, weight]));
    this.#good = new Map(kinds.filter(({ good }) => good).map(({ name, weight }) => [name, weight]));
  }

  of(task: number, n: number, good: boolean): { readonly name: string; readonly chance: Chance } {
    const chance = new Chance(this.#seed, good ? 'calm task' : 'task', task, n);
    return { name: chance.weighted(good ? this.#good : this.#all), chance };
  }
}

/** Whoever has no such borrower has this one. */
const INSTEAD = 'borrows and looks';

class Crowd {
  servedAfterwards = 0;
  /** From the last fault's end until each task had been served. */
  allServedMs: number | undefined;
  readonly #job: Job;
  readonly #judge: Judge;
  readonly #kinds: ReadonlyMap<string, Kind>;
  readonly #choice: Choice;
  readonly #over = new AbortController();
  #tasks: Promise<void>[] = [];
  #since = Number.POSITIVE_INFINITY;
  #allServed: () => void = () => {};

  constructor(job: Job, pool: Contestant, judge: Judge) {
    this.#job = job;
    this.#judge = judge;
    this.#kinds = new Map(kindsFor(job, pool).map((kind) => [kind.name, kind]));
    this.#choice = new Choice(job.seed);
    setMaxListeners(0, this.#over.signal);
  }

  start(): void {
    this.#tasks = Array.from({ length: TASKS }, (_, task) => this.#live(task));
  }

  /** From now on all are well-behaved; resolves when each task has had a request since `since` served. */
  calmDown(since: number): Promise<void> {
    this.#since = Number.isFinite(since) ? since : performance.now();
    return new Promise((resolve) => {
      this.#allServed = resolve;
    });
  }

  /** No new requests; resolves when those under way have ended, which the watchdog sees to. */
  async stop(): Promise<void> {
    this.#over.abort();
    await Promise.all(this.#tasks);
  }

  async #live(task: number): Promise<void> {
    const { signal } = this.#over;
    let served = false;
    for (let n = 0; !signal.aborted; n += 1) {
      const calm = this.#since !== Number.POSITIVE_INFINITY;
      const { name, chance } = this.#choice.of(task, n, calm || this.#job.manners === 'well-behaved');
      const thinkMs = chance.next() * 2 * THINK_MS;
      await sleep(thinkMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      const { run } = this.#kinds.get(name) ?? {};
      const [does, work] = run === undefined ? [INSTEAD, this.#kinds.get(INSTEAD)?.run] : [name, run];
      const began = performance.now();
      const good = await this.#judge.request(does, () => work?.(this.#judge, chance) ?? Promise.resolve());
      if (served || !good || began < this.#since) continue;
      served = true;
      this.servedAfterwards += 1;
      if (this.servedAfterwards < TASKS) continue;
      this.allServedMs = performance.now() - this.#since;
      this.#allServed();
    }
  }
}

/** As many at once as the pool may have: whatever did not come back is missing now. */
async function allCanBeHad(job: Job, pool: Contestant, judge: Judge): Promise<void> {
  const held: { borrowed: Borrowed; endHold: () => void }[] = [];
  let given = false;
  const one = async (n: number): Promise<void> => {
    const borrowed = await pool.borrow(pool.ways[0] ?? '', {});
    const chance = new Chance(job.seed, 'last', n);
    const endHold = await mustBeFresh({ pool, judge, chance, name: `the last, ${n}`, discards: false }, borrowed);
    if (given) endHold();
    else held.push({ borrowed, endHold });
  };
  const asked = Promise.allSettled(Array.from({ length: LIMITS.max }, (_, n) => one(n)));
  await Promise.race([asked, sleep(2 * LIMITS.acquireTimeoutMs, undefined, { ref: false })]);
  given = true;
  const missing = LIMITS.max - held.length;
  if (missing > 0)
    judge.violation('a connection never came back', `${missing} of ${LIMITS.max} could not be had`, missing);
  for (const { borrowed, endHold } of held) {
    endHold();
    borrowed.release();
  }
}

async function end(pool: Contestant, judge: Judge): Promise<void> {
  const late = new AbortController();
  const bound = sleep(ENDS_WITHIN_MS, 'late', { signal: late.signal }).catch(() => 'in time');
  try {
    const how = await Promise.race([Promise.resolve(pool.end()).then(() => 'ended'), bound]);
    if (how === 'late') judge.violation('end() failed or never ended', `not within ${ENDS_WITHIN_MS} ms`);
  } catch (error) {
    judge.violation('end() failed or never ended', described(error));
  } finally {
    late.abort();
  }
}

function settle(judge: Judge, max: number, seen: { peak: number; open: number; living: number; left: number }): void {
  if (seen.peak > max) judge.violation('more sockets than max', `${seen.peak} at once`, seen.peak - max);
  if (seen.living > max) judge.violation('more sessions than max', `${seen.living} at once`, seen.living - max);
  const behind = Math.max(seen.open, seen.left);
  if (behind > 0) {
    const detail = `${seen.open} sockets, ${seen.left} sessions after its end`;
    judge.violation('sockets or sessions were left behind', detail, behind);
  }
}

async function rowsOf(
  judge: Judge,
  ask: (text: string) => Promise<Record<string, unknown>[]>,
): Promise<Outcome['rows']> {
  const found = new Set((await ask('select id from soak')).map(({ id }) => String(id)));
  const count = (ids: ReadonlySet<string>): number => [...ids].filter((id) => found.has(id)).length;
  const acknowledgedFound = count(judge.acknowledged);
  const forbiddenFound = count(judge.forbidden);
  const lost = judge.acknowledged.size - acknowledgedFound;
  if (lost > 0) judge.violation('an acknowledged row was lost', `${lost} rows`, lost);
  if (forbiddenFound > 0) {
    judge.violation('a row was there that was never committed', `${forbiddenFound} rows`, forbiddenFound);
  }
  return {
    acknowledged: judge.acknowledged.size,
    acknowledgedFound,
    inDoubtFound: count(judge.inDoubt),
    forbiddenFound,
    found: found.size,
  };
}

function waits(ms: readonly number[]): Waits {
  return {
    count: ms.length,
    p50: percentile(ms, 0.5),
    p99: percentile(ms, 0.99),
    p999: percentile(ms, 0.999),
    max: percentile(ms, 1),
  };
}
