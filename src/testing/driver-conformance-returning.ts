// Conformance cases: bringing a session back to rest, as the pool does when it is returned.

import assert from 'node:assert/strict';
import type { Session } from '../contracts/driver.ts';
import type { Bench, Trial } from './driver-conformance-kit.ts';

export const returningTrials: readonly Trial[] = [
  {
    name: 'rollback ends an open transaction and undoes it',
    async run(bench) {
      const session = await bench.open();
      await bench.run(session, 'begin');
      await bench.run(session, 'leave');
      await bench.soon('rollback resolves', session.rollback());
      assert.equal(session.status, 'idle');
      await bench.run(session, 'leave');
    },
  },
  {
    name: 'rollback ends a failed transaction',
    async run(bench) {
      const session = await bench.open();
      await bench.run(session, 'begin');
      await bench.rejects('the failing statement', bench.start(session, 'fail'));
      await bench.until('the transaction is known as failed', () => session.status === 'failed');
      await bench.soon('rollback resolves', session.rollback());
      assert.equal(session.status, 'idle');
      await bench.run(session, 'quick');
    },
  },
  {
    name: 'discard forgets what was left in the session',
    async run(bench) {
      const session = await bench.open();
      await bench.run(session, 'leave');
      await bench.rejects('to leave the same again', bench.start(session, 'leave'));
      await bench.until('the session is at rest', () => session.status === 'idle');
      await bench.soon('discard resolves', session.discard());
      assert.equal(session.status, 'idle');
      await bench.run(session, 'leave');
    },
  },
  {
    name: 'settle cancels a statement that runs, and nothing that comes after it',
    async run(bench) {
      const session = await bench.open();
      for (let round = 0; round < 3; round++) {
        const running = bench.start(session, 'slow');
        // A round trip elsewhere: the server has begun it by then.
        await bench.run(await bench.open(), 'quick');
        assert.equal(session.status, 'busy');
        assert.equal(await bench.soon('settle resolves', session.settle()), true, 'it says that it cancelled nothing');
        assert.equal(session.status, 'idle');
        await bench.rejects('the cancelled statement', running);
        for (let next = 0; next < 3; next++) await bench.run(session, 'quick');
      }
    },
  },
  {
    name: 'settle of a statement that is over cancels nothing',
    async run(bench) {
      const session = await bench.open();
      await bench.run(session, 'quick');
      assert.equal(await bench.soon('settle resolves', session.settle()), false, 'it says that it cancelled something');
      assert.equal(session.status, 'idle');
      await bench.run(session, 'quick');
    },
  },
];

type Unread<S extends Session> = NonNullable<Bench<S>['options']['unread']>;

/** The cases about a reply whose end has not come. */
export function unreadTrials<S extends Session>(
  unread: Unread<S>,
): { name: string; run: (bench: Bench<S>) => Promise<void> }[] {
  return [
    {
      name: 'settle of a statement that is over but for the end of its reply only reads that end',
      async run(bench) {
        const session = await bench.open();
        const letCome = await bench.soon('the reply is held', unread(session));
        assert.equal(session.status, 'busy');
        const settling = session.settle();
        await bench.turns();
        assert.equal(session.status, 'busy', 'it is not at rest before the end of the reply');
        await letCome();
        assert.equal(await bench.soon('settle resolves', settling), false, 'it says that it cancelled something');
        assert.equal(session.status, 'idle');
        await bench.run(session, 'quick');
      },
    },
    {
      name: 'settle rejects if the session is lost meanwhile',
      async run(bench) {
        const session = await bench.open();
        await bench.soon('the reply is held', unread(session));
        const settling = session.settle();
        settling.catch(() => {});
        await bench.options.kill(session);
        await bench.rejects('settle', settling);
        assert.equal(session.status, 'lost');
      },
    },
  ];
}
