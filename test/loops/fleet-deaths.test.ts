// A fleet when a process is killed, when the server restarts, and when a pool closes. Owns its server.

import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { look, peaks, processes } from '../postgres/fleet-processes.ts';
import { eventually, withClient, withServer } from '../postgres/harness.ts';

const LIMIT = 8;

const server = await withServer(test, { url: false });

test('the permits of a process that is killed are in use again within a second', async (t) => {
  const admin = await withClient(t, server.config);
  const [key, name] = ['killed', 'fleet-killed'];
  const options = { ...server.config, max: 10, application_name: name };
  const others = await processes(t, 3, options, { limit: LIMIT, key });
  const [victim] = await processes(t, 1, { ...options, application_name: 'victim' }, { limit: LIMIT, key });
  assert.ok(victim);
  await Promise.all([victim, ...others].map((member) => member.ask('one')));
  const work = Promise.all(others.map((member) => member.ask('hungry', { tasks: 10, ms: 4_000 })));
  void victim.ask('hungry', { tasks: 10, ms: 60_000 });
  await eventually('all are in use', async () => (await look(admin, key, name)).slots === LIMIT);
  await sleep(1_500);
  const had = (await look(admin, key, 'victim')).sessions;
  assert.ok(had >= 2, `it had ${had}`);
  let [lowest, gone, back]: [number, number?, number?] = [LIMIT];
  const since = performance.now();
  victim.kill();
  while (performance.now() - since < 1_500) {
    const { slots, sessions } = await look(admin, key, 'victim');
    const ms = Math.round(performance.now() - since);
    assert.ok(slots <= LIMIT);
    if (sessions < had) lowest = Math.min(lowest, slots);
    if (sessions === 0) gone ??= ms;
    if (sessions === 0 && slots === LIMIT) back ??= ms;
    await sleep(3);
  }
  t.diagnostic(
    `its ${had} sessions gone after ${gone} ms, at least ${lowest} permits in use, all again after ${back} ms`,
  );
  assert.ok(back !== undefined && back < 1_000, `back after ${back} ms`);
  await work;
});

test('a restart of the server takes all permits, and everybody comes back by itself', async (t) => {
  const [key, name] = ['restarted', 'fleet-restarted'];
  const options = { ...server.config, max: 10, application_name: name };
  const members = await processes(t, 4, options, { limit: LIMIT, key });
  await Promise.all(members.map((member) => member.ask('one')));
  const work = Promise.all(members.map((member) => member.ask<{ ops: number }>('hungry', { tasks: 10, ms: 7_000 })));
  await sleep(1_500);
  await server.restart('fast');
  const admin = await withClient(t, server.config);
  const before = await Promise.all(members.map((member) => member.ask<number>('ops')));
  const peak = await peaks(admin, key, name, work);
  const after = (await work).map(({ ops }) => ops);
  t.diagnostic(
    `ops at the restart ${before.join(' ')}, at the end ${after.join(' ')}; at most ${peak.sessions} sessions`,
  );
  assert.equal(peak.slots, LIMIT);
  assert.ok(peak.sessions <= LIMIT + 4, `${peak.sessions} sessions`);
  for (const [at, ops] of after.entries()) assert.ok(ops - (before[at] ?? 0) > 100, `${at} goes on: ${ops}`);
});

test('a pool that closes leaves no lock, and a process that ends without closing leaves none either', async (t) => {
  const admin = await withClient(t, server.config);
  const [key, name] = ['closed', 'fleet-closed'];
  const options = { ...server.config, max: 10, application_name: name };
  const [one, other] = await processes(t, 2, options, { limit: LIMIT, key });
  await one?.ask('fill', { tasks: 4 });
  await other?.ask('fill', { tasks: 3 });
  assert.equal((await look(admin, key, name)).slots, 7);
  await one?.ask('close');
  await eventually('only the other has some', async () => (await look(admin, key, name)).slots === 3);
  other?.child.disconnect();
  await eventually('nobody has any', async () => (await look(admin, key, name)).slots === 0);
  const { rows } = await admin.query("SELECT FROM pg_locks WHERE locktype = 'advisory'");
  assert.equal(rows.length, 0);
});
