// Who owns the socket of one session, where the codec and pg share it: on a few leases everything at once, awaited or not, by the lease, its raw
// client, cursors, COPY and transactions, given up, killed, and with prepared statements that go stale under it. Each is answered, by its own
// reply, in the order in which it was asked, and the session is not idle before. CODEC_FUZZ_SEED=n repeats what was asked in a run.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import Cursor from 'pg-cursor';
import { ConnectionLostError, type Lease, LeaseError, QueryTimeoutError } from '../../src/doors/index.ts';
import { Chance } from '../soak/chance.ts';
import { withClient, withPool, withServer } from './harness.ts';

const LEASES = 3;
const ROUNDS = 14;
const STEPS = 14;
const BOUND_MS = 15_000;

const seed = Number(process.env.CODEC_FUZZ_SEED ?? randomInt(2 ** 31));
const server = await withServer(test);
const admin = await withClient(test, server.config);
await admin.query(`
  CREATE TABLE changing (a int, b text); INSERT INTO changing VALUES (7, 'b');
  CREATE TABLE copied (n int);
  CREATE FUNCTION noisy(n float8) RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'noise %', n; RETURN n; END $$;
`);

class GivenUp extends Error {}

interface Step {
  readonly lease: Lease;
  readonly chance: Chance;
  /** A number that nobody else has. */
  readonly n: number;
}

function own(n: number): (result: pg.QueryResult) => void {
  return ({ rows, rowCount, command }) => assert.deepEqual([rows, rowCount, command], [[{ n }], 1, 'SELECT']);
}

async function fails(asked: Promise<unknown>, n: number): Promise<void> {
  const error: unknown = await asked.then(
    () => assert.fail(`${n} did not fail`),
    (reason: unknown) => reason,
  );
  if (error instanceof Error && error.message.includes(`"wrong-${n}"`)) return;
  throw error;
}

const TEXTS = ['SELECT $1::float8 AS n', 'SELECT $1::float8 AS n /* 2 */', 'SELECT noisy($1::float8) AS n'];

/** Each asks at once, and resolves when it was answered rightly. In order: it settles after whatever its lease asked before it. */
const STEPS_OF: Record<string, { readonly ordered?: boolean; ask(step: Step): Promise<void> }> = {
  simple: { ordered: true, ask: ({ lease, n }) => lease.query(`SELECT ${n}::float8 AS n`).then(own(n)) },
  parameterised: {
    ordered: true,
    ask: ({ lease, chance, n }) => lease.query(chance.pick(TEXTS), [n]).then(own(n)),
  },
  'as arrays': {
    ordered: true,
    ask: ({ lease, chance, n }) =>
      lease
        .query({ text: chance.pick(TEXTS), values: [n], rowMode: 'array' })
        .then(({ rows }) => assert.deepEqual(rows, [[n]])),
  },
  named: {
    ordered: true,
    ask: ({ lease, n }) => lease.query({ name: 'mine', text: 'SELECT $1::float8 AS n', values: [n] }).then(own(n)),
  },
  'many rows': {
    ordered: true,
    ask: ({ lease, chance, n }) => {
      const rows = chance.pick([0, 10, 3_000]);
      return lease
        .query(`SELECT $1::float8 + i AS n, repeat('x', 50) AS x FROM generate_series(1, ${rows}) i`, [n])
        .then((result) => {
          assert.equal(result.rows.length, rows);
          for (const [i, row] of result.rows.entries()) assert.equal(row.n, n + i + 1);
        });
    },
  },
  'one large row': {
    ordered: true,
    ask: ({ lease, n }) =>
      lease
        .query('SELECT $1::float8 AS n, repeat($2, 300000) AS x', [n, 'äx'])
        .then(({ rows }) => assert.deepEqual([rows[0]?.n, rows[0]?.x.length], [n, 600_000])),
  },
  failing: {
    ordered: true,
    ask: ({ lease, n }) =>
      fails(
        n % 2 === 0 ? lease.query(`SELECT 'wrong-${n}'::int`) : lease.query('SELECT $1::text::int', [`wrong-${n}`]),
        n,
      ),
  },
  'failing in the middle of its rows': {
    ordered: true,
    ask: ({ lease, n }) =>
      fails(
        lease.query(`SELECT CASE WHEN i < 500 THEN i::text ELSE $1 END::int FROM generate_series(1, 600) i`, [
          `wrong-${n}`,
        ]),
        n,
      ),
  },
  'a type parser that throws': {
    ordered: true,
    ask: ({ lease, n }) =>
      fails(
        lease.query({
          text: 'SELECT $1::float8 AS n FROM generate_series(1, 5)',
          values: [n],
          types: {
            getTypeParser: () => () => {
              throw new Error(`"wrong-${n}"`);
            },
          },
        }),
        n,
      ),
  },
  'raw client': {
    ordered: true,
    ask: ({ lease, chance, n }) =>
      chance.happens(0.5)
        ? lease.client.query(`SELECT ${n}::float8 AS n`).then(own(n))
        : lease.client.query('SELECT $1::float8 AS n', [n]).then(own(n)),
  },
  'raw client, several statements': {
    ordered: true,
    ask: async ({ lease, n }) => {
      const both: unknown = await lease.client.query(`SELECT ${n} AS n; SELECT ${n + 1} AS n`);
      assert.deepEqual(
        (both as pg.QueryResult[]).map(({ rows }) => rows[0].n),
        [n, n + 1],
      );
    },
  },
  'given up': {
    ask: ({ lease, chance, n }) => {
      const abort = new AbortController();
      const text = 'SELECT $1::float8 AS n FROM pg_sleep($2)';
      const config = { text, values: [n, chance.upTo(30) / 1_000] };
      if (chance.happens(0.5)) return lease.query({ ...config, timeoutMs: chance.pick([1, 5, 15]) }).then(own(n));
      sleep(chance.upTo(20)).then(() => abort.abort(new GivenUp()));
      return lease.query({ ...config, signal: abort.signal }).then(own(n));
    },
  },
  cursor: {
    ask: async ({ lease, chance, n }) => {
      const cursor = lease.client.query(
        new Cursor<{ n: number }>('SELECT $1::float8 AS n FROM generate_series(1, 50)', [n]),
      );
      // pg-cursor waits for the end of a reply, which does not come when its connection dies.
      let ended = (): void => {};
      const lost = new Promise<never>((_, reject) => {
        ended = () => reject(new Error('Connection terminated'));
        lease.client.once('end', ended);
      });
      lost.catch(() => {});
      // One that was not begun yet pg-cursor closes without a word to the server, and begins it later.
      for (let reads = 1 + chance.upTo(4); reads > 0; reads -= 1)
        for (const row of await Promise.race([cursor.read(11), lost])) assert.deepEqual(row, { n });
      await Promise.race([cursor.close(), lost]);
      lease.client.off('end', ended);
    },
  },
  'COPY that waits for rows': {
    ordered: true,
    ask: ({ lease }) =>
      lease.query('COPY copied FROM STDIN').then(
        () => assert.fail('there was nothing to copy'),
        (error: unknown) => {
          if (!/COPY from stdin failed/.test(String(error))) throw error;
        },
      ),
  },
  'COPY that gives rows': {
    ordered: true,
    ask: ({ lease }) =>
      lease
        .query('COPY (SELECT i FROM generate_series(1, 2000) i) TO STDOUT')
        .then(({ command }) => assert.equal(command, 'COPY')),
  },
  'prepared statements go away': {
    ordered: true,
    ask: ({ lease, chance }) => lease.query(chance.pick(['DEALLOCATE ALL', 'DISCARD PLANS'])).then(() => {}),
  },
  'a table that changes': {
    ordered: true,
    ask: ({ lease, chance }) =>
      lease
        .query(
          chance.pick(['SELECT * FROM changing WHERE $1::int = 1', 'SELECT a FROM changing WHERE $1::int = 1']),
          [1],
        )
        .then(({ rows }) => assert.equal(Number(rows[0]?.a), 7)),
  },
  'a table is changed': {
    ask: ({ chance }) =>
      admin
        .query(
          `ALTER TABLE changing ALTER a TYPE ${chance.pick(['int USING a::int', 'text', 'bigint USING a::bigint'])}`,
        )
        .then(() => {}),
  },
  transaction: {
    ask: async ({ lease, chance, n }) => {
      const ends = chance.upTo(3);
      await lease
        .transaction(async (tx) => {
          const asked = [n, n + 0.25, n + 0.5].map((m) => tx.query('SELECT $1::float8 AS n', [m]).then(own(m)));
          const [first] = asked;
          for (const one of asked) one.catch(() => {});
          await (chance.happens(0.5) ? first : Promise.all(asked));
          if (ends === 1) await fails(tx.query(`SELECT 'wrong-${n}'::int`), n).finally(() => tx.rollback());
          await Promise.all(asked);
          if (ends === 2) throw new GivenUp();
        })
        .catch((error: unknown) => {
          if (!(error instanceof GivenUp)) throw error;
        });
    },
  },
};

const names = Object.keys(STEPS_OF);

function isLoss(error: unknown): boolean {
  if (error instanceof ConnectionLostError || error instanceof LeaseError) return true;
  return (
    error instanceof Error &&
    /Connection terminated|not queryable|connection was closed|57P01|terminating|EPIPE|ECONNRESET|ended before/.test(
      error.message,
    )
  );
}

function statusOf(lease: Lease): string {
  return String(Reflect.get(Object(Reflect.get(lease, 'session')), 'status'));
}

for (const speaker of ['auto', 'pg'] as const) {
  for (const deaths of [false, true]) {
    test(`each is answered by its own reply, in order; ${speaker}${deaths ? ', sessions are killed' : ''} (seed ${seed})`, {
      timeout: 120_000,
    }, async (t) => {
      const pool = withPool(t, {
        ...server.config,
        max: LEASES,
        speaker,
        prepare: speaker === 'auto' ? 'always' : false,
      });
      const counts = new Map(names.map((name) => [name, { answered: 0, lost: 0 }]));
      let number = 0;

      const play = async (who: number, round: number): Promise<void> => {
        const chance = new Chance(seed, `${who} ${round} ${deaths}`);
        const lease = await pool.acquire();
        const pid = Number(Reflect.get(lease.client, 'processID'));
        const asked: Promise<void>[] = [];
        const patience = chance.pick([0, 0.3, 0.8, 1]);
        /** Which of those whose order counts have settled. */
        const settled: number[] = [];
        const expected: number[] = [];
        for (let step = 0; step < STEPS; step += 1) {
          const name = chance.pick(names);
          const { ordered = false, ask } = STEPS_OF[name] ?? assert.fail();
          // Alone on its connection: others would come into the middle of it.
          const alone = name === 'transaction' || name === 'cursor';
          if (alone) await Promise.all(asked);
          number += 10;
          const n = number;
          const count = counts.get(name) ?? assert.fail();
          const answer = ask({ lease, chance, n });
          if (ordered) expected.push(n);
          if (ordered && !deaths) assert.notEqual(statusOf(lease), 'idle', `${name} was just asked`);
          const late = new AbortController();
          const bounded = Promise.race([
            answer,
            sleep(BOUND_MS, undefined, { signal: late.signal }).then(() => assert.fail(`not settled: ${name}`)),
          ])
            .then(
              () => {
                count.answered += 1;
                if (ordered) settled.push(n);
              },
              (error: unknown) => {
                const givenUp = name === 'given up' && (error instanceof GivenUp || error instanceof QueryTimeoutError);
                if (!givenUp && !(deaths && isLoss(error)))
                  throw new Error(`${name}, seed ${seed}, lease ${who}, round ${round}: ${String(error)}`, {
                    cause: error,
                  });
                count.lost += 1;
                if (ordered) settled.push(n);
              },
            )
            .finally(() => late.abort());
          bounded.catch(() => {});
          asked.push(bounded);
          if (alone || chance.happens(patience)) await bounded;
          if (deaths && chance.happens(0.02)) await admin.query('SELECT pg_terminate_backend($1)', [pid]);
        }
        await Promise.all(asked);
        if (!deaths) assert.deepEqual(settled, expected, `order, seed ${seed}, lease ${who}, round ${round}`);
        lease.release();
      };

      await Promise.all(
        Array.from({ length: LEASES }, async (_, who) => {
          for (let round = 0; round < ROUNDS; round += 1) await play(who, round);
        }),
      );
      const told = [...counts].map(
        ([name, { answered, lost }]) => `${name}: ${answered} answered, ${lost} given up or lost`,
      );
      t.diagnostic(told.join('; '));
      const { connectionsLost, queriesByCodec = 0, queriesPrepared = 0 } = pool.stats();
      t.diagnostic(`${queriesByCodec} by the codec, ${queriesPrepared} prepared, ${connectionsLost} lost`);
      if (!deaths) assert.equal(connectionsLost, 0);
      assert.ok(speaker === 'pg' ? queriesByCodec === 0 : queriesByCodec > 50 && queriesPrepared > 20);
      assert.ok([...counts.values()].every(({ answered }) => answered > 0));
    });
  }
}
