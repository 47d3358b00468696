// `oxbow/fastify`: a pool that lives as long as the server. Opened while the server boots, so that a wrong password fails the boot;
// closed after the last request, if it was made here. Who constructs closes: a pool that was passed in is left open. Fastify itself
// is imported for its types alone.

import type { FastifyBaseLogger, FastifyInstance, FastifyPluginAsync } from 'fastify';
import type { Logger } from '../contracts/options.ts';
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

const plugin: FastifyPluginAsync<OxbowFastifyOptions> = async (app, options) => {
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

/** What the options say to the pool: all but what they say to the plugin, and what Fastify reads of any plugin's options. */
function poolOptions(app: FastifyInstance, options: MadePool): PoolOptions {
  const { pool, decorator, open, close, ...rest } = options;
  for (const key of ['prefix', 'logLevel', 'logSerializers']) Reflect.deleteProperty(rest, key);
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
