// Four threads count primes, each for one range after the other, and all of them take the ranges from one table. One limit of 3 connections
// for all: `DATABASE_URL=postgres://… node examples/threads/main.mjs`.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Pool } from 'oxbow';

const pool = new Pool({ connectionString: process.env.DATABASE_URL, name: 'primes', max: 3 });

await pool.query('CREATE TABLE ranges (low int PRIMARY KEY, high int NOT NULL, primes int)');
await pool.query('INSERT INTO ranges SELECT low, low + 9999 FROM generate_series(0, 190000, 10000) AS low');

const workers = Array.from(
  { length: 4 },
  () => new Worker(new URL('./worker.mjs', import.meta.url), { workerData: pool.share() }),
);
await Promise.all(workers.map((worker) => once(worker, 'exit')));

const { rows } = await pool.query('SELECT sum(primes)::int AS primes, count(*)::int AS ranges FROM ranges');
console.log(`${rows[0].primes} primes in ${rows[0].ranges} ranges`);
console.log(pool.snapshot().budget);
await pool.close();
