// slonik. Its own types are not valid in the TypeScript that this project is built with; as much of it as is used here is written down.

import { createRequire } from 'node:module';
import type { Target } from './target.ts';
import type { Queries, Row } from './workloads.ts';

interface Result {
  readonly rows: readonly Row[];
  readonly rowCount: number | null;
}

interface Connection {
  query(query: object): Promise<Result>;
}

interface SlonikPool extends Connection {
  transaction(work: (tx: Connection) => Promise<Result>): Promise<Result>;
  end(): Promise<void>;
}

interface Slonik {
  createPool(uri: string, options: { maximumPoolSize: number }): Promise<SlonikPool>;
  readonly sql: { unsafe(text: TemplateStringsArray, ...values: unknown[]): object };
}

function uriOf({ config, connections }: Target): string {
  const uri = new URL(`postgres://localhost:${config.port}/${config.database}`);
  uri.username = config.user;
  uri.password = config.password ?? '';
  if (config.host.startsWith('/')) uri.searchParams.set('host', config.host);
  else uri.hostname = config.host;
  if (config.options !== undefined) uri.searchParams.set('options', config.options);
  uri.searchParams.set('application_name', `bench of ${connections}`);
  return uri.href;
}

/** What pg said, which slonik wraps in errors of its own. */
function sqlStateOf(error: unknown): unknown {
  if (!(error instanceof Error)) return undefined;
  const code: unknown = Reflect.get(error, 'code');
  return typeof code === 'string' ? code : sqlStateOf(error.cause);
}

export async function slonik(target: Target): Promise<Queries<Result>> {
  const { createPool, sql }: Slonik = createRequire(import.meta.url)('slonik');
  const pool = await createPool(uriOf(target), { maximumPoolSize: target.connections });
  // An idle connection's end would otherwise be nobody's error, and end the process.
  Reflect.apply(Reflect.get(pool, 'on'), pool, ['error', () => {}]);
  const text = sql.unsafe;
  const accounts = (from: number, to: number): object =>
    text`SELECT aid, bid, abalance, filler FROM bench_accounts WHERE aid >= ${from} AND aid < ${to}`;
  const byKey = (aid: number): object => text`SELECT abalance FROM bench_accounts WHERE aid = ${aid}`;
  const insert = (aid: number, delta: number): object =>
    text`INSERT INTO bench_history (aid, delta, mtime) VALUES (${aid}, ${delta}, now())`;
  return {
    select1: () => pool.query(text`SELECT 1 AS x`),
    byKey: (aid) => pool.query(byKey(aid)),
    byText: (aid) => pool.query(byKey(aid)),
    accounts: (from, to) => pool.query(accounts(from, to)),
    wide: (from, to) => pool.query(text`SELECT * FROM bench_wide WHERE id >= ${from} AND id < ${to}`),
    insert: (aid, delta) => pool.query(insert(aid, delta)),
    transfer: (aid, delta) =>
      pool.transaction(async (tx) => {
        await tx.query(text`UPDATE bench_accounts SET abalance = abalance + ${delta} WHERE aid = ${aid}`);
        const found = await tx.query(byKey(aid));
        await tx.query(insert(aid, delta));
        return found;
      }),
    failing: () => pool.query(text`SELECT 1 / ${0}::int4 AS x`),
    sqlStateOf,
    rowsOf: (result) => result.rows,
    countOf: (result) => result.rowCount ?? 0,
    end: () => pool.end(),
  };
}
