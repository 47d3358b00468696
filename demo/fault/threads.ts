// Scene one, second half: a pool and a second thread. What Node says when the pool itself is posted, how many sessions the server has when
// only pg's options are, and how one pool serves both threads.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import pg from 'pg';
import { Pool } from '../../src/doors/index.ts';
import { withClient } from '../../src/testing/embedded-client.ts';
import type { PostgresServer } from '../../src/testing/embedded-postgres.ts';
import { sessions } from '../booking/audit.ts';
import type { Screen } from '../screen.ts';
import { type Task, takeAll } from './second-thread.ts';

const MAX = 5;
const WIDEST_ERROR = 150;

export async function threadScene(server: PostgresServer, screen: Screen): Promise<void> {
  screen.line();
  screen.text(`The same pool, wanted in a worker thread. Its max is ${MAX}.`);
  screen.line();
  await doubled(server, screen);
  await shared(server, screen);
}

function optionsFor(server: PostgresServer, kind: Task['kind']): Task['options'] {
  return { ...server.config, application_name: `oxbow-demo-threads-${kind}-${process.pid}`, max: MAX };
}

async function count({ config }: PostgresServer, { application_name: name = '' }: Task['options']): Promise<number> {
  return withClient(config, (client) => sessions(client, name));
}

/** Both threads hold all that their pool gives them. */
async function doubled(server: PostgresServer, screen: Screen): Promise<void> {
  const options = optionsFor(server, 'pg');
  const pool = new pg.Pool(options);
  screen.line(`  ${screen.paint('bold', 'pg.Pool')}`);
  screen.text(`worker.postMessage(pool): ${posted(pool)}`, 4);
  const clients = await takeAll(pool, MAX);
  const stop = await startSecond({ kind: 'pg', options });
  const found = await count(server, options);
  await stop();
  for (const client of clients) client.release();
  await pool.end();
  screen.text(
    `the worker makes a pool from the same options: ${found} sessions on the server, max ${MAX}, no error`,
    4,
  );
}

/** All connections are idle in this thread; the other one wants as many. */
async function shared(server: PostgresServer, screen: Screen): Promise<void> {
  const options = optionsFor(server, 'oxbow');
  const pool = new Pool(options);
  screen.line(`  ${screen.paint('bold', 'Oxbow')}`);
  screen.text(`worker.postMessage(pool): ${posted(pool)}`, 4);
  for (const client of await takeAll(pool, MAX)) client.release();
  const began = performance.now();
  const stop = await startSecond({ kind: 'oxbow', options, shared: pool.share() });
  const ms = Math.round(performance.now() - began);
  const found = await count(server, options);
  const { idle, budget } = pool.snapshot();
  await stop();
  await pool.close();
  screen.text(
    `the worker joins the pool: it has ${MAX - idle} of ${budget?.limit} connections ${ms} ms after its start, the first thread ${idle}; ` +
      `${found} sessions on the server`,
    4,
  );
}

/** What Node answers to a pool in a message. */
function posted(pool: pg.Pool | Pool): string {
  try {
    structuredClone(pool);
    return 'accepted';
  } catch (error) {
    if (!(error instanceof Error)) return String(error);
    const text = error.message.replaceAll(/\s+/g, ' ');
    return `${error.name}: ${text.length > WIDEST_ERROR ? `${text.slice(0, WIDEST_ERROR)}…` : text}`;
  }
}

/** Resolves when the other thread has all of its connections, with what ends it. */
async function startSecond(task: Task): Promise<() => Promise<void>> {
  const worker = new Worker(new URL('./second-thread.js', import.meta.url), { workerData: task });
  await once(worker, 'message');
  return async () => {
    const ended = once(worker, 'exit');
    worker.postMessage('stop');
    await ended;
  };
}
