// One query through a lease: its deadline, its abort signal, and what its failure means. Owns that a statement which was given up
// is cancelled behind the caller's back; how that is done is the session's business.

import { AsyncResource } from 'node:async_hooks';
import type pg from 'pg';
import { OptionError, QueryTimeoutError } from '../contracts/errors.ts';
import { isSignal } from '../core/signals.ts';
import { didYouMean, slipOf } from '../core/spelling.ts';
import { timeLeft } from '../foundation/time-left.ts';
import type { Answer } from '../pg/codec-query.ts';
import type { PgSession } from '../pg/session.ts';
import { failureOf } from './failure.ts';

/** pg's query config, and what the pool adds to it. */
export interface QueryOptions extends pg.QueryConfig {
  /** Ends waiting and running alike; the query rejects at once with `signal.reason`. */
  signal?: AbortSignal | undefined;
  /** Milliseconds, one deadline over waiting and running. Default `queryTimeoutMs`. */
  timeoutMs?: number | undefined;
  /** Running it twice does no harm: `pool.query()` repeats it on another connection when its own died under it. Default false. */
  idempotent?: boolean | undefined;
}

export interface Limits {
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** As most queries are. */
export const UNLIMITED: Limits = { timeoutMs: Infinity, signal: undefined };

/** What a pool passes on to `pg.Client.query`, in whatever overload. */
export type QueryArguments = readonly [query: unknown, values?: unknown];

/** The limits that a query brings with it, or the pool's. */
export function limitsOf(query: unknown, defaultTimeoutMs: number): Limits {
  if (typeof query !== 'object' || query === null)
    return defaultTimeoutMs === Infinity ? UNLIMITED : { timeoutMs: defaultTimeoutMs, signal: undefined };
  const { timeoutMs, signal, idempotent, name, types } = query as QueryOptions;
  if (timeoutMs !== undefined && !(typeof timeoutMs === 'number' && timeoutMs > 0)) {
    throw new OptionError('timeoutMs', timeoutMs, 'a number of milliseconds above 0, or Infinity');
  }
  if (signal !== undefined && !isSignal(signal)) throw new OptionError('signal', signal, 'an AbortSignal');
  if (idempotent !== undefined && typeof idempotent !== 'boolean')
    throw new OptionError('idempotent', idempotent, 'true or false');
  if (!isSubmittable(query)) {
    refuseSlips(query);
    // pg would find out in the middle of sending, or of reading the reply, where it can tell nobody.
    if (name && typeof name !== 'string') throw new OptionError('name', name, 'a text');
    if (types && typeof types.getTypeParser !== 'function')
      throw new OptionError('types', types, 'an object with a function getTypeParser');
  }
  const limitMs = timeoutMs ?? pgTimeoutOf(query) ?? defaultTimeoutMs;
  return limitMs === Infinity && signal === undefined ? UNLIMITED : { timeoutMs: limitMs, signal };
}

/** pg's own name for it; pg's own timer would leave the statement running. */
function pgTimeoutOf(query: object): number | undefined {
  const ms: unknown = Reflect.get(query, 'query_timeout');
  return typeof ms === 'number' && ms > 0 ? ms : undefined;
}

const OURS = ['signal', 'timeoutMs', 'idempotent'] as const;
/** What a config has as a rule, so that hardly any is ever looked at more closely. */
const KNOWN: ReadonlySet<string> = new Set([
  ...OURS,
  'text',
  'values',
  'name',
  'rowMode',
  'types',
  'callback',
  'query_timeout',
]);

/** pg passes over what it does not know: a misspelt deadline would be none. Further keys of libraries are let through. */
function refuseSlips(query: object): void {
  for (const key in query) {
    if (KNOWN.has(key) || !Object.hasOwn(query, key)) continue;
    const meant = slipOf(key, OURS);
    const value: unknown = meant.length === 0 ? undefined : Reflect.get(query, key);
    if (value !== undefined) throw new OptionError(key, value, didYouMean(meant));
  }
}

type Callback = (error?: Error | null, result?: pg.QueryResult) => void;

/** Hears of a failure before the caller does. */
export type Note = (failure: unknown) => void;

/** Runs a query on a session that the caller holds. */
export function runQuery(
  session: PgSession,
  [query, values]: QueryArguments,
  limits: Limits,
  waitedMs = 0,
  label?: string,
  note?: Note,
): Promise<pg.QueryResult> {
  if (limits !== UNLIMITED || session.settling !== undefined || isSubmittable(query))
    return withLimits(session, query, values as unknown[], limits, { waitedMs, label, note });
  // As most are: no limits, nothing to wait for.
  const { sent } = session;
  const asked = spoken(session, query, values);
  return asked === undefined ? plainlyByPg(session, query, values as unknown[], sent, note) : asked.told(sent, note);
}

/** What the codec was asked, and its answer. */
class Spoken implements Answer {
  readonly answer: Promise<pg.QueryResult>;
  readonly #session: PgSession;
  #sent = 0;
  #note: Note | undefined;
  #error: unknown;
  #resolve!: (result: pg.QueryResult) => void;
  #reject!: (reason: unknown) => void;

  constructor(session: PgSession) {
    this.#session = session;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  answered(result: pg.QueryResult): void {
    this.#resolve(result);
  }

  failed(error: unknown): void {
    this.#error = error;
    this.#reject(this);
  }

  /** The answer, with a failure put as its caller is to hear it. */
  told(sent: number, note: Note | undefined): Promise<pg.QueryResult> {
    this.#sent = sent;
    this.#note = note;
    return this.answer.then(undefined, Spoken.#failure);
  }

  /** The answer with the error as it came. */
  plain(): Promise<pg.QueryResult> {
    return this.answer.then(undefined, Spoken.#asItCame);
  }

  /** One listener for all, told which query it is by what that was rejected with. */
  static readonly #failure = (query: Spoken): never => {
    const failure = failureOf(query.#session, query.#error, query.#sent, undefined);
    query.#note?.(failure);
    throw failure;
  };

  static readonly #asItCame = (query: Spoken): never => {
    throw query.#error;
  };
}

/** Undefined where pg has to be asked. */
function spoken(session: PgSession, query: unknown, values: unknown): Spoken | undefined {
  const asked = new Spoken(session);
  try {
    // A driver of somebody else's has sessions that speak through their client only.
    if (session.speak?.(query, values, asked) !== true) return undefined;
  } catch (error) {
    asked.failed(error);
  }
  return asked;
}

function byPg(session: PgSession, query: unknown, values: unknown[] | undefined): Promise<pg.QueryResult> {
  session.leftToPg?.();
  return session.client.query(untimed(session, query), values);
}

async function plainlyByPg(
  session: PgSession,
  query: unknown,
  values: unknown[] | undefined,
  sent: number,
  note: Note | undefined,
): Promise<pg.QueryResult> {
  try {
    return await byPg(session, query, values);
  } catch (error) {
    const failure = failureOf(session, error, sent, undefined);
    note?.(failure);
    throw failure;
  }
}

interface Told {
  readonly waitedMs: number;
  readonly label: string | undefined;
  readonly note: Note | undefined;
}

async function withLimits(
  session: PgSession,
  query: unknown,
  values: unknown[] | undefined,
  limits: Limits,
  { waitedMs, label, note }: Told,
): Promise<pg.QueryResult> {
  const { sent } = session;
  const run = (): Promise<pg.QueryResult> =>
    isSubmittable(query)
      ? submitted(session, query)
      : (spoken(session, query, values)?.plain() ?? byPg(session, query, values));
  try {
    limits.signal?.throwIfAborted();
    if (limits.timeoutMs !== Infinity || limits.signal !== undefined)
      return await limited(session, run, limits, { waitedMs, label });
    return await begun(session, run);
  } catch (error) {
    const failure = failureOf(session, error, sent, limits.signal);
    note?.(failure);
    throw failure;
  }
}

export function isSubmittable(query: unknown): query is pg.Submittable {
  return typeof query === 'object' && query !== null && typeof Reflect.get(query, 'submit') === 'function';
}

/** So long that pg's own timer never rings: ours cancels what it gives up, and gives back what a blocked loop took. */
const NEVER_MS = 2 ** 31 - 1;

/** The query without pg's own deadline, where it would have one. */
function untimed(session: PgSession, query: unknown): string {
  if (typeof query === 'object' && query !== null && (session.pgTimesOut || pgTimeoutOf(query) !== undefined))
    return { ...query, query_timeout: NEVER_MS } as unknown as string;
  if (typeof query === 'string' && session.pgTimesOut)
    return { text: query, query_timeout: NEVER_MS } as unknown as string;
  return query as string;
}

/** pg gives no promise for these. They end when they call back or, those that know no callback, when their reply was read. */
function submitted(session: PgSession, query: pg.Submittable & { callback?: Callback }): Promise<pg.QueryResult> {
  return new Promise((resolve, reject) => {
    // pg calls it where it reads the answer.
    const callback = query.callback === undefined ? undefined : AsyncResource.bind(query.callback);
    query.callback = (error, result) => {
      callback?.(error, result);
      if (error) reject(error);
      else resolve(result as pg.QueryResult);
    };
    session.client.query(query);
    session.atRest().then(resolve as () => void, reject);
  });
}

/** The statement runs, or waits for the cancel of one before it, until it ends, is late or is given up. */
function limited(
  session: PgSession,
  run: () => Promise<pg.QueryResult>,
  { timeoutMs, signal }: Limits,
  { waitedMs, label }: { waitedMs: number; label: string | undefined },
): Promise<pg.QueryResult> {
  return new Promise((resolve, reject) => {
    const began = session.clock.now();
    let over = false;
    let running = false;
    let statement: unknown;
    const leave = (): void => {
      over = true;
      undo();
      signal?.removeEventListener('abort', aborted);
    };
    const giveUp = (error: unknown): void => {
      leave();
      reject(error);
      if (running) cancelBehind(session, statement);
    };
    const aborted = (): void => giveUp(signal?.reason);
    const late = (): void => {
      const who = [session.pool, ...(label === undefined ? [] : [`(${label})`])].join(' ');
      giveUp(new QueryTimeoutError(timeoutMs, waitedMs, session.clock.now() - began, who));
    };
    const start = (): void => {
      if (over) return;
      running = true;
      const answer = asked(run);
      statement = session.latest;
      answer.then(
        (result) => {
          leave();
          resolve(result);
        },
        (error: unknown) => {
          leave();
          reject(error);
        },
      );
    };
    const undo = session.deadline(timeLeft(timeoutMs - waitedMs, timeoutMs), late);
    signal?.addEventListener('abort', aborted);
    session.whenSettled(start);
  });
}

/** As `run`, once no cancel is on its way. */
function begun<T>(session: PgSession, run: () => Promise<T>): Promise<T> {
  if (session.settling === undefined) return run();
  return new Promise((resolve, reject) => {
    session.whenSettled(() => void asked(run).then(resolve, reject));
  });
}

/** What pg throws at once, of a query that is none, comes like any other failure. */
function asked<T>(run: () => Promise<T>): Promise<T> {
  try {
    return run();
  } catch (error) {
    return Promise.reject(error);
  }
}

/** Nobody waits for it any more; a connection on which it can neither be ended nor read to its end is of no use to anybody. */
function cancelBehind(session: PgSession, statement: unknown): void {
  const { returnTimeoutMs } = session;
  const undo = session.deadline(returnTimeoutMs, () =>
    session.sever(new Error(`a statement that was given up could not be cancelled within ${returnTimeoutMs} ms`)),
  );
  // A cancel that was refused: the statement may yet end by itself in that time.
  session.giveUp(statement).then(undo, () => session.nextReply().then(undo, undo));
}
