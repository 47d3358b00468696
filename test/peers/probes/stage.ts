// Where the probes are run: one server, and for each row a test of ours beside one for each peer that it faults. Owns the registration
// and the words with which a peer's mend is told; a peer's test fails when its fault is gone, so that no claim outlives it.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import pg from 'pg';
import postgres from 'postgres';
import { type FaultProxy, faultProxy } from '../../../src/testing/fault-proxy.ts';
import { freshName, withClient, withServer } from '../../postgres/harness.ts';
import { lines, type Peer } from './lines.ts';

// The only wait at the top of a module: tests that are registered later than that might come when all others are over.
export const server = await withServer(test);
export const admin: pg.Client = await withClient(test, server.config);

const packages: Readonly<Record<Peer, string>> = {
  pg: 'pg',
  'pg-pool': 'pg-pool',
  'postgres.js': 'postgres',
  slonik: 'slonik',
};

/** Not all of them show their package.json to whoever imports it. */
function versionOf(name: string): string {
  for (let folder = new URL('./', import.meta.resolve(name)); ; folder = new URL('../', folder)) {
    try {
      const said: { name?: string; version?: string } = JSON.parse(
        readFileSync(fileURLToPath(new URL('package.json', folder)), 'utf8'),
      );
      if (said.name === name) return String(said.version);
    } catch {
      // None here, or one that only says how to load the files beside it: further up.
    }
    assert.notEqual(folder.pathname, '/', `${name} is not installed`);
  }
}

const peers: readonly Peer[] = ['pg', 'pg-pool', 'postgres.js', 'slonik'];

export const versions: ReadonlyMap<Peer, string> = new Map(peers.map((peer) => [peer, versionOf(packages[peer])]));

/** Says that a peer still has its fault; anything else it does fails the test as a mend. */
export type StillSo = (what: string, actual: unknown, expected: unknown) => void;

export interface Bodies {
  readonly ours: (t: TestContext) => Promise<void>;
  readonly theirs: Readonly<Partial<Record<Peer, (t: TestContext, stillSo: StillSo) => Promise<void>>>>;
}

/** Which tests each row has: `ours`, and the peers. */
export const registered = new Map<number, string[]>();

/** Who hangs has failed. */
const timeout = 20_000;

export function probe(number: number, { ours, theirs }: Bodies): void {
  const line = lines.find((candidate) => candidate.number === number);
  assert.ok(line, `row ${number} is not in the table`);
  assert.ok(!registered.has(number), `row ${number} has its tests already`);
  registered.set(number, ['ours', ...Object.keys(theirs)]);
  test(`${number}. ours: ${line.probe}: ${line.ours}`, { timeout }, ours);
  for (const peer of peers) {
    const body = theirs[peer];
    if (body === undefined) continue;
    const who = `${peer} ${versions.get(peer)}`;
    test(`${number}. ${who}: ${line.probe}: ${line.theirs[peer]}`, { timeout }, async (t) => {
      let shown = 0;
      await body(t, (what, actual, expected) => {
        shown += 1;
        if (isDeepStrictEqual(actual, expected)) return;
        const message = `${who}: the peer has mended this: update the claim (row ${number}: ${what})`;
        throw new assert.AssertionError({ message, actual, expected });
      });
      assert.ok(shown > 0, 'the test shows no fault');
    });
  }
}

/** A proxy in front of the server, and how to connect through it. */
export async function withProxy(t: TestContext): Promise<{ proxy: FaultProxy; config: typeof server.config }> {
  const proxy = await faultProxy({ target: { host: server.config.host, port: server.config.port } });
  t.after(() => proxy[Symbol.asyncDispose]());
  return { proxy, config: { ...server.config, host: proxy.host, port: proxy.port } };
}

/** The genuine pool of pg; what a test leaves open is cut. */
export function withPgPool(t: TestContext, options: pg.PoolConfig = {}): pg.Pool {
  const pool = new pg.Pool({ ...server.config, max: 1, application_name: freshName(), ...options });
  const clients = new Set<pg.Client>();
  pool.on('error', () => {});
  pool.on('connect', (client) => {
    client.on('error', () => {});
    clients.add(client);
  });
  t.after(async () => {
    for (const client of clients) client.connection.stream.destroy();
    if (!pool.ending) pool.end().catch(() => {});
  });
  return pool;
}

/** A client of pg's own; what a test leaves running is cut. */
export async function withPgClient(t: TestContext, config: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = new pg.Client({ ...server.config, application_name: freshName(), ...config });
  client.on('error', () => {});
  await client.connect();
  t.after(async () => void client.connection.stream.destroy());
  return client;
}

/** postgres.js; what a test leaves open is cut. */
export function withPostgresJs(t: TestContext, max: number): { sql: postgres.Sql; name: string } {
  const name = freshName();
  const { host, port, user, database, password } = server.config;
  const sql = postgres({
    ...{ host, port, user, database, max, fetch_types: false, onnotice() {}, connection: { application_name: name } },
    ...(password === undefined ? {} : { password }),
  });
  t.after(() => sql.end({ timeout: 0 }));
  return { sql, name };
}

/** As much of slonik as is used here. Its own types are not valid in the TypeScript that this project is built with. */
interface SlonikConnection {
  query(query: object): Promise<unknown>;
  oneFirst(query: object): Promise<unknown>;
}

interface SlonikPool extends SlonikConnection {
  connect<T>(routine: (connection: SlonikConnection) => Promise<T>): Promise<T>;
  end(): Promise<void>;
  state(): { readonly acquiredConnections: number; readonly waitingClients: number };
}

interface Slonik {
  createPool(uri: string, options: { maximumPoolSize: number }): Promise<SlonikPool>;
  readonly sql: { unsafe(text: TemplateStringsArray): object };
}

const slonik: Slonik = createRequire(import.meta.url)('slonik');
export const { sql: slonikSql } = slonik;

/** slonik with one connection; its sessions are ended with the test. */
export async function withSlonik(t: TestContext): Promise<SlonikPool> {
  const name = freshName();
  const uri = new URL(server.url);
  uri.searchParams.set('application_name', name);
  const pool = await slonik.createPool(uri.href, { maximumPoolSize: 1 });
  Reflect.apply(Reflect.get(pool, 'on'), pool, ['error', () => {}]);
  t.after(async () => {
    await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [name]);
    pool.end().catch(() => {});
  });
  return pool;
}

/** What became of a promise, looked at whenever one likes. */
export interface Watched<T> {
  readonly settled: Promise<PromiseSettledResult<T>>;
  readonly pending: boolean;
}

export function watch<T>(promise: Promise<T>): Watched<T> {
  let pending = true;
  const settled = Promise.allSettled([promise]).then(([result]) => {
    pending = false;
    return result;
  });
  return {
    settled,
    get pending() {
      return pending;
    },
  };
}

/** Whether a promise is still pending after `ms`. Only for "never": what it is compared with has happened by then. */
export async function pendingAfter(ms: number, watched: Watched<unknown>): Promise<boolean> {
  const stop = new AbortController();
  await Promise.race([watched.settled, sleep(ms, undefined, { signal: stop.signal }).catch(() => {})]);
  stop.abort();
  return watched.pending;
}

/** The `code` of what a promise was rejected with; 'served' if it was not. */
export async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
    return 'served';
  } catch (error) {
    return Reflect.get(Object(error), 'code') ?? String(error);
  }
}

/** What the server says of the sessions of that name: 'idle', 'active', 'idle in transaction'. */
export async function statesOf(name: string): Promise<string[]> {
  const text = 'SELECT state FROM pg_stat_activity WHERE application_name = $1 ORDER BY state';
  const { rows } = await admin.query<{ state: string }>(text, [name]);
  return rows.map(({ state }) => state);
}
