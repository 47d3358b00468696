// examples/lambda as Lambda treats it: loaded once, invoked one event at a time, frozen between invocations, ended by SIGTERM. On a real
// server, which ends its sessions meanwhile.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { faultProxy } from '../../src/testing/fault-proxy.ts';
import { root } from '../laws/tree.ts';
import { backends, eventually, freshName, withClient, withServer } from '../postgres/harness.ts';
import { sessionsAt } from '../postgres/through-proxy.ts';

const FROZEN_MS = 2_500;
const server = await withServer(test, { url: false });
const admin = await withClient(test, server.config);
await admin.query('create table visits (page text primary key, count int not null default 1)');

/** The runtime: an event comes, the handler's answer goes. Held by nothing but its channel. */
const RUNTIME = `
  const { handler } = await import(process.argv[1]);
  process.on('message', async (event) => {
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
    this.#child.send({ page });
    return answer;
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

/** Frozen while `meanwhile` happens; the event is there when it goes on, and has to be served in time. */
async function thaw(t: TestContext, environment: Environment, meanwhile: () => Promise<void>): Promise<unknown> {
  environment.signal('SIGSTOP');
  await meanwhile();
  await sleep(FROZEN_MS); // the freeze itself
  const thawed = environment.invoke(environment.name);
  environment.signal('SIGCONT');
  const { result, error, ms } = await thawed;
  t.diagnostic(`served in ${ms} ms`);
  assert.equal(error, undefined);
  assert.ok(ms < 1_000, `served in ${ms} ms`);
  return Reflect.get(Object(result), 'count');
}

async function warm(environment: Environment): Promise<void> {
  for (const count of [1, 2])
    assert.deepEqual((await environment.invoke(environment.name)).result, { count, pages: 1 });
  assert.equal(await backends(admin, environment.name), 2, 'both stay for the next invocation');
}

test('a function that was frozen while the server ended its sessions serves the next invocations', async (t) => {
  const environment = await loaded(t);
  const { name } = environment;
  await warm(environment);
  const text = 'select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1';
  assert.equal(await thaw(t, environment, async () => void (await admin.query(text, [name]))), 3);
  const { result } = await environment.invoke(name);
  assert.deepEqual(result, { count: 4, pages: 1 });
});

test('a function that was frozen while the network dropped its connections in silence serves the next invocations', async (t) => {
  const proxy = await faultProxy({ target: server.config });
  t.after(() => proxy.close());
  const url = new URL(server.url);
  url.host = `${proxy.host}:${proxy.port}`;
  const environment = await loaded(t, { DATABASE_URL: url.href });
  await admin.query('truncate visits');
  await warm(environment);
  const drop = async (): Promise<void> => {
    const lines = sessionsAt(proxy);
    assert.equal(lines.length, 2);
    for (const line of lines) await line.drop();
  };
  assert.equal(await thaw(t, environment, drop), 3);
  const { result } = await environment.invoke(environment.name);
  assert.deepEqual(result, { count: 4, pages: 1 });
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
