// The process of one contestant and one phase: warms up, repeats, answers with medians.

import { answerAsChild, type Figures } from '../lib/child.ts';
import { median } from '../lib/statistics.ts';
import { isName, type Name } from './crowd.ts';
import { abort, block, expire, serve, weigh } from './phases.ts';

const PHASES = {
  serve,
  expire,
  abortShared: (name: Name, waiters: number): Promise<Figures> => abort(name, waiters, false),
  abortEach: (name: Name, waiters: number): Promise<Figures> => abort(name, waiters, true),
  weigh,
  block,
};

export type Phase = keyof typeof PHASES;

function isPhase(phase: unknown): phase is Phase {
  return typeof phase === 'string' && phase in PHASES;
}

const name = process.argv[2];
if (!isName(name)) throw new Error(`unknown contestant ${String(name)}`);
const who: Name = name;

answerAsChild(async (question) => {
  if (typeof question !== 'object' || question === null) throw new Error('no question');
  const phase: unknown = Reflect.get(question, 'phase');
  if (!isPhase(phase)) throw new Error(`unknown phase ${String(phase)}`);
  const waiters = Number(Reflect.get(question, 'waiters'));
  const rounds = Number(Reflect.get(question, 'rounds'));
  const found = new Map<string, number[]>();
  for (let round = 0; round < rounds; round += 1) {
    for (const [key, value] of Object.entries(await PHASES[phase](who, waiters))) {
      found.set(key, [...(found.get(key) ?? []), value]);
    }
  }
  const figures: Record<string, number> = {};
  for (const [key, values] of found) {
    figures[key] = median(values);
    figures[`${key}Max`] = Math.max(...values);
  }
  return figures;
});
