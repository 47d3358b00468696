// Conformance cases: how a session ends, planned or not, and that its socket is gone when it says so.

import assert from 'node:assert/strict';
import type { Session } from '../contracts/driver.ts';
import type { Bench, Trial } from './driver-conformance-kit.ts';

/** The errors of which the session's one listener was told. */
function losses(session: Session): unknown[] {
  const told: unknown[] = [];
  session.onLost((error) => told.push(error));
  return told;
}

async function killed<S extends Session>(bench: Bench<S>, session: S): Promise<void> {
  await bench.options.kill(session);
  await bench.until('the session is known as lost', () => session.status === 'lost');
}

export const endingTrials: readonly Trial[] = [
  {
    name: 'end resolves when the socket is gone',
    async run(bench) {
      const session = await bench.open();
      await bench.soon('end resolves', session.end());
      assert.equal(bench.sockets, 0, 'the socket is still there');
      assert.equal(session.status, 'lost');
    },
  },
  {
    name: 'end may be repeated, and followed by destroy',
    async run(bench) {
      const session = await bench.open();
      await bench.soon('both ends resolve', Promise.all([session.end(), session.end()]));
      await bench.soon('end resolves', session.end());
      await bench.soon('destroy resolves', session.destroy());
      assert.equal(bench.sockets, 0);
    },
  },
  {
    name: 'destroy resolves when the socket is gone',
    async run(bench) {
      const session = await bench.open();
      await bench.soon('destroy resolves', session.destroy());
      assert.equal(bench.sockets, 0, 'the socket is still there');
      assert.equal(session.status, 'lost');
    },
  },
  {
    name: 'destroy may be repeated',
    async run(bench) {
      const session = await bench.open();
      await bench.soon('both resolve', Promise.all([session.destroy(), session.destroy()]));
      await bench.soon('once more', session.destroy());
      assert.equal(bench.sockets, 0);
    },
  },
  {
    name: 'destroy cuts a running statement, which then rejects',
    async run(bench) {
      const session = await bench.open();
      const running = bench.start(session, 'slow');
      await bench.soon('destroy resolves', session.destroy());
      assert.equal(bench.sockets, 0, 'the socket is still there');
      await bench.rejects('the statement', running);
    },
  },
  {
    name: 'destroy overtakes an end that is under way',
    async run(bench) {
      const session = await bench.open();
      const ending = session.end();
      await bench.soon('destroy resolves', session.destroy());
      assert.equal(bench.sockets, 0, 'the socket is still there');
      await bench.soon('the end resolves too', ending);
    },
  },
  {
    name: 'a planned end is not told as a loss',
    async run(bench) {
      for (const how of ['end', 'destroy'] as const) {
        const session = await bench.open();
        const told = losses(session);
        await bench.soon(`${how} resolves`, session[how]());
        await bench.turns();
        assert.deepEqual(told, [], `after ${how}`);
      }
    },
  },
  {
    name: 'a session that was ended from the other side is lost, and that is told once',
    async run(bench) {
      const session = await bench.open();
      const told = losses(session);
      await bench.options.kill(session);
      await bench.until('the loss is told', () => told.length > 0);
      assert.equal(session.status, 'lost');
      assert.ok(told[0] instanceof Error, 'it is told with an Error');
      await bench.soon('destroy resolves', session.destroy());
      await bench.turns();
      assert.equal(told.length, 1);
      assert.equal(bench.sockets, 0);
    },
  },
  {
    name: 'a loss is told also to a listener that came after it, once',
    async run(bench) {
      const session = await bench.open();
      await killed(bench, session);
      const told = losses(session);
      await bench.until('the loss is told', () => told.length > 0);
      await bench.turns();
      assert.equal(told.length, 1);
      assert.ok(told[0] instanceof Error, 'it is told with an Error');
    },
  },
  {
    name: 'a running statement rejects when its session is lost',
    async run(bench) {
      const session = await bench.open();
      const running = bench.start(session, 'slow');
      await bench.options.kill(session);
      await bench.rejects('the statement', running);
      await bench.until('the session is known as lost', () => session.status === 'lost');
    },
  },
];
