// The options as a user of the PostgreSQL pool writes them, and what each layer gets of them. Owns the split; names, defaults and
// ranges are data elsewhere.

import type pg from 'pg';
import type { AllOptions, ResolvedOptions } from '../contracts/options.ts';
import type { Hooks, Settings } from '../core/household.ts';
import type { Personality } from '../core/option-table.ts';
import { resolveOptions } from '../core/resolve-options.ts';
import { PG_KEYS } from '../pg/client-keys.ts';
import type { PgSession } from '../pg/session.ts';
import { withVerify } from './pg-hooks.ts';
import type { Pool } from './pool.ts';

/** Every option of the pool, and every key of `pg.ClientConfig`, which goes to each client as it is. */
export interface PoolOptions extends AllOptions<pg.Client, Pool>, Omit<pg.PoolConfig, keyof AllOptions> {}

export type Resolved = ResolvedOptions<pg.Client, Pool>;

export interface PoolSettings {
  readonly options: Resolved;
  readonly client: Record<string, unknown>;
  /** How a connection string that was meant to say where to connect to says nothing. */
  readonly unset: string | undefined;
  readonly settings: Settings;
  readonly hooks: Hooks<PgSession>;
}

let pools = 0;

/** Checks and completes what the user wrote; throws an `OptionError` before anything was done. */
export function poolSettings(given: PoolOptions | string, personality: Personality, owner: () => Pool): PoolSettings {
  const input: unknown = typeof given === 'string' ? { connectionString: given } : given;
  const { engine: options, client } = resolveOptions<pg.Client, Pool>(input, {
    personality,
    foreignKeys: PG_KEYS,
    env: process.env,
  });
  pools += 1;
  const name = options.name ?? `pool-${pools}`;
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
  return { options, client, unset: unsetServer(input, client), settings, hooks };
}

function unsetServer(input: unknown, client: Readonly<Record<string, unknown>>): string | undefined {
  const { connectionString, connection, host, port } = client;
  if (connectionString || connection !== undefined || host !== undefined || port !== undefined) return undefined;
  if (typeof input !== 'object' || input === null || !Object.hasOwn(input, 'connectionString')) return undefined;
  return connectionString === undefined ? 'undefined' : 'empty';
}
