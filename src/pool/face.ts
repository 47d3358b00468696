// pg's overloads: what a caller means by the arguments of `connect`, `query` and `end`, and how it wants to be answered. Owns the
// shapes; what is done is told by the functions passed in.

import type pg from 'pg';
import { OptionError } from '../contracts/errors.ts';
import { follow } from '../diagnosis/call-sites.ts';
import { checkOut, type Release } from './checkout.ts';
import type { PoolLease } from './lease.ts';
import { isSubmittable, type QueryArguments } from './query.ts';

export type ConnectCallback = (
  error: Error | undefined,
  client: pg.PoolClient | undefined,
  done: (release?: unknown) => void,
) => void;
export type QueryCallback = (error: Error | undefined, result?: pg.QueryResult) => void;
export type EndCallback = (error?: Error) => void;

export function connect(
  acquired: Promise<PoolLease>,
  callback: ConnectCallback | undefined,
): Promise<pg.PoolClient> | undefined {
  const checkedOut = acquired.then(checkOut);
  if (callback === undefined) {
    // The last promise of ours: what is done here is done in the name of whoever awaits it.
    return checkedOut.then(({ lease, client }) => {
      follow(lease);
      return client;
    });
  }
  return answer(
    checkedOut,
    ({ client, release }: { client: pg.PoolClient; release: Release }) =>
      callback(undefined, client, release as (release?: unknown) => void),
    (error) => callback(error, undefined, () => {}),
  );
}

const NOT_HERE = 'a function; signal and timeoutMs go into the query object, as in query({ text, values, signal })';

/** Whether a query is asked for as most are: to be answered by a promise. */
export function isPromised(text: unknown, values: unknown, callback: unknown): boolean {
  if (callback !== undefined || typeof values === 'function' || typeof text === 'function') return false;
  return typeof text !== 'object' || text === null || typeof Reflect.get(text, 'callback') !== 'function';
}

/** Values may be left out; a callback may stand last and is then the only answer. */
export function query(
  run: (args: QueryArguments) => Promise<pg.QueryResult>,
  text: unknown,
  values: unknown,
  callback: QueryCallback | undefined,
): Promise<pg.QueryResult> | undefined {
  if (typeof text === 'function') {
    const error = new Error('Passing a function as the first parameter to pool.query is not supported');
    return answer(Promise.reject(error), () => {}, text as QueryCallback);
  }
  if (typeof callback === 'object' && callback !== null)
    return Promise.reject(new OptionError('callback', callback, NOT_HERE));
  // pg takes a callback inside the config too, and then gives no promise to wait for.
  const { config, inside } = withoutCallback(text);
  const given = typeof values === 'function' ? (values as QueryCallback) : (callback ?? inside);
  const result = run([config, typeof values === 'function' ? undefined : values]);
  return given === undefined ? result : answer(result, (value) => given(undefined, value), given);
}

function withoutCallback(text: unknown): { config: unknown; inside: QueryCallback | undefined } {
  const inside: unknown = typeof text === 'object' && text !== null ? Reflect.get(text, 'callback') : undefined;
  if (typeof inside !== 'function' || isSubmittable(text)) return { config: text, inside: undefined };
  return { config: { ...(text as object), callback: undefined }, inside: inside as QueryCallback };
}

export function end(ending: Promise<void>, callback: EndCallback | undefined): Promise<void> | undefined {
  return callback === undefined ? ending : answer(ending, () => callback(), callback);
}

/** Answers by callback, in a turn of its own: what it throws is the process's business, as in pg, and no promise's. */
function answer<T>(result: Promise<T>, done: (value: T) => void, failed: (error: Error) => void): undefined {
  result.then(
    (value) => queueMicrotask(() => done(value)),
    (error: Error) => queueMicrotask(() => failed(error)),
  );
}
