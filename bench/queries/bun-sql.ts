// Bun's own client, for a process that Bun runs. It prepares by itself, texts with values included.

import { socketOf, type Target } from './target.ts';
import { type Queries, type Row, SQL } from './workloads.ts';

type Rows = readonly Row[] & { readonly count: number };

/** As much of it as is used here. */
interface BunSql {
  (text: TemplateStringsArray, ...values: unknown[]): Promise<Rows>;
  unsafe(text: string, values?: unknown[]): Promise<Rows>;
  begin<T>(work: (tx: BunSql) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

declare global {
  var Bun:
    | { readonly version: string; readonly SQL: new (options: object) => BunSql; gc(sync: boolean): void }
    | undefined;
}

export function bunSql(target: Target): Queries<Rows> {
  const { config, schema, connections } = target;
  if (globalThis.Bun === undefined) throw new Error('Bun.sql needs a process that Bun runs');
  const path = socketOf(config);
  const sql = new globalThis.Bun.SQL({
    adapter: 'postgres',
    ...(path === undefined ? { hostname: config.host, port: config.port } : { path }),
    username: config.user,
    database: config.database,
    ...(config.password === undefined ? {} : { password: config.password }),
    ...(config.ssl === undefined ? {} : { tls: config.ssl }),
    max: connections,
    // A server of the benchmark's own has its tables where everybody looks.
    ...(schema === 'public' ? {} : { connection: { search_path: schema } }),
  });
  return {
    select1: () => sql`SELECT 1 AS x`,
    byKey: (aid) => sql`SELECT abalance FROM bench_accounts WHERE aid = ${aid}`,
    byText: (aid) => sql.unsafe(SQL.byKey, [aid]),
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
    sqlStateOf: (error) => (typeof error === 'object' && error !== null ? Reflect.get(error, 'errno') : undefined),
    rowsOf: (result) => result,
    countOf: (result) => result.count,
    end: () => sql.close(),
  };
}
