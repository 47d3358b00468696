// Where a lease was taken (`callSites`), on the virtual clock: a place is right or it is not given at all.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Pool, type PoolOptions } from '../../src/doors/index.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { TalkingDriver } from './talking-driver.ts';

function rig(options: PoolOptions): { pool: Pool; clock: VirtualClock } {
  const clock = new VirtualClock();
  return {
    clock,
    pool: new Pool({ max: 1, dev: false, clock, driver: new TalkingDriver(clock, Infinity), ...options }),
  };
}

/** The line of this call's caller, as a call site shows it. */
function here(offset = 0): string {
  const line = /call-sites\.test\.(?:js|ts):(\d+)/g;
  const found = [...(new Error().stack ?? '').matchAll(line)][1]?.[1];
  return `:${Number(found) + offset}`;
}

/** Uses up what `auto` may note at once. */
async function spend(pool: Pool): Promise<void> {
  for (let lend = 0; lend < 600; lend += 1) (await pool.acquire()).release();
}

test('auto: who waited while nothing could be noted has no place, not the place of whoever gave the connection back', async () => {
  const { pool, clock } = rig({ callSites: 'auto' });
  await spend(pool);
  const held = await pool.acquire();
  const waiting = pool.acquire();
  // By then notes can be afforded again.
  await clock.advance(5_000);
  held.release();
  const lease = await waiting;
  assert.equal(pool.holders()[0]?.site, undefined);
  lease.release();
});

test('auto and true: who waits is named by its own line, not by that of whoever gave the connection back', async () => {
  for (const callSites of ['auto', true] as const) {
    const { pool } = rig({ callSites });
    const held = await pool.acquire();
    const line = here(1);
    const waiting = pool.acquire();
    held.release();
    const lease = await waiting;
    assert.ok(
      pool.holders()[0]?.site?.endsWith(line),
      `${callSites}: ${pool.holders()[0]?.site} does not end with ${line}`,
    );
    lease.release();
  }
});

test('auto: a lend at once with more than half of max out is named, as long as notes can be afforded', async () => {
  const { pool, clock } = rig({ callSites: 'auto', max: 2 });
  const asked = [pool.acquire(), pool.acquire()];
  await clock.advance(100);
  for (const lease of await Promise.all(asked)) lease.release();
  await pool.acquire();
  const line = here(1);
  await pool.acquire();
  assert.ok(pool.holders()[1]?.site?.endsWith(line), `${pool.holders()[1]?.site} does not end with ${line}`);
});

test('false: nobody is named', async () => {
  const { pool } = rig({ callSites: false });
  const lease = await pool.acquire();
  assert.equal(pool.holders()[0]?.site, undefined);
  lease.release();
});

test('where stacks are no texts, or cannot be read, nobody is named and nothing else is lost', async () => {
  const own = Error.prepareStackTrace;
  for (const prepare of [
    (_: Error, sites: unknown): unknown => sites,
    (): unknown => {
      throw new Error('no stack today');
    },
  ]) {
    const clock = new VirtualClock();
    const pool = new Pool({
      clock,
      driver: new TalkingDriver(clock),
      max: 1,
      callSites: true,
      leakAfterMs: 100,
      dev: true,
    });
    const opening = pool.open();
    await clock.advance(50);
    await opening;
    Error.prepareStackTrace = prepare;
    try {
      const lease = await pool.acquire();
      await clock.advance(2_000);
      assert.equal(pool.holders()[0]?.site, undefined);
      lease.release();
    } finally {
      Error.prepareStackTrace = own;
    }
    assert.deepEqual([pool.snapshot().idle, pool.snapshot().returning, pool.stats().leaksReported], [1, 0, 1]);
    void pool.close();
    await clock.advance(5_000);
  }
});
