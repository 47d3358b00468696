// `pool.options` as pg's users read it. Owns which keys they find there, that a server given by URL can be read in parts, and that no
// secret is seen by whoever prints them.

import type pg from 'pg';
import { Secrets } from '../pg/secrets.ts';
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
  const secrets = new Secrets();
  secrets.learn(client);
  const read = (part: (typeof PARTS)[number]): unknown => {
    try {
      probe ??= new Client(client as pg.ClientConfig);
      const found: unknown = probe[part as 'host'];
      // A password that was not encoded may have become a part of it.
      return typeof found === 'string' && part !== 'password' ? secrets.text(found) : found;
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
  for (const key of new Set([...Object.keys(options), 'password'])) {
    if (SECRET.test(key) && Object.hasOwn(options, key) && client[key] !== undefined) hide(options, key, false);
  }
  const { ssl } = options;
  if (typeof ssl === 'object' && ssl !== null) options.ssl = veiled(ssl);
}

/** A slip for one of them, which pg passes over, holds the same secret. */
const SECRET = /^connectionString$|pas+w|passphrase|pwd|secret|token/i;
/** pg hides `key` alone. */
const SECRET_IN_TLS: ReadonlySet<string> = new Set(['key', 'passphrase', 'pfx']);

/** Whoever reads it by its name finds it; whoever prints all there is sees that there is something. */
function hide(object: object, key: string, enumerable: boolean): void {
  let value: unknown = Reflect.get(object, key);
  const set = (other: unknown): void => {
    value = other;
  };
  Object.defineProperty(object, key, { enumerable, configurable: true, get: () => value, set });
}

/** A copy: that of the user goes to each client as it is. */
function veiled<T extends object>(ssl: T): T {
  const names = Object.getOwnPropertyNames(ssl).filter((name) => SECRET_IN_TLS.has(name));
  if (names.length === 0) return ssl;
  const copy: T = Object.create(Object.getPrototypeOf(ssl), Object.getOwnPropertyDescriptors(ssl));
  for (const name of names) hide(copy, name, Object.prototype.propertyIsEnumerable.call(ssl, name));
  const shown = (): object => Object.fromEntries(Object.entries(copy).filter(([name]) => !SECRET_IN_TLS.has(name)));
  return Object.defineProperty(copy, 'toJSON', { value: shown, configurable: true });
}
