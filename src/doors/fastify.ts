// `oxbow/fastify`: a pool that lives as long as the server. Opened while the server boots, so that a wrong password fails the boot;
// closed after the last request, if it was made here. Who constructs closes: a pool that was passed in is left open. Fastify itself
// is imported for its types alone.

import type { FastifyBaseLogger, FastifyInstance, FastifyPluginAsync } from 'fastify';
import { OptionError } from '../contracts/errors.ts';
import type { Logger } from '../contracts/options.ts';
import { OPTIONS } from '../core/option-table.ts';
import { didYouMean, slipOf } from '../core/spelling.ts';
import { PG_KEYS } from '../pg/client-keys.ts';
import { checkPool, checkRequest } from '../pool/check-request.ts';
import type { PoolOptions } from '../pool/options.ts';
import { Pool } from '../pool/pool.ts';
import type { CloseOptions, OpenOptions } from '../pool/requests.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** The pool of `oxbowFastify`, where that is registered without a `decorator` of its own. */
    oxbow: Pool;
  }
}

interface PluginOptions {
  /** Under which name the instance has the pool: `app.oxbow` by default. One name for each pool that a scope can see. */
  decorator?: string | undefined;
  /**
   * How the pool is opened while the server boots. `timeoutMs`: nine tenths of Fastify's `pluginTimeout` (10 s), so that it is
   * the pool's own error that fails the boot; without a `pluginTimeout` the pool's `acquireTimeoutMs`. `wait: false` boots without a
   * server to connect to.
   */
  open?: OpenOptions | undefined;
}

interface GivenPool extends PluginOptions {
  /** Opened here if it is not yet, never closed here. */
  pool: Pool;
  close?: undefined;
}

interface MadePool extends PluginOptions, PoolOptions {
  pool?: undefined;
  /** How the pool is closed, once the server has drained. */
  close?: CloseOptions | undefined;
}

/** Either `{ pool }`, or the options of a pool to be made. */
export type OxbowFastifyOptions = GivenPool | MadePool;

const PLUGIN_TIMEOUT_SHARE = 0.9;
const OURS = ['pool', 'decorator', 'open', 'close'];
/** What Fastify reads of any plugin's options. */
const FASTIFYS = ['prefix', 'logLevel', 'logSerializers'];

const plugin: FastifyPluginAsync<OxbowFastifyOptions> = async (app, options) => {
  checkOptions(options);
  const { decorator = 'oxbow', open } = options;
  const pool = options.pool ?? new Pool(poolOptions(app, options));
  app.decorate(decorator, pool);
  if (options.pool === undefined) {
    const { close } = options;
    // Fastify stops its server before the hooks of the plugins run, those registered last first.
    app.addHook('onClose', async () => {
      const { stillHeld } = await pool.close(close);
      if (stillHeld.length > 0)
        app.log.warn({ stillHeld }, `${pool.name}: ${stillHeld.length} still lent when it closed`);
    });
  }
  await pool.open({ ...patience(app), ...open });
};

/** Throws an `OptionError` for what cannot be meant, before anything is made. What they say to a pool to be made is the pool's to check. */
function checkOptions(options: unknown): void {
  if (typeof options !== 'object' || options === null)
    throw new OptionError(
      typeof options === 'string' ? 'connectionString' : 'options', // by that name it is not shown
      options,
      'an object with options',
    );
  const given = new Map(Object.entries(options).filter(([, value]) => value !== undefined));
  const isGiven = given.has('pool');
  if (isGiven) checkPool(given.get('pool'), 'open', 'close', 'query', 'acquire');
  for (const [key, value] of given) {
    if (OURS.includes(key) || FASTIFYS.includes(key)) continue;
    if (isGiven)
      throw new OptionError(key, value, 'nothing but "decorator" and "open" beside "pool", which has its own');
    const meant = key in OPTIONS || PG_KEYS.has(key) ? [] : slipOf(key, OURS);
    if (meant.length > 0) throw new OptionError(key, value, didYouMean(meant));
  }
  const name = given.get('decorator') ?? 'oxbow';
  if (typeof name !== 'string' || name === '') throw new OptionError('decorator', name, 'a name');
  for (const verb of ['open', 'close'] as const) {
    const request = given.get(verb);
    if (request === undefined) continue;
    if (typeof request !== 'object') throw new OptionError(verb, request, `an object, as for ${verb}()`);
    checkRequest(verb, request);
  }
  if (isGiven && given.has('close'))
    throw new OptionError('close', given.get('close'), 'undefined beside "pool": whoever made a pool closes it');
}

/** What the options say to the pool: all but what they say to the plugin, and what Fastify reads of any plugin's options. */
function poolOptions(app: FastifyInstance, options: MadePool): PoolOptions {
  const { pool, decorator, open, close, ...rest } = options;
  for (const key of FASTIFYS) Reflect.deleteProperty(rest, key);
  return { logger: loggerOf(app.log), ...rest };
}

/** With `logger: false` Fastify's is mute, and has no level: then the pool's reports are process warnings, as without Fastify. */
function loggerOf(log: FastifyBaseLogger): Logger | undefined {
  return log.level === undefined ? undefined : log;
}

function patience(app: FastifyInstance): OpenOptions {
  const { pluginTimeout = 0 } = app.initialConfig;
  return pluginTimeout === 0 ? {} : { timeoutMs: pluginTimeout * PLUGIN_TIMEOUT_SHARE };
}

/**
 * `app.register(oxbowFastify, { connectionString })`, then `app.oxbow.query(…)`. Seen where it is registered and in all scopes below,
 * as `@fastify/postgres` is; register it inside a plugin of your own to keep it there.
 */
export const oxbowFastify: FastifyPluginAsync<OxbowFastifyOptions> = Object.assign(plugin, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'oxbow',
  [Symbol.for('plugin-meta')]: { name: 'oxbow', fastify: '5.x' },
});
