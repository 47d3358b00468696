// postgres.js: tagged templates, which it prepares; a text with values goes through `unsafe`.

import postgres from 'postgres';
import { socketOf, type Target } from './target.ts';
import { type Queries, type Row, SQL } from './workloads.ts';

type Rows = postgres.RowList<postgres.Row[]>;

/** `preparesTexts`: `unsafe` does not unless told, and it is documented how. */
export function postgresJs(target: Target, preparesTexts: boolean): Queries<Rows> {
  const { config, schema, connections } = target;
  const path = socketOf(config);
  const sql = postgres({
    host: config.host,
    port: config.port,
    ...(path === undefined ? {} : { path }),
    ...(config.password === undefined ? {} : { password: config.password }),
    ...(config.ssl === undefined ? {} : { ssl: config.ssl }),
    username: config.user,
    database: config.database,
    max: connections,
    prepare: true,
    connection: { search_path: schema },
  });
  const text = { prepare: preparesTexts };
  return {
    select1: () => sql`SELECT 1 AS x`,
    byKey: (aid) => sql`SELECT abalance FROM bench_accounts WHERE aid = ${aid}`,
    byText: (aid) => sql.unsafe(SQL.byKey, [aid], text),
    accounts: (from, to) =>
      sql`SELECT aid, bid, abalance, filler FROM bench_accounts WHERE aid >= ${from} AND aid < ${to}`,
    wide: (from, to) => sql`SELECT * FROM bench_wide WHERE id >= ${from} AND id < ${to}`,
    insert: (aid, delta) => sql`INSERT INTO bench_history (aid, delta, mtime) VALUES (${aid}, ${delta}, now())`,
    transfer: (aid, delta) =>
      sql.begin(async (tx) => {
        await tx`UPDATE bench_accounts SET abalance = abalance + ${delta} WHERE aid = ${aid}`;
        const found = await tx`SELECT abalance FROM bench_accounts WHERE aid = ${aid}`;
        await tx`INSERT INTO bench_history (aid, delta, mtime) VALUES (${aid}, ${delta}, now())`;
        return found;
      }),
    failing: () => sql`SELECT 1 / ${0}::int4 AS x`,
    sqlStateOf: (error) => (error instanceof postgres.PostgresError ? error.code : undefined),
    rowsOf: (result): readonly Row[] => result,
    countOf: (result) => result.count,
    end: () => sql.end(),
  };
}
