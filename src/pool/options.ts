// The options as a user of the PostgreSQL pool writes them, and what each layer gets of them. Owns the split; names, defaults and
// ranges are data elsewhere.

import type pg from 'pg';
import { OptionError } from '../contracts/errors.ts';
import type { AllOptions, ResolvedOptions } from '../contracts/options.ts';
import type { Phase } from '../contracts/phase.ts';
import type { Reporter } from '../contracts/reporter.ts';
import type { Hooks, Settings } from '../core/household.ts';
import type { Personality } from '../core/option-table.ts';
import { resolveOptions } from '../core/resolve-options.ts';
import { PG_KEYS } from '../pg/client-keys.ts';
import { readSentences } from '../pg/condemn.ts';
import type { PgDriverOptions } from '../pg/driver.ts';
import type { PgSession } from '../pg/session.ts';
import { enrol } from './many-pools.ts';
import { withVerify } from './pg-hooks.ts';
import type { Pool } from './pool.ts';

/** Every option of the pool, and every key of `pg.ClientConfig`, which goes to each client as it is. */
export interface PoolOptions extends AllOptions<pg.Client, Pool>, Omit<pg.PoolConfig, keyof AllOptions> {}

export type Resolved = ResolvedOptions<pg.Client, Pool>;

type Driving = Omit<PgDriverOptions, 'Client' | 'config' | 'connection' | 'clock' | 'deadline' | 'tell'>;

export interface PoolSettings {
  /** As they were written. */
  readonly given: PoolOptions;
  readonly options: Resolved;
  readonly client: Record<string, unknown>;
  readonly settings: Settings;
  /** What the driver is told of them. */
  readonly driving: Driving;
  readonly hooks: Hooks<PgSession>;
  /** Enters the pool among those of the process, once it is there; what comes back is to be told of each change of phase. */
  readonly enrol: (reporter: Reporter) => (to: Phase) => void;
}

let pools = 0;

/** Checks and completes what the user wrote; throws an `OptionError` before anything was done. */
export function poolSettings(given: PoolOptions | string, personality: Personality, owner: () => Pool): PoolSettings {
  const input: unknown = typeof given === 'string' ? { connectionString: given } : written(given);
  const { engine: options, client } = resolveOptions<pg.Client, Pool>(input, {
    personality,
    foreignKeys: PG_KEYS,
    env: process.env,
  });
  for (const key of ['host', 'port']) {
    const value = client[key];
    if (typeof value === 'string' && value.includes('://'))
      throw new OptionError(key, value, `a ${key} alone; a connection string is given as "connectionString"`);
  }
  pools += 1;
  const number = pools;
  const name = options.name ?? `pool-${number}`;
  if (options.name !== undefined && client.application_name === undefined) client.application_name = options.name;
  const { check, reset, configure, onReconnectFailed } = options;
  const settings: Settings = {
    ...options,
    name,
    check: typeof check === 'function' ? 'custom' : check,
    reset: typeof reset === 'function' ? 'custom' : reset,
    pgManners: personality === 'pg',
  };
  const hooks: Hooks<PgSession> = {
    configure: withVerify(client, configure && ((session) => configure(session.client))),
    check: typeof check === 'function' ? (session) => check(session.client) : undefined,
    reset: typeof reset === 'function' ? (session) => reset(session.client) : undefined,
    onReconnectFailed: onReconnectFailed && ((error) => onReconnectFailed(owner(), error)),
  };
  const driving: Driving = {
    unref: options.allowExitOnIdle,
    queryTimeoutMs: options.queryTimeoutMs,
    returnTimeoutMs: options.returnTimeoutMs,
    name,
    condemn: readSentences(options.condemn),
    reset: settings.reset,
    configures: hooks.configure !== undefined,
    pooler: options.pooler,
    speaker: options.speaker,
    prepare: options.prepare,
    unset: unsetServer(input, client),
  };
  /** The number of an unnamed pool is free again, if no later one was given. */
  const unname = (): void => {
    if (pools === number) pools -= 1;
  };
  const enrolled = (reporter: Reporter): ((to: Phase) => void) =>
    enrol(owner(), { given: Object(input), unname, client }, personality, reporter);
  return { given: input as PoolOptions, options, client, settings, driving, hooks, enrol: enrolled };
}

/** The own properties, read once, whatever becomes of the object. What is no object with options is told as such later. */
function written(given: unknown): unknown {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return given;
  const own: Record<string, unknown> = Object.create(null);
  for (const key of Object.getOwnPropertyNames(given)) own[key] = Reflect.get(given, key);
  return own;
}

function unsetServer(input: unknown, client: Readonly<Record<string, unknown>>): string | undefined {
  const { connectionString, connection, host, port } = client;
  if (connectionString || connection !== undefined || host !== undefined || port !== undefined) return undefined;
  if (typeof input !== 'object' || input === null || !Object.hasOwn(input, 'connectionString')) return undefined;
  return connectionString === undefined ? 'undefined' : 'empty';
}

/** New limits, checked as the first ones were; what is left out stays. */
export function resized(
  now: { readonly min: number; readonly max: number },
  { min = now.min, max = now.max }: { min?: number; max?: number },
): { readonly min: number; readonly max: number } {
  return resolveOptions({ min, max }, { personality: 'oxbow', foreignKeys: new Set() }).engine;
}
