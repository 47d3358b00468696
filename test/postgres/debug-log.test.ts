// NODE_DEBUG=oxbow: what happens in a pool, on stderr, in a process of its own.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';
import { withServer } from './harness.ts';

const server = await withServer(test);

function stderrOf(options: string, debug: string): string {
  const source = `
    import { Pool } from ${JSON.stringify(new URL('../../src/doors/index.js', import.meta.url).href)};
    const pool = new Pool({ ...${JSON.stringify(server.config)}, name: 'talkative', ${options} });
    await pool.query('SELECT 1');
    await pool.query('BEGIN').catch(() => {});
    await pool.close();`;
  const args = ['--input-type=module', '--eval', source];
  const { stderr, status } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    timeout: 30_000,
    env: { ...process.env, NODE_DEBUG: debug },
  });
  assert.equal(status, 0, stderr);
  return stderr;
}

test('NODE_DEBUG=oxbow writes what happens, with the name of the pool and without the password', () => {
  const lines = stderrOf('', 'oxbow');
  for (const line of [
    /^OXBOW \d+: talkative: phase from=created to=open/m,
    /^OXBOW \d+: talkative: opened id=1 ms=[\d.]+ pid=\d+$/m,
    /^OXBOW \d+: talkative: lent id=1 lease=1 waitedMs=[\d.]+$/m,
    /^OXBOW \d+: talkative: returned id=1 lease=1 heldMs=[\d.]+ outcome=clean$/m,
    /^OXBOW \d+: talkative: closed id=1 bySocketDestroyed=false$/m,
  ]) {
    assert.match(lines, line);
  }
  assert.ok(!lines.includes(String(server.config.password)));
});

test('without it, or with a logger, nothing is written', () => {
  assert.equal(stderrOf('', ''), '');
  assert.equal(stderrOf('logger: { debug() {}, info() {}, warn() {}, error() {} }', 'oxbow'), '');
});
