// The process of one contestant: times rounds of lends, alone and with a thousand callers, and of queries that are answered at once.

import { round } from '../core/rounds.ts';
import { answerAsChild, type Figures } from '../lib/child.ts';
import { warm } from '../lib/contestant.ts';
import type { Ours } from '../lib/ours.ts';
import { stopwatch } from '../lib/stopwatch.ts';
import { isName, make } from './contestants.ts';
import { isScenario, type Scenario } from './scenarios.ts';

const name = process.argv[2];
if (!isName(name)) throw new Error(`unknown contestant ${String(name)}`);
const ours: Ours = await make(name);
await warm(ours);

async function run(scenario: Scenario, operations: number): Promise<void> {
  if (scenario !== 'query') return round(ours, scenario, operations);
  let rows = 0;
  for (let done = 0; done < operations; done += 1) rows += (await ours.pool.query('SELECT 1')).rows.length;
  if (rows !== 0) throw new Error('rows from nowhere');
}

async function time(scenario: Scenario, operations: number): Promise<Figures> {
  const lap = stopwatch();
  await run(scenario, operations);
  const { cpuUs, wallUs } = lap();
  return { cpuNs: (cpuUs * 1_000) / operations, wallNs: (wallUs * 1_000) / operations };
}

answerAsChild(async (question) => {
  const scenario: unknown = Reflect.get(Object(question), 'scenario');
  if (!isScenario(scenario)) throw new Error('no question');
  return time(scenario, Number(Reflect.get(Object(question), 'operations')));
});
