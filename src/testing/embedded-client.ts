// One short connection to a server through pg, bounded in every step. Knows nothing of processes.

import type pg from 'pg';

/** Connects, lets `work` use the client, and disconnects. Rejects, in bounded time, where the server does not answer. */
export async function withClient<T>(config: pg.ClientConfig, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const { default: driver } = await import('pg');
  const client = new driver.Client({ connectionTimeoutMillis: 10_000, query_timeout: 20_000, ...config });
  client.on('error', () => {}); // the call that is under way rejects with it
  try {
    await client.connect();
    return await work(client);
  } finally {
    // end() waits for the server's side of the socket, and a frozen server never closes it.
    const cut = setTimeout(() => client.connection.stream.destroy(), 2_000);
    await client.end();
    clearTimeout(cut);
  }
}

/** The server's version, such as `18.4`. */
export async function versionOf(config: pg.ClientConfig): Promise<string> {
  const { rows } = await withClient(config, (client) =>
    client.query<{ server_version: string }>('SHOW server_version'),
  );
  return rows[0]?.server_version.split(' ')[0] ?? 'unknown';
}

/** Makes a schema. */
export async function createSchema(schema: { url: string; name: string }): Promise<void> {
  await withClient({ connectionString: schema.url }, (client) =>
    client.query(`CREATE SCHEMA ${client.escapeIdentifier(schema.name)}`),
  );
}

/** Drops a schema with everything in it; waits at most ten seconds for those who still use it. */
export async function dropSchema(schema: { url: string; name: string }): Promise<void> {
  await withClient({ connectionString: schema.url }, async (client) => {
    await client.query('SET client_min_messages = warning');
    await client.query("SET lock_timeout = '10s'");
    await client.query(`DROP SCHEMA IF EXISTS ${client.escapeIdentifier(schema.name)} CASCADE`);
  });
}
