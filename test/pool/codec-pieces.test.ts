// The same replies in whatever pieces: each way of cutting and joining them gives what the whole gives, to the codec and to pg alike, with notices,
// notifications, parameters and errors anywhere among them. CODEC_FUZZ_SEED=n repeats a run. On scripted sockets.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import test, { type TestContext } from 'node:test';
import type pg from 'pg';
import { Chance } from '../soak/chance.ts';
import { complete, dataRow, failure, notice, notification, parameter, ready, rowDescription } from './codec-bytes.ts';
import { scene } from './codec-scene.ts';

const seed = Number(process.env.CODEC_FUZZ_SEED ?? randomInt(2 ** 31));
const TEXTS = 6;
const QUERIES = 60;

/** What comes unasked. */
function aside(chance: Chance): Buffer {
  const n = chance.upTo(1_000);
  switch (chance.upTo(4)) {
    case 0:
      return notice(`notice ${n}`);
    case 1:
      return notification('channel', `payload ${'x'.repeat(chance.pick([0, 3, 5_000]))} ${n}`);
    case 2:
      return parameter('application_name', `name ${n}`);
    default:
      return Buffer.concat([aside(chance), aside(chance)]);
  }
}

/** The reply to one text, always the same. */
function replyTo(text: string): Buffer {
  const chance = new Chance(seed, 'reply', text);
  const parts: Buffer[] = [];
  const maybe = (): void => {
    if (chance.happens(0.15)) parts.push(aside(chance));
  };
  const columns = chance.upTo(5);
  const fails = chance.happens(0.2);
  const rows = chance.pick([0, 1, 1, 3, 40]);
  maybe();
  if (columns > 0) parts.push(rowDescription(Array.from({ length: columns }, (_, n) => ({ name: `c${n}` }))));
  maybe();
  for (let row = 0; row < rows && columns > 0; row += 1) {
    const cell = (): string | null =>
      chance.happens(0.1)
        ? null
        : `ä${'x'.repeat(chance.pick(rows > 3 ? [0, 1, 9, 300] : [0, 1, 300, 300, 300, 1_048_576]))}`;
    parts.push(dataRow(Array.from({ length: columns }, cell)));
    maybe();
  }
  parts.push(fails ? failure('22012', `wrong in ${text}`) : complete(columns > 0 ? `SELECT ${rows}` : 'INSERT 0 12'));
  maybe();
  parts.push(ready());
  // The end of a reply is followed by what comes before the next is asked for.
  maybe();
  return Buffer.concat(parts);
}

type Cut = (bytes: Buffer, chance: Chance) => Buffer[];

function pieces(bytes: Buffer, next: () => number): Buffer[] {
  const cut: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = next();
    cut.push(bytes.subarray(at, at + size));
    at += size;
  }
  return cut;
}

const CUTS: Record<string, Cut> = {
  'in one piece': (bytes) => [bytes],
  'byte by byte': (bytes) => (bytes.length > 5_000 ? pieces(bytes, () => 4_099) : pieces(bytes, () => 1)),
  'in short pieces': (bytes, chance) => pieces(bytes, () => 1 + chance.upTo(bytes.length > 50_000 ? 9_000 : 30)),
  'in pieces of any length': (bytes, chance) => pieces(bytes, () => 1 + chance.upTo(chance.pick([2, 7, 100, 70_000]))),
};

interface Outcome {
  readonly answers: unknown[];
  readonly heard: string[];
}

async function outcome(t: TestContext, speaker: 'auto' | 'pg', cut: Cut): Promise<Outcome> {
  const cutting = new Chance(seed, 'cut');
  const { pool } = scene(
    t,
    {
      answer: ({ text }) => (text.startsWith('select') ? replyTo(text) : undefined),
      cut: (bytes) => cut(bytes, cutting),
    },
    { speaker, max: 1, prepare: 'always' },
  );
  const chance = new Chance(seed, 'queries');
  const lease = await pool.acquire();
  const heard: string[] = [];
  lease.client.on('notice', ({ message }) => heard.push(String(message)));
  lease.client.on('notification', ({ payload }) => heard.push(String(payload)));
  const answers: unknown[] = [];
  let last: Promise<void> | undefined;
  for (let n = 0; n < QUERIES; n += 1) {
    const valued = chance.happens(0.4);
    const text = `select ${chance.upTo(TEXTS)}${valued ? ' where $1' : ''}`;
    const config: pg.QueryConfig & { rowMode?: string } = {
      text,
      ...(valued ? { values: ['x'] } : {}),
      ...(chance.happens(0.2) ? { rowMode: 'array' } : {}),
      ...(chance.happens(0.1) ? { name: `mine: ${text}` } : {}),
    };
    const query: Promise<pg.QueryResult> = chance.happens(0.2) ? lease.client.query(config) : lease.query(config);
    last = query.then(
      (result) => {
        const { _types, ...told } = result as typeof result & { _types?: unknown };
        answers[n] = { text, told };
      },
      (error: unknown) => {
        assert.ok(error instanceof Error);
        answers[n] = { text, error: { ...error }, message: error.message };
      },
    );
    if (chance.happens(0.7)) await last;
  }
  await last;
  // What follows the last reply comes in turns of its own.
  for (let turn = 0; turn < 500; turn += 1) await new Promise(setImmediate);
  lease.release();
  const { connectionsLost, queriesByCodec = 0, queriesPrepared = 0 } = pool.stats();
  assert.equal(connectionsLost, 0);
  if (speaker === 'auto')
    assert.ok(
      queriesByCodec > QUERIES / 6 && queriesPrepared > 0,
      `${queriesByCodec} by the codec, ${queriesPrepared} prepared`,
    );
  return { answers, heard };
}

test(`the same replies in whatever pieces give the same results (seed ${seed})`, { timeout: 50_000 }, async (t) => {
  const whole = await outcome(t, 'pg', CUTS['in one piece'] ?? assert.fail());
  assert.equal(whole.answers.length, QUERIES);
  for (const speaker of ['pg', 'auto'] as const) {
    for (const [how, cut] of Object.entries(CUTS)) {
      await t.test(`${speaker}, ${how}`, async (one) => {
        const { answers, heard } = await outcome(one, speaker, cut);
        for (const [n, answer] of answers.entries())
          assert.deepStrictEqual(answer, whole.answers[n], `query ${n}, seed ${seed}`);
        assert.deepEqual(heard, whole.heard);
      });
    }
  }
});
