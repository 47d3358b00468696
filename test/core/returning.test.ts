// B8: what happens to a connection between "the borrower is done" and "at rest".

import assert from 'node:assert/strict';
import test from 'node:test';
import type { SessionStatus } from '../../src/contracts/driver.ts';
import type { Behaviour, ScriptedCall } from '../../src/testing/scripted-driver.ts';
import { EventLog } from '../kit/ports.ts';
import { Rig, type RigOptions } from '../kit/rig.ts';

/** One lease on a pool of one, in a state of the test's choice, and a waiter behind it. */
async function lent(
  status: SessionStatus,
  on: Partial<Record<ScriptedCall, Behaviour>> = {},
  options: RigOptions = {},
): Promise<{ rig: Rig; lease: Awaited<ReturnType<Rig['get']>> }> {
  const rig = new Rig({
    ...options,
    settings: { max: 1, ...options.settings },
    script: (call, session) => (session === undefined || session.pid === 1 ? on[call] : undefined),
  });
  const lease = await rig.get(0, { label: 'report' });
  lease.session.status = status;
  return { rig, lease };
}

function outcomes(rig: Rig): unknown[] {
  return rig.events.of('returned').map((args) => args[3]);
}

test('a session at rest goes back as it is, without a round trip', async () => {
  const { rig, lease } = await lent('idle');
  lease.release();
  assert.equal(rig.engine.snapshot().idle, 1, 'in the turn of the return');
  assert.deepEqual(lease.session.calls, []);
  assert.deepEqual(outcomes(rig), ['clean']);
});

for (const status of ['transaction', 'failed'] as const) {
  test(`one in status "${status}" is rolled back, reported with its call site, and lent again`, async () => {
    const { rig, lease } = await lent(
      status,
      { rollback: { afterMs: 20 } },
      {
        ports: {
          ledger: {
            silentUntil: -Infinity,
            asked: () => undefined,
            lent: () => {},
            returned: () => {},
            site: () => 'report.ts:88',
            plain: () => undefined,
          },
        },
      },
    );
    lease.session.lastStatement = 'update accounts set x = $1';
    const waiter = rig.ask();
    lease.release();
    assert.equal(rig.engine.snapshot().returning, 1);
    await rig.clock.advance(19);
    assert.equal(waiter.settled, false, 'nothing is lent with an open transaction');
    await rig.clock.advance(1);
    assert.equal(waiter.lease?.session, lease.session);
    assert.equal(waiter.lease?.session.status, 'idle');
    assert.equal(rig.engine.stats().rolledBack, 1);
    assert.deepEqual(outcomes(rig), ['rolled-back']);
    const [report] = rig.reports.all;
    assert.equal(report?.code, 'OXBOW_OPEN_TRANSACTION');
    assert.equal(report?.site, 'report.ts:88');
    assert.match(report?.message ?? '', /report\.ts:88/);
    assert.match(report?.message ?? '', /update accounts/);
    assert.match(report?.message ?? '', /report\)/, 'and with its label');
  });
}

for (const [how, rollback] of [
  ['does not end within returnTimeoutMs', { never: true }],
  ['fails', { fail: new Error('protocol violation') }],
  ['leaves the transaction open', { status: 'transaction' }],
  ['leaves the session busy', { status: 'busy' }],
] as const) {
  test(`a rollback that ${how} has the connection replaced within its bound; a waiter gets the new one`, async () => {
    const { rig, lease } = await lent('transaction', { rollback }, { settings: { returnTimeoutMs: 400 } });
    const waiter = rig.ask();
    lease.release();
    await rig.clock.advance(400);
    assert.ok(waiter.lease);
    assert.notEqual(waiter.lease.session, lease.session);
    assert.equal(lease.session.alive, false);
    assert.deepEqual(outcomes(rig), ['condemned']);
    assert.equal(rig.engine.stats().returnsBad, 1);
    assert.equal(rig.engine.stats().rolledBack, 0);
    assert.ok(rig.reports.codes().includes('OXBOW_RESET_FAILED'));
    rig.audit();
  });
}

test('a running statement is cancelled and drained, reported and counted; nothing is lent before that is over', async () => {
  const { rig, lease } = await lent('busy', { settle: { afterMs: 300 } });
  lease.session.lastStatement = 'select pg_sleep(60)';
  const waiter = rig.ask();
  lease.release();
  await rig.clock.advance(299);
  assert.equal(waiter.settled, false);
  await rig.clock.advance(1);
  assert.equal(waiter.lease?.session, lease.session);
  assert.deepEqual(lease.session.calls, ['settle']);
  assert.equal(rig.engine.stats().cancelled, 1);
  assert.deepEqual(outcomes(rig), ['cancelled']);
  assert.deepEqual(rig.reports.codes(), ['OXBOW_BUSY_RETURN']);
  assert.match(rig.reports.all[0]?.message ?? '', /pg_sleep/);
});

test('a statement that was over but for its reply is no mistake: nothing is reported or counted', async () => {
  const { rig, lease } = await lent('busy', { settle: { cancelled: false, afterMs: 5 } });
  lease.release();
  await rig.clock.advance(5);
  assert.equal(rig.engine.snapshot().idle, 1);
  assert.equal(rig.engine.stats().cancelled, 0);
  assert.deepEqual(rig.reports.codes(), []);
  assert.deepEqual(outcomes(rig), ['clean']);
});

test('a cancelled statement inside a transaction is followed by the rollback, within the same bound', async () => {
  const { rig, lease } = await lent(
    'busy',
    { settle: { afterMs: 300, status: 'failed' }, rollback: { afterMs: 300 } },
    { settings: { returnTimeoutMs: 500 } },
  );
  lease.release();
  await rig.clock.advance(499);
  assert.ok(lease.session.alive);
  await rig.clock.advance(2);
  assert.equal(lease.session.alive, false, 'one bound for both');

  const good = await lent('busy', { settle: { afterMs: 100, status: 'failed' } });
  good.lease.release();
  await good.rig.clock.advance(100);
  assert.deepEqual(good.lease.session.calls, ['settle', 'rollback']);
  assert.equal(good.rig.engine.snapshot().idle, 1);
});

for (const [how, settle] of [
  ['is not answered', { never: true }],
  ['fails', { fail: new Error('cannot cancel') }],
  ['leaves the session busy', { status: 'busy' }],
] as const) {
  test(`a cancel that ${how} has the connection replaced; a waiter is starved by nobody`, async () => {
    const { rig, lease } = await lent('busy', { settle }, { settings: { returnTimeoutMs: 400 } });
    const waiter = rig.ask();
    lease.release();
    await rig.clock.advance(400);
    assert.ok(waiter.lease);
    assert.notEqual(waiter.lease.session, lease.session);
    assert.equal(lease.session.alive, false);
    rig.audit();
  });
}

test('release(reason): nothing, null and false mean reuse; anything else has it replaced', async () => {
  for (const reason of [undefined, null, false] as const) {
    const { rig, lease } = await lent('idle');
    lease.release(reason);
    assert.equal(rig.engine.snapshot().idle, 1);
  }
  for (const reason of [true, new Error('I broke it')] as const) {
    const { rig, lease } = await lent('idle');
    lease.release(reason);
    await rig.clock.settle();
    assert.equal(rig.engine.snapshot().size, 0);
    assert.deepEqual(rig.engine.stats().retired, { released: 1 });
    assert.deepEqual(lease.session.calls, ['end'], 'a healthy one says goodbye');
    assert.deepEqual(outcomes(rig), ['condemned']);
    assert.equal(rig.engine.stats().returnsBad, 1);
  }
});

test('a busy or broken one that its borrower condemns is cut at once', async () => {
  for (const status of ['busy', 'transaction', 'failed'] as const) {
    const { rig, lease } = await lent(status);
    lease.release(true);
    await rig.clock.settle();
    assert.ok(lease.session.calls.includes('destroy') || lease.session.calls.includes('end'));
    assert.equal(lease.session.alive, false);
    assert.equal(rig.engine.snapshot().size, 0);
  }
});

test('a lost one is replaced and not touched', async () => {
  const { rig, lease } = await lent('lost');
  const waiter = rig.ask();
  lease.release();
  await rig.clock.settle();
  assert.ok(waiter.lease);
  assert.notEqual(waiter.lease.session, lease.session);
  assert.deepEqual(lease.session.calls, ['destroy']);
});

test("reset 'none' leaves alone what is at rest, and still never lends an open transaction", async () => {
  const clean = await lent('idle', {}, { settings: { reset: 'none' } });
  clean.lease.release();
  assert.equal(clean.rig.engine.snapshot().idle, 1);
  const open = await lent('transaction', {}, { settings: { reset: 'none' } });
  const waiter = open.rig.ask();
  open.lease.release();
  await open.rig.clock.settle();
  assert.ok(waiter.lease);
  assert.equal(waiter.lease.session.status, 'idle');
});

test("reset 'discard' forgets everything and configures again, after the rollback", async () => {
  let configured = 0;
  const { rig, lease } = await lent(
    'transaction',
    { discard: { afterMs: 10 } },
    {
      settings: { reset: 'discard' },
      hooks: {
        configure: () => {
          configured += 1;
        },
      },
    },
  );
  lease.release();
  await rig.clock.advance(9);
  assert.equal(rig.engine.snapshot().returning, 1);
  await rig.clock.advance(1);
  assert.equal(rig.engine.snapshot().idle, 1);
  assert.deepEqual(lease.session.calls, ['rollback', 'discard']);
  assert.equal(configured, 2, 'at birth and now');
  assert.equal(rig.engine.stats().reset, 1);
});

test('a reset of one’s own is called after the rollback', async () => {
  const order: string[] = [];
  const { rig, lease } = await lent(
    'failed',
    {},
    {
      settings: { reset: 'custom' },
      hooks: { reset: (session) => void order.push(...session.calls, `reset:${session.status}`) },
    },
  );
  lease.release();
  await rig.clock.settle();
  assert.deepEqual(order, ['rollback', 'reset:idle']);
  assert.equal(rig.engine.snapshot().idle, 1);
  assert.equal(rig.engine.stats().reset, 1);
});

for (const [how, reset] of [
  ['throws', () => Promise.reject(new Error('no'))],
  [
    'throws at once',
    () => {
      throw new Error('no');
    },
  ],
  [
    'leaves a transaction open',
    (session: { status: string }) => {
      session.status = 'transaction';
    },
  ],
  [
    'leaves a statement running',
    (session: { status: string }) => {
      session.status = 'busy';
    },
  ],
  ['runs past returnTimeoutMs', () => new Promise(() => {})],
] as const) {
  test(`a reset that ${how} has the connection replaced, and that is reported`, async () => {
    const { rig, lease } = await lent(
      'idle',
      {},
      { settings: { reset: 'custom', returnTimeoutMs: 300 }, hooks: { reset } },
    );
    const waiter = rig.ask();
    lease.release();
    await rig.clock.advance(300);
    assert.ok(waiter.lease);
    assert.notEqual(waiter.lease.session, lease.session);
    assert.ok(rig.reports.codes().includes('OXBOW_RESET_FAILED'));
    assert.equal(rig.engine.stats().returnsBad, 1);
    rig.audit();
  });
}

test('configure failing after a discard has the connection replaced', async () => {
  let configured = 0;
  const { rig, lease } = await lent(
    'idle',
    {},
    {
      settings: { reset: 'discard' },
      hooks: {
        configure: () => {
          configured += 1;
          if (configured === 2) throw new Error('role is gone');
        },
      },
    },
  );
  const waiter = rig.ask();
  lease.release();
  await rig.clock.settle();
  assert.ok(waiter.lease);
  assert.notEqual(waiter.lease.session, lease.session);
  assert.ok(rig.reports.codes().includes('OXBOW_RESET_FAILED'));
});

test('a connection that dies while it is rolled back is lost once, and the waiter is served', async () => {
  const { rig, lease } = await lent('transaction', { rollback: { never: true } });
  const waiter = rig.ask();
  lease.release();
  await rig.clock.advance(10);
  lease.session.kill();
  await rig.clock.settle();
  assert.ok(waiter.lease);
  assert.equal(rig.engine.stats().connectionsLost, 1);
  assert.equal(rig.events.count('closed'), 1);
  assert.equal(rig.events.count('returned'), 1, 'the return is over, one way or another');
  rig.audit();
});

test('maxUses retires a connection after so many checkouts', async () => {
  const rig = new Rig({ settings: { max: 1, maxUses: 3 } });
  const pids: (number | undefined)[] = [];
  for (let n = 0; n < 7; n += 1) {
    const lease = await rig.get();
    pids.push(lease.session.pid);
    lease.release();
    await rig.clock.settle();
  }
  assert.deepEqual(pids, [1, 1, 1, 2, 2, 2, 3]);
  assert.deepEqual(rig.engine.stats().retired, { uses: 2 });
});

test('a connection that dies while others are told of its return is lost, and nobody else is the worse for it', async () => {
  for (const [status, when] of [
    ['idle', 'returned'],
    ['idle', 'released'],
    ['transaction', 'returned'],
  ] as const) {
    const log = new EventLog();
    const { rig, lease } = await lent(
      status,
      {},
      { ports: { events: { ...log.port, [when]: () => lease.session.kill() } } },
    );
    const ask = rig.ask();
    lease.release();
    await rig.clock.settle();
    assert.ok(ask.lease?.session.alive, 'whoever waited has another');
    assert.equal(rig.engine.stats().connectionsLost, 1);
    assert.deepEqual(rig.reports.codes(), status === 'idle' ? [] : ['OXBOW_OPEN_TRANSACTION']);
    rig.audit();
  }
});
