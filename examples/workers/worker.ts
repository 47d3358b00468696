import { createWorkersPool, type Pool } from 'oxbow/workers';

interface Env {
  DATABASE_URL: string;
  COUNTER: { idFromName(name: string): unknown; get(id: unknown): { fetch(request: Request): Promise<Response> } };
}

let pool: Pool | undefined;

/** One for all requests of this isolate. The settings come with the first request; making the pool is allowed anywhere. */
function poolOf(env: Env): Pool {
  pool ??= createWorkersPool({ connectionString: env.DATABASE_URL, max: 5, name: 'example' });
  return pool;
}

/** Each object keeps its connections from request to request. */
export class Counter {
  readonly #env: Env;

  constructor(_state: unknown, env: Env) {
    this.#env = env;
  }

  async fetch(): Promise<Response> {
    const count = await poolOf(this.#env).transaction(async (tx) => {
      await tx.query('create temp table if not exists visits (at timestamptz)');
      await tx.query('insert into visits values (now())');
      return tx.query<{ visits: number }>('select count(*)::int as visits from visits');
    });
    return Response.json(count.rows[0]);
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === '/health') return Response.json({ health: poolOf(env).health() });
    if (pathname === '/visits') return env.COUNTER.get(env.COUNTER.idFromName('all')).fetch(request);
    const { rows } = await poolOf(env).query('select pg_backend_pid() as pid, now() as at');
    return Response.json(rows[0]);
  },
};
