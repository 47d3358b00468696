// `pool.query()`: one query on a connection borrowed for it. Owns the one deadline over waiting and running, that a query which never
// reached the server goes to another connection, and that nobody begins a transaction this way.

import type pg from 'pg';
import type { Clock } from '../contracts/clock.ts';
import { ConnectionLostError, LeaseError, StrayTransactionError } from '../contracts/errors.ts';
import { Refusal, type Standing } from '../core/wait-queue.ts';
import type { PgSession } from '../pg/session.ts';
import { failureOf } from './failure.ts';
import type { PoolLease } from './lease.ts';
import type { Publisher } from './publisher.ts';
import {
  isSubmittable,
  type Limits,
  limitsOf,
  type QueryArguments,
  type QueryOptions,
  runQuery,
  UNLIMITED,
} from './query.ts';
import { type Stray, strayBegin } from './stray.ts';

const INSTEAD =
  'each pool.query() may run on another connection: use pool.transaction(), or pool.use() for several statements';

/** Instead of an error: the codec could not, and pg has to. */
const FOR_PG = Symbol('for pg');

type Resolve = (result: pg.QueryResult | Refusal) => void;

/**
 * What most queries are: nothing limits them, and the codec speaks. One promise for the answer; the connection is back by the time it is there. Lean
 * on purpose: thousands of them may stand in the queue.
 */
class PlainQuery implements Standing<PgSession, PoolLease> {
  readonly query: unknown;
  readonly values: unknown;
  readonly began: number;
  #error: unknown;
  #lease: PoolLease | undefined;
  #sent = 0;
  /** Of the promise of its answer; that is rejected with this object, for a listener that is one for all. */
  #resolve!: Resolve;

  constructor(query: unknown, values: unknown, began: number) {
    this.query = query;
    this.values = values;
    this.began = began;
  }

  /** The answer; `instead` is told of a failure, and what it gives or throws is the caller's. */
  answer(instead: (query: PlainQuery) => Promise<pg.QueryResult>): Promise<pg.QueryResult> {
    return new Promise<pg.QueryResult>((resolve) => {
      this.#resolve = resolve as Resolve;
    }).then(undefined, instead);
  }

  get args(): QueryArguments {
    return [this.query, this.values];
  }

  /** False if pg has to speak; then nothing was done. */
  lent(lease: PoolLease): boolean {
    const { session } = lease;
    this.#sent = session.sent;
    this.#lease = lease;
    try {
      // A driver of somebody else's has sessions that speak through their client only.
      return session.speak?.(this.query, this.values, this) === true;
    } catch (error) {
      this.failed(error);
      return true;
    }
  }

  /** Its turn has come, or never will. */
  settle(outcome: PoolLease | Refusal): void {
    if (outcome instanceof Refusal) this.failed(outcome.error);
    // Whoever asked cannot be asked here what to do instead.
    else if (!this.lent(outcome)) this.failed(FOR_PG);
  }

  answered(result: pg.QueryResult): void {
    this.#resolve(result);
    this.#giveBack();
  }

  failed(error: unknown): void {
    this.#error = error;
    this.#resolve(new Refusal(this));
  }

  /** The connection on which pg has to speak, if that is why it failed. */
  get forPg(): PoolLease | undefined {
    return this.#error === FOR_PG ? this.#lease : undefined;
  }

  /** What the caller is told; the connection is given back. */
  failure(): unknown {
    const lease = this.#lease;
    if (lease === undefined) return this.#error;
    const failure = failureOf(lease.session, this.#error, this.#sent, undefined);
    this.#giveBack();
    return failure;
  }

  #giveBack(): void {
    if (this.#lease?.released === false) this.#lease.release();
  }
}

/**
 * Whether turning the values into parameters calls nobody's code, which might ask in whose context it runs: then it may be done in that of
 * whoever gives the connection back.
 */
function isInert({ query, values: given }: PlainQuery): boolean {
  try {
    return areInert(given || (typeof query === 'object' && query !== null ? Reflect.get(query, 'values') : undefined));
  } catch {
    // Looking at them calls somebody; it is thrown again when they are needed.
    return false;
  }
}

function areInert(values: unknown): boolean {
  if (!values) return true;
  if (!Array.isArray(values)) return false;
  for (let n = 0; n < values.length; n += 1) {
    const value: unknown = values[n];
    if (typeof value === 'object' && value !== null && !Buffer.isBuffer(value)) return false;
    if (typeof value === 'function' || typeof value === 'symbol') return false;
  }
  return true;
}

export class PoolQuery {
  readonly #clock: Clock;
  readonly #acquireTimeoutMs: number;
  readonly #queryTimeoutMs: number;
  readonly #codecSpeaks: () => boolean;
  readonly #publisher: Pick<Publisher, 'acquire' | 'stand' | 'takeAtOnce'>;

  /** `publisher` borrows. `codecSpeaks`: whether it is likely to, on whatever connection comes next. */
  constructor(
    clock: Clock,
    limits: { acquireTimeoutMs: number; queryTimeoutMs: number },
    codecSpeaks: () => boolean,
    publisher: Pick<Publisher, 'acquire' | 'stand' | 'takeAtOnce'>,
  ) {
    this.#publisher = publisher;
    this.#codecSpeaks = codecSpeaks;
    this.#clock = clock;
    this.#acquireTimeoutMs = limits.acquireTimeoutMs;
    this.#queryTimeoutMs = limits.queryTimeoutMs;
  }

  run(query: unknown, values: unknown): Promise<pg.QueryResult> {
    let limits: Limits;
    let stray: Stray | undefined;
    try {
      limits = limitsOf(query, this.#queryTimeoutMs);
      stray = strayBegin(query);
      if (stray?.alone === true)
        throw new StrayTransactionError(stray.keyword, `in pool.query() was not sent; ${INSTEAD}`);
    } catch (error) {
      return Promise.reject(error);
    }
    const began = this.#clock.now();
    if (stray !== undefined || limits !== UNLIMITED || isSubmittable(query))
      return this.#patient([query, values], limits, stray, began);
    // Whole milliseconds need no box on the heap.
    const plain = new PlainQuery(query, values, Math.floor(began));
    const answer = plain.answer(this.#instead);
    const lease = this.#publisher.takeAtOnce();
    if (lease !== undefined) return plain.lent(lease) ? answer : this.#byPg(plain, lease);
    if (this.#codecSpeaks() && isInert(plain) && this.#publisher.stand(plain)) return answer;
    return this.#afterWaiting(plain, answer);
  }

  async #afterWaiting(plain: PlainQuery, answer: Promise<pg.QueryResult>): Promise<pg.QueryResult> {
    const lease = await this.#publisher.acquire();
    // Awaited here: what fails at once would else be told before anybody listens, and lead to nobody.
    return plain.lent(lease) ? await answer : await this.#byPg(plain, lease);
  }

  #byPg({ args, began }: PlainQuery, lease: PoolLease): Promise<pg.QueryResult> {
    return this.#patient(args, UNLIMITED, undefined, began, lease);
  }

  /**
   * Where the codec could not, or it failed. A listener of the caller's own call: in it the error can still be told by whom it was asked for, and
   * whatever is tried next is that one's.
   */
  readonly #instead = (plain: PlainQuery): Promise<pg.QueryResult> => {
    const { args, began, forPg } = plain;
    if (forPg !== undefined) return this.#byPg(plain, forPg);
    const failure = plain.failure();
    if (!this.#goesOn(failure, args, this.#clock.now() - began)) throw failure;
    return this.#patient(args, UNLIMITED, undefined, began);
  };

  /** `held`: a connection that was obtained for it. */
  async #patient(
    args: QueryArguments,
    limits: Limits,
    stray: Stray | undefined,
    began: number,
    held?: PoolLease,
  ): Promise<pg.QueryResult> {
    for (let given = held; ; given = undefined) {
      const passedMs = this.#clock.now() - began;
      const acquireTimeoutMs = Math.max(0, Math.min(limits.timeoutMs, this.#acquireTimeoutMs) - passedMs);
      const lease = given ?? (await this.#publisher.acquire({ acquireTimeoutMs, signal: limits.signal }));
      try {
        return await this.#once(lease, args, limits, stray, began);
      } catch (error) {
        if (!this.#goesOn(error, args, this.#clock.now() - began)) throw error;
      } finally {
        if (!lease.released) lease.release();
      }
    }
  }

  async #once(
    lease: PoolLease,
    args: QueryArguments,
    limits: Limits,
    stray: Stray | undefined,
    began: number,
  ): Promise<pg.QueryResult> {
    const { session } = lease;
    const waitedMs = this.#clock.now() - began;
    let failure: unknown;
    try {
      const result = await runQuery(session, args, limits, waitedMs);
      if (stray === undefined || session.status === 'idle') return result;
    } catch (error) {
      // Whoever gave it up hears of that at once; what it left behind is the return path's affair.
      if (stray === undefined || session.cancelling) throw error;
      // The error came first; how things stand is said at the end of the reply.
      await this.#patiently(session, session.settle(), limits, began);
      if (session.status !== 'transaction' && session.status !== 'failed') throw error;
      failure = error;
    }
    // Undone on its way back, as for any lease that is taken away: within a bound.
    lease.revoke(new LeaseError('LEASE_REVOKED', 'the query had begun a transaction'));
    lease.release();
    await this.#patiently(session, lease.whenReturned(), limits, began);
    throw new StrayTransactionError(
      stray.keyword,
      `in pool.query() was left open and rolled back; ${INSTEAD}`,
      failure,
    );
  }

  /** Resolves when `work` is over however it went, or when the caller's patience or that of a return is. */
  #patiently(session: PgSession, work: Promise<unknown>, { timeoutMs, signal }: Limits, began: number): Promise<void> {
    return new Promise((resolve) => {
      const enough = (): void => {
        undo();
        signal?.removeEventListener('abort', enough);
        resolve();
      };
      const leftMs = timeoutMs - (this.#clock.now() - began);
      const undo = session.deadline(Math.max(0, Math.min(leftMs, session.returnTimeoutMs)), enough);
      signal?.addEventListener('abort', enough);
      work.then(enough, enough);
    });
  }

  /** Whether another connection may be tried: nothing reached the server, or the caller said that twice does no harm. */
  #goesOn(error: unknown, args: QueryArguments, passedMs: number): boolean {
    if (!(error instanceof ConnectionLostError)) return false;
    const idempotent = (args[0] as QueryOptions | undefined)?.idempotent === true;
    return (!error.mayHaveExecuted || idempotent) && passedMs < this.#acquireTimeoutMs;
  }
}
