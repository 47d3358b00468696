// Scene one, second half: a pool and a second thread. What Node says when the pool itself is posted, and how many sessions the
// server has when only its options are.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type pg from 'pg';
import { withClient } from '../../src/testing/embedded-client.ts';
import type { PostgresServer } from '../../src/testing/embedded-postgres.ts';
import { sessions } from '../booking/audit.ts';
import type { Screen } from '../screen.ts';
import { poolOf, type Task, takeAll } from './second-thread.ts';

const MAX = 5;
const WIDEST_ERROR = 150;

export async function threadScene(server: PostgresServer, screen: Screen): Promise<void> {
  screen.line();
  screen.text('The same pool, wanted in a worker thread. Its max is 5.');
  screen.line();
  for (const kind of ['pg', 'oxbow'] as const) {
    const name = kind === 'pg' ? 'pg.Pool' : 'Oxbow';
    const applicationName = `oxbow-demo-threads-${kind}-${process.pid}`;
    const task: Task = { kind, options: { ...server.config, application_name: applicationName, max: MAX } };
    screen.line(`  ${screen.paint('bold', name)}`);
    screen.text(`worker.postMessage(pool): ${posted(task)}`, 4);
    const count = await doubled(server, task, applicationName);
    screen.text(
      `the worker makes a pool from the same options: ${count} sessions in pg_stat_activity, max ${MAX}, no error`,
      4,
    );
  }
  screen.text('Oxbow today is no better here. One limit over threads is the next chapter: see README.', 2);
}

/** What Node answers to a pool in a message. */
function posted(task: Task): string {
  const pool = poolOf(task);
  try {
    structuredClone(pool);
    return 'accepted';
  } catch (error) {
    if (!(error instanceof Error)) return String(error);
    const text = error.message.replaceAll(/\s+/g, ' ');
    return `${error.name}: ${text.length > WIDEST_ERROR ? `${text.slice(0, WIDEST_ERROR)}…` : text}`;
  }
}

/** Both threads hold all that their pool gives them; how many sessions the server counts. */
async function doubled(server: PostgresServer, task: Task, applicationName: string): Promise<number> {
  const pool = poolOf(task);
  const clients: pg.PoolClient[] = await takeAll(pool, MAX);
  const worker = new Worker(new URL('./second-thread.js', import.meta.url), { workerData: task });
  await once(worker, 'message');
  const count = await withClient(server.config, (client) => sessions(client, applicationName));
  const ended = once(worker, 'exit');
  worker.postMessage('stop');
  await ended;
  for (const client of clients) client.release();
  await pool.end();
  return count;
}
