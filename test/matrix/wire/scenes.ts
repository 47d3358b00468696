// How the driver is led into each of its waits. Owns one or more scenes per step of its registry: the pool's options, what comes before,
// which happening on the wire is the beginning of the step, and what brings it about. `Record<PgStepName, …>` makes a new step fail to
// compile until it has one.

import type pg from 'pg';
import type { PoolClient } from 'pg';
import { type Lease, type PoolOptions, StrayTransactionError } from '../../../src/doors/index.ts';
import type { PgStepName } from '../../../src/pg/steps.ts';
import type { Expectation } from './actors.ts';
import type { Asked, Question } from './server.ts';
import { CHECK_MS, CONNECT_MS, DEADLINE_MS, RETURN_MS, type Stage } from './stage.ts';
import { marked } from './statements.ts';

export interface Scene {
  readonly options?: (stage: Stage) => PoolOptions;
  /** What the answers of the case are measured by: the bound of the step, as a rule. */
  readonly boundMs: number;
  /** How often it is looked whether anything is lent. */
  readonly holdMs?: number;
  /** A session outside the pool's own may be opened. */
  readonly probes?: boolean;
  /** False: its statement has ended, there is nothing to cancel. */
  readonly cancels?: boolean;
  /** Whether this is the beginning of the step. */
  begins(asked: Asked, stage: Stage): boolean;
  /** All that comes before; what it returns makes the step begin, and queues two. */
  enter(stage: Stage): Promise<() => void>;
}

/** For longer than any case lasts. */
const LONG = 'select sleep 100000';
/** A holder that gives back in time is settled within this, whatever happens. */
const WITHIN_MS = DEADLINE_MS;
/** Longer than any answer of these scenes that comes at all. */
const STRAY_MS = 2_000;

const on =
  (question: Question, text?: RegExp) =>
  (asked: Asked): boolean =>
    asked.question === question && (text === undefined || text.test(asked.statement?.text ?? ''));

/** For a session's socket, or that of a cancel request. */
const dialled =
  (cancels: boolean) =>
  ({ question, socket }: Asked): boolean =>
    question === 'accept' && socket.cancels === cancels;

/** A scene about a borrower for whom a connection has to be made. */
function onConnect(begins: Scene['begins'], options?: Scene['options']): Scene {
  return {
    boundMs: CONNECT_MS,
    begins,
    ...(options && { options }),
    enter: async (stage) => () => stage.queueTwo(),
  };
}

/** A scene about what somebody does with a lease while two wait. */
function onLease(
  begins: Scene['begins'],
  work: (stage: Stage, lease: Lease) => Promise<unknown>,
  more: Partial<Scene> & Partial<Expectation> = {},
): Scene {
  return {
    boundMs: RETURN_MS,
    begins,
    ...more,
    enter: async (stage) => {
      const lease = await stage.obtain();
      return () => {
        const { signal } = stage.holder;
        const { withinMs = WITHIN_MS, timeoutMs = Infinity, last = 'the holder#1' } = more;
        const expects = { withinMs, timeoutMs, signal, last };
        stage.actors.watch('the holder', work(stage, lease), expects);
        stage.queueTwo();
      };
    },
  };
}

/** The same with a genuine client, which knows no deadlines and no signals. */
function onClient(
  begins: Scene['begins'],
  work: (stage: Stage, client: PoolClient) => Promise<unknown>,
  more: Partial<Scene> = {},
): Scene {
  return {
    boundMs: RETURN_MS,
    begins,
    ...more,
    enter: async (stage) => {
      const client = await stage.obtainClient();
      return () => {
        stage.actors.watch('the holder', work(stage, client), { withinMs: WITHIN_MS, leavesBusy: true });
        stage.queueTwo();
      };
    },
  };
}

/** A transaction of one statement, which has a deadline of its own. */
async function begun(stage: Stage, lease: Lease): Promise<unknown> {
  lease.release();
  const { signal } = stage.holder;
  const settings = { 'app.tenant': 'one' };
  const text = marked('select 1', 'the holder#1');
  return stage.pool.transaction((tx) => tx.query({ text, timeoutMs: STRAY_MS }), { signal, settings });
}

/** Gives back at the end of its first statement. */
async function statement(lease: Lease, text: string, reason?: boolean, mark = 'the holder#1'): Promise<void> {
  try {
    await lease.query(marked(text, mark));
  } finally {
    lease.release(reason);
  }
}

/** Sends a statement that lasts, and gives up on it after a moment. */
async function givenUp(stage: Stage, lease: Lease, forMs = Infinity): Promise<unknown> {
  const { signal } = stage.holder;
  if (forMs === Infinity) stage.clock.timer(20, () => stage.holder.abort(new Error('the holder has gone')));
  try {
    return await lease.query({ text: marked(LONG, 'the holder#1'), signal, timeoutMs: Math.min(forMs, WITHIN_MS) });
  } catch (error) {
    if (forMs === Infinity || signal.aborted) throw error;
    return undefined;
  } finally {
    lease.release();
  }
}

/** Gives up on a statement and sends the next one at once. */
async function another(stage: Stage, lease: Lease, limits: { readonly timeoutMs?: number }): Promise<unknown> {
  const aborter = new AbortController();
  const { signal } = aborter;
  stage.clock.timer(20, () => aborter.abort(new Error('the holder has thought better of it')));
  try {
    await lease.query({ text: marked(LONG, 'the holder#1'), signal }).catch((error: unknown) => {
      if (error !== signal.reason) throw error;
    });
    return await lease.query({ text: marked('select 1', 'the holder#2'), ...limits });
  } finally {
    lease.release();
  }
}

/** Gives back a client on which a statement still runs. */
async function leftBusy(stage: Stage, client: PoolClient, text = LONG, reason?: boolean): Promise<unknown> {
  const result = client.query(marked(text, 'the holder#1'));
  stage.clock.timer(20, () => client.release(reason));
  return result;
}

/** Leaves a transaction open through the pool itself. */
async function stray(stage: Stage, lease: Lease, text: string): Promise<void> {
  lease.release();
  const { signal } = stage.holder;
  try {
    await stage.pool.query({ text: marked(text, 'the holder#1'), signal, timeoutMs: STRAY_MS });
  } catch (error) {
    if (!(error instanceof StrayTransactionError)) throw error;
  }
}

const SILENT_MS = 2_000;

/** A statement from which nothing is heard, until its borrower gives it up. */
const whileSilent = (activity: string): Scene =>
  onLease(
    on('statement', /pg_stat_activity/),
    (stage, lease) => {
      stage.server.activity = activity;
      return givenUp(stage, lease, 3 * SILENT_MS);
    },
    {
      boundMs: 1_000,
      holdMs: SILENT_MS / 4,
      probes: true,
      options: () => ({ silentAfterMs: SILENT_MS }),
    },
  );

export const SCENES: Readonly<Record<PgStepName, Readonly<Record<string, Scene>>>> = {
  settings: {
    connection: onConnect(
      () => false,
      (stage) => ({ connection: () => stage.settings({ port: 5_433 }) }),
    ),
    password: {
      ...onConnect(
        () => false,
        (stage) => ({ password: () => stage.settings('secret') }),
      ),
      enter: async (stage) => {
        stage.server.password = true;
        return () => stage.queueTwo();
      },
    },
  },
  connect: {
    accept: onConnect(dialled(false)),
    'log-in': onConnect(on('log-in')),
  },
  pooler: {
    session: onConnect(on('statement', /pg_backend_pid/), () => ({ pooler: 'session' })),
    auto: onConnect(on('statement', /pg_backend_pid/), (stage) => {
      // Asked once for each place; each attempt goes to another one.
      let port = 5_432;
      const connection = (): PoolOptions => {
        if (stage.armed) port += 1;
        return { port: stage.armed ? port : 5_432 };
      };
      return { pooler: 'auto', connection };
    }),
  },
  query: {
    ping: {
      boundMs: CHECK_MS,
      begins: ({ question, statement }) => question === 'statement' && statement?.text === '',
      enter: async (stage) => {
        const lease = await stage.obtain();
        lease.release();
        await stage.pass(1_500);
        return () => stage.queueTwo();
      },
    },
    // BEGIN and the settings are on their way with it: whatever comes of one comes of all.
    'begin-with-first': onLease(on('statement', /the holder/), (stage, lease) => begun(stage, lease), {
      timeoutMs: STRAY_MS,
    }),
    rollback: onLease(on('statement', /^ROLLBACK$/), (_, lease) => statement(lease, 'begin')),
    'rollback-failed': onLease(on('statement', /^ROLLBACK$/), async (_, lease) => {
      await lease.query(marked('begin', 'the holder#1'));
      await statement(lease, 'select fail', undefined, 'the holder#2');
    }),
    'rollback-of-transaction': onLease(on('statement', /^ROLLBACK$/), (stage, lease) => {
      lease.release();
      const { signal } = stage.holder;
      const work = stage.pool.transaction(
        async (tx) => {
          await tx.query(marked('select 1', 'the holder#1'));
          stage.holder.abort(new Error('the holder has gone'));
          await tx.query(marked('select 1', 'the holder#2'));
        },
        { signal },
      );
      return work;
    }),
    'rollback-of-stray': onLease(on('statement', /^ROLLBACK$/), (stage, lease) => {
      lease.release();
      const { signal } = stage.holder;
      const text = marked('begin; select 1', 'the holder#1');
      return stage.pool.query({ text, signal, timeoutMs: WITHIN_MS }).catch((error: unknown) => {
        if (!(error instanceof StrayTransactionError)) throw error;
      });
    }),
    discard: onLease(on('statement', /^DISCARD ALL$/), (_, lease) => statement(lease, 'select 1'), {
      options: () => ({ reset: 'discard' }),
    }),
    restore: onLease(on('statement', /^CLOSE ALL/), (_, lease) => statement(lease, 'set x = 1'), {
      options: () => ({ reset: 'tracked' }),
    }),
    'inquire-working': whileSilent('active'),
    'inquire-idle': whileSilent('idle'),
  },
  reply: {
    // The error came first; the end of the reply is what is waited for.
    over: onClient(
      on('ready', /^select fail/),
      async (_, client) => {
        try {
          await client.query(marked('select fail', 'the holder#1'));
        } finally {
          client.release();
        }
      },
      { cancels: false },
    ),
    'of-query': onLease(
      on('statement', /the holder/),
      (stage, lease) => {
        lease.release();
        return stage.pool.query({ text: marked('select 1', 'the holder#1'), timeoutMs: STRAY_MS });
      },
      { withinMs: STRAY_MS, timeoutMs: STRAY_MS },
    ),
    'of-stray': onLease(on('ready', /^begin; fail/), (stage, lease) => stray(stage, lease, 'begin; fail'), {
      withinMs: STRAY_MS,
    }),
    cancelled: onLease(on('cancelled'), (stage, lease) => givenUp(stage, lease)),
    'cancelled-in-transaction': onLease(on('cancelled'), async (stage, lease) => {
      await lease.query('begin');
      return givenUp(stage, lease);
    }),
  },
  cancel: {
    dial: onLease(dialled(true), (stage, lease) => givenUp(stage, lease)),
    abort: onLease(on('cancel'), (stage, lease) => givenUp(stage, lease)),
    timeout: onLease(on('cancel'), (stage, lease) => givenUp(stage, lease, 20)),
    'then-another': onLease(on('cancel'), (stage, lease) => another(stage, lease, {}), {
      last: 'the holder#2',
    }),
    'then-another-with-a-limit': onLease(
      on('cancel'),
      (stage, lease) => another(stage, lease, { timeoutMs: WITHIN_MS }),
      {
        last: 'the holder#2',
      },
    ),
    // It is given back when the statement has ended by itself, and the request is still on its way.
    'late-return': onLease(on('cancel'), async (stage, lease) => {
      const { signal } = stage.holder;
      stage.clock.timer(20, () => stage.holder.abort(new Error('the holder has gone')));
      stage.clock.timer(30, () => lease.release());
      return lease.query({ text: marked('select sleep 22', 'the holder#1'), signal });
    }),
    // The first request hits nothing.
    again: onLease(on('cancel'), (stage, lease) => {
      stage.refuses = 'cancel';
      return givenUp(stage, lease);
    }),
    'busy-return': onClient(on('cancel'), (stage, client) => leftBusy(stage, client)),
    unwanted: onClient(on('cancel'), (stage, client) => leftBusy(stage, client, LONG, true)),
    // The statement ends by itself while the request is on its way.
    'too-late': onClient(on('cancel'), (stage, client) => leftBusy(stage, client, 'select sleep 22')),
    revoked: onLease(on('cancel'), (stage, lease) => {
      lease.release();
      const { signal } = stage.holder;
      return stage.pool.transaction(
        (tx) => {
          stage.clock.timer(20, () => stage.holder.abort(new Error('the holder has gone')));
          return tx.query(marked(LONG, 'the holder#1'));
        },
        { signal },
      );
    }),
  },
  gone: {
    goodbye: onLease(on('goodbye'), (_, lease) => statement(lease, 'select 1', true), { boundMs: 1_000 }),
    // The borrower ends it himself.
    'ended-by-borrower': onClient(
      on('goodbye'),
      async (_, client) => {
        const ended = (client as unknown as pg.Client).end();
        client.release();
        await ended;
      },
      { boundMs: 1_000 },
    ),
    cut: onClient(
      ({ question, socket }) => question === 'cut' && !socket.cancels,
      (stage, client) => {
        stage.clock.timer(20, () => client.release(true));
        return client.query(marked(LONG, 'the holder#1'));
      },
      { boundMs: 5_000 },
    ),
    // A connect that the server refuses.
    refused: {
      ...onConnect(({ question, socket }) => question === 'cut' && !socket.cancels),
      enter: async (stage) => {
        stage.refuses = 'log-in';
        return () => stage.queueTwo();
      },
    },
  },
};
