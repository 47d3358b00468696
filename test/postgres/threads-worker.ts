// A thread that has its part of a shared pool and does what it is ordered. Started by threads-kit.

import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, threadId, Worker, workerData } from 'node:worker_threads';
import type { Lease, Pool } from '../../src/doors/index.ts';
import { joinPool } from '../../src/doors/threads.ts';
import type { Answer, Order, Orders, Start } from './threads-kit.ts';

const { handle, overrides } = workerData as Start;
let joined: Pool | undefined;
const held: Lease[] = [];
let below: Worker | undefined;

function pool(): Pool {
  if (joined === undefined) throw new Error('it has no part of a pool yet');
  return joined;
}

function join(from: Start['handle']): void {
  if (from !== undefined) joined = joinPool(from, overrides);
}

async function lend(n: number): Promise<Lease[]> {
  return Promise.all(Array.from({ length: n }, () => pool().acquire()));
}

const does: { [O in keyof Orders]: (given: Orders[O][0]) => Promise<Orders[O][1]> } = {
  async join({ handle: from }) {
    join(from);
  },
  async hammer({ tasks, ms, statement }) {
    const end = performance.now() + ms;
    let done = 0;
    let worstMs = 0;
    const task = async (): Promise<void> => {
      while (performance.now() < end) {
        const since = performance.now();
        await pool().query(statement);
        worstMs = Math.max(worstMs, performance.now() - since);
        done += 1;
      }
    };
    await Promise.all(Array.from({ length: tasks }, task));
    return { done, worstMs, connects: pool().stats().connects };
  },
  /** Lends `n` at once and gives them back; says how long the first permit and the first connection took. */
  async lend({ n }) {
    const since = performance.now();
    let permitMs: number | undefined;
    const undo = pool().observe({
      opening: () => {
        permitMs ??= performance.now() - since;
      },
    });
    const leases = await lend(n);
    const readyMs = performance.now() - since;
    undo();
    for (const lease of leases) lease.release();
    return { permitMs: permitMs ?? readyMs, readyMs };
  },
  /** Lends `n` and keeps them, each with a statement that runs for half a minute. */
  async hold({ n, statement }) {
    const leases = await lend(n);
    held.push(...leases);
    for (const lease of leases) lease.query(statement).catch(() => {});
  },
  async release() {
    for (const lease of held.splice(0)) lease.release(true);
  },
  async query({ text }) {
    return (await pool().query(text)).rows;
  },
  async onOne({ texts, before }) {
    if (before !== undefined) await pool().query(before);
    const rows: unknown[] = [];
    for (const text of texts) rows.push((await pool().query(text)).rows[0]);
    return rows;
  },
  async trim() {
    await pool().trim();
  },
  async face() {
    const { name } = pool();
    const { budget, max } = pool().snapshot();
    return { kind: pool().constructor.name, name, max, budget };
  },
  async block({ ms }) {
    const until = performance.now() + ms;
    while (performance.now() < until);
  },
  async close() {
    await pool().close({ drainMs: 0, cancelMs: 100 });
  },
  async exit() {
    process.exit(7);
  },
  /** Starts a thread of its own, which joins with the same handle and holds `n`. */
  async nest({ n, statement }) {
    below = new Worker(new URL(import.meta.url), { workerData });
    const ready = new Promise<void>((resolve, reject) => {
      below?.on('message', ({ error }: Answer) => (error === undefined ? resolve() : reject(new Error(error))));
      below?.on('error', reject);
    });
    const order: Order<'hold'> = { id: 1, op: 'hold', given: { n, statement } };
    below.postMessage(order);
    await ready;
    return { thread: below.threadId };
  },
  async endBelow() {
    await below?.terminate();
  },
  async sleep({ ms }) {
    await sleep(ms);
  },
  async thread() {
    return threadId;
  },
};

try {
  join(handle);
} catch (error) {
  parentPort?.postMessage({ id: 0, error: String(error) } satisfies Answer);
}
parentPort?.on('message', async ({ id, op, given }: Order<keyof Orders>) => {
  let answer: Answer;
  try {
    answer = { id, value: await (does[op] as (given: unknown) => Promise<unknown>)(given) };
  } catch (error) {
    answer = { id, error: String(error) };
  }
  parentPort?.postMessage(answer);
});
