// Who takes part, by name. `ours again` is the same as `ours` in another process: the A/A row.

import type { Clock } from '../../src/contracts/clock.ts';
import { createThreadBudget } from '../../src/doors/threads.ts';
import { type Contestant, MAX } from '../lib/contestant.ts';
import { ClockedLimit, Limit } from '../lib/limit.ts';
import { Ours } from '../lib/ours.ts';
import { GenericPool, PgPool, Tarn } from '../lib/peers.ts';

const CONTESTANTS = {
  ours: (clock?: Clock): Contestant => new Ours(clock && { clock }),
  'ours again': (clock?: Clock): Contestant => new Ours(clock && { clock }),
  'ours, dev': (clock?: Clock): Contestant => new Ours({ ...(clock && { clock }), dev: true }),
  'ours, shared by threads': (clock?: Clock): Contestant =>
    new Ours({ ...(clock && { clock }), budget: createThreadBudget({ max: MAX }) }),
  'pg-pool': (): Contestant => new PgPool(),
  'pg-pool, connectionTimeoutMillis 30000': (): Contestant => new PgPool({ connectionTimeoutMillis: 30_000 }),
  'pg-pool, idleTimeoutMillis 0': (): Contestant => new PgPool({ idleTimeoutMillis: 0 }),
  'generic-pool': (): Contestant => new GenericPool(),
  tarn: (): Contestant => new Tarn(),
  'limit: one awaited promise': (): Contestant => new Limit(),
  'limit: one awaited promise, two looks at the clock': (): Contestant => new ClockedLimit(),
};

export type Name = keyof typeof CONTESTANTS;

export function isName(name: string | undefined): name is Name {
  return name !== undefined && name in CONTESTANTS;
}

export const NAMES: readonly Name[] = Object.keys(CONTESTANTS).filter(isName);

/** `clock` is for ours alone: the others have no such port. */
export function make(name: Name, clock?: Clock): Contestant {
  return CONTESTANTS[name](clock);
}
