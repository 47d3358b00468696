// Processes that share eight permits, all of them hungry: how many sessions the server has, and what each process gets done.

import assert from 'node:assert/strict';
import test from 'node:test';
import { peaks, processes } from '../postgres/fleet-processes.ts';
import { withClient, withServer } from '../postgres/harness.ts';

const LIMIT = 8;

const server = await withServer(test);
const admin = await withClient(test, server.config);

for (const count of [4, 8]) {
  test(`${count} hungry processes: never more than ${LIMIT} permits, one seeker each, and everybody gets as much done`, async (t) => {
    const [key, name] = [`shares-${count}`, `fleet-shares-${count}`];
    const options = { ...server.config, max: 10, application_name: name };
    const members = await processes(t, count, options, { limit: LIMIT, key });
    await Promise.all(members.map((member) => member.ask('one')));
    const work = Promise.all(
      members.map((member) => member.ask<{ ops: number; failures: string[] }>('hungry', { tasks: 10, ms: 6_000 })),
    );
    const peak = await peaks(admin, key, name, work);
    const done = await work;
    const ops = done.map((one) => one.ops);
    const mean = ops.reduce((sum, one) => sum + one, 0) / count;
    t.diagnostic(
      `ops ${ops.join(' ')}; at most ${peak.slots} permits, ${peak.sessions} sessions in ${peak.samples} samples`,
    );
    assert.deepEqual(
      done.flatMap(({ failures }) => failures),
      [],
    );
    assert.ok(peak.samples > 100, `${peak.samples} samples`);
    assert.equal(peak.slots, LIMIT);
    assert.equal(peak.doubles, 0);
    assert.ok(peak.sessions <= LIMIT + count, `${peak.sessions} sessions`);
    for (const one of ops) assert.ok(Math.abs(one - mean) <= mean / 4, `${one} of ${ops}`);
    await Promise.all(members.map((member) => member.ask('close')));
  });
}
