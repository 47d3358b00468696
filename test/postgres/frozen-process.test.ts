// The pool's own process is frozen for two and a half seconds (SIGSTOP: a paused container, a function between two invocations) while
// the server or the network drops its connections. The freeze is real, and the pool is in a process of its own.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import * as nodeTest from 'node:test';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type FaultProxy, faultProxy } from '../../src/testing/fault-proxy.ts';
import { backends, freshName, withClient, withServer } from './harness.ts';
import { sessionsAt } from './through-proxy.ts';

const FROZEN_MS = 2_500;
const SIZE = 5;
const REQUESTS = 8;
/** For each of the requests (DESIGN, section 4). */
const BOUND_MS = 1_000;
/** A request that is not answered by then is said to hang. */
const HANGS_MS = 8_000;

const server = await withServer(nodeTest, { url: false });

/** Warms its pool, and then does what it is told: `go` at once, `arm` in a timer that is due while it will be frozen. */
const PROGRAM = `
  const quiet = () => {};
  const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
  const pool = new Pool({ ...config, logger, max: ${SIZE} });
  const ask = async () => {
    const began = performance.now();
    let late;
    const hangs = new Promise((resolve) => (late = setTimeout(resolve, ${HANGS_MS}, 'hangs')));
    const outcome = await Promise.race([pool.query('SELECT 1').then(() => 'served', String), hangs]);
    clearTimeout(late);
    return { outcome, ms: Math.round(performance.now() - began) };
  };
  const go = async () => {
    const first = await Promise.all(Array.from({ length: ${REQUESTS} }, ask));
    const then = [await ask(), await ask(), await ask()];
    const { size, lent, waiting } = pool.snapshot();
    process.send({ first, then, size, lent, waiting });
    await pool.close();
    process.disconnect();
  };
  process.on('message', (word) => {
    if (word === 'go') void go();
    if (word === 'arm') {
      setTimeout(go, 500);
      process.send('armed');
    }
  });
  await Promise.all(Array.from({ length: ${SIZE} }, () => pool.query('SELECT pg_sleep(0.1)')));
  process.send('warm');
`;

interface Answer {
  readonly outcome: string;
  readonly ms: number;
}

interface Told {
  readonly first: readonly Answer[];
  readonly then: readonly Answer[];
  readonly size: number;
  readonly lent: number;
  readonly waiting: number;
}

class Frozen {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;

  constructor(t: TestContext, config: object) {
    const door = new URL('../../src/doors/index.js', import.meta.url).href;
    const source = `import { Pool } from ${JSON.stringify(door)};\nconst config = ${JSON.stringify(config)};\n${PROGRAM}`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child = child;
    this.#exited = new Promise((resolve) => child.once('exit', () => resolve()));
    t.after(async () => {
      child.kill('SIGKILL');
      await this.#exited;
    });
  }

  tell(word: string): void {
    this.#child.send(word);
  }

  /** The next thing it says. */
  said(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#child.once('message', resolve);
      this.#child.once('exit', () => reject(new Error('it ended before it said anything')));
    });
  }

  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  exited(): Promise<void> {
    return this.#exited;
  }
}

/** A process with a warm pool; frozen while `meanwhile` happens, and given its work by a message or by a timer. */
async function frozen(
  t: TestContext,
  { config, by, meanwhile }: { config: object; by: 'message' | 'timer'; meanwhile: () => Promise<void> },
): Promise<Told> {
  const child = new Frozen(t, config);
  assert.equal(await child.said(), 'warm');
  if (by === 'timer') {
    child.tell('arm');
    assert.equal(await child.said(), 'armed');
  }
  child.freeze();
  await meanwhile();
  await sleep(FROZEN_MS); // the freeze itself
  const told = child.said();
  // It lies in the pipe when the process goes on.
  if (by === 'message') child.tell('go');
  child.thaw();
  const said = (await told) as Told;
  await child.exited();
  return said;
}

function judge(t: TestContext, { first, then, size, lent, waiting }: Told): void {
  t.diagnostic(`after ${first.map(({ ms }) => ms).join(', ')} ms; then ${then.map(({ ms }) => ms).join(', ')} ms`);
  assert.deepEqual(
    [...first, ...then].map(({ outcome }) => outcome),
    Array.from({ length: REQUESTS + then.length }, () => 'served'),
  );
  const slowest = Math.max(...first.map(({ ms }) => ms));
  assert.ok(slowest < BOUND_MS, `the slowest was served after ${slowest} ms`);
  assert.ok(size <= SIZE, `size ${size}`);
  assert.deepEqual([lent, waiting], [0, 0]);
}

async function terminateAll(t: TestContext, name: string): Promise<void> {
  const admin = await withClient(t, server.config);
  assert.equal(await backends(admin, name), SIZE);
  await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [name]);
}

async function proxied(t: TestContext): Promise<FaultProxy> {
  const proxy = await faultProxy({ target: server.config });
  t.after(() => proxy.close());
  return proxy;
}

// Frozen is mostly idle: two at a time do not disturb each other.
describe('a process that was frozen', { concurrency: 2 }, () => {
  for (const by of ['message', 'timer'] as const) {
    it(`frozen while its backends are terminated, work comes by a ${by}: all is served, none after more than a second`, async (t) => {
      const name = freshName();
      const config = { ...server.config, name };
      judge(t, await frozen(t, { config, by, meanwhile: () => terminateAll(t, name) }));
    });
  }

  for (const by of ['message', 'timer'] as const) {
    it(`frozen while the network drops its connections silently, work comes by a ${by}: all is served, none after more than a second`, async (t) => {
      const proxy = await proxied(t);
      const config = { ...server.config, host: proxy.host, port: proxy.port };
      const meanwhile = async (): Promise<void> => {
        const lines = sessionsAt(proxy);
        assert.equal(lines.length, SIZE);
        // New connections pass.
        for (const line of lines) await line.drop();
      };
      judge(t, await frozen(t, { config, by, meanwhile }));
      assert.ok(proxy.peak <= SIZE, `${proxy.peak} sockets at once`);
    });
  }

  for (const by of ['message', 'timer'] as const) {
    it(`frozen while nothing happens to its connections, work comes by a ${by}: they are kept`, async (t) => {
      const proxy = await proxied(t);
      const config = { ...server.config, host: proxy.host, port: proxy.port };
      judge(t, await frozen(t, { config, by, meanwhile: async () => {} }));
      assert.deepEqual([proxy.accepted, proxy.peak], [SIZE, SIZE]);
    });
  }
});
