// The process of one contestant and one phase: warms up, repeats, answers with means (a collection in one round of
// forty is part of what each of them costs) and maxima.

import { answerAsChild, type Figures } from '../lib/child.ts';
import { type Crowd, crowd, isName, type Name } from './crowd.ts';
import { abort, block, expire, serve, timeoutFor, weigh } from './phases.ts';

const PHASES = {
  serve,
  expire,
  abortShared: (pool: Crowd, waiters: number): Promise<Figures> => abort(pool, waiters, false),
  abortEach: (pool: Crowd, waiters: number): Promise<Figures> => abort(pool, waiters, true),
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
  // One pool for all rounds, and no collection forced in between: V8 throws away the code compiled for objects of which none is
  // alive at a collection, and a pool in use always has some.
  const leave = phase === 'expire' || phase === 'block';
  const pool = leave ? crowd(who, timeoutFor(waiters)) : crowd(who);
  const found = new Map<string, number[]>();
  for (let round = 0; round < rounds; round += 1) {
    for (const [key, value] of Object.entries(await PHASES[phase](pool, waiters))) {
      found.set(key, [...(found.get(key) ?? []), value]);
    }
  }
  const figures: Record<string, number> = {};
  for (const [key, values] of found) {
    figures[key] = values.reduce((sum, value) => sum + value, 0) / values.length;
    figures[`${key}Max`] = Math.max(...values);
  }
  return figures;
});
