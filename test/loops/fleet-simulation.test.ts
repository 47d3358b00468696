// Twenty seconds of two hundred simulated processes in bad weather: what must never be, and what they get done. In a process of its own:
// the test runner watches each promise, of which there are millions.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Figures } from '../../bench/fleet/simulation.ts';

test('200 processes share 100 permits, with crashes, pauses, wrong clocks, lost notifications and a restart', async (t) => {
  const seed = process.env.OXBOW_FLEET_SEED ?? '20261128';
  t.diagnostic(`seed ${seed} (OXBOW_FLEET_SEED)`);
  const main = fileURLToPath(new URL('../../bench/fleet/main.js', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [main, '--seconds', '20', '--seed', seed, '--json']);
  const f: Figures = JSON.parse(stdout);
  t.diagnostic(stdout);
  assert.deepEqual(f.wrong, []);
  assert.equal(f.mostGranted, 100);
  assert.ok(f.mostUnproven <= 1, `${f.mostUnproven} sessions without a permit in one process`);
  assert.ok(f.mostSessions <= 100 + 200);
  assert.ok(f.granted > 0.95, `granted ${f.granted}`);
  assert.ok(f.jain > 0.85, `Jain's index ${f.jain}`);
  assert.ok(f.opsOfHungry.least > 0, 'nobody starves');
  assert.ok(f.restartMs !== undefined && f.restartMs < 3_000, `back ${f.restartMs} ms after the restart`);
  assert.ok(f.rebalanceMs.p99 < 1_000, `${f.rebalanceMs.p99} ms after a crash`);
  const statements = Object.values(f.statementsPerS).reduce((sum, one) => sum + one, 0);
  assert.ok(statements < 2_500, `${statements} statements a second`);
});
