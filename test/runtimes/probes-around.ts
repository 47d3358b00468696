// Probes: the process, its threads and signals around a pool. Owns the parts that are played in another process or thread.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { onSignal, Pool, type SharedPool } from '../../src/doors/index.ts';
import { joinPool } from '../../src/doors/threads.ts';
import { backends, eventually, freshName } from '../postgres/harness.ts';
import type { Probe, Stage } from './probe.ts';

const MAIN = new URL('./main.js', import.meta.url);
const PART = 'OXBOW_PROBE_PART';

/** The parts, each a program of its own. */
const PARTS: Readonly<Record<string, (url: string, name: string) => Promise<void>>> = {
  /** Has nothing more to do, and does not close its pool. */
  async idle(url, name) {
    const pool = new Pool({ connectionString: url, name, min: 2, max: 2 });
    await pool.open();
    await pool.query('SELECT 1');
    writeSync(1, 'asked\n');
  },

  /** Is told to go by a signal. */
  async signalled(url, name) {
    const pool = new Pool({ connectionString: url, name });
    pool.observe({ phase: ({ to }) => void writeSync(1, `${to}\n`) });
    onSignal(pool);
    await pool.open();
    setInterval(() => {}, 1_000);
  },
};

/** Whether this process, or thread, is one of those; then all that it has to do is begun. */
export function isPart(): boolean {
  if (!isMainThread) {
    void inWorker();
    return true;
  }
  const [part = '', url = '', name = ''] = process.env[PART]?.split(' ') ?? [];
  const play = PARTS[part];
  if (play === undefined) return false;
  void play(url, name);
  return true;
}

async function inWorker(): Promise<void> {
  const { url, name, shared }: { url: string; name: string; shared?: SharedPool } = workerData;
  if (shared !== undefined) {
    const say = (): void => {};
    const joined = joinPool(shared, { logger: { debug: say, info: say, warn: say, error: say } });
    await Promise.all([joined.acquire(), joined.acquire()]);
    // Holds them until it is ended.
    setInterval(() => {}, 1_000);
    parentPort?.postMessage('holding');
    return;
  }
  const pool = new Pool({ connectionString: url, name, max: 2 });
  const results = await Promise.all([1, 2, 3].map((n) => pool.query<{ n: number }>('SELECT $1::int AS n', [n])));
  await pool.close();
  parentPort?.postMessage(results.map(({ rows }) => rows[0]?.n));
}

function start(stage: Stage, part: string, name: string): { child: ChildProcess; heard(): string } {
  const argv = [...(process.versions.deno === undefined ? [] : ['run', '-A']), fileURLToPath(MAIN)];
  const env = { ...process.env, [PART]: `${part} ${stage.url} ${name}` };
  const child = spawn(process.execPath, argv, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let heard = '';
  child.stdout.on('data', (chunk) => {
    heard += String(chunk);
  });
  stage.after(async () => void child.kill('SIGKILL'));
  return { child, heard: () => heard };
}

function ended(child: ChildProcess): Promise<readonly [number | null, string | null]> {
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve([code, signal]));
  });
}

export const around: readonly Probe[] = [
  {
    name: 'without a logger a report is a warning of the process, with its code',
    async run(stage) {
      const came = new Promise((resolve) => {
        const listen = (warning: Error): void => {
          const code: unknown = Reflect.get(warning, 'code');
          if (!String(code).startsWith('OXBOW_')) return;
          process.off('warning', listen);
          resolve(code);
        };
        process.on('warning', listen);
      });
      const pool = stage.pool({ logger: undefined });
      await pool.use((lease) => lease.query('BEGIN'));
      assert.equal(await came, 'OXBOW_OPEN_TRANSACTION');
    },
  },
  {
    name: 'a process whose pool is idle ends by itself, though nobody closes the pool',
    async run(stage) {
      const { child, heard } = start(stage, 'idle', freshName());
      assert.deepEqual(await ended(child), [0, null]);
      assert.equal(heard(), 'asked\n');
    },
  },
  {
    name: 'onSignal closes the pool at SIGTERM, and the process ends of that signal',
    async run(stage) {
      const name = freshName();
      const { child, heard } = start(stage, 'signalled', name);
      await eventually('it is open', () => heard().endsWith('open\n'));
      const end = ended(child);
      child.kill('SIGTERM');
      assert.deepEqual(await end, [null, 'SIGTERM']);
      assert.match(heard(), /closing\nclosed\n$/);
      assert.equal(await backends(stage.admin, name), 0);
    },
  },
  {
    name: 'a worker thread has a pool of its own',
    async run(stage) {
      const worker = new Worker(MAIN, { workerData: { url: stage.url, name: freshName() } });
      stage.after(async () => void (await worker.terminate()));
      const answer = await new Promise((resolve, reject) => {
        worker.on('message', resolve);
        worker.on('error', reject);
      });
      assert.deepEqual(answer, [1, 2, 3]);
    },
  },
  {
    name: 'a thread joins the pool of another, under one limit, and what it held comes back when it is terminated',
    async run(stage) {
      const pool = stage.pool({ max: 2 });
      for (const lease of await Promise.all([pool.acquire(), pool.acquire()])) lease.release();
      const worker = new Worker(MAIN, { workerData: { shared: pool.share() } });
      stage.after(async () => void (await worker.terminate()));
      await new Promise((resolve, reject) => {
        worker.on('message', resolve);
        worker.on('error', reject);
      });
      assert.deepEqual([pool.snapshot().size, pool.snapshot().budget?.used], [0, 2]);
      const waiting = pool.query('SELECT 1 AS one');
      await worker.terminate();
      assert.equal((await waiting).rows[0]?.one, 1);
    },
  },
  {
    name: 'a pool cannot be cloned for another thread: structuredClone throws',
    async run(stage) {
      const pool = stage.pool();
      let text = '';
      assert.throws(
        () => structuredClone(pool),
        (error) => {
          text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
          return true;
        },
      );
      return text.replaceAll(/\s+/g, ' ').slice(0, 120);
    },
  },
];
