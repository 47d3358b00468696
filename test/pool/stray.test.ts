// A transaction that `pool.query()` left open, against a server that does not answer: whoever asked hears of it in time, and the
// connection is not held for ever. On the virtual clock, with a genuine client over a scripted wire.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Pool, StrayTransactionError } from '../../src/doors/index.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { watch } from '../kit/rig.ts';
import { type Asked, WireServer } from '../matrix/wire/server.ts';

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };
const NEVER = { how: 'never', afterMs: 0, torn: false, after: () => {} } as const;

/** A pool of one over a server that leaves those questions unanswered. */
function silentWhen(silent: (asked: Asked) => boolean): { readonly clock: VirtualClock; readonly pool: Pool } {
  const clock = new VirtualClock();
  const server = new WireServer(clock, {
    answer: (asked) => (silent(asked) ? NEVER : undefined),
    complain: assert.fail,
    sent: () => {},
    hit: () => {},
  });
  const { stream } = server;
  const pool = new Pool({ stream, clock, logger: SILENT, max: 1, pooler: 'none', returnTimeoutMs: 300, host: 'db' });
  return { clock, pool };
}

test('a ROLLBACK of what pool.query() left open that is never answered holds its caller for returnTimeoutMs, and others not much longer', async () => {
  const { clock, pool } = silentWhen(
    ({ question, statement }) => question === 'statement' && statement?.text === 'ROLLBACK',
  );
  const stray = watch(pool.query('begin; select 1'));
  const next = watch(pool.query('select 1'));
  await clock.advance(290);
  assert.equal(stray.settled, false);
  await clock.advance(30);
  assert.ok(stray.error instanceof StrayTransactionError);
  await clock.advance(50);
  assert.equal(next.error, undefined);
  assert.ok(next.settled);
});

test('the deadline of pool.query() holds for the ROLLBACK of what it left open', async () => {
  const { clock, pool } = silentWhen(
    ({ question, statement }) => question === 'statement' && statement?.text === 'ROLLBACK',
  );
  const stray = watch(pool.query({ text: 'begin; select 1', timeoutMs: 100 }));
  await clock.advance(101);
  assert.ok(stray.error instanceof StrayTransactionError);
});

test('a failed pool.query() that began with BEGIN waits for the end of its reply no longer than returnTimeoutMs', async () => {
  const { clock, pool } = silentWhen(
    ({ question, statement }) => question === 'ready' && /fail/.test(statement?.text ?? ''),
  );
  const failed = watch(pool.query('begin; fail'));
  const next = watch(pool.query('select 1'));
  await clock.advance(310);
  assert.match(String(failed.error), /division by zero/);
  // The return path reads on as long again before it gives the connection up.
  await clock.advance(310);
  assert.equal(next.error, undefined);
  assert.ok(next.settled);
});

test('a pool.query() that began with BEGIN and is given up rejects at once', async () => {
  const { clock, pool } = silentWhen(() => false);
  const aborter = new AbortController();
  const stray = watch(pool.query({ text: 'begin; sleep 1000', signal: aborter.signal }));
  const late = watch(pool.query({ text: 'select 1' }));
  await clock.advance(50);
  const gone = new Error('gone');
  aborter.abort(gone);
  await clock.advance(0);
  assert.equal(stray.error, gone);
  await clock.advance(20);
  assert.equal(late.error, undefined);
  assert.ok(late.settled);
});
