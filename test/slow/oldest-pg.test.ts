// The oldest pg that is supported, under the tests that lean most on what it has inside: the same compiled tests in a folder whose `pg`
// is that one.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { root } from '../laws/tree.ts';
import { run } from './tarball.ts';

const OLDEST = '8.16.0';
const FILES = [
  'borrowing',
  'condemned',
  'late-cancel',
  'named-statements',
  'returning',
  'silent-lines',
  'tls',
  'transactions',
];

/** Everything that the tests import, but for pg and what belongs to it. */
function furnish(folder: string): void {
  writeFileSync(join(folder, 'package.json'), '{"private":true,"type":"module"}');
  run('npm', ['install', '--no-audit', '--no-fund', '--no-save', `pg@${OLDEST}`], folder);
  const own = join(root, 'node_modules');
  for (const name of readdirSync(own)) {
    const there = join(folder, 'node_modules', name);
    if (!existsSync(there)) symlinkSync(join(own, name), there);
  }
  cpSync(join(root, 'build'), join(folder, 'build'), { recursive: true });
}

test(`the tests that lean on pg's inside pass with pg ${OLDEST}`, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'oxbow-pg-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'node_modules'));
  furnish(folder);
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const files = FILES.map((name) => join(folder, 'build', 'test', 'postgres', `${name}.test.js`));
  const ended = spawnSync(process.execPath, ['--test', '--test-concurrency=2', '--test-reporter=tap', ...files], {
    cwd: folder,
    env,
    encoding: 'utf8',
    timeout: 180_000,
    maxBuffer: 64 * 1024 * 1024,
  });
  const failed = ended.stdout.split('\n').filter((line) => /^\s*not ok/.test(line));
  t.diagnostic(/# pass \d+/.exec(ended.stdout)?.[0] ?? 'no test was run');
  assert.equal(ended.status, 0, failed.join('\n'));
});
