// Members of a fleet on one virtual clock, before a server in memory: who connects, seeks, appeals and gives way, and when.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { OpenAttempt } from '../../src/contracts/driver.ts';
import { ConnectError } from '../../src/contracts/errors.ts';
import { createEngine } from '../../src/core/create-engine.ts';
import { appealText, freedText } from '../../src/sharing/fleet-rules.ts';
import { postgresBudget } from '../../src/sharing/postgres-budget.ts';
import { FleetRig } from '../kit/fleet-rig.ts';
import type { FleetSession } from '../kit/fleet-server.ts';

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);

test('at most one session at a time is on its way without a permit', async () => {
  const rig = new FleetRig(8);
  const one = rig.add();
  one.want(6);
  let most = 0;
  for (let n = 0; n < 1_000; n += 1) {
    await rig.clock.advance(0.5);
    most = Math.max(most, rig.server.sessions.size - rig.server.granted);
  }
  assert.equal(one.leases.length, 6);
  assert.equal(most, 1);
  await rig.close();
});

test('a session that finds a permit needs no other question but the fence', async () => {
  const rig = new FleetRig(8);
  const one = rig.add();
  one.want(3);
  await rig.clock.advance(50);
  assert.deepEqual(rig.server.asked, { first: 3, another: 0, seek: 0, found: 0, again: 0, notify: 0, census: 0 });
  for (const session of rig.server.sessions) {
    assert.equal(rig.server.permitsOf(session), 1);
    assert.equal(session.fenced, 1);
  }
  await rig.close();
});

test('where all permits are taken one session seeks, and has the next that comes free', async () => {
  const rig = new FleetRig(2);
  const [one, other] = [rig.add(), rig.add()];
  one.want(2);
  await rig.clock.advance(20);
  other.want(3);
  await rig.clock.advance(400);
  assert.deepEqual([rig.server.sessions.size, rig.server.seekers, other.leases.length], [3, 1, 0]);
  one.engine.resize(0, 1);
  one.giveBack(1);
  await rig.clock.advance(20);
  assert.equal(other.leases.length, 1);
  await rig.close();
});

test('nobody seeks who does not want any more', async () => {
  const rig = new FleetRig(1);
  const [one, other] = [rig.add(), rig.add()];
  one.want(1);
  await rig.clock.advance(20);
  const asked = other.engine.acquire({ acquireTimeoutMs: 1_000 });
  const refused = assert.rejects(asked, { code: 'POOL_TIMEOUT' });
  await rig.clock.advance(990);
  assert.equal(rig.server.seekers, 1);
  await rig.clock.advance(400);
  await refused;
  assert.deepEqual([rig.server.seekers, rig.server.sessions.size], [0, 1]);
  await rig.close();
});

test('a seeking session gives up at once when its pool closes', async () => {
  const rig = new FleetRig(1);
  const [one, other] = [rig.add(), rig.add()];
  one.want(1);
  await rig.clock.advance(20);
  const timers = rig.clock.pendingTimers;
  other.want(1);
  await rig.clock.advance(300);
  const closed = other.engine.close({ drainMs: 0, cancelMs: 0, waiting: 'reject' });
  await rig.clock.advance(3);
  await closed;
  assert.equal(rig.server.sessions.size, 1);
  assert.equal(rig.clock.pendingTimers, timers);
  await rig.close();
});

test('whoever lacks something says so after 50 ms, and then as often as it looks again', async () => {
  const rig = new FleetRig(2);
  const [one, other] = [rig.add(), rig.add()];
  one.want(2);
  await rig.clock.advance(20);
  const since = rig.clock.now();
  other.want(1);
  await rig.clock.advance(49);
  assert.equal(rig.server.notified.length, 0);
  await rig.clock.advance(2_000);
  const at = rig.server.notified.map((each) => each.at - since);
  assert.ok(at[0] !== undefined && at[0] >= 50 && at[0] < 70, `the first after ${at[0]} ms`);
  assert.ok(at.length >= 6 && at.length <= 14, `${at.length} in 2 s`);
  await rig.close();
});

test('one that has its share asks no more often than all of them need', async () => {
  const rig = new FleetRig(4);
  const members = [rig.add(), rig.add(), rig.add(), rig.add()];
  for (const member of members) member.want(5);
  await rig.clock.advance(3_000);
  assert.deepEqual(rig.held(), [1, 1, 1, 1]);
  const before = rig.server.notified.length;
  await rig.clock.advance(3_000);
  // One each 150 ms at most, however many seek.
  assert.ok(rig.server.notified.length - before <= 21, `${rig.server.notified.length - before} in 3 s`);
  await rig.close();
});

test('an idle connection that nobody needs goes to who lacks one, within 100 ms', async () => {
  const rig = new FleetRig(2);
  const [one, other] = [rig.add(), rig.add()];
  one.want(2);
  await rig.clock.advance(20);
  one.giveBack();
  await rig.clock.advance(2_000);
  other.want(1);
  await rig.clock.advance(100);
  assert.equal(other.leases.length, 1);
  assert.deepEqual(rig.held(), [1, 1]);
  await rig.close();
});

test('of several who have one to spare, one gives', async () => {
  const rig = new FleetRig(6, 5);
  const [one, two, three, other] = [rig.add(), rig.add(), rig.add(), rig.add()];
  for (const member of [one, two, three]) member.want(2);
  await rig.clock.advance(50);
  for (const member of [one, two, three]) member.giveBack();
  await rig.clock.advance(2_000);
  other.want(1);
  await rig.clock.advance(1_000);
  assert.equal(other.leases.length, 1);
  assert.deepEqual(rig.held().slice(0, 3).toSorted(), [1, 2, 2]);
  await rig.close();
});

test('of many that one member has to spare it gives as many as are lacking, and keeps the others', async () => {
  const rig = new FleetRig(8);
  const [one, other] = [rig.add(), rig.add()];
  one.want(8);
  await rig.clock.advance(50);
  one.giveBack();
  await rig.clock.advance(2_000);
  other.want(3);
  await rig.clock.advance(1_000);
  assert.equal(other.leases.length, 3);
  assert.deepEqual(rig.held(), [5, 3]);
  await rig.close();
});

test('who has more than its share gives it back at the next returns, when another has none', async () => {
  const rig = new FleetRig(4);
  const [one, other] = [rig.add(), rig.add()];
  one.hungry(8, 20);
  await rig.clock.advance(200);
  assert.deepEqual(rig.held(), [4, 0]);
  other.hungry(8, 20);
  await rig.clock.advance(50 + 2 * 20 + 20);
  assert.ok((rig.held()[1] ?? 0) >= 1, String(rig.held()));
  await rig.clock.advance(1_000);
  assert.deepEqual(rig.held(), [2, 2]);
  await rig.close();
});

test('an odd one goes round, but not at every turn', async () => {
  const rig = new FleetRig(3);
  const [one, other] = [rig.add(), rig.add()];
  one.hungry(6, 10);
  other.hungry(6, 10);
  await rig.clock.advance(2_000);
  const before = rig.members.map(({ engine }) => engine.stats().connects);
  const ops = rig.members.map((member) => member.ops);
  await rig.clock.advance(10_000);
  const connects = sum(rig.members.map(({ engine }, at) => engine.stats().connects - (before[at] ?? 0)));
  const done = rig.members.map((member, at) => member.ops - (ops[at] ?? 0));
  assert.ok(connects <= 25, `${connects} connects in 10 s`);
  assert.ok(Math.min(...done) / Math.max(...done) > 0.75, String(done));
  await rig.close();
});

test('with more members than permits they go round, each for a second or so', async () => {
  const rig = new FleetRig(4, 3);
  for (let n = 0; n < 6; n += 1) rig.add();
  for (const member of rig.members) member.hungry(3, 10);
  await rig.clock.advance(2_000);
  const before = rig.members.map(({ engine, ops }) => [engine.stats().connects, ops] as const);
  await rig.clock.advance(20_000);
  const done = rig.members.map(({ ops }, at) => ops - (before[at]?.[1] ?? 0));
  const connects = sum(rig.members.map(({ engine }, at) => engine.stats().connects - (before[at]?.[0] ?? 0)));
  assert.ok(Math.min(...done) > (0.6 * sum(done)) / 6, String(done));
  assert.ok(connects < 20 * 5, `${connects} connects in 20 s`);
  await rig.close();
});

test('whoever has its share leaves what comes free to one that has less', async () => {
  const rig = new FleetRig(4, 7);
  const [one, two, other] = [rig.add(), rig.add(), rig.add()];
  one.hungry(5, 10);
  two.hungry(5, 10);
  await rig.clock.advance(1_000);
  assert.deepEqual(rig.held(), [2, 2, 0]);
  other.hungry(5, 10);
  await rig.clock.advance(3_000);
  assert.ok((rig.held()[2] ?? 0) >= 1, String(rig.held()));
  assert.ok(Math.max(...rig.held()) <= 2, String(rig.held()));
  await rig.close();
});

test('an old share binds nobody: of two that lack some, the one with less comes first, whatever it had among many', async () => {
  const rig = new FleetRig(10, 7);
  const [holder, one, other] = [rig.add({ max: 6 }), rig.add({ min: 1 }), rig.add()];
  const crowd = Array.from({ length: 8 }, () => rig.add());
  for (const member of [one, other, ...crowd]) member.hungry(12, 10);
  await rig.clock.advance(4_000);
  assert.deepEqual(rig.held(), [0, ...Array(10).fill(1)]);
  for (const member of crowd) member.stop();
  one.stop();
  other.stop();
  await rig.clock.advance(50);
  holder.want(6);
  await rig.clock.advance(2_000);
  assert.equal(holder.leases.length, 6);
  other.hungry(12, 10);
  await rig.clock.advance(3_000);
  assert.deepEqual(rig.held().slice(0, 3), [6, 1, 3]);
  one.hungry(12, 10);
  await rig.clock.advance(3_000);
  holder.giveBack(1);
  await rig.clock.advance(1_000);
  assert.deepEqual(rig.held().slice(0, 3), [5, 2, 3]);
  await rig.close();
});

test('in a crowd those who have their share keep no session that seeks all the time', async () => {
  const rig = new FleetRig(12, 3);
  const members = Array.from({ length: 12 }, () => rig.add());
  for (const member of members) member.hungry(3, 20);
  await rig.clock.advance(5_000);
  let seeking = 0;
  for (let n = 0; n < 100; n += 1) {
    await rig.clock.advance(100);
    seeking += rig.server.sessions.size - rig.server.granted;
  }
  assert.ok(seeking / 100 < 9, `${seeking / 100} on average`);
  assert.deepEqual(rig.held(), Array(12).fill(1));
  await rig.close();
});

test('after the server has forgotten all locks everybody comes back by itself', async () => {
  const rig = new FleetRig(6);
  const members = [rig.add(), rig.add(), rig.add()];
  for (const member of members) member.hungry(4, 10);
  await rig.clock.advance(2_000);
  assert.deepEqual(rig.held(), [2, 2, 2]);
  rig.server.restart();
  assert.equal(rig.server.granted, 0);
  await rig.clock.advance(3_000);
  assert.deepEqual(rig.held(), [2, 2, 2]);
  assert.equal(rig.server.mostGranted, 6);
  await rig.close();
});

test('a floor that lies idle is given to nobody', async () => {
  const rig = new FleetRig(4);
  const [one, other] = [rig.add({ floor: 2 }), rig.add()];
  one.want(4);
  await rig.clock.advance(50);
  one.giveBack();
  await rig.clock.advance(2_000);
  other.want(4);
  await rig.clock.advance(3_000);
  assert.deepEqual(rig.held(), [2, 2]);
  await rig.close();
});

test('what a pool keeps warm it keeps, as far as that is its share; and it asks for nothing only to keep that warm', async () => {
  const rig = new FleetRig(4);
  const [one, other] = [rig.add({ min: 3 }), rig.add()];
  one.want(4);
  await rig.clock.advance(50);
  one.giveBack();
  await rig.clock.advance(2_000);
  other.want(1);
  await rig.clock.advance(2_000);
  assert.deepEqual(rig.held(), [3, 1]);
  other.want(3);
  await rig.clock.advance(2_000);
  assert.deepEqual(rig.held(), [2, 2]);
  other.giveBack();
  await rig.clock.advance(10);
  other.giveBack();
  await rig.clock.advance(500);
  const said = rig.server.notified.length;
  await rig.clock.advance(5_000);
  assert.equal(rig.server.notified.length, said);
  assert.equal(other.engine.snapshot().idle + one.engine.snapshot().idle, 4);
  await rig.close();
});

test('a pool that has closed leaves no timer and no lock, whatever was going on', async () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    const rig = new FleetRig(3, seed);
    const members = [rig.add(), rig.add(), rig.add(), rig.add()];
    for (const member of members) member.hungry(4, 20);
    await rig.clock.advance(300 + 137 * seed);
    await rig.close();
    assert.deepEqual(
      [rig.clock.pendingTimers, rig.server.sessions.size, rig.server.granted],
      [0, 0, 0],
      `seed ${seed}`,
    );
  }
});

test('behind a pooler the connect is refused, and no permit is left on a session that others use', async () => {
  const rig = new FleetRig(3);
  const one = rig.add();
  rig.server.pooled = true;
  const refused = assert.rejects(one.engine.acquire(), (error) => {
    assert.ok(error instanceof ConnectError);
    assert.equal(error.transient, false);
    assert.match(error.message, /a fleet budget needs server sessions of its own, and there is a pooler in between/);
    return true;
  });
  await rig.clock.advance(5);
  await refused;
  assert.equal(rig.server.mostGranted, 0);
  await rig.close();
});

test('a standby, where nobody can speak to the others, is named; who waits is served once it is a primary', async () => {
  const rig = new FleetRig(3);
  const one = rig.add();
  rig.server.standby = true;
  one.want(1);
  await rig.clock.advance(1_000);
  const { lastConnectError, waiting } = one.engine.snapshot();
  assert.match(lastConnectError?.error.message ?? '', /needs a primary, and this server is a standby/);
  assert.equal(waiting, 1);
  rig.server.standby = false;
  await rig.clock.advance(2_000);
  assert.equal(one.leases.length, 1);
  await rig.close();
});

test('a driver that has no bond for a budget is told so, and not only of poolers', async () => {
  const rig = new FleetRig(3);
  const line = rig.line();
  const { open, ...driver } = rig.server.driver(line);
  const bare = async (attempt: OpenAttempt): Promise<FleetSession> =>
    Object.defineProperty(await open(attempt), 'bond', { value: undefined });
  const engine = createEngine({
    driver: { ...driver, open: bare },
    clock: rig.clock,
    budget: postgresBudget({ limit: 3, key: 'test' }),
  });
  const refused = assert.rejects(engine.acquire(), /or a driver that has no bond for budgets/);
  await rig.clock.advance(5);
  await refused;
  const closed = engine.close({ drainMs: 0, cancelMs: 0, waiting: 'reject' });
  await rig.clock.advance(100);
  await closed;
});

test('a server that answers nothing any more costs the session that asks, and not the pool', async () => {
  const rig = new FleetRig(2);
  const one = rig.add();
  rig.server.muteNext = true;
  one.want(1);
  await rig.clock.advance(10_000);
  assert.equal(one.leases.length, 1);
  await rig.close();
});

test('half of what one has goes to another at the next returns, and not one each time that it asks', async () => {
  const rig = new FleetRig(8);
  const [one, other] = [rig.add(), rig.add()];
  one.hungry(16, 20);
  await rig.clock.advance(500);
  assert.deepEqual(rig.held(), [8, 0]);
  other.hungry(16, 20);
  await rig.clock.advance(50 + 150);
  assert.deepEqual(rig.held(), [4, 4]);
  await rig.close();
});

test('what a session hears after a long transaction, the others having heard it before, is old', async () => {
  const rig = new FleetRig(8, 2);
  const [one, other] = [rig.add(), rig.add()];
  one.want(7);
  await rig.clock.advance(100);
  for (const { session } of one.leases.slice(4)) session.begin();
  other.hungry(6, 20);
  await rig.clock.advance(3_000);
  other.stop();
  one.giveBack(4);
  await rig.clock.advance(3_000);
  // Nobody seeks, and the last three of one end their transactions.
  const held = rig.held();
  for (const lease of one.leases) {
    lease.session.commit();
    await rig.clock.advance(100);
  }
  await rig.clock.advance(300);
  assert.deepEqual(rig.held(), held);
  assert.equal(one.engine.snapshot().size, held[0]);
  await rig.close();
});

test('who is named by one is not forgotten since another, who names somebody else, asks after it', async () => {
  const rig = new FleetRig(4);
  const one = rig.add();
  one.want(4);
  await rig.clock.advance(50);
  const [session] = rig.server.sessions;
  assert.ok(session?.channel);
  const me = rig.server.memberOf(session);
  // Two that seek: the first wants two of ours, the other nothing of us in particular.
  session.tell(appealText({ member: 901, seq: 1, want: 2, bare: true, short: true, gives: [[me, 2, 2]] }));
  await rig.clock.advance(5);
  session.tell(appealText({ member: 902, seq: 1, want: 1, bare: true, short: true, gives: [[903, 1, 2]] }));
  await rig.clock.advance(30);
  for (let n = 0; n < 4; n += 1)
    one.engine.acquire().then(
      (lease) => one.leases.push(lease),
      () => {},
    );
  one.giveBack(3);
  await rig.clock.advance(2);
  assert.equal(one.engine.stats().retired.budget, 2);
  await rig.close();
});

test('the first appeal comes after 50 ms though a permit was told free, and had by another, before', async () => {
  const rig = new FleetRig(2);
  const [one, other] = [rig.add(), rig.add()];
  one.want(2);
  await rig.clock.advance(20);
  const since = rig.clock.now();
  other.want(1);
  await rig.clock.advance(10);
  const seeker = [...rig.server.sessions].at(-1);
  seeker?.tell(freedText(900, 1));
  await rig.clock.advance(90);
  const first = rig.server.notified[0];
  assert.ok(first !== undefined && first.at - since < 80, `${first === undefined ? 'none' : first.at - since}`);
  await rig.close();
});

test('whatever happens in whatever order, nobody is lent a session without a permit of its own, and everybody is served in the end', async (t) => {
  const seed = Number(process.env.OXBOW_FLEET_SEED ?? 751025627);
  t.diagnostic(`seed ${seed} (OXBOW_FLEET_SEED)`);
  for (let run = 0; run < 12; run += 1) {
    const limit = 2 + (run % 6);
    const rig = new FleetRig(limit, seed + run);
    const { clock, server } = rig;
    const chance = (one: number): boolean => clock.random() < one;
    const some = (below: number): number => Math.floor(clock.random() * below);
    const line = { latencyMs: () => 0.2 + 5 * clock.random(), loses: () => chance(0.1) };
    const members = Array.from({ length: 2 + (run % 4) }, () => rig.add({ max: 1 + some(6), min: some(2), line }));
    for (let step = 0; step < 150; step += 1) {
      const member = members[some(members.length)];
      assert.ok(member);
      const { engine, leases } = member;
      const what = some(9);
      if (what < 3) member.want(1 + some(4));
      else if (what < 6) member.giveBack(1 + some(4));
      else if (what === 6) {
        const victim = [...server.sessions][some(server.sessions.size)];
        if (victim !== undefined && chance(0.5)) victim.kill();
      } else if (what === 7) await Promise.race([engine.trim(0), clock.advance(0)]);
      else if (chance(0.1)) server.restart();
      await clock.advance(30 * clock.random());
      const where = `run ${run}, step ${step}`;
      for (const { leases: held } of members)
        for (const { session } of held) {
          if (session.status === 'lost') continue;
          assert.equal(server.permitsOf(session), 1, `${where}: a session that is lent has one permit`);
        }
      assert.ok(server.granted <= limit, where);
      assert.ok(server.sessions.size <= limit + members.length, `${where}: ${server.sessions.size} sessions`);
      void leases;
    }
    for (const member of members) member.giveBack();
    await clock.advance(1_000);
    for (const member of members) member.giveBack();
    for (const member of members) {
      member.giveBack();
      const asked = member.engine.acquire({ acquireTimeoutMs: 5_000 });
      let served = false;
      asked.then(
        (lease) => {
          served = true;
          lease.release();
        },
        () => {},
      );
      for (let ms = 0; ms < 5_000 && !served; ms += 10) {
        await clock.advance(10);
        // What was asked for before comes first.
        for (const one of members) one.giveBack();
      }
      const where = rig.members.map(({ engine }) => {
        const { size, idle, lent, opening, closing, waiting, max, budget } = engine.snapshot();
        return { size, idle, lent, opening, closing, waiting, max, held: budget?.held };
      });
      assert.ok(
        served,
        `run ${run}: everybody is served: ${JSON.stringify(where)}, limit ${limit}, ${JSON.stringify(server.notified.slice(-5))} now ${clock.now()}`,
      );
    }
    await rig.close();
    assert.deepEqual([clock.pendingTimers, server.sessions.size, server.granted], [0, 0, 0], `run ${run}`);
  }
});
