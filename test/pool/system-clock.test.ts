// The machine's clock where a test runner has its hands on it already when the pool is loaded.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';
import test from 'node:test';
import { buildSync } from 'esbuild';
import type { Clock } from '../../src/contracts/clock.ts';
import { systemClock } from '../../src/foundation/system-clock.ts';
import { root } from '../laws/tree.ts';

const genuine = createRequire(import.meta.url);

/** The clock as CommonJS, in a world that has `world` for `process`. */
function loadedIn(world: typeof process): Clock {
  const entryPoints = [join(root, 'dist/foundation/system-clock.js')];
  const { outputFiles } = buildSync({ entryPoints, bundle: true, platform: 'node', format: 'cjs', write: false });
  const module: { exports: { systemClock?: Clock } } = { exports: {} };
  const require = (name: string): unknown => (name.replace(/^node:/, '') === 'process' ? world : genuine(name));
  new Function('module', 'exports', 'require', outputFiles[0]?.text ?? '')(module, module.exports, require);
  assert.ok(module.exports.systemClock);
  return module.exports.systemClock;
}

/** Jest gives each test file a copy of `process`; with fake timers `hrtime` in it stands still, while `node:timers` are the real ones. */
function jestWorld(): typeof process {
  const still = Object.assign((): [number, number] => [0, 0], { bigint: () => 0n });
  return Object.assign(Object.create(process) as typeof process, { hrtime: still });
}

test('time passes for a pool that is loaded where a fake clock stands still', () => {
  const clock = loadedIn(jestWorld());
  const faked = clock.now();
  const real = systemClock.now();
  while (systemClock.now() - real < 2);
  assert.ok(clock.now() - faked >= 2, `${clock.now() - faked} ms`);
});

test('the monotonic time agrees with the machine’s, in milliseconds', () => {
  const before = process.hrtime.bigint();
  const began = systemClock.now();
  while (Number(process.hrtime.bigint() - before) / 1e6 < 5);
  const passed = systemClock.now() - began;
  const most = Number(process.hrtime.bigint() - before) / 1e6;
  assert.ok(passed > 4.9 && passed <= most, `${passed} of at most ${most} ms`);
});
