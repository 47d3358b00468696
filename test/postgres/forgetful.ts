// A process of its own in which five leases are taken, each at a line of its own, and forgotten in the midst of a transaction; then somebody
// waits. Prints what became of it. Its argument: the server, and what makes the collector run (`gc`: it is called; `load`: garbage).

import { type Lease, Pool } from '../../src/doors/index.ts';

interface Task {
  readonly config: object;
  readonly by: 'gc' | 'load';
}

const { config, by } = JSON.parse(process.argv[2] ?? '') as Task;
const said: { code: unknown; site: unknown }[] = [];
const note = (about: object): void => {
  // Reports have a code; a logger hears of phases as well.
  if (Reflect.has(about, 'code')) said.push({ code: Reflect.get(about, 'code'), site: Reflect.get(about, 'site') });
};
const pool = new Pool({
  ...config,
  max: 5,
  callSites: true,
  acquireTimeoutMs: 60_000,
  logger: { debug() {}, info: note, warn: note, error: note },
});
const lines: number[] = [];

/** Where the caller stands. */
function here(): void {
  lines.push(Number(/:(\d+):\d+\)?$/.exec(new Error().stack?.split('\n')[2] ?? '')?.[1]));
}

async function work(lease: Lease, n: number): Promise<void> {
  await lease.query('begin');
  await lease.query('insert into forgotten values ($1)', [n]);
}

/* biome-ignore format: each in one line, whose number is what counts */
const forgetful = [
  async (): Promise<void> => { here(); await work(await pool.acquire(), 1); },
  async (): Promise<void> => { here(); await work(await pool.acquire({ label: 'second' }), 2); },
  async (): Promise<void> => { here(); const lease = await pool.acquire(); await work(lease, 3); await lease.query('select 1'); },
  async (): Promise<void> => { here(); await pool.acquire().then((lease) => work(lease, 4)); },
  async (): Promise<void> => { here(); const taken = { lease: await pool.acquire() }; await work(taken.lease, 5); },
];
for (const one of forgetful) await one();

const took = performance.now();
let garbage: unknown[] = [];
const busy = setInterval(
  () => {
    if (by === 'gc') globalThis.gc?.();
    else {
      // As a cache does that is emptied at times: what dies young alone makes no collection that finds old leases.
      if (garbage.length > 50_000) garbage = [];
      for (let n = 0; n < 2_000; n += 1) garbage.push({ n, text: `${n} of ${garbage.length}` });
    }
  },
  by === 'gc' ? 50 : 5,
);
const lease = await pool.acquire();
const servedMs = Math.round(performance.now() - took);
// The last one's rollback ends after it was counted as taken back.
while (pool.stats().leasesReclaimed + pool.stats().rolledBack < 10 && performance.now() - took < 60_000)
  await new Promise((resolve) => setTimeout(resolve, 20));
const allMs = Math.round(performance.now() - took);
clearInterval(busy);
const { rows } = await lease.query('select count(*)::int as n from forgotten');
lease.release();
const stats = pool.stats();
await pool.close();
console.log(JSON.stringify({ lines, said, servedMs, allMs, rows: rows[0]?.n, stats, garbage: garbage.length }));
