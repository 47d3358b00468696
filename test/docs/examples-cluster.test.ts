// The program in examples/cluster: run, asked, robbed of a process, and stopped.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { backends, eventually, withClient, withServer } from '../postgres/harness.ts';

interface Answer {
  readonly process: number;
  readonly held: number;
  readonly limit: number;
}

test('examples/cluster: four processes serve at one port with eight connections, one of them may be killed, and SIGTERM ends them all', async (t) => {
  const server = await withServer(t);
  const admin = await withClient(t, server.config);
  const main = fileURLToPath(new URL('../../../examples/cluster/main.js', import.meta.url));
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child = spawn(process.execPath, [main], {
    env: { ...env, DATABASE_URL: server.url, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | string | null>((resolve) => {
    child.on('close', (code, signal) => resolve(signal ?? code));
  });
  t.after(() => void child.kill('SIGTERM'));
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += String(chunk);
  });
  const url = await eventually('it listens', () => /http:\S+/.exec(said)?.[0]);
  const sessions = (): Promise<number> => backends(admin, 'cluster-example');
  let most = 0;
  const ask = async (withinMs = 10_000): Promise<Answer> => {
    // What the cluster had handed to a process that was killed before it looked is answered by nobody.
    const response = await fetch(url, { headers: { connection: 'close' }, signal: AbortSignal.timeout(withinMs) });
    return (await response.json()) as Answer;
  };
  const many = async (): Promise<Answer[]> => {
    const asked = Promise.all(Array.from({ length: 200 }, () => ask()));
    const answers = await Promise.race([asked, watched(asked)]);
    return answers ?? asked;
  };
  const watched = async (work: Promise<unknown>): Promise<undefined> => {
    let over = false;
    work.finally(() => {
      over = true;
    });
    while (!over) most = Math.max(most, await sessions());
    return undefined;
  };
  const answers = await many();
  assert.equal(new Set(answers.map((one) => one.process)).size, 4);
  for (const { held, limit } of answers) assert.ok(held <= limit && limit === 8);
  process.kill(answers[0]?.process ?? 0, 'SIGKILL');
  await eventually('another took its place', async () => {
    const now = await ask(500).catch(() => undefined);
    return now !== undefined && !answers.some((one) => one.process === now.process);
  });
  assert.equal((await many()).length, 200);
  t.diagnostic(`at most ${most} sessions`);
  assert.ok(most > 0 && most <= 8 + 4, `${most} sessions`);
  child.kill('SIGTERM');
  assert.equal(await ended, 0);
  await eventually('no session is left', async () => (await sessions()) === 0);
});
