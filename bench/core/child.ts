// The process of one contestant: times rounds, and counts what an acquire creates in a pass of its own that is not timed.

import { createHook } from 'node:async_hooks';
import type { Clock } from '../../src/contracts/clock.ts';
import { systemClock } from '../../src/foundation/system-clock.ts';
import { answerAsChild, type Figures } from '../lib/child.ts';
import { type Contestant, warm } from '../lib/contestant.ts';
import { stopwatch } from '../lib/stopwatch.ts';
import { isName, make } from './contestants.ts';
import { awaitsOnly, round, type Scenario } from './rounds.ts';

const name = process.argv[2];
if (!isName(name)) throw new Error(`unknown contestant ${String(name)}`);

/** Timers that our pool asks its clock for. */
let asked = 0;
const countingClock: Clock = {
  ...systemClock,
  timer: (ms, fire, holdsProcess) => {
    asked += 1;
    return systemClock.timer(ms, fire, holdsProcess);
  },
};

let pool: Contestant | undefined;

async function time(scenario: Scenario, operations: number): Promise<Figures> {
  if (pool === undefined) {
    pool = make(name as Parameters<typeof make>[0]);
    await warm(pool);
  }
  const lap = stopwatch();
  await round(pool, scenario, operations);
  const { cpuUs, wallUs } = lap();
  return { cpuNs: (cpuUs * 1_000) / operations, wallNs: (wallUs * 1_000) / operations };
}

/** What is created per operation, the callers' own awaits taken off. */
async function count(scenario: Scenario, operations: number): Promise<Figures> {
  const counted = make(name as Parameters<typeof make>[0], countingClock);
  await warm(counted);
  await round(counted, scenario, operations);
  const created = new Map<string, number>();
  // Every timer of the process passes here, also one that a library made through a reference it captured at load.
  const hook = createHook({
    init: (_id, type) => {
      created.set(type, (created.get(type) ?? 0) + 1);
    },
  });
  const within = async (work: () => Promise<void>): Promise<Map<string, number>> => {
    created.clear();
    hook.enable();
    await work();
    hook.disable();
    return new Map(created);
  };
  const callers = await within(() => awaitsOnly(scenario, operations));
  asked = 0;
  const all = await within(() => round(counted, scenario, operations));
  const per = (type: string): number => ((all.get(type) ?? 0) - (callers.get(type) ?? 0)) / operations;
  return {
    promises: per('PROMISE'),
    timers: per('Timeout'),
    ticks: per('TickObject'),
    clockTimers: asked / operations,
  };
}

answerAsChild(async (question) => {
  if (typeof question !== 'object' || question === null) throw new Error('no question');
  const what: unknown = Reflect.get(question, 'what');
  const scenario: Scenario = Reflect.get(question, 'scenario') === 'contended' ? 'contended' : 'uncontended';
  const operations = Number(Reflect.get(question, 'operations'));
  return what === 'count' ? count(scenario, operations) : time(scenario, operations);
});
