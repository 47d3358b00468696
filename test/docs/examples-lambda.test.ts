// examples/lambda as Lambda treats it: loaded once, invoked one event at a time, frozen between invocations, ended by SIGTERM. On a real
// server, which ends its sessions meanwhile.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { root } from '../laws/tree.ts';
import { backends, eventually, freshName, withClient, withServer } from '../postgres/harness.ts';

const FROZEN_MS = 2_500;
const server = await withServer(test, { url: false });
const admin = await withClient(test, server.config);
await admin.query('create table visits (page text primary key, count int not null default 1)');

/** The runtime: an event comes, the handler's answer goes; the event may be given to it by a timer. Held by nothing but its channel. */
const RUNTIME = `
  import { setTimeout as sleep } from 'node:timers/promises';
  const { handler } = await import(process.argv[1]);
  process.on('message', async ({ event, inMs }) => {
    if (inMs > 0) {
      process.send('armed');
      await sleep(inMs);
    }
    const began = performance.now();
    const answer = await handler(event).then((result) => ({ result }), (error) => ({ error: String(error) }));
    process.send({ ...answer, ms: Math.round(performance.now() - began) });
  });
  process.send('loaded');
`;

interface Answer {
  readonly result?: unknown;
  readonly error?: string;
  readonly ms: number;
}

class Environment {
  readonly name: string = freshName();
  readonly ended: Promise<string | number | null>;
  readonly #child: ChildProcess;

  constructor(t: TestContext, env: NodeJS.ProcessEnv = {}) {
    const handler = pathToFileURL(join(root, 'examples', 'lambda', 'handler.mjs')).href;
    const { NODE_TEST_CONTEXT: _, ...around } = process.env;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', RUNTIME, handler], {
      env: { ...around, DATABASE_URL: server.url, AWS_LAMBDA_FUNCTION_NAME: this.name, ...env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child = child;
    this.ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)));
    t.after(async () => {
      child.kill('SIGKILL');
      await this.ended;
    });
  }

  heard(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#child.once('message', resolve);
      void this.ended.then((how) => reject(new Error(`it ended by ${how} before it answered`)));
    });
  }

  async invoke(page: string): Promise<Answer> {
    const answer = this.heard() as Promise<Answer>;
    this.#child.send({ event: { page }, inMs: 0 });
    return answer;
  }

  /** The event is there, and will be given to the handler so much later. */
  async arm(page: string, inMs: number): Promise<void> {
    const armed = this.heard();
    this.#child.send({ event: { page }, inMs });
    assert.equal(await armed, 'armed');
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}

async function loaded(t: TestContext, env?: NodeJS.ProcessEnv): Promise<Environment> {
  const environment = new Environment(t, env);
  assert.equal(await environment.heard(), 'loaded');
  return environment;
}

async function endSessions(name: string): Promise<void> {
  await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [name]);
}

test('a function that was frozen while the server ended its sessions serves the next invocations', async (t) => {
  const environment = await loaded(t);
  const page = environment.name;
  for (const count of [1, 2]) assert.deepEqual((await environment.invoke(page)).result, { count, pages: 1 });
  assert.equal(await backends(admin, page), 2, 'both stay for the next invocation');
  for (const [count, by] of [
    [3, 'a message'],
    [5, 'a timer'],
  ] as const) {
    // Timers that are due come before what the sockets have to tell.
    if (by === 'a timer') await environment.arm(page, 200);
    environment.signal('SIGSTOP');
    await endSessions(page);
    await sleep(FROZEN_MS); // the freeze itself
    // The message lies there when the process goes on.
    const thawed = by === 'a timer' ? (environment.heard() as Promise<Answer>) : environment.invoke(page);
    environment.signal('SIGCONT');
    const answer = await thawed;
    t.diagnostic(`by ${by}: served in ${answer.ms} ms`);
    assert.deepEqual([answer.result, answer.error], [{ count, pages: 1 }, undefined]);
    assert.ok(answer.ms < 1_000, `served in ${answer.ms} ms`);
    assert.deepEqual((await environment.invoke(page)).result, { count: count + 1, pages: 1 });
  }
});

test('with TRIM=1 no session is left behind when an invocation has ended, and the next one is served', async (t) => {
  const environment = await loaded(t, { TRIM: '1' });
  const page = environment.name;
  for (const count of [1, 2, 3]) {
    const { result } = await environment.invoke(page);
    assert.equal(Reflect.get(Object(result), 'count'), count);
    await eventually('no session is left', async () => (await backends(admin, page)) === 0);
  }
});

test('on SIGTERM the sessions are ended and the function ends, without a wait', async (t) => {
  const environment = await loaded(t);
  await environment.invoke(environment.name);
  const began = performance.now();
  environment.signal('SIGTERM');
  const late = sleep(5_000, 'not at all', { ref: false });
  assert.equal(await Promise.race([environment.ended, late]), 'SIGTERM');
  const ms = performance.now() - began;
  assert.ok(ms < 1_000, `${Math.round(ms)} ms`);
  await eventually('no session is left', async () => (await backends(admin, environment.name)) === 0);
});
