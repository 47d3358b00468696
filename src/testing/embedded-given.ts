// A server that was given by URL: a schema of the test's own in it, and nothing else. Never stops, restarts or pauses it.

import { randomBytes } from 'node:crypto';
import { createSchema, dropSchema, versionOf } from './embedded-client.ts';
import { Guard } from './embedded-guard.ts';

import type { PostgresServer, ServerConfig } from './embedded-server.ts';

/** The URL, with `schema` as the one that unqualified names mean. */
function choosing(schema: string, given: string): string {
  const url = new URL(given);
  const options = [url.searchParams.get('options'), `-c search_path=${schema}`].filter(Boolean).join(' ');
  // Spaces as %20: not every reader of such URLs takes a plus sign for one.
  url.searchParams.delete('options');
  const rest = url.searchParams.toString();
  url.search = `${rest}${rest === '' ? '' : '&'}options=${encodeURIComponent(options)}`;
  return url.href;
}

export class GivenServer implements PostgresServer {
  readonly ownsServer = false;
  readonly socketUrl = undefined;
  readonly pid = undefined;
  readonly folder = undefined;
  readonly url: string;
  readonly config: ServerConfig;
  readonly schema: string;
  readonly version: string;
  readonly origin: string;
  readonly #given: string;
  readonly #guard: Guard;
  #stopped: Promise<void> | undefined;

  private constructor(parts: Pick<GivenServer, 'url' | 'config' | 'schema' | 'version'>, given: string, guard: Guard) {
    this.url = parts.url;
    this.config = parts.config;
    this.schema = parts.schema;
    this.version = parts.version;
    this.origin = `the server at ${parts.config.host}:${parts.config.port}, given by URL`;
    this.#given = given;
    this.#guard = guard;
  }

  static async use(given: string): Promise<GivenServer> {
    if (!/^postgres(ql)?:\/\//.test(given) || !URL.canParse(given)) {
      throw new TypeError(
        'embeddedPostgres(): its URL (DATABASE_URL or the option `url`) must be of the form postgres://user:password@host:port/database, with a host even if a socket is meant',
      );
    }
    const { default: pg } = await import('pg');
    const version = await versionOf({ connectionString: given });
    const schema = `oxbow_test_${randomBytes(6).toString('hex')}`;
    const url = choosing(schema, given);
    const guard = new Guard();
    guard.watch({ folders: [], schema: { url: given, name: schema } });
    try {
      await createSchema({ url: given, name: schema });
      guard.assertWatching();
    } catch (error) {
      await guard.release();
      const text = 'embeddedPostgres(): could not make a schema of its own on the server given by URL';
      throw new Error(`${text}: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
    // In parts as pg itself reads them.
    const { host, port, user = '', database = '', password, ssl } = new pg.Client(url);
    const options = new URL(url).searchParams.get('options') ?? '';
    const secrets = { ...(password ? { password } : {}), ...(ssl ? { ssl } : {}) };
    return new GivenServer(
      { url, config: { host, port, user, database, options, ...secrets }, schema, version },
      given,
      guard,
    );
  }

  restart(): Promise<void> {
    return Promise.reject(this.#refusal('restarted'));
  }

  pause(): void {
    throw this.#refusal('paused');
  }

  resume(): void {
    throw this.#refusal('resumed');
  }

  #refusal(what: string): Error {
    return new Error(
      `embeddedPostgres(): a server given by URL is never ${what}; pass { url: false } for one of its own`,
    );
  }

  stop(): Promise<void> {
    this.#stopped ??= dropSchema({ url: this.#given, name: this.schema }).then(() => this.#guard.release());
    return this.#stopped;
  }

  log(): string {
    return '';
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
