// The verdict as a function of its evidence, and the sentences about it. How evidence comes about: confusion.test.ts, test/postgres.

import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { type Evidence, VERDICTS, type Verdict } from '../../src/contracts/explain.ts';
import type { Holder, PoolSnapshot } from '../../src/contracts/snapshot.ts';
import { explain } from '../../src/diagnosis/explain.ts';
import { verdictOf } from '../../src/diagnosis/verdicts.ts';

const REFUSED = Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:5432'), { code: 'ECONNREFUSED' });
const FULL = Object.assign(new Error('sorry, too many clients already'), { code: '53300' });
const STRANGER = Object.assign(new Error('password authentication failed for user "app"'), { code: '28P01' });
const SILENT = new Error('no answer within connectTimeoutMs (100 ms)');

function snapshot(s: Partial<PoolSnapshot> = {}): PoolSnapshot {
  const { opening = 0, idle = 0, lent = 3, returning = 0, closing = 0 } = s;
  const size = opening + idle + lent + returning + closing;
  const gauges = { opening, idle, lent, returning, closing, size, waiting: 0, oldestWaitMs: 0, oldestLeaseMs: 0 };
  return { name: 'orders', phase: 'open', min: 0, max: 3, ...gauges, ...s };
}

function held(count: number, one: Partial<Holder> = {}): Holder[] {
  return Array.from({ length: count }, (_, n): Holder => ({ id: n + 1, heldMs: 2_000, idleMs: 0, busy: true, ...one }));
}

/** Three of three at work, and one who was refused after five seconds. */
function evidence(e: Partial<Evidence> = {}): Evidence {
  return {
    snapshot: snapshot(),
    holders: held(3),
    refused: true,
    waitedMs: 5_000,
    timeoutMs: 5_000,
    givenBackMs: 0,
    leakAfterMs: 30_000,
    deadlockGraceMs: 500,
    connects: {
      underway: 0,
      oldestMs: 0,
      usualMs: undefined,
      failure: undefined,
      refusing: false,
      retryInMs: undefined,
    },
    loop: { blockedMs: 0, frozen: undefined },
    deadlock: undefined,
    awaitsPermit: false,
    pausedForMs: undefined,
    elsewhere: undefined,
    ...e,
  };
}

function failing(error: Error, fault: 'full' | 'permanent' | 'transient' = 'transient'): Evidence['connects'] {
  const failure = { error, fault, agoMs: 340, attempts: 5 };
  return { underway: 0, oldestMs: 0, usualMs: 12, failure, refusing: true, retryInMs: 1_200 };
}

const connecting = (oldestMs: number, underway = 1): Evidence['connects'] => ({
  underway,
  oldestMs,
  usualMs: 20,
  failure: undefined,
  refusing: false,
  retryInMs: undefined,
});

const idle = (idleMs: number, one: Partial<Holder> = {}): Partial<Holder> => ({
  busy: false,
  idleMs,
  heldMs: 40_000,
  ...one,
});
const cycle = [{ ...held(1, idle(700, { site: 'app/order.js:7', pool: 'orders' }))[0] } as Holder];
const jam = { cycle, forMs: 700 };
const room = { snapshot: snapshot({ lent: 2 }), holders: held(2) };
const budget = { kind: 'threads', limit: 6, used: 6, held: 2, members: 4 };
const where = { lives: 'the pool lives in another request', used: 'in this one', instead: 'use createWorkersPool()' };

/** Each verdict on its own: the evidence for it, the sentence and the first advice. */
const ALONE: Readonly<Record<Verdict, { given: Partial<Evidence>; summary: string; first: RegExp | undefined }>> = {
  ok: {
    given: { refused: false, snapshot: snapshot({ lent: 2, idle: 1 }), holders: held(2), waitedMs: 0 },
    summary: 'orders: nobody waits; 2/3 lent, all running a query, 1 idle',
    first: undefined,
  },
  exhausted: {
    given: { holders: held(3, { site: 'app/report.js:88', lastStatement: 'select * from big', heldMs: 4_200 }) },
    summary:
      'orders: no connection within 5.0 s; no connection is free: 3/3 lent, all running a query; 3 held by app/report.js:88, the oldest for 4.2 s, running `select * from big`',
    first: /^look at the slowest statements \(app\/report\.js:88\)/,
  },
  'held-idle': {
    given: {
      holders: held(
        3,
        idle(9_500, { site: 'app/pay.js:12', inTransaction: true, lastStatement: 'update orders set paid = true' }),
      ),
      snapshot: snapshot({ waiting: 37 }),
    },
    summary:
      'orders: no connection within 5.0 s; 3/3 lent, none running a query, 37 more waiting; 3 held by app/pay.js:12, the oldest for 40 s, idle in transaction for 9.5 s after `update orders set paid = true`',
    first: /^give connections back before doing anything else.*\(app\/pay\.js:12\)$/,
  },
  leak: {
    given: { holders: [...held(1, idle(31_000, { site: 'app/lost.js:3', lastStatement: 'select 1' })), ...held(2)] },
    summary:
      'orders: no connection within 5.0 s; 1 lease has had no query running for more than 30 s: 3/3 lent, 2 running a query; held 40 s by app/lost.js:3, idle for 31 s after `select 1`',
    first: /^give back what is taken \(app\/lost\.js:3\): use pool\.use\(\)/,
  },
  deadlock: {
    given: { holders: held(3, idle(700)), deadlock: jam },
    summary:
      'orders: no connection within 5.0 s; probable deadlock: those who hold the connections wait for another one themselves, and nothing has moved for 700 ms: 3/3 lent, none running a query; held 40 s by app/order.js:7, idle for 700 ms',
    first: /^pass the lease or the transaction on.*\(app\/order\.js:7\)$/,
  },
  'server-down': {
    given: { snapshot: snapshot({ lent: 0 }), holders: [], connects: failing(REFUSED) },
    summary:
      'orders: no connection within 5.0 s; no connection can be made: the last connect failed 340 ms ago, 5 in a row: connect ECONNREFUSED 10.0.0.1:5432; the next is tried in 1.2 s; 0/3 lent',
    first: /^see whether the server runs/,
  },
  'server-full': {
    given: { ...room, connects: failing(FULL, 'full') },
    summary:
      'orders: no connection within 5.0 s; the server has no room for another session: the last connect failed 340 ms ago, 5 in a row: sorry, too many clients already; the next is tried in 1.2 s; 2/3 lent, all running a query; 2 held, the oldest for 2.0 s, running a query',
    first: /^lower max \(3\)/,
  },
  'connecting-slowly': {
    given: { snapshot: snapshot({ lent: 0, opening: 2 }), holders: [], connects: connecting(4_900, 2) },
    summary:
      'orders: no connection within 5.0 s; connecting takes long: 2 connects under way, the oldest for 4.9 s, where one has lately taken 20 ms; 0/3 lent, 2 being opened',
    first: /^find what is slow: DNS, TLS/,
  },
  'loop-blocked': {
    given: { loop: { blockedMs: 4_000, frozen: undefined }, givenBackMs: 600, waitedMs: 5_600 },
    summary:
      'orders: no connection within 5.6 s; the event loop was blocked for 4.0 s of 5.6 s by other work of this process, not by the pool or the server; 3/3 lent, all running a query; 600 ms of blocked time were given back',
    first: /^find the work that keeps the loop/,
  },
  frozen: {
    given: { loop: { blockedMs: 3_000, frozen: { forMs: 3_000, agoMs: 900 } } },
    summary:
      'orders: no connection within 5.0 s; the whole process stood still for 3.0 s, until 900 ms ago (frozen, suspended, or in a synchronous call); 3/3 lent, all running a query; the event loop was blocked for 3.0 s of the time',
    first: /^nothing, if this is a function that was frozen/,
  },
  paused: {
    given: { snapshot: snapshot({ phase: 'paused', lent: 0, idle: 3 }), holders: [], pausedForMs: 65_000 },
    summary:
      'orders: no connection within 5.0 s; the pool has been paused for 65 s and lends nothing until resume(); 0/3 lent, 3 idle',
    first: /^call resume\(\)/,
  },
  budget: {
    given: { ...room, snapshot: snapshot({ lent: 2, budget }), awaitsPermit: true },
    summary:
      'orders: no connection within 5.0 s; the limit that this pool shares with others is used up: 6 of 6 permits of the threads budget taken, 2 of them here, shared by 4 pools; 2/3 lent, all running a query',
    first: /^raise the shared limit \(6\)/,
  },
  'wrong-loop': {
    given: { elsewhere: where, refused: false },
    summary: 'orders: the pool lives in another request, and is used in this one',
    first: /^use createWorkersPool\(\)$/,
  },
  closed: {
    given: { snapshot: snapshot({ phase: 'closed', lent: 0 }), holders: [], refused: false },
    summary: 'orders: the pool is closed; 0/3 lent',
    first: /^make a new pool/,
  },
};

describe('each verdict', () => {
  for (const verdict of VERDICTS) {
    const { given, summary, first } = ALONE[verdict];
    test(`${verdict}: its sentence has the figures, and its first advice is what to do tonight`, () => {
      const said = explain(evidence(given));
      assert.equal(said.verdict, verdict);
      assert.equal(said.summary, summary);
      if (first === undefined) assert.deepEqual(said.advice, []);
      else assert.match(said.advice[0] ?? '', first);
      for (const line of said.advice) assert.ok(line.length > 10 && !/undefined|NaN|\(\)\)/.test(line), line);
    });
  }

  test('asked while somebody waits it says for how long, and concludes the same', () => {
    const waiting = { refused: false, snapshot: snapshot({ waiting: 2 }), waitedMs: 2_500 };
    assert.match(
      explain(evidence(waiting)).summary,
      /^orders: 2 borrowers wait, the oldest for 2\.5 s; no connection is free: /,
    );
    assert.equal(verdictOf(evidence(waiting)), 'exhausted');
  });

  test('who did not want to wait is told that none was ready', () => {
    const said = explain(evidence({ waitedMs: 0, timeoutMs: 0 }));
    assert.match(said.summary, /^orders: no connection: none idle and ready; no connection is free: 3\/3 lent/);
    assert.equal(said.verdict, 'exhausted');
  });
});

/** What each is made of, put on top of each other: an earlier one wins over all that come later. */
const LAYERS: readonly (readonly [Verdict, Partial<Evidence>])[] = [
  ['wrong-loop', { elsewhere: where }],
  ['closed', { snapshot: snapshot({ phase: 'closing', lent: 2, budget }) }],
  ['paused', { pausedForMs: 1_000 }],
  ['ok', { refused: false }],
  ['deadlock', { deadlock: jam }],
  ['frozen', { loop: { blockedMs: 4_000, frozen: { forMs: 4_000, agoMs: 500 } } }],
  ['loop-blocked', { loop: { blockedMs: 4_000, frozen: undefined } }],
  ['server-down', { connects: { ...failing(SILENT), underway: 1, oldestMs: 5_000 } }],
  ['budget', { awaitsPermit: true, connects: connecting(5_000) }],
  ['connecting-slowly', { connects: connecting(5_000) }],
  ['leak', { holders: [...held(1, idle(31_000)), ...held(1)] }],
  ['held-idle', { holders: held(2, idle(1_500)) }],
  ['exhausted', { snapshot: snapshot({ lent: 2, budget }), holders: held(2) }],
];

test('the order of precedence: with everything wrong at once, and then without the first, and so on', () => {
  const said = LAYERS.map((_, from) => {
    const rest = LAYERS.slice(from).map(([, given]) => given);
    return verdictOf(evidence(Object.assign({}, ...rest.reverse())));
  });
  assert.deepEqual(
    said,
    LAYERS.map(([verdict]) => verdict),
  );
});

test('nobody waits: ok, whatever the evidence, but for where nothing can come of asking', () => {
  const [loop, closed, paused, , ...others] = LAYERS;
  for (const [, given] of others) {
    const { snapshot: s = snapshot() } = given;
    assert.equal(verdictOf(evidence({ ...given, refused: false, snapshot: { ...s, waiting: 0 } })), 'ok');
    assert.notEqual(verdictOf(evidence({ ...given, refused: false, snapshot: { ...s, waiting: 1 } })), 'ok');
  }
  for (const [verdict, given] of [loop, closed, paused].flatMap((one) => (one === undefined ? [] : [one]))) {
    assert.equal(verdictOf(evidence({ ...given, refused: false })), verdict);
  }
});

const BOUNDARIES: readonly (readonly [string, Partial<Evidence>, Verdict])[] = [
  ['idle for just less than a second is work', { holders: held(3, idle(999)) }, 'exhausted'],
  ['idle for a second is not', { holders: held(3, idle(1_000)) }, 'held-idle'],
  ['half of them at work', { holders: [...held(2, idle(9_000)), ...held(2)] }, 'exhausted'],
  ['one of them at work, and most are not', { holders: [...held(2, idle(9_000)), ...held(1)] }, 'held-idle'],
  ['idle for just less than leakAfterMs is no leak', { holders: held(3, idle(29_999)) }, 'held-idle'],
  ['idle for leakAfterMs is one', { holders: held(3, idle(30_000)) }, 'leak'],
  ['a statement that has run for an hour is no leak', { holders: held(3, { heldMs: 3_600_000 }) }, 'exhausted'],
  ['what is busy is not idle, whatever its idle time says', { holders: held(3, { idleMs: 40_000 }) }, 'exhausted'],
  [
    'a leakAfterMs of less than a second counts as it stands',
    { holders: held(3, idle(300)), leakAfterMs: 300 },
    'leak',
  ],
  ['blocked for just less than half of the wait', { loop: { blockedMs: 2_499, frozen: undefined } }, 'exhausted'],
  ['blocked for exactly half', { loop: { blockedMs: 2_500, frozen: undefined } }, 'loop-blocked'],
  ['who did not wait was not kept by the loop', { waitedMs: 0, timeoutMs: 0 }, 'exhausted'],
  ['stood still for less than half', { loop: { blockedMs: 2_000, frozen: { forMs: 2_000, agoMs: 0 } } }, 'exhausted'],
  ['stood still for half', { loop: { blockedMs: 2_500, frozen: { forMs: 2_500, agoMs: 0 } } }, 'frozen'],
  ['stood still before it was asked', { loop: { blockedMs: 0, frozen: { forMs: 9_000, agoMs: 5_001 } } }, 'exhausted'],
  [
    'slept until the very moment it was asked',
    { loop: { blockedMs: 0, frozen: { forMs: 9_000, agoMs: 5_000 } } },
    'frozen',
  ],
  ['stuck for less than the grace', { deadlock: { cycle, forMs: 499 } }, 'exhausted'],
  ['stuck for the grace', { deadlock: { cycle, forMs: 500 } }, 'deadlock'],
  [
    'stuck for less than the grace, and for half of a shorter patience',
    { deadlock: { cycle, forMs: 100 }, waitedMs: 200, timeoutMs: 200 },
    'deadlock',
  ],
  ['a full pool is not kept by a server that refuses', { connects: failing(REFUSED) }, 'exhausted'],
  ['nor by a budget', { awaitsPermit: true, snapshot: snapshot({ budget }) }, 'exhausted'],
  [
    'nor is one whose last place is being closed',
    { snapshot: snapshot({ lent: 2, closing: 1 }), connects: failing(REFUSED) },
    'exhausted',
  ],
  [
    'a failed connect that others have followed',
    { ...room, connects: { ...failing(REFUSED), refusing: false } },
    'exhausted',
  ],
  [
    'a wrong password is a server that cannot be used',
    { ...room, connects: failing(STRANGER, 'permanent') },
    'server-down',
  ],
  [
    'all permits of the budget are here',
    { ...room, snapshot: snapshot({ lent: 2, budget: { ...budget, held: 6 } }), awaitsPermit: true },
    'exhausted',
  ],
  ['a budget without figures', { ...room, awaitsPermit: true }, 'budget'],
  [
    'a connect under way for half of the wait',
    { snapshot: snapshot({ lent: 2, opening: 1 }), holders: held(2), connects: connecting(2_500) },
    'connecting-slowly',
  ],
  [
    'for less',
    { snapshot: snapshot({ lent: 2, opening: 1 }), holders: held(2), connects: connecting(2_499) },
    'exhausted',
  ],
  [
    'for less, where they usually take longer',
    { snapshot: snapshot({ lent: 2, opening: 1 }), holders: held(2), connects: { ...connecting(100), usualMs: 2_500 } },
    'connecting-slowly',
  ],
  [
    'nobody holds one and none is ready',
    { snapshot: snapshot({ lent: 0, returning: 3 }), holders: [] },
    'connecting-slowly',
  ],
];

describe('boundaries', () => {
  for (const [what, given, verdict] of BOUNDARIES) {
    test(`${what}: ${verdict}`, () => assert.equal(verdictOf(evidence(given)), verdict));
  }

  test('a blocked loop may have kept a silent server’s answer, and never one that has refused', () => {
    const blocked = { ...room, loop: { blockedMs: 4_000, frozen: undefined } };
    const ended = Object.assign(new Error('connect ETIMEDOUT'), { code: 'ETIMEDOUT' });
    assert.equal(verdictOf(evidence({ ...blocked, connects: failing(SILENT) })), 'loop-blocked');
    assert.equal(verdictOf(evidence({ ...blocked, connects: failing(ended) })), 'loop-blocked');
    assert.equal(verdictOf(evidence({ ...blocked, connects: failing(REFUSED) })), 'server-down');
    assert.equal(verdictOf(evidence({ ...blocked, connects: failing(FULL, 'full') })), 'server-full');
  });
});

describe('sentences', () => {
  test('a fault that lasts is said to last, and the advice is to mend it', () => {
    const said = explain(
      evidence({ snapshot: snapshot({ lent: 0 }), holders: [], connects: failing(STRANGER, 'permanent') }),
    );
    assert.match(
      said.summary,
      /no connection can be made, and trying again will not help: the last connect failed 340 ms ago/,
    );
    assert.match(said.advice[0] ?? '', /^mend what the error names: user, password, database/);
  });

  test('what else is true is said as well: a blocked loop, a stop, time given back, a failed connect, a budget', () => {
    const { summary } = explain(
      evidence({
        loop: { blockedMs: 1_200, frozen: { forMs: 1_200, agoMs: 3_000 } },
        givenBackMs: 300,
        connects: { ...failing(REFUSED), refusing: false, retryInMs: undefined },
        snapshot: snapshot({ budget }),
      }),
    );
    for (const said of [
      'the last connect failed 340 ms ago, 5 in a row: connect ECONNREFUSED',
      'the event loop was blocked for 1.2 s of the time',
      'the process stood still for 1.2 s of it',
      '300 ms of blocked time were given back',
      '6 of 6 permits of the threads budget taken, 2 of them here, shared by 4 pools',
    ]) {
      assert.ok(summary.includes(said), `${said}: ${summary}`);
    }
  });

  test('holders are grouped by where they took theirs, the longest held first, and no more than three groups are named', () => {
    const sites = ['a.js:1', 'b.js:2', 'c.js:3', 'd.js:4', 'b.js:2', 'e.js:5'];
    const holders = sites.map(
      (site, n): Holder => ({ id: n, site, busy: false, heldMs: 9_000 - n * 1_000, idleMs: 3_000 }),
    );
    const { summary } = explain(evidence({ holders, snapshot: snapshot({ lent: 6, max: 6 }) }));
    assert.ok(
      summary.endsWith(
        '; held 9.0 s by a.js:1, idle for 3.0 s; 2 held by b.js:2, the oldest for 8.0 s, idle for 3.0 s; held 7.0 s by c.js:3, idle for 3.0 s; 2 more elsewhere',
      ),
      summary,
    );
  });

  test('without call sites labels tell them apart, and in a jam the pool that is not its own is named', () => {
    const two = ['nightly', 'hourly'].flatMap((label) => held(1, idle(2_000, { label })));
    assert.match(
      explain(evidence({ holders: two })).summary,
      /; held 40 s \(nightly\), idle for 2\.0 s; held 40 s \(hourly\), idle for 2\.0 s$/,
    );
    const foreign = { ...cycle[0], id: 9, pool: 'stock', site: 'app/stock.js:1' } as Holder;
    const { summary } = explain(evidence({ deadlock: { cycle: [...cycle, foreign], forMs: 700 } }));
    assert.match(summary, /; held 40 s by app\/order\.js:7, .*; held 40 s of stock by app\/stock\.js:1, /);
  });

  test('a statement is on one line and cut after eighty characters', () => {
    const lastStatement = `select\n\t${'x'.repeat(500)}`;
    const { summary } = explain(evidence({ holders: held(3, { lastStatement }) }));
    assert.ok(summary.endsWith(`running \`select ${'x'.repeat(73)}…\``), summary);
  });
});

/** Everything that is reachable from it. */
function* parts(value: unknown): Generator<unknown> {
  yield value;
  if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) yield* parts(part);
}

test('the evidence is plain data of a bounded size: no error, nothing undefined, no long statement, of every verdict', () => {
  const long = 'y'.repeat(5_000);
  for (const verdict of VERDICTS) {
    const { given } = ALONE[verdict];
    const bulky = evidence(given);
    const snapshotOf: PoolSnapshot = {
      ...bulky.snapshot,
      lastConnectError: { error: STRANGER, agoMs: 5 },
      budget: { kind: 'fleet', limit: 6, used: undefined, held: 2, members: undefined },
    };
    const holders = held(40, { ...idle(31_000), lastStatement: long });
    const deadlock = { cycle: holders, forMs: 700, victim: { party: new Map(), wait: () => {} } };
    const { evidence: facts } = explain({
      ...bulky,
      snapshot: snapshotOf,
      holders,
      deadlock,
      connects: bulky.connects.failure === undefined ? failing(STRANGER) : bulky.connects,
    });
    assert.deepEqual(structuredClone(facts), facts);
    assert.deepEqual(JSON.parse(JSON.stringify(facts)), facts, 'nothing is lost in JSON');
    for (const part of parts(facts)) {
      assert.ok(!(part instanceof Error) && typeof part !== 'function', String(part));
      assert.ok(typeof part !== 'string' || part.length <= 201, 'a statement is cut');
    }
    assert.ok(JSON.stringify(facts).length < 20_000, 'forty holders are not all listed');
    assert.equal(Reflect.get(facts, 'leaks'), 40, 'and all are counted');
  }
});

test('the same evidence has the same answer, and is left as it was', () => {
  for (const verdict of VERDICTS) {
    const given = evidence(ALONE[verdict].given);
    for (const part of parts(given)) if (!(part instanceof Error)) Object.freeze(part);
    assert.deepEqual(explain(given), explain(given));
  }
});
