// Hot reload by Vite's own module loader on a real server: how many pools, and how many sessions on the server, a module that makes its pool
// leaves behind when it is evaluated again and again.

import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import type { Pool } from '../../src/doors/index.ts';
import { root } from '../laws/tree.ts';
import { backends, eventually, freshName, withClient, withServer } from '../postgres/harness.ts';

const RELOADS = 8;
const server = await withServer(test, { url: false });
const admin = await withClient(test, server.config);

mkdirSync(join(root, '.tmp'), { recursive: true });
const project = mkdtempSync(join(root, '.tmp', 'reloads-'));
test.after(() => rmSync(project, { recursive: true, force: true }));
// Where the package lies for a user; pg is found further up.
const installed = join(project, 'node_modules', 'oxbow');
cpSync(join(root, 'dist'), join(installed, 'dist'), { recursive: true });
cpSync(join(root, 'package.json'), join(installed, 'package.json'));

interface Vite {
  readonly moduleGraph: { invalidateAll(): void };
  ssrLoadModule(url: string): Promise<{ pool: Pool }>;
  close(): Promise<void>;
}

// Not a literal: its declarations do not compile as strictly as ours.
const name: string = 'vite';
const { createServer }: { createServer(config: object): Promise<Vite> } = await import(name);

/** `ssr` says who loads the package: Node, once, or Vite, anew on each reload. */
async function startVite(ssr: { external: string[] } | { noExternal: string[] }): Promise<Vite> {
  const vite = await createServer({
    root: project,
    configFile: false,
    logLevel: 'silent',
    appType: 'custom',
    optimizeDeps: { noDiscovery: true },
    server: { middlewareMode: true, hmr: false, ws: false, watch: null },
    ssr,
  });
  test.after(() => vite.close());
  return vite;
}

const vite = await startVite({ external: ['oxbow'] });

/** Loads the module again and again, and uses what pool it has each time, as requests do. */
async function reload(file: string, text: string, times = RELOADS, loader = vite): Promise<Pool[]> {
  writeFileSync(join(project, file), text);
  const pools: Pool[] = [];
  for (let load = 0; load < times; load += 1) {
    loader.moduleGraph.invalidateAll();
    const { pool } = await loader.ssrLoadModule(`/${file}`);
    await pool.query('SELECT 1');
    pools.push(pool);
  }
  return pools;
}

async function close(pools: readonly Pool[], name: string): Promise<void> {
  await Promise.all([...new Set(pools)].map((pool) => pool.close()));
  await eventually('no session is left', async () => (await backends(admin, name)) === 0);
}

/** A module with this pool, in text. */
function kept(key: string, applicationName: string, max = 2): string {
  const options = optionsOf(applicationName, max);
  return `import { globalPool, Pool } from 'oxbow';
    const configure = (client) => client.query('SELECT 2');
    export const pool = globalPool('${key}', () => new Pool({ ...${options}, configure }));`;
}

function plain(applicationName: string): string {
  return `import { Pool } from 'oxbow';
    export const pool = new Pool(${optionsOf(applicationName, 2)});`;
}

function optionsOf(applicationName: string, max: number): string {
  // Vite says that this is development.
  return JSON.stringify({ ...server.config, max, application_name: applicationName, dev: false });
}

test('eight reloads of a module leave one pool with globalPool, and eight with new Pool alone, which is warned of once', async (t) => {
  const warnings: Error[] = [];
  const note = (warning: Error): void => void warnings.push(warning);
  process.on('warning', note);
  t.after(() => process.off('warning', note));

  const first = freshName();
  const one = await reload('kept.ts', kept('main', first));
  assert.equal(new Set(one).size, 1);
  assert.equal(await backends(admin, first), 1);
  assert.equal(warnings.length, 0, warnings[0]?.message);

  const second = freshName();
  const many = await reload('plain.ts', plain(second));
  assert.equal(new Set(many).size, RELOADS);
  assert.equal(await backends(admin, second), RELOADS);
  const said = warnings.filter((warning) => Reflect.get(warning, 'code') === 'OXBOW_MANY_POOLS');
  assert.equal(said.length, 1);
  const places = [...(said[0]?.message ?? '').matchAll(/pool-\d+ made at \S*plain\.ts:\d+/g)];
  assert.equal(places.length, 3, said[0]?.message);

  await close(one, first);
  await close(many, second);
});

test('an edited option in a reloaded module is a new pool, and the old one is closed', async () => {
  const name = freshName();
  const before = new Set(await reload('edited.ts', kept('edited', name, 2), 3));
  const after = new Set(await reload('edited.ts', kept('edited', name, 3), 3));
  const [old] = before;
  assert.deepEqual([before.size, after.size], [1, 1]);
  await eventually('the old pool is closed', async () => old?.phase === 'closed');
  assert.equal(await backends(admin, name), 1);
  await close([...after], name);
});

test('a reload that evaluates the package anew as well leaves one pool', async () => {
  const inlining = await startVite({ noExternal: ['oxbow'] });
  const name = freshName();
  const pools = await reload('inlined.ts', kept('inlined', name), 3, inlining);
  assert.equal(new Set(pools).size, 1);
  assert.equal(await backends(admin, name), 1);
  await close(pools, name);
});
