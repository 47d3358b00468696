// The worker of test/loops/workerd.test.ts: pools in module variables, and one small thing to do with them for each path.

import { Pool } from 'oxbow';
import { createWorkersPool } from 'oxbow/workers';
import pg from 'pg';

/** Made in module scope, where neither timers nor random numbers nor I/O are allowed; each worker is told its server by its requests only. */
const DSN = 'postgres://nobody@127.0.0.1:1/nothing';
const inert = [new Pool({ connectionString: DSN }), createWorkersPool({ connectionString: DSN, name: 'inert' })];

const made = new Map();
let kept;

function poolOf(name, env) {
  const common = { connectionString: env.DATABASE_URL, application_name: `workerd-${name}` };
  const make = {
    cells: () => createWorkersPool({ ...common, max: 4 }),
    one: () => createWorkersPool({ ...common, max: 1 }),
    error: () => createWorkersPool({ ...common, max: 4, contexts: 'error', name: 'mine' }),
    closing: () => createWorkersPool({ ...common, max: 4 }),
    plain: () => new Pool({ ...common, max: 2, name: 'plain' }),
    pg: () => new pg.Pool({ ...common, max: 2 }),
  };
  if (!made.has(name)) made.set(name, make[name]());
  return made.get(name);
}

const pidOf = async (asked) => (await asked.query('SELECT pg_backend_pid() AS pid')).rows[0].pid;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Bounded by a timer of this request's own, for what hangs. */
async function within(ms, work) {
  const began = Date.now();
  const late = sleep(ms).then(() => ({ hung: true }));
  const done = work.then(
    (value) => ({ value }),
    ({ name, message, kind }) => ({ error: { name, message, kind } }),
  );
  return { ...(await Promise.race([done, late])), ms: Date.now() - began };
}

const paths = {
  inert: () => inert.map(({ phase, name }) => ({ phase, named: name })),

  /** Some queries, one after the other. */
  async query(pool, { times = 2, sleepMs = 0 }) {
    const pids = new Set();
    for (let n = 0; n < times; n += 1) {
      const text = 'SELECT pg_backend_pid() AS pid, pg_sleep($1)';
      pids.add((await pool.query(text, [sleepMs / 1000])).rows[0].pid);
    }
    return { pids: [...pids] };
  },

  /** Every way to borrow. */
  async verbs(pool) {
    const { rows } = await pool.query('SELECT $1::int AS n', [7]);
    const called = await new Promise((resolve, reject) => {
      pool.query('SELECT 8 AS n', (error, result) => (error ? reject(error) : resolve(result.rows[0].n)));
    });
    const lease = await pool.acquire({ label: 'held' });
    const holders = pool.holders().map(({ label }) => label);
    const { lent, max, budget } = pool.snapshot();
    const leased = (await lease.query('SELECT 9 AS n')).rows[0].n;
    lease.release();
    const used = await pool.use(async (held) => (await held.query('SELECT 10 AS n')).rows[0].n);
    const committed = await pool.transaction(async (tx) => (await tx.query('SELECT 11 AS n')).rows[0].n);
    const client = await pool.connect();
    const raw = (await client.query('SELECT 12 AS n')).rows[0].n;
    const genuine = [pool instanceof pg.Pool, client instanceof pg.Client];
    client.release();
    const { requests, returns } = pool.stats();
    const numbers = [rows[0].n, called, leased, used, committed, raw];
    return { numbers, holders, lent, max, budget: budget.kind, requests, returns, genuine };
  },

  stand: (pool) => pool.stats(),

  explain: (pool) => pool.explain(),

  /** The request ends, and what it borrowed with it. */
  async leak(pool) {
    await pool.acquire();
    return {};
  },

  /** Holds one for a while. */
  async hold(pool, { ms }) {
    return pool.use(async (lease) => {
      const pid = await pidOf(lease);
      await sleep(ms);
      return { pid };
    });
  },

  /** Holds one until another request has dealt with it. */
  async keep(pool, { ms }) {
    kept = await pool.acquire();
    const pid = await pidOf(kept);
    for (let waited = 0; waited < ms && !kept.released; waited += 20) await sleep(20);
    // What another request asked for is done by a timer of this one.
    await sleep(150);
    return { pid, released: kept.released, lent: pool.snapshot().lent };
  },

  /** Uses and gives back the lease of another request. */
  async meddle() {
    const asked = await within(1_000, kept.query('SELECT 1'));
    kept.release();
    return asked;
  },

  acquire: (pool, { ms = 3_000 }) =>
    within(
      ms,
      Promise.resolve(pool.acquire()).then((lease) => lease.release()),
    ),

  ask: (pool, { ms = 1_000 }) => within(ms, pidOf(pool)),

  async close(pool) {
    const began = Date.now();
    const report = await pool.close({ drainMs: 100, cancelMs: 100 });
    return { report, phase: pool.phase, ms: Date.now() - began, after: await within(1_000, pidOf(pool)) };
  },
};

async function answer(request, env) {
  const { pathname, searchParams } = new URL(request.url);
  const [pool, path] = pathname.split('/').slice(-2);
  const given = Object.fromEntries([...searchParams].map(([key, value]) => [key, Number(value)]));
  try {
    return Response.json(await paths[path](poolOf(pool, env), given));
  } catch ({ name, message, stack }) {
    return Response.json({ thrown: { name, message, stack } });
  }
}

export class Keeper {
  constructor(_state, env) {
    this.env = env;
  }

  fetch(request) {
    return answer(request, this.env);
  }
}

export default {
  fetch(request, env) {
    if (!new URL(request.url).pathname.startsWith('/object/')) return answer(request, env);
    return env.KEEPER.get(env.KEEPER.idFromName('one')).fetch(request);
  },
};
