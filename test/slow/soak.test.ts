// The soak for 20 seconds, as `npm run soak` runs it: in processes of their own, because each must also end by itself, and two at
// once, because several soaks must not meet.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const SOAK = fileURLToPath(new URL('../soak/main.js', import.meta.url));

function soak(...args: readonly string[]): Promise<{ code: number | null; text: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [SOAK, ...args],
      { timeout: 120_000, maxBuffer: 16_000_000 },
      (_error, out, err) => resolve({ code: child.exitCode, text: `${out}\n${err}` }),
    );
  });
}

test('20 s of mixed load and faults of every kind leave every equation of the pool standing, whatever its reset, whoever speaks', {
  timeout: 150_000,
}, async () => {
  const runs = await Promise.all([
    soak('--seconds', '20', '--seed', '20'),
    soak('--seconds', '20', '--seed', '21', '--reset', 'tracked', '--silent-after', '700'),
    soak('--seconds', '20', '--seed', '22', '--speaker', 'pg'),
  ]);
  for (const { code, text } of runs) {
    assert.equal(code, 0, text);
    assert.match(text, /All equations hold\./);
    assert.match(text, /ok {4}violations {2}0 = 0/, text);
  }
});

test('15 s of threads that come, go, pause and block leave every equation of their one limit standing', {
  timeout: 90_000,
}, async () => {
  const { code, text } = await soak('threads', '--seconds', '15', '--seed', '24');
  assert.equal(code, 0, text);
  assert.match(text, /All equations hold\./);
  assert.match(text, /ok {4}sessions {4}most, in two samples in a row [1-6] ≤ limit 6/, text);
});

test('a seed decides the sequence of faults and what each task asks for', async () => {
  const [once, again, other] = await Promise.all(['7', '7', '8'].map((seed) => soak('--plan', '50', '--seed', seed)));
  assert.equal(once?.code, 0, once?.text);
  assert.match(once?.text ?? '', /fault 49: after \d+ ms, [a-z]/);
  assert.equal(once?.text, again?.text);
  assert.notEqual(once?.text.replace('seed 7', ''), other?.text.replace('seed 8', ''));
});

test('without a seed one is drawn and said, and what is wrong on the command line is named', async () => {
  assert.match((await soak('--plan', '1')).text, /^seed \d+\n/);
  for (const args of [['--seconds', '4'], ['--reset', 'x'], ['threads', '--peers'], ['--write'], ['--sed', '1']]) {
    const { code, text } = await soak(...args);
    assert.equal(code, 2, text);
    assert.match(text, /npm run soak/);
  }
});
