// The count of pools in use must not be what keeps a pool. Pools of their own are too well kept to be collected on command, so these are as
// little as is counted.

import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { enrol } from '../../src/pool/many-pools.ts';

setFlagsFromString('--expose-gc');
const gc: () => void = runInNewContext('gc');

interface Stage {
  readonly said: string[];
  use(name: string, given?: object): object;
  /** Uses so many pools and forgets them; resolves when they are collected. */
  forget(count: number): Promise<void>;
}

function stage(host: string): Stage {
  const said: string[] = [];
  const use = (name: string, given = {}): object => {
    const pool = { name };
    const report = ({ message }: { message: string }): number => said.push(message);
    const client = { host, database: 'x', user: 'u', application_name: 'many' };
    enrol(pool, { given: { ...given }, unname: () => {}, client }, 'oxbow', { report })('open');
    return pool;
  };
  const forget = async (count: number): Promise<void> => {
    const gone = Array.from({ length: count }, () => new WeakRef(use('forgotten')));
    for (let tries = 0; gone.some((ref) => ref.deref() !== undefined); tries += 1) {
      assert.ok(tries < 200, 'something keeps them');
      await sleep(10); // what was looked at is kept until the end of the turn
      gc();
    }
  };
  return { said, use, forget };
}

test('pools that were forgotten are collected, the one that was reported too', async () => {
  const { said, forget } = stage('reported');
  await forget(3);
  assert.equal(said.length, 1, 'they counted as long as they were there');
});

test('two that are left and two that were forgotten are not three', async () => {
  const { said, use, forget } = stage('left');
  await forget(2);
  const left = [use('c'), use('d')];
  assert.deepEqual(said.length, 0);
  left.push(use('e'));
  assert.equal(said.length, 1);
  assert.match(said[0] ?? '', /: c made at .*many-pools\.test.*, d made at .*, e made at /);
});

test('pools that share one limit by a budget are meant to be several', () => {
  const { said, use } = stage('budget');
  const budget = { join: () => {} };
  const kept = ['a', 'b', 'c'].map((name) => use(name, { budget }));
  assert.equal(said.length, 0);
  kept.push(...['d', 'e', 'f'].map((name) => use(name)));
  assert.equal(said.length, 1);
});
