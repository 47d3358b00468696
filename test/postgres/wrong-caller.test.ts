// Who is answered by whose reply: borrowers of every kind at once on few connections, each asking with a number of its own, given up,
// returned and killed at random moments. No reply ever reaches the wrong caller, no connection is handed on inside a transaction, and whoever
// was not told of a loss has his answer. WRONG_CALLER_SEED=n repeats what was asked in a run.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import test from 'node:test';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import type pg from 'pg';
import Cursor from 'pg-cursor';
import {
  ConnectionLostError,
  LeaseError,
  type Pool,
  PoolTimeoutError,
  QueryTimeoutError,
} from '../../src/doors/index.ts';
import { Chance } from '../soak/chance.ts';
import { eventually, withClient, withPool, withServer } from './harness.ts';

const BORROWERS = 24;
const ROUNDS = 80;
const MAX = 3;

const server = await withServer(test);
const admin = await withClient(test, server.config);

const given = process.env.WRONG_CALLER_SEED;
const seed = given === undefined ? randomInt(2 ** 31) : Number(given);

interface Asked {
  readonly pool: Pool;
  readonly chance: Chance;
  /** A number that nobody else has. */
  readonly n: number;
}

type Kind = (asked: Asked) => Promise<void>;

/** Whoever gave it up himself, or lost his connection, has no answer to expect. */
class GivenUp extends Error {}

function isLoss(error: unknown): boolean {
  return (
    error instanceof GivenUp ||
    error instanceof QueryTimeoutError ||
    error instanceof PoolTimeoutError ||
    error instanceof ConnectionLostError ||
    error instanceof LeaseError ||
    // To raw clients pg says it in its own words.
    (error instanceof Error &&
      /Connection terminated|not queryable|connection was closed|57P01|terminating|EPIPE|ECONNRESET|had ended before/.test(
        error.message,
      ))
  );
}

function theOnlyRow(result: pg.QueryResult, n: number): void {
  assert.deepEqual(result.rows, [{ n }]);
}

function text(chance: Chance, n: number): string | pg.QueryConfig {
  switch (chance.upTo(5)) {
    case 0:
      return `SELECT ${n} AS n`;
    case 1:
      return { text: 'SELECT $1::int AS n', values: [n] };
    case 2:
      return { name: `named-${n % 5}`, text: 'SELECT $1::int AS n', values: [n] };
    case 3:
      return { text: `SELECT ${n} AS n FROM pg_sleep(${chance.upTo(4) / 1000})` };
    default:
      return {
        name: 'slow',
        text: 'SELECT $1::int AS n FROM pg_sleep($2::float8)',
        values: [n, chance.upTo(4) / 1000],
      };
  }
}

async function fails(asked: Promise<unknown>, n: number): Promise<void> {
  await assert.rejects(asked, (error: unknown) => {
    if (isLoss(error)) throw error;
    return error instanceof Error && error.message.includes(`"wrong-${n}"`);
  });
}

/** A cursor whose connection died under it is never closed: pg-cursor waits for the end of a reply. */
async function closed(client: pg.PoolClient, cursor: { close(): Promise<void> }): Promise<void> {
  let ended = (): void => {};
  const end = new Promise<void>((resolve) => {
    ended = resolve;
  });
  client.once('end', ended);
  await Promise.race([cursor.close(), end]);
  client.off('end', ended);
}

/** In a transaction that was begun earlier the two differ. */
const AT_REST = 'SELECT now() = statement_timestamp() AS fresh';

const KINDS: Record<string, Kind> = {
  'pool.query': async ({ pool, chance, n }) => theOnlyRow(await pool.query(text(chance, n)), n),

  'pool.query that fails': async ({ pool, n }) =>
    fails(n % 2 === 0 ? pool.query(`SELECT 'wrong-${n}'::int`) : pool.query('SELECT $1::text::int', [`wrong-${n}`]), n),

  'pool.query that is given up': async ({ pool, chance, n }) => {
    const abort = new AbortController();
    const config = text(chance, n);
    const asked = pool.query({
      ...(typeof config === 'string' ? { text: config } : config),
      ...(chance.upTo(2) === 0 ? { timeoutMs: chance.pick([1, 3, 500]) } : { signal: abort.signal }),
    });
    const delay = chance.pick([0, 1, 3, 500]);
    if (delay > 0) sleep(delay - 1).then(() => abort.abort(new GivenUp()));
    else abort.abort(new GivenUp());
    theOnlyRow(await asked, n);
  },

  'lease with several statements, some given up': async ({ pool, chance, n }) => {
    const lease = await pool.acquire();
    const asked = [n, n + 0.25, n + 0.5].map((m) => {
      const abort = new AbortController();
      if (chance.upTo(3) === 0) sleep(chance.upTo(4)).then(() => abort.abort(new GivenUp()));
      const config = { text: 'SELECT $1::float8 AS n FROM pg_sleep($2)', values: [m, chance.upTo(3) / 1000] };
      return lease.query({ ...config, signal: abort.signal }).then((result) => theOnlyRow(result, m));
    });
    const hasty = chance.upTo(3) === 0;
    if (hasty) lease.release();
    const ends = await Promise.allSettled(asked);
    if (!hasty) lease.release();
    for (const end of ends) {
      if (end.status === 'fulfilled' || isLoss(end.reason)) continue;
      // Given back while it ran, it was cancelled.
      if (!hasty || !/canceling statement/.test(String(end.reason))) throw end.reason;
    }
  },

  'raw client with callbacks, given back in one of them': async ({ pool, chance, n }) => {
    const client = await pool.connect();
    await new Promise<void>((resolve, reject) => {
      client.query('SELECT $1::int AS n', [n], (error, result) => {
        client.release(chance.upTo(5) === 0);
        if (error) return reject(error);
        try {
          theOnlyRow(result, n);
          resolve();
        } catch (wrong) {
          reject(wrong);
        }
      });
    });
  },

  'raw client with several statements': async ({ pool, chance, n }) => {
    const client = await pool.connect();
    try {
      theOnlyRow(await client.query(text(chance, n)), n);
      const both = await client.query<{ n: number }[]>(`SELECT ${n} AS n; SELECT ${n + 1} AS n`);
      assert.deepEqual(
        (both as unknown as pg.QueryResult[]).map(({ rows }) => rows),
        [[{ n }], [{ n: n + 1 }]],
      );
      await fails(client.query(`SELECT 'wrong-${n}'::int`), n);
    } finally {
      client.release();
    }
  },

  'raw client left in a transaction, failed or not': async ({ pool, chance, n }) => {
    const client = await pool.connect();
    try {
      const { rows } = await client.query(AT_REST);
      assert.deepEqual(rows, [{ fresh: true }]);
      await client.query('BEGIN');
      if (chance.upTo(2) === 0) await fails(client.query(`SELECT 'wrong-${n}'::int`), n);
      else theOnlyRow(await client.query(text(chance, n)), n);
    } finally {
      client.release();
    }
  },

  'cursor, read in part': async ({ pool, chance, n }) => {
    const client = await pool.connect();
    const cursor = client.query(new Cursor<{ n: number }>('SELECT $1::int AS n FROM generate_series(1, 50)', [n]));
    const reads = chance.upTo(4);
    let late: Promise<unknown> | undefined;
    try {
      for (let read = 0; read < reads; read += 1) {
        for (const row of await cursor.read(7)) assert.deepEqual(row, { n });
      }
      if (chance.upTo(2) === 0) await closed(client, cursor);
      else late = chance.upTo(2) === 0 ? cursor.read(5) : undefined;
    } finally {
      client.release();
      const rows = await late?.catch((error: unknown) => {
        if (!/given up/.test(String(error)) && !isLoss(error)) throw error;
        return [];
      });
      for (const row of (rows ?? []) as unknown[]) assert.deepEqual(row, { n });
    }
  },

  'COPY that waits for rows': async ({ pool, chance, n }) => {
    const lease = await pool.acquire();
    try {
      if (chance.upTo(2) === 0) {
        await lease.query('COPY numbers FROM STDIN').then(
          () => assert.fail('there was nothing to copy'),
          (error: unknown) => {
            if (!/COPY from stdin failed/.test(String(error)) && !isLoss(error)) throw error;
          },
        );
        theOnlyRow(await lease.query(text(chance, n)), n);
      } else {
        const copying: pg.Submittable & { [handler: string]: unknown } = {
          submit: (connection: pg.Connection) => connection.query('COPY numbers FROM STDIN'),
          handleCopyInResponse() {},
          handleError() {},
          handleReadyForQuery() {},
          handleCommandComplete() {},
        };
        lease.query(copying);
        if (chance.upTo(2) === 0) await turn();
      }
    } finally {
      lease.release();
    }
  },

  transaction: async ({ pool, chance, n }) => {
    const end = chance.upTo(3);
    await pool
      .transaction(async (tx) => {
        theOnlyRow(await tx.query(text(chance, n)), n);
        await tx.query('INSERT INTO numbers VALUES ($1)', [n]);
        if (end === 0) throw new GivenUp('never mind');
        if (end === 1) await fails(tx.query(`SELECT 'wrong-${n}'::int`), n).finally(() => tx.rollback());
      })
      .catch((error: unknown) => {
        if (!/never mind/.test(String(error))) throw error;
      });
  },
};

const names = Object.keys(KINDS);

const RUNS = (['auto', 'pg'] as const).flatMap((speaker) => [false, true].map((deaths) => ({ speaker, deaths })));

for (const { speaker, deaths } of RUNS) {
  const killed = deaths ? ', and sessions are killed meanwhile' : '';
  test(`no reply reaches the wrong caller, speaker ${speaker}${killed} (seed ${seed})`, async (t) => {
    const pool = withPool(t, { ...server.config, max: MAX, reset: deaths ? 'rollback' : 'discard', speaker });
    await admin.query('CREATE TABLE IF NOT EXISTS numbers (n int)');
    const counts = new Map(names.map((name) => [name, { answered: 0, lost: 0 }]));
    let number = 0;
    let over = false;
    const borrowers = Array.from({ length: BORROWERS }, async (_, who) => {
      const chance = new Chance(seed, `borrower ${who} ${deaths}`);
      for (let round = 0; round < ROUNDS; round += 1) {
        const name = chance.pick(names);
        number += 10;
        const count = counts.get(name) ?? assert.fail();
        try {
          await (KINDS[name] ?? assert.fail())({ pool, chance, n: number });
          count.answered += 1;
        } catch (error) {
          const allowed = isLoss(error) && (deaths || !(error instanceof ConnectionLostError));
          if (!allowed) throw new Error(`${name}, seed ${seed}: ${String(error)}`, { cause: error });
          count.lost += 1;
        }
        assert.ok(pool.snapshot().size <= MAX);
      }
    }).map((borrower) => borrower.catch((error: unknown) => error));
    const killer = (async () => {
      const chance = new Chance(seed, 'killer');
      while (deaths && !over) {
        await sleep(20 + chance.upTo(60));
        await admin.query(
          'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 ORDER BY backend_start LIMIT 1',
          [pool.name],
        );
      }
    })();
    const failures = (await Promise.all(borrowers)).filter((error) => error !== undefined);
    over = true;
    await killer;
    for (const [name, { answered, lost }] of counts)
      t.diagnostic(`${name}: ${answered} answered, ${lost} given up or lost`);
    assert.deepEqual(failures, []);
    assert.ok([...counts.values()].every(({ answered }) => answered > 0));
    await eventually('all is at rest', () => {
      const { lent, returning, waiting, size, idle } = pool.snapshot();
      return lent + returning + waiting === 0 && size === idle;
    });
    const { rows } = await admin.query<{ state: string }>(
      'SELECT state FROM pg_stat_activity WHERE application_name = $1',
      [pool.name],
    );
    assert.ok(rows.every(({ state }) => state === 'idle'));
    assert.ok(rows.length <= MAX);
    if (!deaths) {
      const { connectionsLost } = pool.stats();
      assert.equal(connectionsLost, 0, 'nobody killed any');
    }
  });
}
