// A pool of either door of ours on the virtual clock, for what real time would only suggest.

import { Pool, type PoolOptions } from '../../../src/doors/index.ts';
import { Pool as PgPool } from '../../../src/doors/pg.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { TalkingDriver } from '../../pool/talking-driver.ts';
import type { Bench } from './contestants.ts';

export interface Timed {
  readonly pool: Pool;
  readonly clock: VirtualClock;
  readonly driver: TalkingDriver;
}

/** Its connections need no check, however long they lay idle. */
export function timed(b: Bench, options: PoolOptions): Timed {
  const clock = new VirtualClock();
  const driver = new TalkingDriver(clock);
  const Class = b.door === 'oxbow' ? Pool : PgPool;
  return { clock, driver, pool: new Class({ ...options, clock, driver, checkAfterIdleMs: false }) };
}
