// The process of one state: a pool on a driver that answers at once, and the state of the process that its options, and what came before,
// have brought about.

import { Pool } from '../../src/doors/index.ts';
import { systemClock } from '../../src/foundation/system-clock.ts';
import { answerAsChild } from '../lib/child.ts';
import { InstantDriver } from '../lib/ours.ts';
import { stopwatch } from '../lib/stopwatch.ts';
import { round, SCENARIOS, STATES } from './rounds.ts';

const state = STATES.find((name) => name === process.argv[2]);
if (state === undefined) throw new Error(`unknown state ${String(process.argv[2])}`);

const follows = state === 'fresh' || state === 'on';
const options = { clock: systemClock, dev: false, max: 10, nestedAcquire: follows ? 'detect' : 'allow' } as const;
const pool = new Pool({ ...options, driver: new InstantDriver() });

/** As it comes about in production: everything is lent, and somebody waits. */
async function exhaust(): Promise<void> {
  const crowded = new Pool({ ...options, max: 1, driver: new InstantDriver() });
  const lease = await crowded.acquire();
  const waiting = crowded.use(() => {});
  await new Promise((done) => systemClock.timer(200, () => done(undefined), true));
  lease.release();
  await waiting;
  await crowded.close();
}

const ready = state === 'on' ? exhaust() : Promise.resolve();

answerAsChild(async (question) => {
  await ready;
  const asked: unknown = Reflect.get(Object(question), 'scenario');
  const scenario = SCENARIOS.find((name) => name === asked);
  if (scenario === undefined) throw new Error(`unknown scenario ${String(asked)}`);
  const operations = Number(Reflect.get(Object(question), 'operations'));
  const lap = stopwatch();
  await round(pool, scenario, operations);
  const { cpuUs, wallUs } = lap();
  return { cpuNs: (cpuUs * 1_000) / operations, wallNs: (wallUs * 1_000) / operations };
});
