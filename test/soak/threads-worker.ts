// One thread of the soak of threads: asks for work at random, writes rows, tells what was acknowledged, and gives its books when it is told
// to stop. It may be ended at any moment.

import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { joinPool, type SharedPool } from '../../src/doors/threads.ts';
import { Chance } from './chance.ts';

export interface Job {
  readonly handle: SharedPool;
  readonly seed: number;
}

export type Command =
  | { readonly is: 'stop' }
  | { readonly is: 'pause' | 'block'; readonly ms: number }
  | { readonly is: 'exit' };

/** What a thread that was stopped says of itself. */
export interface Books {
  readonly asked: number;
  readonly served: number;
  readonly failed: number;
  readonly opened: number;
  readonly retired: Readonly<Record<string, number>>;
  readonly lost: number;
  readonly open: number;
  readonly failures: readonly string[];
}

export type Told = { readonly rows: readonly string[] } | { readonly books: Books };

const { handle, seed } = workerData as Job;
const pool = joinPool(handle);
const retired: Record<string, number> = {};
let [asked, served, failed, opened, lost] = [0, 0, 0, 0, 0];
const failures = new Set<string>();
let going = true;
let pausedUntil = 0;

pool.observe({
  opened: () => {
    opened += 1;
  },
  retired: ({ reason }) => {
    retired[reason] = (retired[reason] ?? 0) + 1;
  },
  lost: () => {
    lost += 1;
  },
});

function tell(told: Told): void {
  parentPort?.postMessage(told);
}

async function request(chance: Chance, row: string): Promise<void> {
  const seconds = chance.between(0, 30) / 1_000;
  const insert = 'INSERT INTO soak_threads (id) SELECT $1 FROM pg_sleep($2)';
  const how = chance.next();
  if (how < 0.3) {
    await pool.transaction(async (tx) => {
      await tx.query(insert, [row, seconds]);
      if (chance.happens(0.3)) await sleep(chance.between(0, 20));
    });
  } else if (how < 0.6) {
    await pool.use(async (lease) => {
      await lease.query(insert, [row, seconds]);
    });
  } else {
    await pool.query(insert, [row, seconds]);
  }
  tell({ rows: [row] });
}

/** Alone it works, rests, and works again; how many do so at a time changes. */
async function task(n: number): Promise<void> {
  const chance = new Chance(seed, 'task', n);
  for (let at = 0; going; at += 1) {
    if (chance.happens(0.1) || performance.now() < pausedUntil) await sleep(chance.between(20, 400));
    if (!going) return;
    asked += 1;
    try {
      await request(chance, `${threadId}/${n}/${at}`);
      served += 1;
    } catch (error) {
      failed += 1;
      failures.add(String(error));
    }
  }
}

const tasks = Promise.all(Array.from({ length: new Chance(seed).between(2, 11) }, (_, n) => task(n)));

parentPort?.on('message', async (command: Command) => {
  if (command.is === 'pause') pausedUntil = performance.now() + command.ms;
  if (command.is === 'block') {
    const until = performance.now() + command.ms;
    while (performance.now() < until);
  }
  if (command.is === 'exit') process.exit(0);
  if (command.is !== 'stop') return;
  going = false;
  await tasks;
  const report = await pool.close();
  if (report.destroyed > 0) failures.add(`${report.destroyed} connections had to be cut`);
  tell({
    books: { asked, served, failed, opened, retired, lost, open: pool.snapshot().size, failures: [...failures] },
  });
});
