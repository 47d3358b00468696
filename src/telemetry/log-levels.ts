// How loud each event of a pool is in its user's log. Owns the levels; who writes is the pool.

import type { Observer } from '../contracts/events.ts';

export type Level = 'debug' | 'info' | 'warn';

export const LEVELS: Readonly<Record<keyof Observer, Level>> = {
  phase: 'info',
  opening: 'debug',
  opened: 'debug',
  openFailed: 'warn',
  waiting: 'debug',
  lent: 'debug',
  refused: 'debug',
  returned: 'debug',
  retired: 'debug',
  lost: 'info',
  closed: 'debug',
  report: 'warn',
};
