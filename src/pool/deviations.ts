// Where our pools differ from `pg.Pool` on purpose, as data: what a user of pg meets here that is otherwise there. Owns the shape and the
// whole list; the rows stand by topic. Each names the test that shows it, on pg's pool and on ours.

import { connecting } from './deviations-connecting.ts';
import { using } from './deviations-using.ts';

/** A known difference between `pg.Pool` and a pool of ours. */
export interface Deviation {
  /** Its name, for references. */
  readonly id: string;
  /** What `pg.Pool` does. */
  readonly pg: string;
  /** What our pool does. */
  readonly ours: string;
  /** Why it is better so. */
  readonly why: string;
  /** Whose pool differs: `Pool` of `oxbow`, that of `oxbow/pg`, or both. */
  readonly doors: readonly Door[];
  /** The title of its test, in `test/peers/pg-pool`. */
  readonly test: string;
}

export type Door = 'oxbow' | 'oxbow/pg';

/** Every known difference; options and methods that pg does not have are none. */
export const deviations: readonly Deviation[] = [...connecting, ...using];
