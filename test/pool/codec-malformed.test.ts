// What the server must not say, in the middle of a reply and between two: the connection is given up with an error that says why, whoever asked
// is told, nothing hangs, nothing is thrown at the process, and no other connection notices. On a scripted socket; both whole and byte by byte.

import assert from 'node:assert/strict';
import test from 'node:test';
import { ConnectionLostError, Pool } from '../../src/doors/index.ts';
import { freshName, rejection, reports } from '../postgres/harness.ts';
import { complete, dataRow, int16, int32, message, ready, rowDescription } from './codec-bytes.ts';
import { ScriptedSocket } from './codec-socket.ts';

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
  'a length of 0': [[header('D', 0), rest], /message of 1 bytes/],
  'a length of 3': [[header('D', 3), rest], /message of 4 bytes/],
  'a length of 2^31': [[header('D', 2 ** 31), rest], /message of 2147483649 bytes/],
  'a length of 2^32 - 1': [[header('Z', 2 ** 32 - 1), rest], /message of 4294967296 bytes/],
  'a length of 3 behind good rows': [[COLUMNS, ROW, header('D', 3), rest], /message of 4 bytes/],
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

interface Scene {
  readonly pool: Pool;
  /** Of each connection, in the order in which they were opened. */
  readonly sockets: ScriptedSocket[];
  /** What is answered to "wrong". */
  wrong: Buffer | undefined;
}

async function scene(t: test.TestContext, byByte: boolean): Promise<Scene> {
  const sockets: ScriptedSocket[] = [];
  const script = {
    answer: ({ text }: { text: string }): Buffer | undefined =>
      text.startsWith('select wrong') ? made.wrong : text === 'select later' ? undefined : Buffer.concat(GOOD),
    cut: (bytes: Buffer): Buffer[] => (byByte ? [...bytes].map((byte) => Buffer.of(byte)) : [bytes]),
  };
  const stream = (): ScriptedSocket => {
    const socket = new ScriptedSocket(script);
    sockets.push(socket);
    return socket;
  };
  const pool = new Pool({
    name: freshName(),
    logger: reports().logger,
    max: 2,
    speaker: 'auto',
    user: 'scripted',
    database: 'scripted',
    password: 'scripted',
    host: '127.0.0.1',
    stream,
  });
  const made: Scene = { pool, sockets, wrong: undefined };
  const uncaught = (error: unknown): void => assert.fail(`thrown at the process: ${String(error)}`);
  process.on('uncaughtException', uncaught);
  t.after(async () => {
    await pool.close({ drainMs: 0, cancelMs: 100 });
    process.off('uncaughtException', uncaught);
  });
  return made;
}

for (const byByte of [false, true]) {
  for (const values of [undefined, ['x']]) {
    const how = `${byByte ? 'byte by byte' : 'in one piece'}, to a ${values === undefined ? 'simple' : 'parameterised'} query`;
    for (const [what, [bytes, says]] of Object.entries(WRONG)) {
      test(`${what}, ${how}: whoever asked is told, and nobody else`, { timeout: 10_000 }, async (t) => {
        const set = await scene(t, byByte);
        const { pool } = set;
        const [bad, good] = await Promise.all([pool.acquire(), pool.acquire()]);
        assert.deepEqual((await bad.query('select fine')).rows, [{ a: '1', b: '2' }]);
        const later = good.query('select later');
        set.wrong = Buffer.concat([...bytes, Buffer.alloc(3)]);
        const error = await rejection(bad.query('select wrong', values), ConnectionLostError);
        assert.match(error.message, says);
        bad.release();
        set.sockets.find((socket) => !socket.destroyed)?.say(...GOOD);
        assert.deepEqual((await later).rows, [{ a: '1', b: '2' }]);
        good.release();
        assert.deepEqual((await pool.query('select fine')).rows, [{ a: '1', b: '2' }]);
        assert.equal(pool.stats().connectionsLost, 1);
        assert.equal(pool.stats().queriesByPg, 0);
      });
    }
  }
}
