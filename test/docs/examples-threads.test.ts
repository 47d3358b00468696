// The example of threads, run as its reader runs it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { backends, withClient, withServer } from '../postgres/harness.ts';

const server = await withServer(test, { url: false });
const admin = await withClient(test, server.config);
const main = fileURLToPath(new URL('../../../examples/threads/main.mjs', import.meta.url));

test('four threads count all primes below 200 000 on three connections', { timeout: 60_000 }, async () => {
  const child = spawn(process.execPath, [main], {
    env: { ...process.env, DATABASE_URL: server.url },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err, ended] = ['', '', false];
  child.stdout.on('data', (chunk) => {
    out += String(chunk);
  });
  child.stderr.on('data', (chunk) => {
    err += String(chunk);
  });
  const code = new Promise((resolve) => {
    child.once('close', (exit) => {
      ended = true;
      resolve(exit);
    });
  });
  let [most, before] = [0, 0];
  while (!ended) {
    const now = await backends(admin, 'primes');
    most = Math.max(most, Math.min(now, before));
    before = now;
    await sleep(5);
  }
  assert.deepEqual([await code, err], [0, '']);
  assert.match(out, /^17984 primes in 20 ranges\n\{ kind: 'threads', limit: 3, used: \d, held: [01], members: 1 \}\n$/);
  assert.ok(most >= 1 && most <= 3, `${most} sessions`);
});
