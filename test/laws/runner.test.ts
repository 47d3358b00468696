// The test runner itself, on a small project made for the purpose: what it counts, and what it must not let pass.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { root } from './tree.ts';

const PASSES = "import test from 'node:test'; test('passes', () => {});";

/** Runs `test.mjs laws` in a project with these compiled files, and returns the exit code and the lines printed. */
function runLaws(t: TestContext, files: Readonly<Record<string, string>>): { code: number | null; lines: string[] } {
  const folder = mkdtempSync(join(tmpdir(), 'oxbow-runner-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const script of ['test.mjs', 'run-file.mjs', 'tally.mjs']) {
    cpSync(join(root, 'scripts', script), join(folder, 'scripts', script));
  }
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  for (const name of ['test/laws/', ...Object.keys(files)]) {
    for (const place of [join(folder, name), join(folder, 'build', name)]) {
      mkdirSync(name.endsWith('/') ? place : dirname(place), { recursive: true });
    }
  }
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(folder, `${name}.ts`), '');
    writeFileSync(join(folder, 'build', `${name}.js`), text);
  }
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const ended = spawnSync(process.execPath, ['scripts/test.mjs', 'laws'], { cwd: folder, env, encoding: 'utf8' });
  return { code: ended.status, lines: `${ended.stderr}${ended.stdout}`.trimEnd().split('\n') };
}

test('a run in which everything passes ends with its counts and exits with 0', (t) => {
  const { code, lines } = runLaws(t, { 'test/laws/a.test': PASSES, 'test/laws/b.test': PASSES });
  assert.equal(lines.at(-1), '2 passed, 0 failed, 0 skipped');
  assert.equal(code, 0);
});

test('a failing test is named, counted and fails the run', (t) => {
  const { code, lines } = runLaws(t, {
    'test/laws/a.test': PASSES,
    'test/laws/b.test': "import test from 'node:test'; test('breaks', () => { throw new Error('broken'); });",
  });
  assert.equal(lines.at(-1), '1 passed, 1 failed, 0 skipped');
  assert.ok(lines.includes('✖ b.test.js: breaks'));
  assert.equal(code, 1);
});

test('a file that crashes before its first test counts as failed', (t) => {
  const { code, lines } = runLaws(t, { 'test/laws/a.test': PASSES, 'test/laws/b.test': "throw new Error('early');" });
  assert.equal(lines.at(-1), '1 passed, 1 failed, 0 skipped');
  assert.equal(code, 1);
});

test('a file that ends with another exit code than 0 counts as failed beside its tests', (t) => {
  const { code, lines } = runLaws(t, {
    'test/laws/a.test': `${PASSES} process.on('exit', () => { process.exitCode = 3; });`,
  });
  assert.equal(lines.at(-1), '1 passed, 1 failed, 0 skipped');
  assert.equal(code, 1);
});

test('a file without a test counts as failed', (t) => {
  const { code, lines } = runLaws(t, { 'test/laws/a.test': PASSES, 'test/laws/b.test': '' });
  assert.equal(lines.at(-1), '1 passed, 1 failed, 0 skipped');
  assert.ok(lines.includes('✖ b.test.js: holds no test'));
  assert.equal(code, 1);
});

test('an unexpected skipped test fails the run, which says so', (t) => {
  const { code, lines } = runLaws(t, {
    'test/laws/a.test': `${PASSES} test('rests', { skip: true }, () => {});`,
  });
  assert.equal(lines.at(-1), '1 passed, 0 failed, 1 skipped');
  assert.match(lines.at(-2) ?? '', /1 skipped, expected 0/);
  assert.equal(code, 1);
});

test('a run without a test file fails', (t) => {
  const { code, lines } = runLaws(t, {});
  assert.ok(lines.includes('✖ no test file in test/laws'));
  assert.equal(lines.at(-1), '0 passed, 1 failed, 0 skipped');
  assert.equal(code, 1);
});

test('a test that lies in no suite fails the run', (t) => {
  const { code, lines } = runLaws(t, { 'test/laws/a.test': PASSES, 'test/elsewhere/a.test': PASSES });
  assert.ok(lines.some((line) => /^✖ in no suite .*elsewhere/.test(line)));
  assert.equal(lines.at(-1), '1 passed, 1 failed, 0 skipped');
  assert.equal(code, 1);
});
