// Borrowers that only our pool can have: what its contract promises beyond others' is asked of it here.

import { setTimeout as sleep } from 'node:timers/promises';
import { isOxbowError } from '../../src/doors/index.ts';
import { type Borrower, borrowing, type Ground, INSERT, mustBeFresh, quietly } from './borrowers.ts';
import type { Chance } from './chance.ts';
import { leased, type Oxbow } from './contestants/oxbow.ts';
import { ABORTED, type Judge, Violation } from './judge.ts';

function broken(what: string): Violation {
  return new Violation('a promise of the contract was broken', what);
}

function isKind(error: unknown, ...kinds: readonly string[]): boolean {
  return isOxbowError(error) && kinds.includes(error.kind);
}

/** A signal that aborts after a while. */
function soon(ms: number): AbortSignal {
  const giveUp = new AbortController();
  setTimeout(() => giveUp.abort(ABORTED), ms);
  return giveUp.signal;
}

async function mustReject(work: Promise<unknown>, allowed: (error: unknown) => boolean, what: string): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (allowed(error)) return;
    throw error;
  }
  throw broken(what);
}

export const OUR_BORROWERS: Readonly<Record<string, Borrower<Oxbow>>> = {
  'uses a connection': {
    weight: 5,
    good: true,
    run: (ground) =>
      ground.pool.pool.use(async (lease) => {
        const endHold = await mustBeFresh(ground, leased(lease));
        await sleep(ground.chance.upTo(3));
        endHold();
      }),
  },

  'takes one only if it is there': {
    weight: 3,
    good: true,
    run: async (ground) => {
      const lease = ground.pool.pool.tryAcquire();
      if (lease === undefined) return;
      try {
        const endHold = await mustBeFresh(ground, leased(lease));
        endHold();
      } finally {
        lease.release();
      }
    },
  },

  'repeats what does no harm twice': {
    weight: 2,
    good: true,
    run: async ({ pool }) => {
      const query = { text: 'select pg_sleep(0.01), 5 as n', idempotent: true };
      const { rows } = await pool.pool.query<{ n: number }>(query);
      if (rows[0]?.n !== 5) throw new Violation("answered with somebody else's reply", JSON.stringify(rows));
    },
  },

  'commits around a savepoint that failed': {
    weight: 3,
    good: true,
    run: ({ pool, judge }) =>
      judge.promised((id) =>
        pool.pool.transaction(async (tx) => {
          await tx.query(INSERT, [id]);
          const inner = tx.transaction(async (within) => {
            await within.query(INSERT, [judge.forbiddenRow()]);
            await within.query('select 1 / 0');
          });
          await mustReject(inner, (error) => Reflect.get(Object(error), 'code') === '22012', '1 / 0 was a number');
        }),
      ),
  },

  // Whether the cancel came in time decides what the server does with the row; what COMMIT was answered decides what may be found.
  'lets a statement of its transaction time out': {
    weight: 3,
    good: false,
    run: ({ pool, judge, chance }) =>
      tolerating(['TRANSACTION_ROLLED_BACK'], () =>
        judge.promised((id) =>
          pool.pool.transaction(async (tx) => {
            await tx.query(INSERT, [id]);
            const late = tx.query({ text: 'select pg_sleep(0.05)', timeoutMs: 1 + chance.upTo(60) });
            await late.catch((error: unknown) => {
              if (!isKind(error, 'QUERY_TIMEOUT')) throw error;
            });
          }),
        ),
      ),
  },

  'lets a statement of a savepoint time out': {
    weight: 2,
    good: false,
    run: ({ pool, judge, chance }) =>
      tolerating(['TRANSACTION_ROLLED_BACK'], () =>
        judge.promised((id) =>
          pool.pool.transaction(async (tx) => {
            await tx.query(INSERT, [id]);
            const inner = tx.transaction((within) =>
              within.query({ text: 'select pg_sleep(0.05)', timeoutMs: 1 + chance.upTo(40) }),
            );
            await inner.catch((error: unknown) => {
              if (!isKind(error, 'QUERY_TIMEOUT')) throw error;
            });
          }),
        ),
      ),
  },

  'aborts its transaction': {
    weight: 2,
    good: false,
    run: async ({ pool, judge, chance }) => {
      // A COMMIT may be on its way when the abort comes: nobody knows.
      const id = judge.newRow();
      judge.inDoubt.add(id);
      const work = pool.pool.transaction(
        async (tx) => {
          await tx.query(INSERT, [id]);
          await tx.query('select pg_sleep(0.02)');
        },
        { signal: soon(chance.upTo(50)) },
      );
      await work;
      judge.inDoubt.delete(id);
      judge.acknowledged.add(id);
    },
  },

  'has its use aborted': {
    weight: 2,
    good: false,
    run: ({ pool, chance }) =>
      pool.pool.use(
        async (lease) => {
          await lease.query('begin').catch(revoked);
          await lease.query('select pg_sleep(0.03)').catch(revoked);
          if (chance.happens(0.3)) await sleep(chance.upTo(30));
        },
        { signal: soon(chance.upTo(50)) },
      ),
  },

  'uses it after its release': {
    weight: 3,
    good: false,
    run: (ground) =>
      borrowingLease(ground, async (lease) => {
        lease.release();
        await sleep(ground.chance.upTo(3));
        const stale = lease.query(INSERT, [ground.judge.forbiddenRow()]);
        const refused = (error: unknown): boolean => isKind(error, 'LEASE_RELEASED');
        await mustReject(stale, refused, 'a statement through a released lease was run');
        await mustReject(
          Promise.resolve().then(() => lease.release()),
          refused,
          'a second release() was quiet',
        );
      }),
  },

  'releases a raw client twice': {
    weight: 2,
    good: false,
    run: async ({ pool, judge, chance }) => {
      const client = await judge.acquire(undefined, () => pool.pool.connect());
      const { release } = client;
      release();
      if (chance.happens(0.5)) await sleep(chance.upTo(3));
      const again = Promise.resolve().then(() => release());
      await mustReject(again, (error) => isKind(error, 'LEASE_RELEASED'), 'a second release was quiet');
    },
  },

  'leaves it to the end of the scope': {
    weight: 2,
    good: false,
    run: async (ground) => {
      await using lease = await ground.judge.acquire(undefined, () => ground.pool.pool.acquire());
      const endHold = await mustBeFresh(ground, leased(lease));
      try {
        await lease.query('begin');
        if (ground.chance.happens(0.5)) quietly(lease.query('select pg_sleep(0.05)'));
      } finally {
        // Its connection may have died, and the server gives the number of a process to another one.
        endHold();
      }
    },
  },

  'begins by pool.query': {
    weight: 1,
    good: false,
    run: ({ pool, chance }) => {
      const text = chance.pick(['begin', 'begin; select 1', 'start transaction; select 1 / 0']);
      return mustReject(
        pool.pool.query(text),
        (error) => isKind(error, 'STRAY_TRANSACTION'),
        `${text} was let through`,
      );
    },
  },

  // Seldom: each keeps a connection from the others until it is found, a second or more later.
  'forgets what it has': {
    weight: 1,
    good: false,
    run: async ({ pool, judge, chance }) => {
      if (!chance.happens(0.5)) await pool.pool.query('select 1');
      else if (chance.happens(0.5)) await forgetsLease(pool, judge, chance);
      else await forgetsTransaction(pool, judge);
    },
  },

  'asks for two at once on one connection': {
    weight: 2,
    good: false,
    run: (ground) =>
      borrowing(ground, async ({ run }) => {
        const [first, second] = await Promise.all([run({ text: 'select 1 as n' }), run({ text: 'select 2 as n' })]);
        if (Number(first[0]?.n) !== 1 || Number(second[0]?.n) !== 2) {
          throw new Violation("answered with somebody else's reply", JSON.stringify([first, second]));
        }
      }),
  },
};

async function forgetsLease({ pool, forgotten }: Oxbow, judge: Judge, chance: Chance): Promise<void> {
  const lease = await judge.acquire(undefined, () => pool.acquire({ label: 'forgotten' }));
  try {
    await lease.query('begin');
    await lease.query(INSERT, [judge.forbiddenRow()]);
    if (chance.happens(0.3)) quietly(lease.query('select pg_sleep(0.05)'));
  } catch (error) {
    lease.release();
    throw error;
  }
  if (!lease.signal.aborted) forgotten.forgot(lease.id);
}

/** Its function never settles, and nobody could make it. */
function forgetsTransaction({ pool, forgotten }: Oxbow, judge: Judge): Promise<void> {
  return new Promise((resolve, reject) => {
    const work = pool.transaction(
      async (tx) => {
        await tx.query(INSERT, [judge.forbiddenRow()]);
        if (!tx.signal.aborted) forgotten.forgot(tx.id);
        resolve();
        await new Promise(() => {});
      },
      { label: 'forgotten' },
    );
    work.catch(reject);
  });
}

/** What its own doing brings about ends the request in order. */
async function tolerating(kinds: readonly string[], work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isKind(error, ...kinds)) throw error;
  }
}

function revoked(error: unknown): void {
  if (!isKind(error, 'LEASE_REVOKED', 'LEASE_RELEASED')) throw error;
}

async function borrowingLease(
  ground: Ground<Oxbow>,
  work: (lease: Awaited<ReturnType<Oxbow['pool']['acquire']>>) => Promise<void>,
): Promise<void> {
  const lease = await ground.judge.acquire(undefined, () => ground.pool.pool.acquire({ label: ground.name }));
  let released = false;
  try {
    const endHold = await mustBeFresh(ground, leased(lease));
    endHold();
    released = true;
    await work(lease);
  } catch (error) {
    if (!released) lease.release();
    throw error;
  }
}
