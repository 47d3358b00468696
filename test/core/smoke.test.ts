import assert from 'node:assert/strict';
import test from 'node:test';
import { Rig } from '../kit/rig.ts';

test('a first request opens a connection, the second reuses it, close leaves nothing behind', async () => {
  const rig = new Rig();
  const lease = await rig.get();
  rig.audit();
  lease.release();
  const again = await rig.get();
  assert.equal(again.session, lease.session);
  assert.throws(() => lease.release(), { code: 'LEASE_RELEASED' });
  const closing = rig.engine.close({ drainMs: 1_000, cancelMs: 100, waiting: 'reject' });
  await rig.clock.advance(10);
  again.release();
  await rig.clock.advance(10);
  assert.deepEqual(await closing, { closed: 1, cancelled: 0, destroyed: 0, rejected: 0, stillHeld: [] });
  assert.equal(rig.driver.sockets, 0);
  assert.equal(rig.clock.pendingTimers, 0);
  assert.equal(rig.engine.phase, 'closed');
});

test('ten cold borrowers on slow connects are not served one by one', async () => {
  const rig = new Rig({ settings: { max: 10 }, script: (call) => (call === 'open' ? { afterMs: 200 } : undefined) });
  const asks = Array.from({ length: 10 }, () => rig.ask());
  await rig.clock.advance(850);
  assert.equal(asks.filter((ask) => ask.lease).length, 10);
});

test("psycopg's spike: fifty two-millisecond borrowers on five connections stay below seven", async () => {
  const rig = new Rig({
    settings: { min: 5, max: 10 },
    script: (call) => (call === 'open' ? { afterMs: 150 } : undefined),
  });
  const open = rig.engine.open();
  await rig.clock.advance(1_000);
  await open;
  const work = Array.from({ length: 50 }, async () => {
    const lease = await rig.engine.acquire();
    rig.clock.timer(2, () => lease.release());
  });
  await rig.clock.advance(500);
  await Promise.all(work);
  assert.equal(rig.driver.peakSockets, 5);
});
