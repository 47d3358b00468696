// `npm run soak -- threads`: four threads with one limit under random load, some of which end or are ended in the middle of it, others
// pause or block their loops. Owns the course and the equations.

import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import pg from 'pg';
import { equation } from '../../demo/books/equation.ts';
import type { Screen } from '../../demo/screen.ts';
import { Pool } from '../../src/doors/index.ts';
import { ThreadMemory } from '../../src/sharing/thread-memory.ts';
import { embeddedPostgres } from '../../src/testing/embedded-postgres.ts';
import { Chance } from './chance.ts';
import type { Books, Command, Job, Told } from './threads-worker.ts';

const LIMIT = 6;
const THREADS = 4;
const NAME = 'soak-threads';
/** After the end of a thread the server may take so long to end what it left behind. */
const FENCE_MS = 2_500;
const SAMPLE_MS = 8;
/** The books must be there so soon after the stop: each request takes some milliseconds. */
const SETTLE_MS = 10_000;

const EVENTS = new Map([
  ['terminate', 2],
  ['exit', 1],
  ['pause', 5],
  ['block', 3],
] as const);

class Crew {
  readonly acknowledged = new Set<string>();
  readonly books: Books[] = [];
  started = 0;
  ended = 0;
  /** The last one ended then. */
  endedAt = -Infinity;
  readonly workers: Worker[] = [];
  readonly errors: string[] = [];
  readonly #job: Omit<Job, 'seed'>;
  readonly #seed: number;

  constructor(job: Omit<Job, 'seed'>, seed: number) {
    this.#job = job;
    this.#seed = seed;
    for (let n = 0; n < THREADS; n += 1) this.#start();
  }

  #start(): void {
    this.started += 1;
    const workerData: Job = { ...this.#job, seed: this.#seed + this.started };
    const worker = new Worker(new URL('./threads-worker.js', import.meta.url), { workerData });
    this.workers.push(worker);
    worker.on('message', (told: Told) => {
      if ('rows' in told) for (const row of told.rows) this.acknowledged.add(row);
      else this.books.push(told.books);
    });
    worker.on('error', (error) => this.errors.push(String(error)));
  }

  tell(worker: Worker, command: Command): void {
    worker.postMessage(command);
  }

  /** One ends, and another one begins. */
  async replace(worker: Worker, how: 'terminate' | 'exit'): Promise<void> {
    this.endedAt = Infinity;
    const gone = new Promise((exit) => worker.once('exit', exit));
    if (how === 'terminate') await worker.terminate();
    else this.tell(worker, { is: 'exit' });
    await gone;
    this.endedAt = performance.now();
    this.ended += 1;
    this.workers.splice(this.workers.indexOf(worker), 1);
    this.#start();
  }

  async stop(): Promise<void> {
    for (const worker of this.workers) this.tell(worker, { is: 'stop' });
    const until = performance.now() + SETTLE_MS;
    while (this.books.length < this.workers.length && performance.now() < until) await sleep(20);
  }

  async end(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.terminate()));
  }
}

interface Samples {
  taken: number;
  apart: number;
  peak: number;
  overdrawn: number;
}

/** Whether each permit that is taken is in somebody's row. A look takes a while, in which others take and give: it may need several. */
function addsUp(memory: ThreadMemory): boolean {
  for (let n = 0; n < 200; n += 1) {
    const before = memory.used;
    const held = memory.members().reduce((sum, member) => sum + member.held, 0);
    if (held === before && held === memory.used) return true;
  }
  return false;
}

async function sample(admin: pg.Client, memory: ThreadMemory, crew: Crew, on: () => boolean): Promise<Samples> {
  const samples: Samples = { taken: 0, apart: 0, peak: 0, overdrawn: 0 };
  const text = 'SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = $1';
  let before = 0;
  while (on()) {
    const quietSince = performance.now() - FENCE_MS;
    const { rows } = await admin.query<{ n: number }>(text, [NAME]);
    const now = rows[0]?.n ?? 0;
    if (crew.endedAt < quietSince) samples.peak = Math.max(samples.peak, Math.min(before, now));
    before = now;
    samples.taken += 1;
    if (memory.used > LIMIT) samples.overdrawn += 1;
    if (crew.endedAt !== Infinity && !addsUp(memory)) samples.apart += 1;
    await sleep(SAMPLE_MS);
  }
  return samples;
}

async function course(crew: Crew, seconds: number, seed: number): Promise<Record<string, number>> {
  const chance = new Chance(seed, 'course');
  const happened: Record<string, number> = {};
  const until = performance.now() + seconds * 1_000;
  for (;;) {
    await sleep(chance.between(200, 900));
    if (performance.now() > until) return happened;
    const what = chance.weighted(EVENTS);
    const worker = chance.pick(crew.workers);
    happened[what] = (happened[what] ?? 0) + 1;
    if (what === 'terminate' || what === 'exit') {
      await crew.replace(worker, what);
      // Long enough that the limit is looked at, too.
      await sleep(chance.between(0, 2) * (FENCE_MS + 1_500));
    } else crew.tell(worker, { is: what, ms: what === 'block' ? chance.between(50, 500) : chance.between(300, 2_000) });
  }
}

function sumOf(books: readonly Books[], of: (one: Books) => number): number {
  return books.reduce((sum, one) => sum + of(one), 0);
}

export async function soakThreads(seconds: number, seed: number, screen: Screen): Promise<number> {
  screen.line(`seed ${seed}`);
  const server = await embeddedPostgres();
  const admin = new pg.Client(server.config);
  await admin.connect();
  await admin.query('CREATE TABLE soak_threads (id text PRIMARY KEY)');
  const pool = new Pool({ ...server.config, max: LIMIT, name: NAME });
  const handle = pool.share();
  const memory = new ThreadMemory(handle.budget.memory);
  const crew = new Crew({ handle }, seed);
  try {
    let on = true;
    const sampling = sample(admin, memory, crew, () => on);
    const happened = await course(crew, seconds, seed);
    await crew.stop();
    on = false;
    const samples = await sampling;
    const { rows } = await admin.query<{ id: string }>('SELECT id FROM soak_threads');
    const found = new Set(rows.map(({ id }) => id));
    const { books, workers } = crew;
    const equations = [
      equation('threads', { started: crew.started }, '=', { ended: crew.ended, stopped: books.length }),
      equation('requests', { asked: sumOf(books, (one) => one.asked) }, '=', {
        served: sumOf(books, (one) => one.served),
        failed: sumOf(books, (one) => one.failed),
      }),
      equation('', { failed: sumOf(books, (one) => one.failed) }, '=', { '': 0 }),
      equation('rows', { acknowledged: crew.acknowledged.size }, '=', {
        'of these found': [...crew.acknowledged].filter((row) => found.has(row)).length,
      }),
      ...books.map((one, n) =>
        equation(n === 0 ? 'connections' : '', { [`thread ${n + 1} opened`]: one.opened }, '=', {
          ...one.retired,
          lost: one.lost,
          open: one.open,
        }),
      ),
      equation('permits', { 'samples in which more were taken than there are': samples.overdrawn }, '=', { '': 0 }),
      equation('', { 'samples in which the rows do not add up': samples.apart }, '=', { '': 0 }),
      equation('', { 'taken at the end': memory.used, members: memory.members().length }, '=', { '': 0 }),
      equation('sessions', { 'most, in two samples in a row': samples.peak }, '≤', { limit: LIMIT }),
      equation('', { 'errors of threads': crew.errors.length }, '=', { '': 0 }),
    ];
    screen.title(`${THREADS} threads, a limit of ${LIMIT}, ${seconds} s`);
    screen.text(
      Object.entries(happened)
        .map(([what, n]) => `${n} ${what}`)
        .join(', '),
    );
    screen.text(
      `${samples.taken} samples, ${crew.acknowledged.size} rows acknowledged, ${workers.length} threads at the end`,
    );
    for (const { subject, text, holds } of equations)
      screen.text(`${holds ? 'ok   ' : 'WRONG'} ${subject.padEnd(11)} ${text}`, 2, holds ? undefined : 'red');
    for (const found of [...crew.errors, ...books.flatMap(({ failures }) => failures)].slice(0, 12))
      screen.text(`found: ${found}`, 2, 'red');
    const wrong = equations.filter(({ holds }) => !holds).length;
    screen.line();
    screen.line(wrong === 0 ? 'All equations hold.' : `${wrong} equations do not hold; seed ${seed}.`);
    return wrong === 0 ? 0 : 1;
  } finally {
    await crew.end();
    await pool.close();
    await admin.end();
    await server.stop();
  }
}
