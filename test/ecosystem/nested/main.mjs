// node main.mjs LIBRARY SITUATION=MAX ...: in each situation as many of the library's nested transactions at once as its pool has
// connections, so that each holds one and none gets another. Prints what each was told, under whatever the library wraps it in.

import { setTimeout as sleep } from 'node:timers/promises';

const [library, ...situations] = process.argv.slice(2);
const {
  POOL_FROM: from = 'oxbow',
  DATABASE_URL: connectionString,
  APPLICATION_NAME: application_name,
  WITHIN_MS = '400',
} = process.env;
const orders = await import(`./${library}/orders.mjs`);
const found = await import(from);
const { Pool } = found.default ?? found;

function chain(error) {
  const links = [];
  for (let at = error; at instanceof Error && !links.includes(at); at = at.cause) links.push(at);
  return links;
}

/** All connections are there, and the library has loaded what it needs: nobody shall wait for that. */
async function warm(pool, db, max) {
  await pool.open?.();
  for (const client of await Promise.all(Array.from({ length: max }, () => pool.connect()))) client.release();
  await orders.begin(db, async () => {});
}

async function jam(situation, max) {
  const connectionTimeoutMillis = Number(WITHIN_MS);
  const pool = new Pool({ connectionString, application_name, name: situation, max, connectionTimeoutMillis });
  const db = orders.open(pool);
  await warm(pool, db, max);
  const explained = new Set();
  const asking = setInterval(() => explained.add(pool.explain?.().verdict), 20);
  const outcomes = await Promise.allSettled(Array.from({ length: max }, () => orders[situation](db, pool)));
  clearInterval(asking);
  const told = outcomes
    .filter(({ status }) => status === 'rejected')
    .map(({ reason }) => ({
      texts: chain(reason).map(({ message }) => message),
      verdicts: chain(reason).flatMap(({ explanation }) => explanation?.verdict ?? []),
    }));
  // Who has failed may still be rolling back.
  for (let tries = 0; pool.totalCount > pool.idleCount && tries < 100; tries += 1) await sleep(20);
  const left = { lent: pool.totalCount - pool.idleCount, waiting: pool.waitingCount };
  await (db.$disconnect?.() ?? db.destroy?.());
  if (!pool.ending) await pool.end();
  return { explained: [...explained], told, left };
}

const jams = {};
for (const asked of situations) {
  const [situation, max] = asked.split('=');
  jams[situation] = await jam(situation, Number(max));
}
console.log(JSON.stringify(jams));
