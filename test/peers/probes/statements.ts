// Probes of named statements that the server has forgotten: a value that cannot be written, and DISCARD ALL. Knows nothing of what else a
// session is left in.

import assert from 'node:assert/strict';
import type pg from 'pg';
import { pidOf, rejection, withPool } from '../../postgres/harness.ts';
import { codeOf, probe, server, withPgClient } from './stage.ts';

const named = (value: unknown): pg.QueryConfig => ({ name: 'echo', text: 'SELECT $1::text AS v', values: [value] });

const throwing = {
  toPostgres(): never {
    throw new Error('no such thing');
  },
};

/** Uses the same name again and again: how each time ended. */
async function uses(of: { query(config: pg.QueryConfig): Promise<pg.QueryResult> }): Promise<unknown[]> {
  const ends: unknown[] = [];
  for (const value of ['a', 'b', 'c']) ends.push(await codeOf(of.query(named(value))));
  return ends;
}

const served = ['served', 'served', 'served'];
const dead = ['26000', '26000', '26000'];

probe(12, {
  ours: async (t) => {
    const pool = withPool(t, { ...server.config, max: 1 });
    for (const of of [pool, await withPool(t, { ...server.config, max: 1 }).acquire()]) {
      assert.deepEqual((await of.query<{ v: string }>(named('first'))).rows, [{ v: 'first' }]);
      assert.match((await rejection(of.query(named(throwing)), Error)).message, /no such thing/);
      assert.deepEqual(await uses(of), served);
    }
  },
  theirs: {
    pg: async (t, stillSo) => {
      const client = await withPgClient(t);
      await client.query(named('first'));
      assert.match((await rejection(client.query(named(throwing)), Error)).message, /no such thing/);
      stillSo('how the name serves after that', await uses(client), dead);
    },
  },
});

probe(13, {
  ours: async (t) => {
    const reset = async (client: pg.Client): Promise<void> => void (await client.query('DISCARD ALL'));
    for (const pool of [
      withPool(t, { ...server.config, max: 1, reset: 'discard' }),
      withPool(t, { ...server.config, max: 1, reset }),
    ]) {
      const pid = await pidOf(pool);
      assert.deepEqual(await uses(pool), served);
      assert.equal(await pidOf(pool), pid);
    }
  },
  theirs: {
    pg: async (t, stillSo) => {
      const client = await withPgClient(t);
      await client.query(named('first'));
      await client.query('DISCARD ALL');
      stillSo('how the name serves after that', await uses(client), dead);
    },
  },
});
