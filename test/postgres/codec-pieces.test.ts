// A server's real replies, cut and joined at random between it and the pool: rows, large fields, errors in the middle, notices, notifications and
// parameters give what they give uncut, to the codec and to pg. CODEC_FUZZ_SEED=n repeats a run.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { connect, createServer, type Socket } from 'node:net';
import test, { type TestContext } from 'node:test';
import type pg from 'pg';
import { Chance } from '../soak/chance.ts';
import { type Scope, withClient, withPool, withServer } from './harness.ts';

const QUERIES = 80;

const seed = Number(process.env.CODEC_FUZZ_SEED ?? randomInt(2 ** 31));
const server = await withServer(test);
const admin = await withClient(test, server.config);
await admin.query(`
  CREATE FUNCTION noisy(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'noise %', repeat('x', n * 40); RETURN n; END $$;
  CREATE FUNCTION told(n int) RETURNS text LANGUAGE sql AS $$ SELECT pg_notify('channel', n::text)::text || n $$;
`);

/** Passes on what comes from the server in pieces of its own, from one byte to all there is. */
async function relay(scope: Scope, chance: Chance): Promise<number> {
  const sockets = new Set<Socket>();
  const relaying = createServer((client) => {
    const upstream = connect({ host: server.config.host, port: server.config.port });
    let held = Buffer.alloc(0);
    let due = false;
    const pass = (): void => {
      due = false;
      const size = chance.happens(0.2) ? held.length : 1 + chance.upTo(chance.pick([1, 6, 90, 9_000, 90_000]));
      client.write(held.subarray(0, size));
      held = held.subarray(size);
      again();
    };
    const again = (): void => {
      if (due || held.length === 0) return;
      due = true;
      setImmediate(pass);
    };
    client.setNoDelay(true);
    client.on('data', (bytes) => upstream.write(bytes));
    upstream.on('data', (bytes) => {
      held = Buffer.concat([held, bytes]);
      again();
    });
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one);
      one.on('error', () => {}); // the other side sees its end
      one.on('close', () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => relaying.listen(0, '127.0.0.1', resolve));
  scope.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => relaying.close(resolve));
  });
  const address = relaying.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

function query(chance: Chance): pg.QueryConfig & { rowMode?: string } {
  const n = chance.upTo(40);
  const rowMode = chance.happens(0.2) ? { rowMode: 'array' } : {};
  switch (chance.upTo(9)) {
    case 0:
      return { text: `SELECT ${n} AS n, NULL AS none, 'ä' AS text`, ...rowMode };
    case 1:
      return { text: 'SELECT i, repeat($1, i) AS text FROM generate_series(1, 300) i', values: ['漢'], ...rowMode };
    case 2:
      return { text: 'SELECT repeat($1, 350000) AS large, $2::int AS n', values: ['漢', n] };
    case 3:
      return { text: 'SELECT 10 / (100 - i) FROM generate_series(1, 200) i WHERE $1::int >= 0', values: [n] };
    case 4:
      return { text: 'SELECT noisy(i) FROM generate_series(1, $1::int) i', values: [n % 7], ...rowMode };
    case 5:
      return { text: 'SELECT told($1) AS told', values: [n] };
    case 6:
      return { text: `SET application_name TO 'name ${n}'` };
    case 7:
      return { name: 'mine', text: 'SELECT $1::int AS n, now() IS NULL AS never', values: [n] };
    default:
      return {
        text: 'SELECT $1::int AS n, $2::jsonb AS json, $3::text[] AS list',
        values: [n, { n }, ['a', null, 'ü']],
      };
  }
}

interface Outcome {
  readonly answers: unknown[];
  readonly heard: string[];
}

async function outcome(t: TestContext, speaker: 'auto' | 'pg', cuts: boolean): Promise<Outcome> {
  const port = cuts ? await relay(t, new Chance(seed, 'cuts')) : server.config.port;
  const pool = withPool(t, { ...server.config, port, max: 1, speaker });
  const chance = new Chance(seed, 'queries');
  const answers: unknown[] = [];
  const heard: string[] = [];
  const lease = await pool.acquire();
  lease.client.on('notice', ({ message }) => heard.push(String(message)));
  lease.client.on('notification', ({ payload }) => heard.push(String(payload)));
  await lease.query('LISTEN channel');
  let last: Promise<void> | undefined;
  for (let n = 0; n < QUERIES; n += 1) {
    const config = query(chance);
    const asked: Promise<pg.QueryResult> = chance.happens(0.2) ? lease.client.query(config) : lease.query(config);
    last = asked.then(
      (result) => {
        const { _types, ...told } = result as typeof result & { _types?: unknown };
        answers[n] = told;
      },
      (error: unknown) => {
        assert.ok(error instanceof Error);
        answers[n] = { error: { ...error }, message: error.message };
      },
    );
    if (chance.happens(0.7)) await last;
  }
  await last;
  lease.release();
  const { connectionsLost, queriesByCodec = 0, queriesPrepared = 0 } = pool.stats();
  assert.equal(connectionsLost, 0);
  if (speaker === 'auto')
    assert.ok(queriesByCodec > QUERIES / 6 && queriesPrepared > 0, `${queriesByCodec} by the codec`);
  // What the others notify is heard by this one too, should it still listen.
  return { answers, heard: [...heard] };
}

test(`a server's replies, cut and joined at random, give what they give uncut (seed ${seed})`, {
  timeout: 120_000,
}, async (t) => {
  const whole = await outcome(t, 'pg', false);
  assert.ok(whole.heard.length > 0);
  for (const speaker of ['auto', 'pg'] as const) {
    for (const cuts of [false, true]) {
      await t.test(`${speaker}, ${cuts ? 'cut' : 'uncut'}`, async (one) => {
        const { answers, heard } = await outcome(one, speaker, cuts);
        for (const [n, answer] of answers.entries())
          assert.deepEqual(answer, whole.answers[n], `query ${n}, seed ${seed}`);
        assert.deepEqual(heard, whole.heard);
      });
    }
  }
});
