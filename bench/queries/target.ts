// Where a contestant connects to, and with how many connections. Types, and what crosses the channel between two processes.

import type { ServerConfig } from '../../src/testing/embedded-postgres.ts';

export interface Target {
  readonly config: ServerConfig;
  /** Where the tables are; contestants without pg's `options` set it as the search path. */
  readonly schema: string;
  readonly connections: number;
}

/** The file of a Unix socket, if the host is a folder. */
export function socketOf({ host, port }: ServerConfig): string | undefined {
  return host.startsWith('/') ? `${host}/.s.PGSQL.${port}` : undefined;
}
