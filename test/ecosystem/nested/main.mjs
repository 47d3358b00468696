// node main.mjs LIBRARY WHAT: as many of a library's nested transactions at once as the pool has connections (MAX), so that each holds one
// and none gets another; prints what each was told, and by what. `pg`'s own pool beside ours.

import { setTimeout as sleep } from 'node:timers/promises';

const [library, what] = process.argv.slice(2);
const { POOL_FROM: from = 'oxbow', DATABASE_URL: url, APPLICATION_NAME: name, MAX = '2', WITHIN_MS = '400' } = process.env;
const { open, [what]: nested } = await import(`./${library}/orders.mjs`);
const found = await import(from);
const { Pool } = found.default ?? found;

const pool = new Pool({
  connectionString: url,
  application_name: name,
  max: Number(MAX),
  connectionTimeoutMillis: Number(WITHIN_MS),
});

/** What a library was told, under whatever it wraps it in. */
function chain(error) {
  const links = [];
  for (let at = error; at instanceof Error && !links.includes(at); at = at.cause) links.push(at);
  return links;
}

const db = open(pool);
const outcomes = await Promise.allSettled(Array.from({ length: Number(MAX) }, () => nested(db)));
const told = outcomes.map(({ reason }) => {
  const links = chain(reason);
  return {
    texts: links.map(({ message }) => message),
    names: links.map((link) => link.constructor.name),
    verdicts: links.flatMap(({ explanation }) => explanation?.verdict ?? []),
  };
});
console.log(JSON.stringify(told));

// A library may give back its connection after it has failed.
for (let tries = 0; pool.totalCount > pool.idleCount && tries < 100; tries += 1) await sleep(20);
console.log(JSON.stringify({ lent: pool.totalCount - pool.idleCount, waiting: pool.waitingCount }));
await (db.$disconnect?.() ?? db.destroy?.());
if (!pool.ending) await pool.end();
