// `pool.options` as pg's users read it. Owns which keys they find there, that a server given by URL can be read in parts, and that no
// secret is seen by whoever prints them.

import type pg from 'pg';
import type { ClientClass } from '../pg/shapes.ts';
import type { Resolved } from './options.ts';

/** What pg's constructor gets: the client's settings as they were given, and the pool's under pg's names. */
export function pgOptions(client: Readonly<Record<string, unknown>>, resolved: Resolved): pg.PoolConfig {
  const { acquireTimeoutMs, idleTimeoutMs, maxLifetimeMs, maxUses } = resolved;
  return {
    ...client,
    max: resolved.max,
    min: resolved.min,
    // In pg's words 0 means never; at once is as near as 1 ms.
    idleTimeoutMillis: idleTimeoutMs === Infinity ? 0 : Math.max(1, idleTimeoutMs),
    connectionTimeoutMillis: acquireTimeoutMs === Infinity ? 0 : Math.max(1, acquireTimeoutMs),
    maxLifetimeSeconds: maxLifetimeMs === Infinity ? 0 : maxLifetimeMs / 1_000,
    maxUses,
    allowExitOnIdle: resolved.allowExitOnIdle,
  };
}

const PARTS = ['host', 'port', 'database', 'user', 'password'] as const;

/**
 * Libraries read where a pool connects to from its options. What stands in a URL or in the environment is found as pg finds it, when
 * somebody asks; a URL that cannot be read shows at the first connect.
 */
export function showServer(
  options: pg.PoolOptions,
  client: Readonly<Record<string, unknown>>,
  Client: ClientClass,
): void {
  let probe: pg.Client | undefined;
  const read = (part: (typeof PARTS)[number]): unknown => {
    try {
      probe ??= new Client(client as pg.ClientConfig);
      return probe[part as 'host'];
    } catch {
      return undefined;
    }
  };
  for (const part of PARTS) {
    if (client[part] !== undefined) continue;
    Object.defineProperty(options, part, {
      enumerable: part !== 'password',
      configurable: true,
      get: () => read(part),
      set: (value: unknown) => {
        Object.defineProperty(options, part, {
          value,
          enumerable: part !== 'password',
          configurable: true,
          writable: true,
        });
      },
    });
  }
  if ('connectionString' in options) {
    const value: unknown = Reflect.get(options, 'connectionString');
    Object.defineProperty(options, 'connectionString', {
      value,
      enumerable: false,
      configurable: true,
      writable: true,
    });
  }
}
