// Conformance cases: what a session says about itself, and a ping that leaves it so.

import assert from 'node:assert/strict';
import type { Trial } from './driver-conformance-kit.ts';

export const statusTrials: readonly Trial[] = [
  {
    name: 'a session is busy from the start of a statement to its end, then at rest',
    async run(bench) {
      const session = await bench.open();
      const running = bench.start(session, 'quick');
      assert.equal(session.status, 'busy');
      await bench.soon('the statement is over', running);
      assert.equal(session.status, 'idle');
    },
  },
  {
    name: 'a statement that fails outside a transaction leaves the session at rest',
    async run(bench) {
      const session = await bench.open();
      await bench.rejects('the failing statement', bench.start(session, 'fail'));
      await bench.until('the session is at rest', () => session.status === 'idle');
      await bench.run(session, 'quick');
    },
  },
  {
    name: 'the status tells an open transaction from a failed one',
    async run(bench) {
      const session = await bench.open();
      await bench.run(session, 'begin');
      assert.equal(session.status, 'transaction');
      await bench.run(session, 'quick');
      assert.equal(session.status, 'transaction');
      await bench.rejects('the failing statement', bench.start(session, 'fail'));
      await bench.until('the transaction is known as failed', () => session.status === 'failed');
    },
  },
  {
    name: 'the last statement, if it is told, is the one that ran last',
    async run(bench) {
      const session = await bench.open();
      for (const which of ['begin', 'quick'] as const) {
        await bench.run(session, which);
        const { lastStatement } = session;
        assert.ok(
          lastStatement === undefined || lastStatement === bench.statements[which],
          `it told ${JSON.stringify(lastStatement)} after ${JSON.stringify(bench.statements[which])}`,
        );
      }
    },
  },
  {
    name: 'a ping changes nothing: not at rest, not in a transaction, not in a failed one',
    async run(bench) {
      const session = await bench.open();
      await bench.run(session, 'leave');
      await bench.soon('a ping at rest resolves', session.ping());
      assert.equal(session.status, 'idle');
      await bench.rejects('to leave the same again', bench.start(session, 'leave'));
      await bench.until('the session is at rest', () => session.status === 'idle');
      await bench.run(session, 'begin');
      await bench.soon('a ping in a transaction resolves', session.ping());
      assert.equal(session.status, 'transaction');
      await bench.rejects('the failing statement', bench.start(session, 'fail'));
      await bench.until('the transaction is known as failed', () => session.status === 'failed');
      await bench.soon('a ping in a failed transaction resolves', session.ping());
      assert.equal(session.status, 'failed');
    },
  },
  {
    name: 'a ping of a lost session rejects',
    async run(bench) {
      const session = await bench.open();
      await bench.options.kill(session);
      await bench.until('the session is known as lost', () => session.status === 'lost');
      await bench.rejects('the ping', session.ping());
    },
  },
];
