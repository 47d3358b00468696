// What pg's own options `verify` and `log` do here. Owns their reading and their meaning: a connection that `verify` refuses is a connect
// that failed, and `log` is told what becomes of connections, in pg's words where pg has some.

import type pg from 'pg';
import { OptionError } from '../contracts/errors.ts';
import type { Observer } from '../contracts/events.ts';
import type { RetireReason } from '../contracts/figures.ts';
import type { PgSession } from '../pg/session.ts';

type Verify = (client: pg.Client, done: (error?: unknown) => void) => unknown;
type Log = (...messages: unknown[]) => unknown;

/** As in pg, anything falsy is none. */
function functionOf<F>(name: 'verify' | 'log', client: Readonly<Record<string, unknown>>): F | undefined {
  const value = client[name];
  if (!value) return undefined;
  if (typeof value !== 'function') throw new OptionError(name, value, 'a function');
  return value as F;
}

/** `configure`, and after it, once in the life of a connection, `verify`; a reset that configures again does not verify again. */
export function withVerify(
  client: Readonly<Record<string, unknown>>,
  configure: ((session: PgSession) => unknown) | undefined,
): ((session: PgSession) => unknown) | undefined {
  const verify = functionOf<Verify>('verify', client);
  if (verify === undefined) return configure;
  const verified = new WeakSet<PgSession>();
  return async (session) => {
    if (configure !== undefined) await configure(session);
    if (verified.has(session)) return;
    await new Promise<void>((resolve, reject) => {
      verify(session.client, (error) => (error ? reject(error) : resolve()));
    });
    verified.add(session);
  };
}

const REMOVED: Partial<Record<RetireReason, string>> = {
  idle: 'remove idle client',
  lifetime: 'remove expired client',
  uses: 'remove expended client',
};

/** The observer behind the option `log`; undefined if it was not given. */
export function logObserver(client: Readonly<Record<string, unknown>>): Partial<Observer> | undefined {
  const log = functionOf<Log>('log', client);
  if (log === undefined) return undefined;
  return {
    opening: () => void log('connecting new client'),
    opened: () => void log('new client connected'),
    openFailed: ({ error }) => void log('client failed to connect', error),
    waiting: ({ position }) => void log('request queued', position),
    retired: ({ reason }) => void log(REMOVED[reason] ?? `remove client: ${reason}`),
    lost: ({ error }) => void log('client lost', error),
    phase: ({ to }) => void log(to === 'closing' ? 'ending' : to),
    report: ({ message }) => void log(message),
  };
}
