// Values and functions of users that misbehave, under the codec: values that turn themselves into anything, type parsers that throw or are none,
// listeners that throw. Whoever asked is told what pg would tell, and nobody else's statement is touched. On scripted sockets.

import assert from 'node:assert/strict';
import test from 'node:test';
import { complete, dataRow, notice, notification, ready, rowDescription } from './codec-bytes.ts';
import { scene } from './codec-scene.ts';
import type { Arrived } from './codec-socket.ts';

/** Answers with the values. */
function echo({ text, values }: Arrived): Buffer {
  const given = values.map((value) => (value === null ? null : value.toString()));
  const around = text.includes('noise') ? [notice('n'), notification('c', 'p')] : [];
  return Buffer.concat([
    rowDescription((given.length === 0 ? [text] : given).map((_, n) => ({ name: `c${n}` }))),
    ...around,
    dataRow(given.length === 0 ? [text] : given),
    ...around,
    complete('SELECT 1'),
    ready(),
  ]);
}

const NOTHING = { toJSON: () => undefined };

test('a value that turns itself into nothing is null, as with pg', async (t) => {
  for (const speaker of ['pg', 'auto'] as const) {
    const { pool } = scene(t, { answer: echo }, { speaker });
    for (const value of [NOTHING, { toPostgres: () => NOTHING }, { toPostgres: () => undefined }, undefined, null]) {
      const { rows } = await pool.query('select $1, $2', ['x', value]);
      assert.deepEqual(rows, [{ c0: 'x', c1: null }], speaker);
    }
  }
});

test('a value that cannot be sent fails its own query, and leaves nothing for the next one on any connection', async (t) => {
  const { pool } = scene(t, { answer: echo });
  const throws = (): never => {
    throw new RangeError('not today');
  };
  const circle: Record<string, unknown> = {};
  circle.circle = circle;
  const WRONG = [
    { toPostgres: throws },
    { toJSON: throws },
    circle,
    Object.assign(() => {}, { toString: () => 7 }),
    Object.assign(() => {}, { toString: () => ({}) }),
    Object.assign(() => {}, { toString: throws }),
    Object.create(null, { toPostgres: { value: () => Object.create(null, { toPostgres: { value: throws } }) } }),
  ];
  const [one, other] = await Promise.all([pool.acquire(), pool.acquire()]);
  for (let use = 0; use < 7; use += 1) {
    for (const value of WRONG) {
      const text = `select $1, $2, ${use % 2}`;
      await assert.rejects(one.query(text, ['begun', value]), Error);
      assert.deepEqual((await other.query('select plain')).rows, [{ c0: 'select plain' }]);
      assert.deepEqual((await one.query(text, ['a', 'b'])).rows, [{ c0: 'a', c1: 'b' }]);
    }
  }
  one.release();
  other.release();
  const { connectionsLost, queriesByPg } = pool.stats();
  assert.deepEqual({ connectionsLost, queriesByPg }, { connectionsLost: 0, queriesByPg: 0 });
});

test('what a value runs while it is turned into text asks on another connection, and both have their answers', async (t) => {
  const { pool } = scene(t, { answer: echo });
  const inner: Promise<unknown>[] = [];
  const nosy = {
    toPostgres(): string {
      inner.push(pool.query('select $1', ['inner']).then(({ rows }) => rows));
      return 'outer';
    },
  };
  for (let use = 0; use < 7; use += 1) {
    assert.deepEqual((await pool.query('select $1, $2', ['first', nosy])).rows, [{ c0: 'first', c1: 'outer' }]);
    assert.deepEqual(await inner[use], [{ c0: 'inner' }]);
  }
});

test('type parsers that throw, when asked for or when called, fail their own query alone', async (t) => {
  const { pool } = scene(t, { answer: echo });
  const throws = (): never => {
    throw new RangeError('not today');
  };
  for (let use = 0; use < 7; use += 1) {
    for (const getTypeParser of [throws, () => throws, () => undefined]) {
      for (const rowMode of ['array', undefined]) {
        const config = { text: 'select $1', values: ['x'], types: { getTypeParser }, rowMode };
        await assert.rejects(pool.query(config as never), getTypeParser === throws ? RangeError : Error);
        assert.deepEqual((await pool.query('select $1', ['y'])).rows, [{ c0: 'y' }]);
      }
    }
  }
  assert.equal(pool.stats().connectionsLost, 0);
});

for (const byByte of [false, true]) {
  test(`listeners that throw are heard of by the process, and each query has its answer all the same, ${byByte ? 'byte by byte' : 'in one piece'}`, {
    timeout: 10_000,
  }, async (t) => {
    const { pool, thrown } = scene(t, {
      answer: echo,
      cut: (whole) => (byByte ? [...whole].map((byte) => Buffer.of(byte)) : [whole]),
    });
    const lease = await pool.acquire();
    for (const event of ['notice', 'notification'] as const)
      lease.client.on(event, () => {
        throw new Error(event);
      });
    for (let use = 0; use < 7; use += 1) {
      assert.deepEqual((await lease.query('select $1, noise', ['a'])).rows, [{ c0: 'a' }]);
      assert.deepEqual((await lease.query('select $1', ['b'])).rows, [{ c0: 'b' }]);
      const heard = thrown.splice(0).map((error) => (error instanceof Error ? error.message : error));
      assert.deepEqual(heard, ['notice', 'notification', 'notice', 'notification']);
    }
    lease.release();
  });
}
