// A genuine client of pg's, lent by `connect()`: the same for every pool that is a `pg.Pool`.

import type pg from 'pg';
import type { Borrowed, Statement } from './contestant.ts';

/** The ways in which a borrower can end a client that is not its own. */
const SEVER: readonly ((client: pg.Client) => void)[] = [
  (client) => void client.end().catch(() => {}),
  (client) => client.connection.end(),
  (client) => void client.connection.stream.end(),
  (client) => void client.connection.stream.destroy(),
];

function config({ text, values, timeoutMs }: Statement): pg.QueryConfig {
  return {
    text,
    ...(values && { values: [...values] }),
    ...(timeoutMs === undefined ? {} : { query_timeout: timeoutMs }),
  };
}

type Done = (reason?: Error | boolean) => void;

export function rawBorrowed(client: pg.Client | pg.PoolClient, done?: Done): Borrowed {
  // Taken at once: `client.release` is the present holder's, whoever that will be.
  const release = done ?? ('release' in client ? client.release.bind(client) : () => {});
  return {
    run: async (statement) => (await client.query(config(statement))).rows,
    get atRest() {
      return Reflect.get(client, 'readyForQuery') === true;
    },
    release: (reason) => release(reason),
    sever: (how) => SEVER[how % SEVER.length]?.(client as pg.Client),
  };
}

export function callbackWay(pool: pg.Pool): Promise<Borrowed> {
  return new Promise((resolve, reject) => {
    pool.connect((error, client, done) => {
      if (client === undefined) reject(error ?? new Error('neither an error nor a client'));
      else resolve(rawBorrowed(client, done));
    });
  });
}
