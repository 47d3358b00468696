// The server of a run: an embedded one with the settings of a benchmark, or the one of DATABASE_URL; filled; and the ways to it. What
// CPU time it takes is asked by whoever measures.

import pg from 'pg';
import { embeddedPostgres, type PostgresServer, type ServerConfig } from '../../src/testing/embedded-postgres.ts';
import { startChild } from '../lib/child.ts';
import { median } from '../lib/statistics.ts';
import type { Transport } from './cells.ts';
import { fill } from './workloads.ts';

const SETTINGS = {
  shared_buffers: '512MB',
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  jit: 'off',
  autovacuum: 'off',
  max_wal_size: '8GB',
  checkpoint_timeout: '1h',
  max_connections: 600,
  timezone: 'UTC',
  // Errors are part of a workload; writing them down is not.
  log_min_messages: 'fatal',
} as const;

export interface BenchServer {
  readonly pid: number | undefined;
  readonly schema: string;
  readonly ways: Readonly<Record<Transport, ServerConfig>>;
  /** What it is and how far away, for the page. */
  readonly text: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** Empties what a cell left behind. */
  tidy(): Promise<void>;
  stop(): Promise<void>;
}

async function roundTripMs(config: ServerConfig): Promise<number> {
  const client = new pg.Client(config);
  await client.connect();
  const times: number[] = [];
  for (let count = 0; count < 300; count += 1) {
    const began = performance.now();
    await client.query('SELECT 1');
    times.push(performance.now() - began);
  }
  await client.end();
  return median(times.slice(100));
}

async function startServer(): Promise<PostgresServer> {
  return process.env.DATABASE_URL ? embeddedPostgres() : embeddedPostgres({ url: false, settings: SETTINGS });
}

export async function benchServer(rows: number): Promise<BenchServer> {
  const server = await startServer();
  const admin = new pg.Client(server.config);
  await admin.connect();
  for (const text of fill(rows)) await admin.query(text);
  await admin.query('VACUUM ANALYZE bench_accounts, bench_wide');
  const relay = startChild(new URL('./relay.js', import.meta.url), 'relay');
  const { port = 0 } = await relay.ask({ host: server.config.host, port: server.config.port });
  const away = { ...server.config, host: '127.0.0.1', port };
  const local = server.folder === undefined ? server.config : { ...server.config, host: server.folder };
  const near = await roundTripMs(server.config);
  const far = await roundTripMs(away);
  const settings = Object.entries(SETTINGS).map(([name, value]) => `${name} ${value}`);
  const text = [
    `PostgreSQL ${server.version} (${server.origin})${server.ownsServer ? `: ${settings.join(', ')}` : ''}; ${rows} accounts`,
    server.folder === undefined
      ? 'local means as DATABASE_URL says: no Unix socket is known'
      : 'local means over a Unix socket',
    `1 ms away: through a relay that adds half a millisecond in each direction (\`select 1\` one at a time: ${near.toFixed(2)} ms over TCP, ${far.toFixed(2)} ms through it)`,
  ].join('; ');
  return {
    pid: server.pid,
    schema: server.schema,
    ways: { local, tcp: server.config, away },
    text,
    data: { version: server.version, origin: server.origin, rows, nearMs: near, farMs: far },
    async tidy() {
      await admin.query('TRUNCATE bench_history');
    },
    async stop() {
      await relay.end();
      await admin.end();
      await server.stop();
    },
  };
}
