// B23: a running statement from which nothing is heard. When the server is asked about it, through whom, and what follows; and that
// nothing that still works is ever ended.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Doing, Inquiry } from '../../src/contracts/driver.ts';
import type { Settings } from '../../src/core/household.ts';
import { type Behaviour, type Script, type ScriptedSession, scriptedError } from '../../src/testing/scripted-driver.ts';
import { CountingClock } from '../kit/ports.ts';
import { errorOf, Rig, type RigOptions, type ScriptedLease, watch } from '../kit/rig.ts';

const SILENT_MS = 8_000;
/** It is looked once a second, in steps of the timer that holds the process. */
const LOOK_MS = 1_000;
const STEP_MS = 50;

function rigWith(settings: Partial<Settings> = {}, options: RigOptions = {}): Rig {
  return new Rig({ ...options, settings: { max: 2, silentAfterMs: SILENT_MS, idleTimeoutMs: Infinity, ...settings } });
}

/** A statement runs on it. */
function begin(lease: ScriptedLease): ScriptedSession {
  lease.session.status = 'busy';
  lease.session.traffic += 1;
  return lease.session;
}

/** All of `max` are lent, and on each runs a statement. */
async function allBusy(rig: Rig): Promise<ScriptedLease[]> {
  const leases: ScriptedLease[] = [];
  for (let n = 0; n < rig.settings.max; n += 1) leases.push(await rig.get(100));
  for (const lease of leases) begin(lease);
  return leases;
}

/** One lent with a statement running, and one idle. */
async function oneOfTwo(rig: Rig): Promise<{ lease: ScriptedLease; idle: ScriptedSession }> {
  await rig.fill(2);
  const lease = await rig.get();
  begin(lease);
  const idle = rig.driver.sessions.find((session) => session !== lease.session);
  assert.ok(idle);
  return { lease, idle };
}

/** How the questions go; whatever else is asked goes well. */
const inquiries =
  (behaviour: Behaviour | ((session: ScriptedSession) => Behaviour | undefined)): Script =>
  (call, session) =>
    call !== 'inquire' || session === undefined
      ? undefined
      : typeof behaviour === 'function'
        ? behaviour(session)
        : behaviour;

/** Lets time pass until the next question, and tells how long that took. */
async function untilAsked(rig: Rig, withinMs: number = SILENT_MS + 2 * LOOK_MS): Promise<number> {
  const before = rig.driver.count('inquire');
  const began = rig.clock.now();
  while (rig.driver.count('inquire') === before) {
    assert.ok(rig.clock.now() - began < withinMs, `nothing was asked within ${withinMs} ms`);
    await rig.clock.advance(10);
  }
  return rig.clock.now() - began;
}

test('nothing is asked while bytes come in, however long the statement takes', async () => {
  const rig = rigWith();
  const { lease } = await oneOfTwo(rig);
  for (let n = 0; n < 100; n += 1) {
    await rig.clock.advance(900);
    lease.session.traffic += 1;
  }
  assert.equal(rig.driver.count('inquire'), 0);
});

test('bytes that come once in just less than silentAfterMs are enough', async () => {
  const rig = rigWith();
  const { lease } = await oneOfTwo(rig);
  for (let n = 0; n < 20; n += 1) {
    await rig.clock.advance(SILENT_MS - LOOK_MS);
    lease.session.traffic += 1;
  }
  assert.equal(rig.driver.count('inquire'), 0);
});

for (const status of ['idle', 'transaction', 'failed'] as const) {
  test(`nothing is asked about one lent with status "${status}": nothing runs on it`, async () => {
    const rig = rigWith();
    const { lease } = await oneOfTwo(rig);
    lease.session.status = status;
    await rig.clock.advance(600_000);
    assert.equal(rig.driver.count('inquire'), 0);
    assert.equal(lease.fault, undefined);
  });
}

test('a borrower who thinks between two statements is not silent: each statement counts from its own beginning', async () => {
  const rig = rigWith();
  const { lease } = await oneOfTwo(rig);
  for (let n = 0; n < 5; n += 1) {
    await rig.clock.advance(SILENT_MS - LOOK_MS);
    lease.session.status = 'transaction';
    await rig.clock.advance(2 * LOOK_MS);
    begin(lease);
  }
  assert.equal(rig.driver.count('inquire'), 0);
});

for (const silentAfterMs of [200, 2_000, SILENT_MS, 60_000]) {
  test(`a silence of ${silentAfterMs} ms is asked about at most two looks later, through the idle one`, async () => {
    const rig = rigWith({ silentAfterMs });
    const { idle } = await oneOfTwo(rig);
    const askedMs = await untilAsked(rig, silentAfterMs + 3 * LOOK_MS);
    const lookMs = Math.min(LOOK_MS, silentAfterMs / 4) + STEP_MS;
    assert.ok(askedMs >= silentAfterMs, `asked after ${askedMs} ms`);
    assert.ok(askedMs <= silentAfterMs + 2 * lookMs, `asked after ${askedMs} ms`);
    assert.deepEqual(idle.calls, ['inquire']);
    assert.equal(rig.driver.count('open'), 2, 'nothing was opened for it');
    await rig.clock.settle();
    assert.equal(rig.engine.snapshot().idle, 1, 'and it is idle again');
    rig.audit();
  });
}

test('the question names the process and how long it has existed, since a process id is used again', async () => {
  const rig = rigWith();
  const { lease, idle } = await oneOfTwo(rig);
  const asked: (readonly Inquiry[])[] = [];
  idle.inquire = async (others) => {
    asked.push(others);
    return others.map(() => 'working');
  };
  const born = rig.clock.now();
  await rig.clock.advance(SILENT_MS + 2 * LOOK_MS);
  assert.equal(asked.length, 1);
  assert.equal(asked[0]?.[0]?.pid, lease.session.pid);
  const ageMs = asked[0]?.[0]?.ageMs ?? 0;
  assert.ok(ageMs >= SILENT_MS && ageMs <= rig.clock.now() - born, `${ageMs} ms`);
});

for (const [doing, words] of [
  ['gone', /is gone there/],
  ['idle', /is idle there, so that its reply is lost/],
] as const) {
  test(`when the server says "${doing}" the line is dead: CONNECTION_LOST, with the reason`, async () => {
    const rig = rigWith({}, { script: inquiries({ doing }) });
    const { lease, idle } = await oneOfTwo(rig);
    await rig.clock.advance(SILENT_MS + 2 * LOOK_MS);
    const fault = errorOf({ error: lease.fault });
    assert.equal(fault.kind, 'CONNECTION_LOST');
    assert.match(fault.message, words);
    assert.match(fault.message, /nothing was heard for (8\d|9\d|10\d)\d\d ms/);
    const [, told, state] = rig.events.of('lost')[0] ?? [];
    assert.equal(state, 'lent');
    assert.match(errorOf({ error: told }).message, words);
    assert.equal(lease.session.alive, false, 'its socket is cut');
    assert.ok(idle.alive, 'and that through which it was asked is not');
    assert.equal(rig.engine.stats().connectionsLost, 1);
    rig.audit();
  });

  test(`when the server says "${doing}" a waiter is served by a replacement`, async () => {
    const rig = rigWith({ max: 1 }, { script: inquiries({ doing }) });
    const [lease] = await allBusy(rig);
    const waiter = rig.ask();
    await rig.clock.advance(SILENT_MS - 1);
    assert.equal(waiter.settled, false);
    await rig.clock.advance(2 * LOOK_MS + 1);
    assert.ok(waiter.lease?.session.alive);
    assert.notEqual(waiter.lease.session, lease?.session);
    rig.audit();
  });
}

test('one that works is left alone, however long it takes, and asked about again after another silentAfterMs', async () => {
  const rig = rigWith();
  const { lease, idle } = await oneOfTwo(rig);
  await untilAsked(rig);
  for (let n = 0; n < 60; n += 1) {
    const askedMs = await untilAsked(rig);
    assert.ok(askedMs >= SILENT_MS && askedMs <= SILENT_MS + LOOK_MS + STEP_MS, `${askedMs} ms`);
  }
  assert.equal(lease.fault, undefined);
  assert.ok(lease.session.alive && idle.alive);
  assert.deepEqual(lease.session.calls, [], 'nothing was sent on it');
  assert.equal(rig.driver.count('open'), 2);
});

test('where the server does not tell the question is asked again after two seconds', async () => {
  const rig = rigWith({}, { script: inquiries({ doing: 'unknown' }) });
  const { lease } = await oneOfTwo(rig);
  await untilAsked(rig);
  for (let n = 0; n < 20; n += 1) {
    const askedMs = await untilAsked(rig);
    assert.ok(askedMs >= 2_000 && askedMs <= 2_000 + LOOK_MS + STEP_MS, `${askedMs} ms`);
  }
  assert.equal(lease.fault, undefined);
});

test('an answer that names fewer than were asked about says nothing of the rest', async () => {
  const rig = rigWith();
  const { lease, idle } = await oneOfTwo(rig);
  idle.inquire = () => Promise.resolve([]);
  await rig.clock.advance(60_000);
  assert.equal(lease.fault, undefined);
});

test('with no idle one but room, a new one within max is wished for and asked through', async () => {
  const rig = rigWith({}, { script: inquiries({ doing: 'gone' }) });
  const lease = await rig.get();
  begin(lease);
  await rig.clock.advance(SILENT_MS + 3 * LOOK_MS);
  assert.equal(errorOf({ error: lease.fault }).kind, 'CONNECTION_LOST');
  assert.equal(rig.driver.count('open'), 2);
  assert.ok(rig.driver.peakSockets <= 2, 'within max');
  const [, second] = rig.driver.sessions;
  assert.ok(second?.alive, 'it is one of the pool, and stays');
  assert.deepEqual(second.calls.slice(0, 1), ['inquire']);
  rig.audit();
});

test('with room, but a connect that takes longer than can be hoped for, a probe asks', async () => {
  const opens: Behaviour[] = [{}, { afterMs: 30_000 }];
  const rig = rigWith(
    { max: 3, connectTimeoutMs: 60_000 },
    {
      script: (call, _session, count) =>
        call === 'open' ? opens[count - 1] : call === 'inquire' ? { doing: 'gone' } : undefined,
    },
  );
  const lease = await rig.get();
  begin(lease);
  await rig.clock.advance(SILENT_MS + 3 * LOOK_MS);
  assert.equal(errorOf({ error: lease.fault }).kind, 'CONNECTION_LOST');
  assert.equal(rig.driver.count('open'), 3);
});

test('with room, but a server that refuses for now, nothing is dialled into its back-off for the question', async () => {
  const rig = rigWith({ min: 2 });
  let opens = 0;
  rig.driver.script = (call) => {
    if (call !== 'open') return undefined;
    opens += 1;
    return opens === 1 ? undefined : { fail: scriptedError('53300') };
  };
  const lease = await rig.get();
  begin(lease);
  await rig.clock.advance(120_000);
  assert.equal(lease.fault, undefined);
  assert.ok(rig.driver.sockets <= 2);
});

test('without room one probe outside max asks, and it is gone afterwards', async () => {
  const rig = rigWith();
  const leases = await allBusy(rig);
  await untilAsked(rig);
  await rig.clock.settle();
  const probe = rig.driver.sessions.at(-1);
  assert.deepEqual(probe?.calls, ['inquire', 'destroy']);
  assert.equal(rig.driver.sockets, 2);
  assert.equal(rig.driver.peakSockets, 3);
  assert.equal(rig.engine.snapshot().size, 2, 'it is no connection of the pool');
  assert.equal(rig.engine.stats().connects, 2, 'and not counted as one');
  assert.ok(leases.every((lease) => lease.fault === undefined));
});

test('there is never more than one probe, however slow it is and however many are silent', async () => {
  const rig = rigWith({ max: 5 });
  await allBusy(rig);
  rig.driver.script = (call) => ({ afterMs: call === 'destroy' ? 2_000 : call === 'open' ? 1_500 : 1_000 });
  await rig.clock.advance(120_000);
  assert.equal(rig.driver.peakSockets, 6);
  assert.ok(rig.driver.count('open') > 10, 'though several came one after the other');
});

test('a probe ends for reasons of its own without harm to anybody', async () => {
  const rig = rigWith({ max: 1 });
  const [lease] = await allBusy(rig);
  rig.driver.script = inquiries({ never: true });
  await untilAsked(rig);
  rig.driver.sessions.at(-1)?.kill();
  await rig.clock.advance(100);
  assert.equal(rig.driver.sockets, 1);
  assert.equal(lease?.fault, undefined);
  rig.driver.script = inquiries({ doing: 'gone' });
  await rig.clock.advance(5_000);
  assert.equal(errorOf({ error: lease?.fault }).kind, 'CONNECTION_LOST', 'and the next one asks again');
});

for (const [name, behaviour] of [
  ['never opens', { open: { never: true } }],
  ['is refused', { open: { fail: scriptedError('53300') } }],
  ['opens too late', { open: { afterMs: 3_500, deaf: true } }],
  ['is never answered', { inquire: { never: true } }],
  ['is answered too late', { inquire: { afterMs: 3_500, doing: 'gone' as Doing } }],
  ['takes too long altogether', { open: { afterMs: 2_000 }, inquire: { afterMs: 1_100, doing: 'gone' as Doing } }],
  ['is told nothing but an error', { inquire: { fail: new Error('permission denied') } }],
] as const) {
  test(`a probe that ${name} says nothing: the statement is left alone and the question asked again`, async () => {
    const rig = rigWith({ max: 1 });
    const [lease] = await allBusy(rig);
    const on: Partial<Record<string, Behaviour>> = behaviour;
    rig.driver.script = (call) => on[call];
    await rig.clock.advance(SILENT_MS + 2 * LOOK_MS + 3_000);
    const opens = rig.driver.count('open');
    assert.ok(opens >= 2);
    await rig.clock.advance(20_000);
    assert.ok(rig.driver.count('open') > opens, 'again');
    assert.equal(lease?.fault, undefined);
    assert.ok(lease?.session.alive);
    assert.ok(rig.driver.peakSockets <= 2);
    rig.driver.script = inquiries({ doing: 'gone' });
    await rig.clock.advance(15_000);
    assert.equal(errorOf({ error: lease.fault }).kind, 'CONNECTION_LOST');
    await rig.clock.advance(15_000);
    assert.equal(rig.driver.sockets, 0, 'no probe is left');
  });
}

test('a probe has three seconds, and its socket is gone then', async () => {
  const rig = rigWith({ max: 1 });
  await allBusy(rig);
  rig.driver.script = inquiries({ never: true });
  await untilAsked(rig);
  await rig.clock.advance(2_989);
  assert.equal(rig.driver.sockets, 2);
  await rig.clock.advance(11);
  assert.equal(rig.driver.sockets, 1);
});

test('a connect of a probe that nobody could call off is cut when it arrives, however late that is', async () => {
  const rig = rigWith({ max: 1 });
  const [lease] = await allBusy(rig);
  rig.driver.script = (call) => (call === 'open' ? { afterMs: 20_000, deaf: true } : undefined);
  await rig.clock.advance(SILENT_MS + 2 * LOOK_MS);
  assert.equal(rig.driver.sockets, 2);
  if (lease !== undefined) lease.session.status = 'idle';
  lease?.release();
  await rig.clock.advance(30_000);
  assert.equal(rig.driver.sockets, 1, 'only that of the pool');
  await rig.shut();
});

for (const [name, on, withinMs] of [
  ['opens', { open: { never: true } }, 0],
  ['takes no notice of being given up', { open: { afterMs: 2_000, deaf: true } }, 3_000],
  ['arrives after all', { open: { afterMs: 2_000, deaf: true }, destroy: { afterMs: 500 } }, 3_500],
  ['asks', { inquire: { never: true } }, 0],
  ['is cut slowly', { inquire: { never: true }, destroy: { afterMs: 1_000 } }, 1_000],
] as const) {
  test(`close() while a probe ${name} resolves when its socket is gone, and not later`, async () => {
    const rig = rigWith({ max: 1 });
    const [lease] = await allBusy(rig);
    assert.ok(lease);
    const behaviours: Partial<Record<string, Behaviour>> = on;
    rig.driver.script = (call, session) => (session === lease.session ? undefined : behaviours[call]);
    const opens = rig.driver.count('open');
    while (rig.driver.count('open') === opens) await rig.clock.advance(10);
    lease.session.status = 'idle';
    lease.release();
    const closed = watch(rig.engine.close({ drainMs: 60_000, cancelMs: 1_000, waiting: 'reject' }));
    const began = rig.clock.now();
    while (!closed.settled && rig.clock.now() - began < 20_000) {
      await rig.clock.advance(10);
      assert.equal(closed.settled, rig.driver.sockets === 0, `${rig.driver.sockets} sockets`);
    }
    const tookMs = rig.clock.now() - began;
    assert.ok(tookMs <= withinMs + 10, `${tookMs} ms`);
    assert.equal(rig.engine.snapshot().phase, 'closed');
    assert.equal(rig.clock.pendingTimers, 0, 'no timer is left');
  });
}

for (const [name, on] of [
  ['is never opened nor given up', { open: { never: true, deaf: true } }],
  ['cannot be cut', { inquire: { never: true }, destroy: { never: true } }],
] as const) {
  test(`close() is held up by a probe that ${name} for no longer than three seconds`, async () => {
    const rig = rigWith({ max: 1 });
    const [lease] = await allBusy(rig);
    assert.ok(lease);
    const behaviours: Partial<Record<string, Behaviour>> = on;
    rig.driver.script = (call, session) => (session === lease.session ? undefined : behaviours[call]);
    const opens = rig.driver.count('open');
    while (rig.driver.count('open') === opens) await rig.clock.advance(10);
    lease.session.status = 'idle';
    lease.release();
    const closed = watch(rig.engine.close({ drainMs: 60_000, cancelMs: 1_000, waiting: 'reject' }));
    await rig.clock.advance(2_900);
    assert.equal(closed.settled, false, 'its driver has a time to keep its word');
    await rig.clock.advance(200);
    assert.ok(closed.settled);
    assert.equal(rig.clock.pendingTimers, 0, 'no timer is left');
  });
}

test('a pool that closes asks no more: its own deadlines see to what still runs', async () => {
  const rig = rigWith({ max: 1 }, { script: inquiries({ doing: 'gone' }) });
  const [lease] = await allBusy(rig);
  const closed = watch(rig.engine.close({ drainMs: 60_000, cancelMs: 1_000, waiting: 'reject' }));
  await rig.clock.advance(59_000);
  assert.equal(rig.driver.count('inquire'), 0);
  assert.equal(lease?.fault, undefined);
  await rig.clock.advance(5_000);
  assert.ok(closed.settled);
});

test('close() while an idle one is asked ends when that has answered', async () => {
  const rig = rigWith({}, { script: inquiries({ afterMs: 600 }) });
  const { lease } = await oneOfTwo(rig);
  await untilAsked(rig);
  lease.session.status = 'idle';
  lease.release();
  const closed = watch(rig.engine.close({ drainMs: 60_000, cancelMs: 1_000, waiting: 'reject' }));
  await rig.clock.advance(590);
  assert.equal(closed.settled, false);
  await rig.clock.advance(10);
  assert.ok(closed.settled);
  assert.equal(rig.driver.count('open'), 2, 'no probe');
  assert.equal(rig.driver.sockets, 0);
  assert.equal(rig.clock.pendingTimers, 0);
});

test('an idle one that does not answer within a second is replaced, and a probe asks', async () => {
  let idleOne: ScriptedSession | undefined;
  const rig = rigWith(
    {},
    { script: inquiries((session) => (session === idleOne ? { never: true } : { doing: 'gone' })) },
  );
  const { lease, idle } = await oneOfTwo(rig);
  idleOne = idle;
  await untilAsked(rig);
  await rig.clock.advance(980);
  assert.ok(idle.alive);
  assert.equal(rig.driver.count('open'), 2);
  await rig.clock.advance(30);
  assert.equal(idle.alive, false);
  assert.deepEqual(rig.engine.stats().retired, { check: 1 });
  assert.equal(errorOf({ error: lease.fault }).kind, 'CONNECTION_LOST');
  rig.audit();
});

test('an idle one and a probe have three seconds between them', async () => {
  let idleOne: ScriptedSession | undefined;
  const rig = rigWith();
  const { lease, idle } = await oneOfTwo(rig);
  idleOne = idle;
  rig.driver.script = (call, session) => {
    if (call === 'open') return { afterMs: 1_500 };
    if (call !== 'inquire') return undefined;
    return session === idleOne ? { never: true } : { afterMs: 600, doing: 'gone' };
  };
  await untilAsked(rig);
  await rig.clock.advance(3_500);
  assert.equal(lease.fault, undefined, 'the answer came too late');
});

test('an idle one that dies of the question is lost, and a probe asks', async () => {
  const rig = rigWith({}, { script: inquiries({ afterMs: 400, doing: 'gone' }) });
  const { lease, idle } = await oneOfTwo(rig);
  await untilAsked(rig);
  idle.kill();
  await rig.clock.advance(500);
  assert.equal(errorOf({ error: lease.fault }).kind, 'CONNECTION_LOST');
  assert.equal(rig.engine.stats().connectionsLost, 2);
  rig.audit();
});

test('an idle one that answers with an error but is at rest is kept, and a probe asks', async () => {
  let idleOne: ScriptedSession | undefined;
  const rig = rigWith(
    {},
    { script: inquiries((session) => (session === idleOne ? { fail: new Error('denied') } : { doing: 'gone' })) },
  );
  const { lease, idle } = await oneOfTwo(rig);
  idleOne = idle;
  await rig.clock.advance(SILENT_MS + 2 * LOOK_MS);
  assert.equal(errorOf({ error: lease.fault }).kind, 'CONNECTION_LOST');
  assert.ok(idle.alive);
});

test('one that the question leaves inside a transaction is replaced', async () => {
  const rig = rigWith({}, { script: inquiries({ status: 'transaction' }) });
  const { lease, idle } = await oneOfTwo(rig);
  await rig.clock.advance(SILENT_MS + 2 * LOOK_MS);
  assert.equal(idle.alive, false);
  assert.equal(lease.fault, undefined);
});

test('a borrower who comes while the idle one is asked gets it as soon as it has answered', async () => {
  const rig = rigWith({}, { script: inquiries({ afterMs: 300 }) });
  const { idle } = await oneOfTwo(rig);
  await untilAsked(rig);
  const ask = rig.ask();
  await rig.clock.advance(280);
  assert.equal(ask.settled, false, 'nothing is lent with a question outstanding');
  await rig.clock.advance(20);
  assert.equal(ask.lease?.session, idle);
  assert.equal(rig.driver.count('ping'), 0, 'the answer is a proof of life');
});

test('the answer is a proof of life for the one that gave it: it is lent unasked after that', async () => {
  const rig = rigWith();
  const { idle } = await oneOfTwo(rig);
  await rig.clock.advance(SILENT_MS - LOOK_MS);
  assert.equal(rig.engine.tryAcquire(), undefined, 'it is stale');
  await untilAsked(rig);
  await rig.clock.advance(500);
  assert.equal(rig.engine.tryAcquire()?.session, idle);
});

for (const check of ['always', 'custom'] as const) {
  test(`with check '${check}' the question is none: a borrower who came meanwhile gets it checked`, async () => {
    const checked: number[] = [];
    const rig = rigWith(
      { check },
      { script: inquiries({ afterMs: 300 }), hooks: { check: (session) => void checked.push(session.pid) } },
    );
    const { idle } = await oneOfTwo(rig);
    await untilAsked(rig);
    const pings = rig.driver.count('ping');
    checked.length = 0;
    const ask = rig.ask();
    await rig.clock.advance(300);
    assert.equal(ask.lease?.session, idle);
    if (check === 'custom') assert.deepEqual(checked, [idle.pid]);
    else assert.equal(rig.driver.count('ping'), pings + 1);
  });
}

for (const [name, happens] of [
  [
    'with more to come',
    (session: ScriptedSession) => {
      session.traffic += 1;
    },
  ],
  [
    'as its last byte',
    (session: ScriptedSession) => {
      session.status = 'idle';
    },
  ],
] as const) {
  test(`a reply that arrives ${name} while the question is under way is believed, not the answer`, async () => {
    const rig = rigWith({}, { script: inquiries({ afterMs: 500, doing: 'gone' }) });
    const { lease } = await oneOfTwo(rig);
    await untilAsked(rig);
    await rig.clock.advance(200);
    happens(lease.session);
    await rig.clock.advance(1_000);
    assert.equal(lease.fault, undefined);
    assert.ok(lease.session.alive);
  });
}

test('a reply that is complete already comes in before anybody is asked', async () => {
  let lent: ScriptedLease | undefined;
  const rig = rigWith(
    {},
    {
      wrapClock: (clock) => {
        const counting = new CountingClock(clock);
        const { pollPhase } = counting;
        counting.pollPhase = (then) =>
          pollPhase(() => {
            if (lent !== undefined) lent.session.traffic += 1;
            then();
          });
        return counting;
      },
    },
  );
  const { lease } = await oneOfTwo(rig);
  lent = lease;
  await rig.clock.advance(120_000);
  assert.equal(rig.driver.count('inquire'), 0);
});

test('the time of a blocked loop is no silence: what came meanwhile has not been read yet', async () => {
  const rig = rigWith();
  await oneOfTwo(rig);
  await rig.clock.advance(5_000);
  rig.clock.block(120_000);
  await rig.clock.advance(2_000);
  assert.equal(rig.driver.count('inquire'), 0);
  const restMs = await untilAsked(rig);
  assert.ok(restMs <= 3_000 + LOOK_MS, `asked ${restMs + 2_000} ms after the block`);
});

test('a block that began before the statement was first looked at does not make it silent', async () => {
  const rig = rigWith();
  await oneOfTwo(rig);
  rig.clock.block(60_000);
  const askedMs = await untilAsked(rig);
  assert.ok(askedMs >= SILENT_MS, `${askedMs} ms`);
});

test('a lease that is given back while the question is under way is not touched, nor is the next holder', async () => {
  const rig = rigWith({}, { script: inquiries({ afterMs: 500, doing: 'gone' }) });
  const { lease } = await oneOfTwo(rig);
  await untilAsked(rig);
  lease.session.status = 'idle';
  lease.release();
  const next = await rig.get();
  assert.equal(next.session, lease.session);
  // As if nothing had been heard since, which no real driver would say.
  next.session.status = 'busy';
  await rig.clock.advance(600);
  assert.equal(next.fault, undefined);
  assert.ok(next.session.alive);
});

test('one that dies while the question is under way is lost once', async () => {
  const rig = rigWith({}, { script: inquiries({ afterMs: 500, doing: 'gone' }) });
  const { lease } = await oneOfTwo(rig);
  await untilAsked(rig);
  lease.session.kill();
  await rig.clock.advance(1_000);
  assert.equal(rig.engine.stats().connectionsLost, 1);
  assert.equal(rig.events.count('closed'), 1);
});

test('several silent ones are asked about in one question, and each gets its own answer', async () => {
  const rig = rigWith({ max: 5 });
  const sessions = await rig.fill(5);
  const leases: ScriptedLease[] = [];
  for (let n = 0; n < 4; n += 1) leases.push(await rig.get());
  for (const lease of leases) begin(lease);
  const idle = sessions.find((session) => !leases.some((lease) => lease.session === session));
  assert.ok(idle);
  const asked: number[][] = [];
  const answers = new Map<number, Doing>(
    leases.map(({ session }, n) => [session.pid, (['gone', 'working', 'idle', 'unknown'] as const)[n] ?? 'unknown']),
  );
  idle.inquire = async (others) => {
    asked.push(others.map(({ pid }) => pid));
    return others.map(({ pid }) => answers.get(pid) ?? 'unknown');
  };
  await rig.clock.advance(SILENT_MS + LOOK_MS + STEP_MS);
  assert.equal(asked.length, 1);
  assert.deepEqual([...(asked[0] ?? [])].sort(), leases.map(({ session }) => session.pid).sort());
  assert.deepEqual(
    leases.map((lease) => lease.fault !== undefined),
    [true, false, true, false],
  );
  rig.audit();
});

test('one that became silent later is not asked about before its time', async () => {
  const rig = rigWith({ max: 3 });
  const sessions = await rig.fill(3);
  const first = await rig.get();
  begin(first);
  await rig.clock.advance(4_000);
  const second = await rig.get();
  begin(second);
  const idle = sessions.find((session) => session !== first.session && session !== second.session);
  assert.ok(idle);
  const asked: number[][] = [];
  idle.inquire = async (others) => {
    asked.push(others.map(({ pid }) => pid));
    return others.map(() => 'working');
  };
  await rig.clock.advance(SILENT_MS + 4_000);
  assert.deepEqual(asked.slice(0, 2), [[first.session.pid], [second.session.pid]]);
});

test('silentAfterMs Infinity never asks', async () => {
  const rig = rigWith({ silentAfterMs: Infinity });
  await allBusy(rig);
  await rig.clock.advance(3_600_000);
  assert.equal(rig.driver.count('inquire'), 0);
  assert.equal(rig.driver.count('open'), 2);
});

for (const lacking of ['traffic', 'inquire', 'pid'] as const) {
  test(`a session without "${lacking}" is never asked about`, async () => {
    const rig = rigWith({ max: 1 }, { script: inquiries({ doing: 'gone' }) });
    const lease = await rig.get();
    Object.defineProperty(lease.session, lacking, { value: undefined });
    lease.session.status = 'busy';
    await rig.clock.advance(600_000);
    assert.equal(rig.driver.count('inquire'), 0);
    assert.equal(rig.driver.count('open'), 1);
    assert.equal(lease.fault, undefined);
  });
}

test('a silent one is watched in a paused pool too', async () => {
  const rig = rigWith({}, { script: inquiries({ doing: 'gone' }) });
  const { lease } = await oneOfTwo(rig);
  const paused = watch(rig.engine.pause('wait'));
  await rig.clock.advance(SILENT_MS + 2 * LOOK_MS);
  assert.equal(errorOf({ error: lease.fault }).kind, 'CONNECTION_LOST');
  assert.ok(paused.settled, 'and pause() does not wait for it for ever');
});
