// node limits.mjs LIBRARY: where the holder of a connection is said to be, when whoever began its transaction did not await it there.

import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'oxbow';

const { begin, open } = await import(`./${process.argv[2]}/orders.mjs`);

async function placeOf(start) {
  const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 1, callSites: true });
  const db = open(pool);
  let there = () => {};
  const begun = new Promise((resolve) => {
    there = resolve;
  });
  let finish = () => {};
  const finished = new Promise((resolve) => {
    finish = resolve;
  });
  const started = start(db, async () => {
    there();
    await finished;
  });
  await begun;
  const [{ site }] = pool.holders();
  finish();
  await started;
  while (pool.holders().length > 0) await sleep(5);
  await (db.$disconnect?.() ?? db.destroy?.());
  if (!pool.ending) await pool.end();
  return site;
}

const returned = await placeOf(async (db, work) => {
  // awaits
  await begin(db, work);
});
const left = await placeOf((db, work) => {
  setTimeout(() => {
    begin(db, work).catch(console.error);
  });
});
console.log(JSON.stringify({ returned, left }));
