// The demo as a newcomer runs it, in a process of its own; and its books with doctored figures: books that cannot fail prove
// nothing.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { balance, type Figures } from '../../demo/books/balance.ts';
import { causeOf, isAllowed } from '../../demo/books/cause.ts';
import { ConnectionBook } from '../../demo/books/connection-book.ts';
import type { Equation } from '../../demo/books/equation.ts';
import { percentile } from '../../demo/books/percentile.ts';
import { ConnectionLostError } from '../../src/doors/index.ts';
import { hasWorkerd } from '../kit/workerd-runtime.ts';
import { withClient, withServer } from './harness.ts';

const DEMO = fileURLToPath(new URL('../../demo/main.js', import.meta.url));
const BOUND_MS = 120_000;

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function demo(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Run> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...env }, timeout: BOUND_MS, maxBuffer: 16_000_000 };
    const child = execFile(process.execPath, [DEMO, ...args], options, (_error, out, err) => {
      resolve({ code: child.exitCode ?? -1, out, err });
    });
  });
}

interface Json {
  ok: boolean;
  figures: Figures;
  equations: Equation[];
}

function jsonOf({ out }: Run): Json {
  return JSON.parse(out.trimEnd().split('\n').at(-1) ?? '') as Json;
}

let ofOwnServer: Promise<Run> | undefined;

/** One run, looked at in several ways. */
function withOwnServer(): Promise<Run> {
  ofOwnServer ??= demo(['--seconds', '3', '--json'], { DATABASE_URL: '' });
  return ofOwnServer;
}

describe('npm run demo', { timeout: 2 * BOUND_MS }, () => {
  test('balances its books with a server of its own, kills, a restart, and says so in its exit code', async () => {
    const run = await withOwnServer();
    assert.equal(run.code, 0, `${run.out}\n${run.err}`);
    assert.equal(run.err, '');
    const { ok, figures, equations } = jsonOf(run);
    assert.equal(ok, true);
    assert.deepEqual(
      equations.filter(({ holds }) => !holds),
      [],
    );
    assert.deepEqual(balance(figures), equations, 'the equations follow from the figures');
    assert.ok(figures.faults.killedWhileLent >= 5, `${figures.faults.killedWhileLent} lent backends were killed`);
    assert.equal(figures.faults.restarts, 1);
    assert.ok(figures.answers.requests > 100 && figures.rows.found > 50, 'there was load');
    assert.ok(Object.keys(figures.answers.failed).every(isAllowed), JSON.stringify(figures.answers.failed));
    assert.match(run.out, /5 × Error: timeout exceeded when trying to connect/);
    assert.match(run.out, /5 × PoolTimeoutError POOL_TIMEOUT: shop: .*5\/5 lent/);
    // Lines are broken where they are too long.
    const said = run.out.replaceAll(/\s+/g, ' ');
    assert.match(said, /DataCloneError: \(\) => 'A pool cannot be posted\. Post pool\.share\(\); joinPool\(handle\)/);
    assert.match(
      said,
      /pg\.Pool .* makes a pool from the same options: 10 sessions on the server, max 5, no error Oxbow/,
    );
    assert.match(
      said,
      /joins the pool: it has 5 of 5 connections \d+ ms after its start, the first thread 0; 5 sessions on the server/,
    );
    if (!hasWorkerd()) return;
    assert.match(said, /pg\.Pool request 1: a row request 2: no answer in 1\.5 s/);
    assert.match(said, /an ordinary Pool request 1: a row request 2: WrongLoopError: shop lives in the request/);
    assert.match(said, /createWorkersPool\(\) request 1: a row request 2: a row request 3: a row/);
  });

  test('piped, it is plain text of at most 100 columns', async () => {
    const { out } = await withOwnServer();
    assert.ok(!out.includes('\x1b') && !out.includes('\r'), 'no control characters');
    assert.deepEqual(
      // The last one is for programs.
      out
        .trimEnd()
        .split('\n')
        .slice(0, -1)
        .filter((line) => line.length > 100),
      [],
    );
  });

  test('kills only its own backends on a server given by URL, never restarts it, and leaves nothing there', async (t) => {
    const server = await withServer(t, { url: false });
    const { pid } = server;
    const run = await demo(['--seconds', '3', '--json'], { DATABASE_URL: server.url });
    assert.equal(run.code, 0, `${run.out}\n${run.err}`);
    assert.match(run.out, /no restart: the server was given by URL/);
    assert.equal(jsonOf(run).figures.faults.restarts, 0);
    assert.equal(server.pid, pid);
    assert.doesNotMatch(server.log(1_000_000), /received .* shutdown request/);
    const client = await withClient(t, server.config);
    const { rows } = await client.query("select nspname from pg_namespace where nspname like 'oxbow%'");
    assert.deepEqual(rows, []);
  });

  test('refuses what it does not understand, says what it expected, and starts nothing', async () => {
    for (const [args, text] of [
      [['--seconds', '2'], /--seconds: expected a whole number from 3 to 600, got '2'/],
      [['--seconds', '1e1'], /got '1e1'/],
      [['--secnods', '5'], /Unknown option '--secnods'/],
      [['five'], /Unexpected argument 'five'/],
    ] as const) {
      const run = await demo(args);
      assert.equal(run.code, 2, args.join(' '));
      assert.match(run.err, text);
      assert.equal(run.out, '');
    }
  });
});

/** A run in which everything added up. */
const sound: Figures = {
  max: 8,
  answers: {
    requests: 100,
    read: 30,
    booked: 40,
    taken: 25,
    failed: { 'connection lost': 4, 'serialization failure': 1 },
    bookingsFailed: { 'connection lost': 3, 'serialization failure': 1 },
    servedAfterwards: 20,
  },
  rows: {
    acknowledged: 45,
    found: 46,
    foundAcknowledged: 45,
    foundInDoubt: 1,
    halves: 0,
    soldTwice: 0,
    payments: 46,
    countedByFlights: 46,
  },
  faults: { killedWhileLent: 7, killsAskedFor: 7, restarts: 1, restartsAskedFor: 1 },
  connections: {
    attempts: 20,
    opened: 17,
    neverOpened: 3,
    connectFailures: 3,
    lost: 9,
    lostWhileLent: 7,
    retired: { closed: 8 },
    retiredUnopened: 0,
    open: 0,
    ending: 0,
    lent: 120,
    returned: 113,
    stillLent: 0,
    oddities: [],
  },
  stats: { connects: 20, connectsFailed: 3, connectionsLost: 9, retired: { closed: 8 }, size: 0 },
  sockets: { made: 20, gone: 20, peak: 8 },
  sessionsAfterClose: 0,
};

const wrong = (figures: Figures): string[] => balance(figures).flatMap(({ holds, text }) => (holds ? [] : [text]));

describe('the books of the demo', () => {
  test('accept figures that add up', () => {
    assert.deepEqual(wrong(sound), []);
  });

  const { answers, rows, faults, connections, stats, sockets } = sound;
  const doctored: readonly (readonly [string, Partial<Figures>, RegExp])[] = [
    ['a request without an answer', { answers: { ...answers, requests: 101 } }, /sent 101 =/],
    [
      'a failure nobody expected',
      { answers: { ...answers, failed: { 'unexpected: x': 5 } } },
      /no allowed cause 5 = 0/,
    ],
    [
      'more lost requests than connections',
      { answers: { ...answers, failed: { 'connection lost': 10 } } },
      /lost connection 10 ≤ connections lost 9/,
    ],
    ['no recovery', { answers: { ...answers, servedAfterwards: 0 } }, /after the last fault 0 ≥ 1/],
    ['an acknowledged booking that is not there', { rows: { ...rows, acknowledged: 46 } }, /acknowledged 46 =/],
    ['a row that nobody asked for', { rows: { ...rows, found: 47 } }, /seats found 47 = acknowledged 45/],
    ['a seat sold twice', { rows: { ...rows, soldTwice: 1 } }, /sold twice 1/],
    ['half a transaction', { rows: { ...rows, halves: 1 } }, /groups in halves 1/],
    ['a booking without its payment', { rows: { ...rows, payments: 45 } }, /payments 45/],
    ['more in doubt than answers were lost', { rows: { ...rows, foundInDoubt: 7 } }, /in doubt 7 ≤ .* 6/],
    ['a connection that never ended', { connections: { ...connections, opened: 18 } }, /opened 18 = retired/],
    ['a lease that never came back', { connections: { ...connections, returned: 112 } }, /lent 120 = returned 112/],
    ['a double lend', { connections: { ...connections, oddities: ['lent twice'] } }, /cannot happen 1 = 0/],
    ['a counter of the pool that is off', { stats: { ...stats, connectionsLost: 8 } }, /lost 8 = seen by/],
    ['a slot left after close', { stats: { ...stats, size: 1 } }, /open or ending after close 1/],
    ['a socket left open', { sockets: { ...sockets, gone: 19 } }, /made 20 = gone 19/],
    ['a socket too many', { sockets: { ...sockets, peak: 9 } }, /most at once 9 ≤ max 8/],
    ['a session left on the server', { sessionsAfterClose: 1 }, /after close 1 = 0/],
    ['a kill that did not hit', { faults: { ...faults, killedWhileLent: 6 } }, /killed while lent 6 ≥ wanted 7/],
  ];
  for (const [what, change, line] of doctored) {
    test(`refuse ${what}`, () => {
      const lines = wrong({ ...sound, ...change });
      assert.ok(
        lines.some((text) => line.test(text)),
        `${line} in ${JSON.stringify(lines)}`,
      );
    });
  }
});

describe('the causes of failed requests', () => {
  test('are allowed only if a fault of the demo explains them', () => {
    assert.equal(causeOf(new ConnectionLostError('gone', true, undefined)), 'connection lost');
    assert.equal(causeOf(Object.assign(new Error('could not serialize'), { code: '40001' })), 'serialization failure');
    assert.equal(isAllowed(causeOf(Object.assign(new Error('no such table'), { code: '42P01' }))), false);
    assert.equal(isAllowed(causeOf(new TypeError('x is undefined'))), false);
    assert.equal(isAllowed('toString'), false);
  });
});

describe('the book of connections', () => {
  const book = (): ConnectionBook => {
    const made = new ConnectionBook();
    made.opening();
    made.opened({ id: 1, pid: 100 });
    return made;
  };

  test('counts an attempt that never became a connection apart', () => {
    const made = book();
    made.opening();
    made.closed({ id: 2 });
    const { attempts, opened, neverOpened, open, oddities } = made.figures();
    assert.deepEqual(
      { attempts, opened, neverOpened, open, oddities: [...oddities] },
      {
        attempts: 2,
        opened: 1,
        neverOpened: 1,
        open: 1,
        oddities: [],
      },
    );
  });

  test('writes down what cannot happen: a double lend, a second end, a socket gone without a reason', () => {
    const made = book();
    made.lent({ id: 1, lease: 1 });
    made.lent({ id: 1, lease: 2 });
    assert.match(made.figures().oddities.at(-1) ?? '', /lent twice/);
    made.closed({ id: 1 });
    assert.match(made.figures().oddities.at(-1) ?? '', /without a reason/);
    made.retired({ id: 1, reason: 'closed' });
    made.lost({ id: 1, state: 'idle' });
    assert.match(made.figures().oddities.at(-1) ?? '', /ended twice: closed, then lost/);
    made.lent({ id: 1, lease: 3 });
    assert.match(made.figures().oddities.at(-1) ?? '', /lent but is not open/);
  });

  test('knows in which state a connection was lost', () => {
    const made = book();
    made.lent({ id: 1, lease: 1 });
    assert.equal(made.endOf(100), undefined);
    made.lost({ id: 1, state: 'lent' });
    assert.deepEqual(made.endOf(100), { end: 'lost', lostWhile: 'lent' });
    const { lent, returned, lostWhileLent, stillLent } = made.figures();
    assert.deepEqual([lent, returned, lostWhileLent, stillLent], [1, 0, 1, 0]);
  });
});

test('percentiles are values that occur', () => {
  assert.equal(percentile([], 0.5), 0);
  assert.equal(percentile([3, 1, 2], 0.5), 2);
  assert.equal(percentile([3, 1, 2], 0.99), 3);
});
