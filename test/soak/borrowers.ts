// The borrowers that any pool may have: well-behaved ones, and those that do everything wrong that a borrower can. Each is one
// request; whoever gets a connection first looks at whether somebody else has left something in it.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Chance } from './chance.ts';
import {
  type Ability,
  type Asked,
  type Borrowed,
  type Contestant,
  codeOf,
  type Row,
} from './contestants/contestant.ts';
import { ABORTED, type Judge, Violation } from './judge.ts';

export interface Ground<C extends Contestant = Contestant> {
  readonly pool: C;
  readonly judge: Judge;
  /** This request's own. */
  readonly chance: Chance;
  readonly name: string;
  /** The pool says that session settings do not outlive a lease. */
  readonly discards: boolean;
}

export interface Borrower<C extends Contestant = Contestant> {
  readonly weight: number;
  readonly good: boolean;
  readonly needs?: Ability;
  run(ground: Ground<C>): Promise<void>;
}

/** Of the 200 ms that the statement takes; the deadline and what a timer may be late by are the rest. */
const AWAY_MS = 100;
const NO_DIVISION = 'select 1 / 0';

/** Looks at the connection as its borrower must find it: no transaction, no foreign reply and, if promised, no foreign settings. */
export async function mustBeFresh({ judge, chance, name, discards }: Ground, borrowed: Borrowed): Promise<() => void> {
  // The driver's own flag, true between the end of one reply and the next statement: what the pool says is what is being tested.
  if (borrowed.atRest === false) throw new Violation('lent with an unread reply', 'at the moment of the lend');
  const nonce = chance.upTo(1_000_000_000);
  // One simple statement: outside a transaction now() is its own start. Of temporary tables only those of this session are visible.
  const text = `select ${nonce} as nonce, pg_backend_pid() as pid, now() = statement_timestamp() as alone,
    coalesce(current_setting('soak.mark', true), '') as mark, to_regclass('pg_temp.left_behind') is not null as left_behind`;
  const row = onlyRow(await borrowed.run({ text }));
  if (Number(row.nonce) !== nonce) {
    throw new Violation("answered with somebody else's reply", `asked for ${nonce}, got ${JSON.stringify(row)}`);
  }
  if (row.alone !== true) throw new Violation('lent in an open or failed transaction', 'now() was not the statement’s');
  if (discards && row.mark !== '') throw new Violation("somebody else's settings were there", String(row.mark));
  if (discards && row.left_behind === true)
    throw new Violation("somebody else's settings were there", 'a temporary table');
  return judge.hold(Number(row.pid), name);
}

function onlyRow(rows: readonly Row[]): Row {
  const [row] = rows;
  if (row === undefined || rows.length !== 1) {
    throw new Violation("answered with somebody else's reply", `one row was asked for, ${rows.length} came`);
  }
  return row;
}

/** Borrows, looks, works, gives back; how it is given back may be the work's own business. */
export async function borrowing(
  ground: Ground,
  work: (borrowed: Borrowed) => Promise<void>,
  how: { readonly asked?: Asked; readonly releases?: boolean } = {},
): Promise<void> {
  const { pool, judge, chance, name } = ground;
  const { asked = {}, releases = false } = how;
  const way =
    asked.timeoutMs === undefined && asked.signal === undefined ? chance.pick(pool.ways) : (pool.ways[0] ?? '');
  const borrowed = await judge.acquire(asked.timeoutMs, () => pool.borrow(way, { label: name, ...asked }));
  let endHold: () => void = () => {};
  let given = false;
  const own: Borrowed = {
    run: borrowed.run,
    get atRest() {
      return borrowed.atRest;
    },
    sever: borrowed.sever,
    release: (reason) => {
      endHold();
      given = true;
      borrowed.release(reason);
    },
  };
  try {
    endHold = await mustBeFresh(ground, own);
    await work(own);
  } catch (error) {
    if (!given) own.release(pool.wantsErrors && !isSqlError(pool, error) ? asError(error) : undefined);
    throw error;
  }
  if (!given && !releases) own.release();
}

function isSqlError(pool: Contestant, error: unknown): boolean {
  return pool.classify(error) === 'SQL error';
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** An insert in one simple statement, which also says whether somebody's transaction was around it. */
export async function insertAlone({ pool, judge, name }: Ground, id: string): Promise<void> {
  const text = `insert into soak (id) values ('${id}') returning id, pg_backend_pid() as pid, now() = statement_timestamp() as alone`;
  const row = onlyRow(await pool.query({ text }));
  if (row.id !== id)
    throw new Violation("answered with somebody else's reply", `asked for ${id}, got ${JSON.stringify(row)}`);
  if (row.alone !== true)
    throw new Violation('lent in an open or failed transaction', 'an insert of its own was inside one');
  judge.ranAlone(Number(row.pid), name);
}

export const quietly = (promise: Promise<unknown>): void => {
  promise.catch(() => {}); // whoever does not wait for the answer does not hear the error
};

export const INSERT = 'insert into soak (id) values ($1)';

export const BORROWERS: Readonly<Record<string, Borrower>> = {
  'commits a transaction': {
    weight: 14,
    good: true,
    run: ({ pool, judge, chance, name, discards }) =>
      judge.promised((id) =>
        pool.transaction(async (run) => {
          // BEGIN was before: only the settings can be looked at.
          const text = "select pg_backend_pid() as pid, coalesce(current_setting('soak.mark', true), '') as mark";
          const row = onlyRow(await run({ text }));
          if (discards && row.mark !== '') throw new Violation("somebody else's settings were there", String(row.mark));
          const endHold = judge.hold(Number(row.pid), name);
          try {
            await run({ text: INSERT, values: [id] });
            await sleep(chance.upTo(4));
          } finally {
            endHold();
          }
        }),
      ),
  },

  'inserts by itself': {
    weight: 12,
    good: true,
    run: (ground) => ground.judge.promised((id) => insertAlone(ground, id)),
  },

  'inserts by itself, with values': {
    weight: 8,
    good: true,
    run: ({ pool, judge }) =>
      judge.promised(async (id) => {
        const row = onlyRow(await pool.query({ text: `${INSERT} returning id`, values: [id] }));
        if (row.id !== id) throw new Violation("answered with somebody else's reply", JSON.stringify(row));
      }),
  },

  'borrows and looks': { weight: 12, good: true, run: (ground) => borrowing(ground, async () => {}) },

  'commits by hand': {
    weight: 6,
    good: true,
    run: (ground) =>
      ground.judge.promised((id) =>
        borrowing(ground, async ({ run }) => {
          await run({ text: 'begin' });
          await run({ text: INSERT, values: [id] });
          await run({ text: 'commit' });
        }),
      ),
  },

  'rolls back by hand': {
    weight: 3,
    good: true,
    run: (ground) =>
      borrowing(ground, async ({ run }) => {
        await run({ text: 'begin' });
        await run({ text: INSERT, values: [ground.judge.forbiddenRow()] });
        await run({ text: 'rollback' });
      }),
  },

  'holds for long': { weight: 2, good: true, run: (ground) => borrowing(ground, () => sleep(ground.chance.upTo(150))) },

  'runs a long statement': {
    weight: 2,
    good: true,
    run: (ground) =>
      borrowing(ground, async ({ run }) => {
        await run({ text: `select pg_sleep(${ground.chance.upTo(150) / 1_000})` });
      }),
  },

  'reads a large reply': {
    weight: 2,
    good: true,
    run: async ({ pool, chance }) => {
      const rows = chance.between(200, 2_000);
      const found = await pool.query({ text: `select n, repeat('x', 40) as x from generate_series(1, ${rows}) n` });
      if (found.length !== rows || Number(found.at(-1)?.n) !== rows) {
        throw new Violation("answered with somebody else's reply", `${rows} rows were asked for, ${found.length} came`);
      }
    },
  },

  'makes an SQL error': {
    weight: 8,
    good: true,
    run: async ({ pool }) => {
      try {
        await pool.query({ text: 'select * from there_is_no_such_table' });
      } catch (error) {
        if (codeOf(error) !== '42P01') throw error;
      }
    },
  },

  'makes an SQL error and goes on': {
    weight: 4,
    good: true,
    run: (ground) =>
      borrowing(ground, async ({ run }) => {
        await divisionByZero(run({ text: NO_DIVISION }));
        const row = onlyRow(await run({ text: 'select 7 as n' }));
        if (Number(row.n) !== 7) throw new Violation("answered with somebody else's reply", JSON.stringify(row));
      }),
  },

  'fails in a transaction': {
    weight: 4,
    good: true,
    run: async ({ pool, judge }) => {
      const id = judge.forbiddenRow();
      await divisionByZero(
        pool.transaction(async (run) => {
          await run({ text: INSERT, values: [id] });
          await run({ text: NO_DIVISION });
        }),
      );
    },
  },

  'forgets to end its transaction': {
    weight: 3,
    good: false,
    run: (ground) =>
      borrowing(ground, async (borrowed) => {
        const id = ground.judge.forbiddenRow();
        await borrowed.run({ text: 'begin' });
        await borrowed.run({ text: INSERT, values: [id] });
      }),
  },

  'forgets a failed transaction': {
    weight: 3,
    good: false,
    run: (ground) =>
      borrowing(ground, async ({ run }) => {
        await run({ text: 'begin' });
        await divisionByZero(run({ text: NO_DIVISION }));
      }),
  },

  'releases while a statement runs': {
    weight: 3,
    good: false,
    run: (ground) =>
      borrowing(ground, async (borrowed) => {
        const { chance } = ground;
        quietly(borrowed.run({ text: 'select pg_sleep(0.1)' }));
        if (chance.happens(0.5)) quietly(borrowed.run({ text: 'select 1' }));
        if (chance.happens(0.5)) await sleep(chance.upTo(5));
        borrowed.release();
      }),
  },

  'releases in a transaction while an insert runs': {
    weight: 3,
    good: false,
    run: (ground) =>
      borrowing(ground, async (borrowed) => {
        const id = ground.judge.forbiddenRow();
        await borrowed.run({ text: 'begin' });
        quietly(borrowed.run({ text: `insert into soak (id) select '${id}' from pg_sleep(0.05)` }));
        borrowed.release();
      }),
  },

  'releases with an error': {
    weight: 2,
    good: false,
    run: (ground) =>
      borrowing(ground, async (borrowed) => {
        if (ground.chance.happens(0.3)) quietly(borrowed.run({ text: 'select pg_sleep(0.05)' }));
        borrowed.release(new Error('it felt wrong'));
      }),
  },

  'leaves settings and a temporary table': {
    weight: 2,
    good: false,
    run: (ground) =>
      borrowing(ground, async ({ run }) => {
        await run({ text: `set soak.mark = '${ground.name}'` });
        await run({ text: 'create temporary table if not exists left_behind (n int)' });
      }),
  },

  'releases twice': {
    weight: 2,
    good: false,
    run: (ground) =>
      borrowing(ground, async (borrowed) => {
        borrowed.release();
        if (ground.chance.happens(0.5)) await sleep(ground.chance.upTo(3));
        try {
          borrowed.release();
        } catch {
          // Refused: as it should be, and what ours promises is looked at elsewhere.
        }
      }),
  },

  'ends the client behind the pool’s back': {
    weight: 1,
    good: false,
    needs: 'sever',
    run: (ground) =>
      borrowing(ground, async (borrowed) => {
        borrowed.sever?.(ground.chance.upTo(4));
        if (ground.chance.happens(0.5)) await sleep(ground.chance.upTo(3));
        borrowed.release();
      }),
  },

  'borrows a second one while it holds one': {
    weight: 1,
    good: false,
    needs: 'time out a wait',
    run: (ground) =>
      borrowing(ground, async () => {
        await borrowing(ground, async () => {}, { asked: { timeoutMs: ground.chance.between(20, 150) } });
      }),
  },

  'gives up waiting': {
    weight: 3,
    good: false,
    needs: 'abort a wait',
    run: async (ground) => {
      const giveUp = new AbortController();
      const timer = setTimeout(() => giveUp.abort(ABORTED), ground.chance.upTo(10));
      const asked = { signal: giveUp.signal };
      await borrowing(ground, async () => clearTimeout(timer), { asked }).finally(() => clearTimeout(timer));
    },
  },

  'has little time to wait': {
    weight: 3,
    good: false,
    needs: 'time out a wait',
    run: (ground) => borrowing(ground, async () => {}, { asked: { timeoutMs: ground.chance.upTo(8) } }),
  },

  'aborts a statement': {
    weight: 3,
    good: false,
    needs: 'abort a statement',
    run: async ({ pool, chance }) => {
      const giveUp = new AbortController();
      setTimeout(() => giveUp.abort(ABORTED), chance.upTo(40));
      await pool.query({ text: 'select pg_sleep(0.05)', signal: giveUp.signal });
    },
  },

  'lets a statement time out': {
    weight: 3,
    good: false,
    needs: 'time out a statement',
    run: async ({ pool, chance }) => {
      await pool.query({ text: 'select pg_sleep(0.03)', timeoutMs: 1 + chance.upTo(60) });
    },
  },

  // The statement ends by itself, and if cancels are late, before its own cancel has come.
  'lets a statement time out and dawdles': {
    weight: 6,
    good: false,
    needs: 'time out a statement',
    run: (ground) =>
      borrowing(ground, async ({ run }) => {
        await run({ text: 'select pg_sleep(0.02)', timeoutMs: 5 }).catch((error: unknown) => {
          if (ground.pool.classify(error) !== 'query timed out') throw error;
        });
        await sleep(ground.chance.between(15, 60));
      }),
  },

  'lets a statement time out and goes on': {
    weight: 3,
    good: false,
    needs: 'time out a statement',
    run: (ground) =>
      borrowing(ground, async ({ run }) => {
        const away = ground.judge.awayMs;
        const timedOut = await run({ text: 'select pg_sleep(0.2)', timeoutMs: 5 }).then(
          () => false,
          (error: unknown) => {
            if (ground.pool.classify(error) !== 'query timed out') throw error;
            return true;
          },
        );
        // What has come while the loop was away is taken, and time lost so is given back: then there was no timeout.
        if (!timedOut) await sleep(30);
        if (!timedOut && ground.judge.awayMs - away < AWAY_MS)
          throw new Violation('a promise of the contract was broken', '200 ms were kept within 5 ms');
        const row = onlyRow(await run({ text: 'select 7 as n' }));
        if (Number(row.n) !== 7) throw new Violation("answered with somebody else's reply", JSON.stringify(row));
      }),
  },
};

async function divisionByZero(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (codeOf(error) === '22012') return;
    throw error;
  }
  throw new Violation("answered with somebody else's reply", 'a division by zero was answered with rows');
}
