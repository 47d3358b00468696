// A worker thread that was given a pool's options and makes a pool of its own from them, as everybody does; or a handle, and joins the pool
// behind it. Opens all of its connections, says so, and holds them until it is told to stop.

import { parentPort, workerData } from 'node:worker_threads';
import pg from 'pg';
import { Pool, type SharedPool } from '../../src/doors/index.ts';
import { joinPool } from '../../src/doors/threads.ts';

export interface Task {
  readonly kind: 'pg' | 'oxbow';
  readonly options: pg.PoolConfig & { max: number };
  /** The pool that is to be joined, where that can be done. */
  readonly shared?: SharedPool | undefined;
}

/** Takes all connections of a pool, so that they all exist. */
export async function takeAll(pool: pg.Pool | Pool, max: number): Promise<pg.PoolClient[]> {
  return Promise.all(Array.from({ length: max }, () => pool.connect()));
}

export function poolOf({ kind, options, shared }: Task): pg.Pool | Pool {
  if (shared !== undefined) return joinPool(shared);
  return kind === 'pg' ? new pg.Pool(options) : new Pool(options);
}

if (parentPort !== null) {
  const port = parentPort;
  const task = workerData as Task;
  const pool = poolOf(task);
  const clients = await takeAll(pool, task.options.max);
  port.once('message', async () => {
    for (const client of clients) client.release();
    await pool.end();
    port.close();
  });
  port.postMessage('holding');
}
