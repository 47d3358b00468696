// One of the threads: takes a range, counts, writes the result, until there is none left.

import { workerData } from 'node:worker_threads';
import { joinPool } from 'oxbow/threads';

const pool = joinPool(workerData);

async function next() {
  return pool.transaction(async (tx) => {
    const free = 'SELECT low, high FROM ranges WHERE primes IS NULL LIMIT 1 FOR UPDATE SKIP LOCKED';
    const { rows } = await tx.query(free);
    const [range] = rows;
    if (range === undefined) return false;
    const found = primesFrom(range.low, range.high);
    await tx.query('UPDATE ranges SET primes = $1 WHERE low = $2', [found, range.low]);
    return true;
  });
}

function primesFrom(low, high) {
  let found = 0;
  for (let n = Math.max(2, low); n <= high; n += 1) if (isPrime(n)) found += 1;
  return found;
}

function isPrime(n) {
  for (let d = 2; d * d <= n; d += 1) if (n % d === 0) return false;
  return true;
}

while (await next());
await pool.close();
