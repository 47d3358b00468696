// Conformance cases: opening a session, giving up on it, and judging why it failed.

import assert from 'node:assert/strict';
import type { Fault, Session } from '../contracts/driver.ts';
import type { Bench, ConformancePeers, MakeDriver, Trial } from './driver-conformance-kit.ts';

const FAULTS: readonly Fault[] = ['transient', 'permanent', 'full', 'host'];

/** Either way is right; what counts is that it settles, and that nothing is left once a session that came was destroyed. */
async function givenUp<S extends Session>(bench: Bench<S>, opening: Promise<S>): Promise<void> {
  const session = await opening.catch((error: unknown) => {
    // A wait that ran out is a failure of the case, not of the open.
    if (error instanceof assert.AssertionError) throw error;
    return undefined;
  });
  if (session !== undefined) await bench.soon('a late session is destroyed', session.destroy());
  await bench.until(`its socket is gone (there are ${bench.sockets})`, () => bench.sockets === 0);
}

export const openingTrials: readonly Trial[] = [
  {
    name: 'open resolves to a session at rest',
    async run(bench) {
      const session = await bench.open();
      assert.equal(session.status, 'idle');
      assert.equal(bench.sockets, 1, 'one session, one socket');
      const { pid } = session;
      assert.ok(pid === undefined || (Number.isInteger(pid) && pid > 0), `its process id is ${pid}`);
      await bench.run(session, 'quick');
    },
  },
  {
    name: 'each open makes a session of its own',
    async run(bench) {
      const [one, two] = [await bench.open(), await bench.open()];
      assert.equal(bench.sockets, 2);
      assert.ok(one.pid === undefined || one.pid !== two.pid, 'both have the same process id');
      await bench.run(one, 'begin');
      assert.deepEqual([one.status, two.status], ['transaction', 'idle']);
    },
  },
  {
    name: 'an open whose signal was aborted before settles soon and leaves no socket',
    run: (bench) => givenUp(bench, bench.open(AbortSignal.abort())),
  },
  {
    name: 'an open that is aborted under way settles soon and leaves no socket',
    async run(bench) {
      const giveUp = new AbortController();
      const opening = bench.open(giveUp.signal);
      giveUp.abort();
      await givenUp(bench, opening);
    },
  },
  {
    name: 'an abort after the open does its session no harm',
    async run(bench) {
      const giveUp = new AbortController();
      const session = await bench.open(giveUp.signal);
      let lost = 0;
      session.onLost(() => {
        lost += 1;
      });
      giveUp.abort();
      await bench.turns();
      assert.deepEqual([session.status, lost], ['idle', 0]);
      await bench.run(session, 'quick');
    },
  },
  {
    name: 'classify has an answer for whatever was thrown',
    async run({ driver }) {
      for (const thrown of [undefined, null, 'text', 7, {}, new Error('unknown'), { code: 7 }, { code: 'UNKNOWN' }]) {
        const fault = driver.classify(thrown);
        assert.ok(FAULTS.includes(fault), `classify(${String(thrown)}) gave ${String(fault)}`);
      }
    },
  },
];

const silent = 'an open that gets no answer is given up when it is aborted';

const FAILING: readonly [keyof ConformancePeers<Session>, string, Fault][] = [
  ['refused', 'a refused connect is transient and leaves no socket', 'transient'],
  ['wrongPassword', 'a wrong password is permanent and leaves no socket', 'permanent'],
  ['unknownDatabase', 'an unknown database is permanent and leaves no socket', 'permanent'],
  ['full', 'a full server is known as full and leaves no socket', 'full'],
];

/** The cases of those peers that were given. */
export function peerTrials<S extends Session>(
  peers: ConformancePeers<S>,
): { name: string; run: (bench: Bench<S>) => Promise<void> }[] {
  const trials = [];
  const { silent: makeSilent } = peers;
  if (makeSilent !== undefined) {
    trials.push({ name: silent, run: (bench: Bench<S>) => abortsSilence(bench, makeSilent) });
  }
  for (const [peer, name, fault] of FAILING) {
    const make = peers[peer];
    if (make !== undefined) trials.push({ name, run: (bench: Bench<S>) => fails(bench, make, fault) });
  }
  return trials;
}

async function abortsSilence<S extends Session>(bench: Bench<S>, make: MakeDriver<S>): Promise<void> {
  const driver = await make();
  const giveUp = new AbortController();
  const opening = bench.open(giveUp.signal, driver);
  await bench.until('it dials', () => bench.sockets === 1);
  await bench.turns();
  giveUp.abort();
  await givenUp(bench, opening);
}

async function fails<S extends Session>(bench: Bench<S>, make: MakeDriver<S>, fault: Fault): Promise<void> {
  const driver = await make();
  const error: unknown = await bench.open(undefined, driver).then(
    () => assert.fail('the open succeeded'),
    (reason: unknown) => reason,
  );
  if (error instanceof assert.AssertionError) throw error;
  assert.equal(bench.sockets, 0, 'a socket is left when the open has failed');
  assert.equal(driver.classify(error), fault, `classify of: ${String(error)}`);
}
