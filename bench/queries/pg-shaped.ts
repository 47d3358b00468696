// Oxbow and pg-pool: the same methods, but for the transaction, which each has its own way for.

import pg from 'pg';
import { Pool, type PoolOptions } from '../../src/doors/index.ts';
import type { Target } from './target.ts';
import { type Queries, SQL } from './workloads.ts';

type Transfer = (aid: number, delta: number) => Promise<pg.QueryResult>;

/** Statements that have a name: pg makes the first use of each on each connection. */
const NAMED = 5;
/** So many of the other queries may the other one speak for. */
const FOREIGN = 0.05;

/** Whoever should speak did, or the row is about somebody else. */
function mustSpeak(pool: Pool, expected: 'codec' | 'pg'): void {
  const { queriesByCodec = 0, queriesByPg = 0 } = pool.stats();
  const foreign = expected === 'codec' ? queriesByPg : queriesByCodec;
  if (foreign <= FOREIGN * (queriesByCodec + queriesByPg) + NAMED * pool.totalCount) return;
  const { speaker } = pool.snapshot();
  throw new Error(
    `${expected} was to speak; the codec did for ${queriesByCodec} queries, pg for ${queriesByPg}: ${speaker?.why ?? 'no reason given'}`,
  );
}

class PgShaped implements Queries<pg.QueryResult> {
  readonly #pool: pg.Pool;
  readonly transfer: Transfer;
  readonly end: () => Promise<void>;

  constructor(pool: pg.Pool, transfer: Transfer, atEnd: () => void = () => {}) {
    this.#pool = pool;
    this.transfer = transfer;
    this.end = async () => {
      atEnd();
      await pool.end();
    };
  }

  select1(): Promise<pg.QueryResult> {
    return this.#pool.query(SQL.select1);
  }

  byKey(aid: number): Promise<pg.QueryResult> {
    return this.#pool.query(byKey(aid));
  }

  byText(aid: number): Promise<pg.QueryResult> {
    return this.#pool.query(SQL.byKey, [aid]);
  }

  accounts(from: number, to: number): Promise<pg.QueryResult> {
    return this.#pool.query({ name: 'accounts', text: SQL.accounts, values: [from, to] });
  }

  wide(from: number, to: number): Promise<pg.QueryResult> {
    return this.#pool.query({ name: 'wide', text: SQL.wide, values: [from, to] });
  }

  insert(aid: number, delta: number): Promise<pg.QueryResult> {
    return this.#pool.query(insert(aid, delta));
  }

  failing(): Promise<pg.QueryResult> {
    return this.#pool.query(SQL.failing, [0]);
  }

  sqlStateOf(error: unknown): unknown {
    return error instanceof pg.DatabaseError ? error.code : undefined;
  }

  rowsOf(result: pg.QueryResult): pg.QueryResultRow[] {
    return result.rows;
  }

  countOf(result: pg.QueryResult): number {
    return result.rowCount ?? 0;
  }
}

function byKey(aid: number): pg.QueryConfig {
  return { name: 'by-key', text: SQL.byKey, values: [aid] };
}

function update(aid: number, delta: number): pg.QueryConfig {
  return { name: 'update', text: SQL.update, values: [delta, aid] };
}

function insert(aid: number, delta: number): pg.QueryConfig {
  return { name: 'insert', text: SQL.insert, values: [aid, delta] };
}

export function ours(target: Target, options: Pick<PoolOptions, 'speaker' | 'prepare'> = {}): Queries<pg.QueryResult> {
  const pool = new Pool({ ...target.config, ...options, max: target.connections, dev: false });
  const transfer: Transfer = (aid, delta) =>
    pool.transaction(async (tx) => {
      await tx.query(update(aid, delta));
      const found = await tx.query(byKey(aid));
      await tx.query(insert(aid, delta));
      return found;
    });
  return new PgShaped(pool, transfer, () => mustSpeak(pool, options.speaker === 'pg' ? 'pg' : 'codec'));
}

/** As node-postgres documents a transaction; an error never happens in it here. */
export function pgPool(target: Target, options: { pipeline?: boolean } = {}): Queries<pg.QueryResult> {
  const pool = new pg.Pool({ ...target.config, ...options, max: target.connections });
  pool.on('error', () => {});
  return new PgShaped(pool, async (aid, delta) => {
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      await client.query(update(aid, delta));
      const found = await client.query(byKey(aid));
      await client.query(insert(aid, delta));
      await client.query('COMMIT');
      return found;
    } catch (error) {
      await client.query('ROLLBACK');
      throw error;
    } finally {
      client.release();
    }
  });
}
