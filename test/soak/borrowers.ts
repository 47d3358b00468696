// The borrowers: well-behaved ones and those that do everything wrong that a borrower can. Each is one request; whoever gets a
// connection first looks at whether somebody else has left something in it.

import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { isOxbowError, type Lease, type Pool } from '../../src/doors/index.ts';
import { ABORTED, RawClientLost, type Tally, Violation } from './tally.ts';

export interface Ground {
  readonly pool: Pool;
  readonly tally: Tally;
  /** The pool says that session settings do not outlive a lease. */
  readonly discards: boolean;
}

type Borrower = (ground: Ground) => Promise<void>;

let rows = 0;
function newRow(): string {
  rows += 1;
  return `row ${rows}`;
}
const upTo = (n: number): number => Math.floor(Math.random() * n);
const INSERT = 'insert into soak (id) values ($1)';

type Borrowed = Lease | pg.PoolClient;

/** A connection as its borrower must find it: no transaction, no foreign reply and, if promised, no foreign settings. */
async function mustBeFresh(borrowed: Borrowed, discards: boolean): Promise<void> {
  // pg's own flag, true between the end of one reply and the next statement: what the pool says is what is being tested.
  const client = 'client' in borrowed ? borrowed.client : borrowed;
  if (Reflect.get(client, 'readyForQuery') !== true) throw new Violation('lent while its last reply was outstanding');
  const nonce = upTo(1_000_000_000);
  // One simple statement: outside a transaction now() is its own start. Of temporary tables only those of this session are visible.
  const text = `select ${nonce} as nonce, now() = statement_timestamp() as alone,
    coalesce(current_setting('soak.mark', true), '') as mark, to_regclass('pg_temp.left_behind') is not null as left_behind`;
  const [row] = (await borrowed.query(text)).rows as {
    nonce: number;
    alone: boolean;
    mark: string;
    left_behind: boolean;
  }[];
  if (row?.nonce !== nonce) throw new Violation(`the answer was for somebody else: ${JSON.stringify(row)}`);
  if (!row.alone) throw new Violation('the connection was lent inside an open transaction');
  if (discards && row.mark !== '') throw new Violation(`a setting of another borrower was there: ${row.mark}`);
  if (discards && row.left_behind) throw new Violation('a temporary table of another borrower was there');
}

async function borrow({ pool, discards }: Ground, label: string): Promise<Lease> {
  const lease = await pool.acquire({ label });
  try {
    await mustBeFresh(lease, discards);
    return lease;
  } catch (error) {
    lease.release();
    throw error;
  }
}

/** An insert whose answer decides what may be found. */
async function promised(tally: Tally, insert: (id: string) => Promise<unknown>): Promise<void> {
  const id = newRow();
  tally.inDoubt.add(id);
  await insert(id);
  tally.inDoubt.delete(id);
  tally.acknowledged.add(id);
}

const quietly = (promise: Promise<unknown>): void => {
  promise.catch(() => {}); // whoever does not wait for the answer does not hear the error
};

function released(error: unknown): boolean {
  return isOxbowError(error) && error.kind === 'LEASE_RELEASED';
}

export const BORROWERS: Readonly<Record<string, Borrower>> = {
  'commits a transaction': ({ pool, tally, discards }) =>
    promised(tally, (id) =>
      pool.transaction(async (tx) => {
        // BEGIN was before: only the settings can be looked at.
        const { rows: seen } = await tx.query<{ mark: string | null }>(
          "select current_setting('soak.mark', true) as mark",
        );
        if (discards && seen[0]?.mark) throw new Violation(`a setting of another borrower was there: ${seen[0].mark}`);
        await tx.query(INSERT, [id]);
        await sleep(upTo(4));
      }),
    ),

  'inserts by pool.query': ({ pool, tally }) => promised(tally, (id) => pool.query(INSERT, [id])),

  'uses a raw client': async ({ pool, discards }) => {
    const client = await pool.connect();
    try {
      await mustBeFresh(client, discards);
    } catch (error) {
      if (!(error instanceof Violation) && died(error)) throw new RawClientLost();
      throw error;
    } finally {
      client.release();
    }
  },

  'takes one only if it is there': async ({ pool, discards }) => {
    const lease = pool.tryAcquire();
    if (lease === undefined) return;
    try {
      await mustBeFresh(lease, discards);
    } finally {
      lease.release();
    }
  },

  'holds for long': async (ground) => {
    const lease = await borrow(ground, 'holds for long');
    await sleep(upTo(150));
    lease.release();
  },

  'forgets to end its transaction': async (ground) => {
    const lease = await borrow(ground, 'forgets to end its transaction');
    const id = newRow();
    ground.tally.forbidden.add(id);
    try {
      await lease.query('begin');
      await lease.query(INSERT, [id]);
    } finally {
      lease.release();
    }
  },

  'forgets a failed transaction': async (ground) => {
    const lease = await borrow(ground, 'forgets a failed transaction');
    try {
      await lease.query('begin');
      await lease.query('select 1 / 0');
    } catch (error) {
      if (!/division by zero/.test(String(error))) throw error;
    } finally {
      lease.release();
    }
  },

  'makes an SQL error': async ({ pool }) => {
    try {
      await pool.query('select * from there_is_no_such_table');
    } catch (error) {
      if (!/does not exist/.test(String(error))) throw error;
    }
  },

  'releases while a query runs': async (ground) => {
    const lease = await borrow(ground, 'releases while a query runs');
    quietly(lease.query('select pg_sleep(0.1)'));
    if (Math.random() < 0.5) quietly(lease.query('select 1'));
    if (Math.random() < 0.5) await sleep(upTo(5));
    lease.release();
  },

  'releases in a transaction while an insert runs': async (ground) => {
    const lease = await borrow(ground, 'releases while an insert runs');
    const id = newRow();
    ground.tally.forbidden.add(id);
    try {
      await lease.query('begin');
      quietly(lease.query(`insert into soak (id) select '${id}' from pg_sleep(0.05)`));
    } finally {
      lease.release();
    }
  },

  'releases with an error': async (ground) => {
    const lease = await borrow(ground, 'releases with an error');
    if (Math.random() < 0.3) quietly(lease.query('select pg_sleep(0.05)'));
    lease.release(Math.random() < 0.5 ? new Error('it felt wrong') : true);
  },

  'leaves settings and a temporary table': async (ground) => {
    const lease = await borrow(ground, 'leaves settings');
    try {
      await lease.query(`set soak.mark = '${lease.id}'`);
      await lease.query('create temporary table if not exists left_behind (n int)');
    } finally {
      lease.release();
    }
  },

  'gives up waiting': async ({ pool, discards }) => {
    const giveUp = new AbortController();
    const timer = setTimeout(() => giveUp.abort(ABORTED), upTo(10));
    const lease = await pool.acquire({ signal: giveUp.signal }).finally(() => clearTimeout(timer));
    try {
      await mustBeFresh(lease, discards);
    } finally {
      lease.release();
    }
  },

  'has little time to wait': async ({ pool, discards }) => {
    const lease = await pool.acquire({ acquireTimeoutMs: upTo(8) });
    try {
      await mustBeFresh(lease, discards);
    } finally {
      lease.release();
    }
  },

  'aborts a query': async ({ pool }) => {
    const giveUp = new AbortController();
    setTimeout(() => giveUp.abort(ABORTED), upTo(40));
    await pool.query({ text: 'select pg_sleep(0.05)', signal: giveUp.signal });
  },

  'lets a query time out': async ({ pool }) => {
    await pool.query({ text: 'select pg_sleep(0.03)', timeoutMs: 1 + upTo(60) });
  },

  'times out in a lease and goes on': async (ground) => {
    const lease = await borrow(ground, 'times out and goes on');
    try {
      await lease.query({ text: 'select pg_sleep(0.2)', timeoutMs: 5 }).then(
        () => {
          throw new Violation('a query of 200 ms kept within 5 ms');
        },
        (error: unknown) => {
          if (!(isOxbowError(error) && error.kind === 'QUERY_TIMEOUT')) throw error;
        },
      );
      const { rows: next } = await lease.query<{ n: number }>('select 7 as n');
      if (next[0]?.n !== 7) throw new Violation('the query after a timeout got a foreign answer');
    } finally {
      lease.release();
    }
  },

  'uses and releases it after its release': async (ground) => {
    const lease = await borrow(ground, 'uses it after its release');
    lease.release();
    await sleep(upTo(3));
    await lease.query(INSERT, [forbiddenRow(ground)]).then(
      () => {
        throw new Violation('a query through a released lease was run');
      },
      (error: unknown) => {
        if (!released(error)) throw error;
      },
    );
    try {
      lease.release();
    } catch (error) {
      if (released(error)) return;
      throw error;
    }
    throw new Violation('a second release() was quiet');
  },

  'releases a raw client twice': async ({ pool }) => {
    const client = await pool.connect();
    const { release } = client;
    release();
    try {
      release();
    } catch (error) {
      if (released(error)) return;
      throw error;
    }
    throw new Violation('a second release of a raw client was quiet');
  },
};

function forbiddenRow({ tally }: Ground): string {
  const id = newRow();
  tally.forbidden.add(id);
  return id;
}

/** Whether pg's own error says that the connection is gone; a raw client knows no other words. */
function died(error: unknown): boolean {
  return /terminat|not queryable|closed|ECONNRESET|EPIPE|shutting down/i.test(String(error));
}
