// A function on AWS Lambda. One pool for each execution environment, made when the module is loaded and opened by the first invocation; it
// lives through every freeze. Why each line is as it is: docs/recipes/lambda.md.

import { onSignal, Pool } from 'oxbow';

const pool = new Pool({
  connectionString: process.env.DATABASE_URL,
  name: process.env.AWS_LAMBDA_FUNCTION_NAME ?? 'visits', // the server's pg_stat_activity shows it
  max: 2, // an environment serves one request at a time; this one asks two questions at once
  acquireTimeoutMs: 3_000, // both below the timeout of the function: an error is better than its end
  queryTimeoutMs: 5_000,
});

// Lambda sends SIGTERM to functions with an extension, and leaves them half a second.
onSignal(pool, { close: { drainMs: 200, cancelMs: 100 } });

const VISIT = `insert into visits (page) values ($1)
  on conflict (page) do update set count = visits.count + 1 returning count`;

/** Counts a visit: `{ page }` → `{ count, pages }`. */
export async function handler({ page }) {
  const [visit, pages] = await Promise.all([
    pool.query(VISIT, [page]),
    pool.query('select count(*)::int as n from visits where page <> $1', [page]),
  ]);
  // Where sessions of the server are scarce: none is held by an environment that sleeps, and the next invocation connects.
  if (process.env.TRIM === '1') await pool.trim();
  return { count: visit.rows[0].count, pages: pages.rows[0].n + 1 };
}
