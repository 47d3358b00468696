// What the server must not say, in the middle of a reply and between two: the connection is given up with an error that says why, whoever asked
// is told, nothing hangs, nothing is thrown at the process, and no other connection notices. On a scripted socket; both whole and byte by byte.

import assert from 'node:assert/strict';
import test from 'node:test';
import { ConnectionLostError } from '../../src/doors/index.ts';
import { rejection } from '../postgres/harness.ts';
import { complete, dataRow, failure, int16, int32, message, notice, ready, rowDescription } from './codec-bytes.ts';
import { scene } from './codec-scene.ts';

const COLUMNS = rowDescription([{ name: 'a' }, { name: 'b' }]);
const ROW = dataRow(['1', '2']);
const GOOD = [COLUMNS, ROW, complete('SELECT 1'), ready()];

function header(kind: string, length: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.write(kind, 'latin1');
  bytes.writeUInt32BE(length >>> 0, 1);
  return bytes;
}

const rest = Buffer.alloc(64, 0x20);

/** What is said, by what is wrong with it, and what the error says. */
const WRONG: Record<string, [bytes: readonly Buffer[], says: RegExp]> = {
  'a length of 0': [[header('D', 0), rest], /is 0 bytes long/],
  'a length of 3': [[header('D', 3), rest], /is 3 bytes long/],
  'a length of 2^31': [[header('D', 2 ** 31), rest], /is 2147483648 bytes long/],
  'a length of 2^32 - 1': [[header('Z', 2 ** 32 - 1), rest], /is 4294967295 bytes long/],
  'a length of 3 behind good rows': [[COLUMNS, ROW, header('D', 3), rest], /is 3 bytes long/],
  'an unknown message': [[message('!'), ...GOOD], /"!"/],
  'a message of another phase': [[message('K', int32(1), int32(2)), ...GOOD], /"K"/],
  'a portal that is suspended, which nobody asked for': [[COLUMNS, ROW, message('s'), ready()], /"s"/],
  'a row before its columns': [[ROW, complete('SELECT 1'), ready()], /row/],
  'a row of fewer columns': [[COLUMNS, dataRow(['1']), complete('SELECT 1'), ready()], /row of 1 columns/],
  'a row of more columns': [[COLUMNS, dataRow(['1', '2', '3']), complete('SELECT 1'), ready()], /row of 3 columns/],
  'a row without a body': [[COLUMNS, message('D'), complete('SELECT 1'), ready()], /row|range|bounds/],
  'a value that is longer than its row': [
    [COLUMNS, message('D', int16(2), int32(1), Buffer.from('1'), int32(500)), complete('SELECT 1'), ready()],
    /row/,
  ],
  'columns without a body': [[message('T'), complete('SELECT 1'), ready()], /./],
  'columns that are cut': [[message('T', int16(2), Buffer.from('a')), complete('SELECT 1'), ready()], /./],
  'an end of the reply before anything else': [[ready(), ...GOOD], /before|without/],
  'an end of the reply behind columns and rows alone': [[COLUMNS, ROW, ready(), ...GOOD], /before|without/],
  'an end of the reply without a status': [[COLUMNS, ROW, complete('SELECT 1'), message('Z')], /./],
};

for (const byByte of [false, true]) {
  for (const values of [undefined, ['x']]) {
    const how = `${byByte ? 'byte by byte' : 'in one piece'}, to a ${values === undefined ? 'simple' : 'parameterised'} query`;
    for (const [what, [bytes, says]] of Object.entries(WRONG)) {
      test(`${what}, ${how}: whoever asked is told, and nobody else`, { timeout: 10_000 }, async (t) => {
        let wrong: Buffer | undefined;
        const { pool, sockets } = scene(t, {
          answer: ({ text }) =>
            text === 'select wrong' ? wrong : text === 'select later' ? undefined : Buffer.concat(GOOD),
          cut: (whole) => (byByte ? [...whole].map((byte) => Buffer.of(byte)) : [whole]),
        });
        const [bad, good] = await Promise.all([pool.acquire(), pool.acquire()]);
        assert.deepEqual((await bad.query('select fine')).rows, [{ a: '1', b: '2' }]);
        const later = good.query('select later');
        wrong = Buffer.concat([...bytes, Buffer.alloc(3)]);
        const error = await rejection(bad.query('select wrong', values), ConnectionLostError);
        assert.match(error.message, says);
        bad.release();
        // The other one is known by this one's end, which comes when it comes.
        while (!sockets.some((socket) => socket.destroyed)) await new Promise(setImmediate);
        sockets.find((socket) => !socket.destroyed)?.say(...GOOD);
        assert.deepEqual((await later).rows, [{ a: '1', b: '2' }]);
        good.release();
        assert.deepEqual((await pool.query('select fine')).rows, [{ a: '1', b: '2' }]);
        assert.equal(pool.stats().connectionsLost, 1);
        assert.equal(pool.stats().queriesByPg, 0);
      });
    }
  }
}

/** What is said while nobody has asked for anything, to pg's reader; and whether the connection is given up for it. */
const BETWEEN: Record<string, [bytes: readonly Buffer[], givenUp: boolean]> = {
  'a length of 0': [[header('D', 0), rest], true],
  'a length of 3, behind a notice': [[notice('x'), header('N', 3), rest], true],
  'a length of 2^31': [[header('E', 2 ** 31), rest], true],
  'a row': [[ROW], true],
  'the word that something is complete': [[complete('SELECT 1')], true],
  'an error': [[failure('57P01', 'goodbye', 'FATAL')], true],
  'the end of a reply': [[ready()], false],
};

for (const byByte of [false, true]) {
  for (const [what, [bytes, givenUp]] of Object.entries(BETWEEN)) {
    test(`${what} between two replies, ${byByte ? 'byte by byte' : 'in one piece'}: the next statement has its own answer`, {
      timeout: 10_000,
    }, async (t) => {
      const { pool, sockets } = scene(t, {
        answer: () => Buffer.concat(GOOD),
        cut: (whole) => (byByte ? [...whole].map((byte) => Buffer.of(byte)) : [whole]),
      });
      await pool.query('select fine');
      const [first] = sockets;
      assert.ok(first);
      first.say(...bytes);
      if (givenUp) await new Promise((resolve) => first.once('close', resolve));
      else await first.silence();
      assert.deepEqual((await pool.query('select fine')).rows, [{ a: '1', b: '2' }]);
      assert.equal(pool.stats().connectionsLost, givenUp ? 1 : 0);
    });
  }

  test(`the end of a reply, said twice ${byByte ? 'byte by byte' : 'in one piece'}, is nobody's answer`, {
    timeout: 10_000,
  }, async (t) => {
    const { pool } = scene(t, {
      answer: ({ text }) => Buffer.concat(text === 'select twice' ? [...GOOD, ready()] : GOOD),
      cut: (whole) => (byByte ? [...whole].map((byte) => Buffer.of(byte)) : [whole]),
    });
    const lease = await pool.acquire();
    assert.deepEqual((await lease.query('select twice')).rows, [{ a: '1', b: '2' }]);
    const next = await lease.query('select fine').catch((error: unknown) => error);
    if (!(next instanceof ConnectionLostError))
      assert.deepEqual(Reflect.get(Object(next), 'rows'), [{ a: '1', b: '2' }]);
    lease.release();
  });
}

test('a connection that ends anywhere in a reply is lost, and whoever asked is told', {
  timeout: 20_000,
}, async (t) => {
  const reply = Buffer.concat([COLUMNS, ROW, notice('x'), complete('SELECT 1'), ready()]);
  let end = 0;
  const { pool } = scene(t, {
    answer({ socket, text }) {
      if (text !== 'select cut') return Buffer.concat(GOOD);
      void socket.silence().then(() => socket.hangUp());
      return reply.subarray(0, end);
    },
  });
  for (; end < reply.length; end += 1) {
    for (const values of [undefined, ['x']]) {
      const error = await rejection(pool.query('select cut', values), ConnectionLostError);
      assert.equal(error.mayHaveExecuted, true, `after ${end} bytes`);
    }
  }
  assert.deepEqual((await pool.query('select fine')).rows, [{ a: '1', b: '2' }]);
});

test('while a message between two replies is cut, pg speaks, and the codec again when it is whole', {
  timeout: 10_000,
}, async (t) => {
  const { pool, sockets } = scene(t, {
    answer: ({ text }) => (text === 'select held' ? undefined : Buffer.concat(GOOD)),
  });
  await pool.query('select fine');
  const [first] = sockets;
  assert.ok(first);
  for (let cut = 1; cut < notice('x').length; cut += 1) {
    first.say(notice('x').subarray(0, cut));
    await first.silence();
    const held = pool.query('select held');
    await first.silence();
    first.say(notice('x').subarray(cut), ...GOOD);
    assert.deepEqual((await held).rows, [{ a: '1', b: '2' }]);
    assert.equal(pool.stats().queriesByPg, cut);
    assert.deepEqual((await pool.query('select fine')).rows, [{ a: '1', b: '2' }]);
    assert.equal(pool.stats().queriesByPg, cut);
  }
});
