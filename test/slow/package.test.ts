// The packed package: what is in it and how large that is, what the linters of packages say, and that it can be used in a project of
// its own, in JavaScript and in strict TypeScript, by import and by require.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { ERROR_KINDS, OxbowError } from '../../src/contracts/errors.ts';
import { root } from '../laws/tree.ts';
import { packed, run, tool } from './tarball.ts';

const COMPILER_OPTIONS = {
  strict: true,
  skipLibCheck: false,
  exactOptionalPropertyTypes: true,
  noEmit: true,
  target: 'es2023',
  lib: ['es2023', 'esnext.disposable'],
  module: 'nodenext',
  types: ['node'],
};

const { path, folder } = packed();

test('the package holds the build and its papers, and nothing else', () => {
  const names = run('tar', ['-tzf', path], folder).trim().split('\n');
  const others = names.filter((name) => !/^package\/dist\/.*\.(?:js|d\.ts)$/.test(name));
  // What a user needs beside an editor and without a network.
  const documents = ['docs/guides', 'docs/recipes', 'docs/reference', 'observability'].flatMap((folder) =>
    readdirSync(join(root, folder)).map((file) => `${folder}/${file}`),
  );
  const papers = [
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'README.zh-CN.md',
    'docs/api.md',
    'docs/troubleshooting.md',
    'package.json',
    ...documents,
  ];
  assert.deepEqual(others.sort(), papers.map((file) => `package/${file}`).sort());
});

test('what an error points to is in the package, and so is what that points to', () => {
  const modules = join(folder, 'node_modules');
  for (const docs of ERROR_KINDS.map((kind) => new OxbowError(kind, 'text').docs)) {
    const [file = '', anchor = ''] = docs.split('#');
    const text = readFileSync(join(modules, file), 'utf8');
    assert.match(text, new RegExp(`^## ${anchor}$`, 'im'), docs);
    for (const [, link = ''] of text.matchAll(/\]\(([^)#]+)/g)) {
      assert.ok(existsSync(join(modules, dirname(file), link)), `${file} points to ${link}`);
    }
  }
});

/**
 * How large things may get, in bytes: a tenth above what they were when last looked at. A fifth of the tarball are declarations, which
 * editors show; a quarter are documents; a seventh is `./testing` (fault proxy, embedded server, conformance suite), a public door that
 * nobody bundles. There are no source maps. `./pg` carries the table of deviations. Raise a bound with its reason; the last: what a statement
 * leaves in a session is read from its words, with a list of the functions that leave nothing (`reset: 'tracked'`), and what goes on in a session,
 * behind a pooler and on a silent line is looked after; what is open on the wire when it is given up is ended there; and the codec, which reads
 * and writes the wire itself, with what it has to know of texts, rows and the copies of pg that it may stand in for. And, the last: one limit over
 * loops (`share()`, budgets), pools that are known again (`globalPool`), and the guard of those that belong to a request. And now metrics: a
 * catalogue with two doors, its reference, a dashboard and alerts; the other doors carry nothing of it. And what a pool tells on diagnostics
 * channels and to a logger, and the catalogue of that, which only the tarball has. And why somebody waits: verdicts, leaks, deadlocks.
 */
const BOUNDS = {
  tarball: 470_000,
  '.': 82_000,
  './pg': 85_200,
  './null': 80_200,
  './fastify': 80_900,
  './workers': 84_200,
  './threads': 80_700,
  './fleet': 6_500,
  './otel': 7_000,
  './prometheus': 5_900,
  './core': 30_000,
  './testing': 16_900,
};

/** What a door costs whoever bundles it: minified and compressed, without pg. */
async function sizeOfDoor(door: string): Promise<number> {
  const bundle = await build({
    stdin: { contents: `export * from '${door.replace('.', 'oxbow')}';`, resolveDir: folder },
    bundle: true,
    minify: true,
    write: false,
    platform: 'node',
    format: 'esm',
    external: ['pg', 'fastify', '@opentelemetry/api'],
  });
  return gzipSync(bundle.outputFiles[0]?.contents ?? assert.fail('no output'), { level: 9 }).length;
}

test('the package and each of its doors stay small', async () => {
  const manifest: unknown = JSON.parse(readFileSync(join(folder, 'node_modules/oxbow/package.json'), 'utf8'));
  const doors = Object.keys(Reflect.get(Object(manifest), 'exports')).filter((door) => door !== './package.json');
  const sizes: Record<string, number> = { tarball: statSync(path).size };
  for (const door of doors) sizes[door] = await sizeOfDoor(door);
  assert.deepEqual(Object.keys(sizes).sort(), Object.keys(BOUNDS).sort(), 'every door has a bound');
  const over = Object.entries(BOUNDS).filter(([name, bound]) => {
    const size = sizes[name] ?? Infinity;
    console.log(`${name}: ${size} of ${bound} bytes`);
    return size > bound;
  });
  assert.deepEqual(over, []);
});

test('publint has nothing to say', () => {
  tool('publint/src/cli.js', ['run', path, '--strict'], folder);
});

test('its types are found by every resolution of Node 16 and later, and by bundlers', () => {
  // Only ESM is shipped; Node can require it since 20.19, which is the oldest supported one.
  const deliberate = ['--ignore-rules', 'cjs-resolves-to-esm'];
  tool('@arethetypeswrong/cli/dist/index.js', [path, '--profile', 'node16', ...deliberate], folder);
});

test('import and require of the package give one class, which extends the pg.Pool beside it', () => {
  const program = `
    const { createRequire } = require('node:module');
    const pg = require('pg');
    const { Pool } = require('oxbow');
    import('oxbow').then((imported) => {
      const pool = new Pool();
      console.log(imported.Pool === Pool, pool instanceof pg.Pool, Pool.name);
    });`;
  writeFileSync(join(folder, 'use.cjs'), program);
  assert.equal(run(process.execPath, ['--no-warnings', 'use.cjs'], folder).trim(), 'true true Pool');
});

test('a pool is a pg.Pool to the compiler, strictly and without a cast', () => {
  const uses = `
    export const pool: pg.Pool = new Pool();
    export function count(given: pg.Pool): number { return given.totalCount; }
    export const total: number = count(new Pool({ max: 3 }));
    export const client: Promise<pg.PoolClient> = new Pool().connect();
  `;
  writeFileSync(join(folder, 'use.mts'), `import pg from 'pg';\nimport { Pool } from 'oxbow';\n${uses}`);
  writeFileSync(
    join(folder, 'use.cts'),
    `import pg = require('pg');\nimport oxbow = require('oxbow');\nconst { Pool } = oxbow;\n${uses}`,
  );
  const config = { compilerOptions: COMPILER_OPTIONS, files: ['use.mts', 'use.cts'] };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  tool('typescript/bin/tsc', ['-p', '.'], folder);
});

/** What programs on pg are made of, by the names that they import. */
const TYPICAL = `
  const config: PoolConfig = { connectionString: 'postgres://localhost/shop', max: 5 };
  const pool = new Pool(config);
  let kept: PoolClient | undefined;
  type Row = { id: number };
  export async function find(id: number): Promise<QueryResult<Row>> {
    const query: QueryConfig = { text: 'SELECT id FROM accounts WHERE id = $1', values: [id] };
    return pool.query<Row>(query);
  }
  export async function insideOne<T extends QueryResultRow>(text: string): Promise<T[]> {
    const client: PoolClient = kept ?? (await pool.connect());
    client.on('notification', (message: Notification) => console.log(message.payload));
    try {
      const { rows, fields } = await client.query<T>(text);
      const names = fields.map((field: FieldDef) => field.name);
      return names.length > 0 ? rows : [];
    } finally {
      kept = undefined;
      client.release();
    }
  }
  export function onClient(client: ClientBase): Promise<QueryArrayResult> {
    const query: QueryArrayConfig = { text: 'SELECT 1', rowMode: 'array' };
    return client.query(query);
  }
  pool.on('error', (error, client) => console.log(error.message, client));
  export const untyped: Promise<number> = pool.query('SELECT 1').then((result: QueryResult) => result.rows[0].n);`;

const TYPES =
  'ClientBase, FieldDef, Notification, PoolClient, PoolConfig, QueryArrayConfig, QueryArrayResult, QueryConfig, QueryResult, QueryResultRow';

/** The same where pg's module is imported whole. */
const WHOLE = `
  pg.types.setTypeParser(pg.types.builtins.INT8, Number);
  const config: pg.PoolConfig = { max: 5 };
  const pool: pg.Pool = new pg.Pool(config);
  let kept: pg.PoolClient | undefined;
  export async function insideOne<T extends pg.QueryResultRow>(text: string): Promise<pg.QueryResult<T>> {
    kept = await pool.connect();
    return kept.query<T>(text).finally(() => kept?.release());
  }
  export async function alone(config: pg.ClientConfig): Promise<pg.QueryResult> {
    const client: pg.Client = new pg.Client(config);
    await client.connect();
    return client.query('SELECT 1').catch((error: unknown) => {
      if (error instanceof pg.DatabaseError) console.log((error satisfies pg.DatabaseError).code);
      throw error;
    });
  }
  export const one: pg.Submittable & pg.Query = new pg.Query('SELECT 1');
  export const text: string = pg.escapeIdentifier('a');`;

/** Typical programs that import this module, by file name. */
function programsOn(module: string): [string, string][] {
  const prefix = module.replace('/', '-');
  const named = `import { Pool, ${TYPES.replaceAll(/\w+/g, 'type $&')} } from '${module}';${TYPICAL}`;
  const programs: [string, string][] = ['mts', 'cts'].map((ending) => [`${prefix}-named.${ending}`, named]);
  if (module === 'oxbow') return programs;
  for (const ending of ['mts', 'cts']) {
    programs.push([`${prefix}-default.${ending}`, `import pg from '${module}';${WHOLE}`]);
    programs.push([`${prefix}-star.${ending}`, `import * as pg from '${module}';${WHOLE}`]);
  }
  programs.push([`${prefix}-require.cts`, `import pg = require('${module}');${WHOLE}`]);
  return programs;
}

for (const [resolution, options] of Object.entries({
  nodenext: {},
  bundler: { module: 'esnext', moduleResolution: 'bundler' },
})) {
  test(`a typical program on pg compiles with only its import changed (${resolution})`, () => {
    const programs = ['pg', 'oxbow/pg', 'oxbow']
      .flatMap(programsOn)
      .filter(([name]) => resolution === 'nodenext' || name.endsWith('.mts'));
    for (const [name, text] of programs) writeFileSync(join(folder, name), text);
    const files = programs.map(([name]) => name);
    const compilerOptions = { ...COMPILER_OPTIONS, esModuleInterop: true, ...options };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
    tool('typescript/bin/tsc', ['-p', '.', '--pretty', 'false'], folder);
  });
}

test('the compiler refuses what is not an option', () => {
  writeFileSync(
    join(folder, 'use.mts'),
    "import { Pool } from 'oxbow';\nexport const pool = new Pool({ acquireTimeout: 1 });\n",
  );
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: COMPILER_OPTIONS, files: ['use.mts'] }),
  );
  assert.throws(() => tool('typescript/bin/tsc', ['-p', '.'], folder), /TS2\d{3}/);
});
