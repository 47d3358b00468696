// The packed package as bundlers leave it, renamed and minified, and twice in one process: the pools must still be taken for what they
// are (Drizzle goes by the class or by its name, Prisma by the class alone), and still work. On a real server.

import assert from 'node:assert/strict';
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { type BuildOptions, build } from 'esbuild';
import { root } from '../laws/tree.ts';
import { withServer } from '../postgres/harness.ts';
import { packed, run } from './tarball.ts';

const { folder } = packed();
const server = await withServer(test, { url: false });

/** Prints what it found out as JSON, as its last deed: if anything kept the process alive it would not end. */
const PROGRAM = `
  import pg from 'pg';
  import { sql } from 'drizzle-orm';
  import { drizzle } from 'drizzle-orm/node-postgres';
  import { isOxbowError, onSignal, Pool } from 'oxbow';
  import { Pool as PgPool } from 'oxbow/pg';
  import { NullPool } from 'oxbow/null';

  class Regional extends Pool {
    constructor(region, options) {
      super(options);
      this.region = region;
    }
    where() {
      return this.region + ' ' + this.phase;
    }
  }

  async function main() {
    const options = { connectionString: process.env.DATABASE_URL, max: 3 };
    const pools = [new Pool(options), new PgPool(options), new NullPool(options), new Regional('eu', options)];
    const found = [];
    for (const pool of pools) {
      const session = async (tx) => (await tx.execute(sql\`SELECT pg_backend_pid(), txid_current()\`)).rows[0];
      const [first, second] = await drizzle(pool).transaction(async (tx) => [await session(tx), await session(tx)]);
      const stray = await pool.query('BEGIN').catch((error) => isOxbowError(error) && error.name);
      found.push({
        isPgPool: pool instanceof pg.Pool,
        lendsPgClient: await pool.use(({ client }) => client instanceof pg.Client),
        inOneTransaction: JSON.stringify(first) === JSON.stringify(second),
        stray,
      });
      pool.assertIdle();
      await pool.close();
    }
    onSignal(pools[0])();
    const names = [Pool, PgPool, NullPool].map(({ name }) => name);
    const constructors = pools.slice(0, 3).map(({ constructor }) => constructor.name);
    console.log(JSON.stringify({ names, constructors, subclass: pools[3].where(), found }));
  }
  main();
`;

const FOUND = { isPgPool: true, lendsPgClient: true, inOneTransaction: true, stray: 'StrayTransactionError' };
const EXPECTED = {
  names: ['Pool', 'Pool', 'NullPool'],
  constructors: ['Pool', 'Pool', 'NullPool'],
  subclass: 'eu closed',
  found: [FOUND, FOUND, FOUND, FOUND],
};

/** pg is CommonJS and requires Node's modules, which a bundle in ESM has to be given. */
const REQUIRE = { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" };
const BUNDLES: Record<string, BuildOptions> = {
  'minified, in ESM, beside pg': { format: 'esm', minify: true, external: ['pg'] },
  'minified, in ESM, with pg inside': { format: 'esm', minify: true, external: ['pg-native'], banner: REQUIRE },
  'minified, in CommonJS, beside pg': { format: 'cjs', minify: true, external: ['pg'] },
  'minified, in CommonJS, with pg inside': { format: 'cjs', minify: true, external: ['pg-native'] },
  'minified, with names kept': { format: 'esm', minify: true, keepNames: true, external: ['pg'] },
  'not minified, but with renamed classes': { format: 'esm', external: ['pg'] },
  'lowered to the language of 2020': { format: 'esm', minify: true, target: 'es2020', external: ['pg'] },
};

/** Bundles a program, runs that, and gives back what it printed. */
async function bundled(program: string, name: string, options: BuildOptions): Promise<unknown> {
  const outfile = join(folder, `${name}.${options.format === 'cjs' ? 'cjs' : 'mjs'}`);
  await build({
    ...options,
    stdin: { contents: program, resolveDir: folder },
    outfile,
    bundle: true,
    platform: 'node',
    // Drizzle comes from this repository.
    nodePaths: [join(root, 'node_modules')],
    logLevel: 'silent',
  });
  return JSON.parse(run(process.execPath, [outfile], folder, { DATABASE_URL: server.url }));
}

const ONE_PG = { pg: join(folder, 'node_modules', 'pg') };

for (const [index, [name, options]] of Object.entries(BUNDLES).entries()) {
  test(`a bundle ${name}: classes and names are kept, and its pools work`, async () => {
    const alias = options.external?.includes('pg') ? {} : ONE_PG;
    assert.deepEqual(await bundled(PROGRAM, `bundle-${index}`, { ...options, alias }), EXPECTED);
  });
}

test('where Drizzle brings a copy of pg of its own, only the name is left to go by, and a minifier leaves it', async () => {
  const program = `
    import { sql } from 'drizzle-orm';
    import { drizzle } from 'drizzle-orm/node-postgres';
    import { Pool } from 'oxbow';
    async function main() {
      const pool = new Pool({ connectionString: process.env.DATABASE_URL });
      const { rows } = await drizzle(pool).transaction((tx) => tx.execute(sql\`SELECT 1 AS n\`));
      await pool.close();
      console.log(JSON.stringify(rows));
    }
    main();`;
  const options: BuildOptions = {
    format: 'esm',
    minify: true,
    external: ['pg-native'],
    banner: REQUIRE,
    metafile: true,
  };
  assert.deepEqual(await bundled(program, 'two-pg', options), [{ n: 1 }]);
});

test('two copies of the package work side by side in one process, and know the errors of each other', () => {
  const copy = join(folder, 'copy', 'node_modules', 'oxbow');
  cpSync(join(folder, 'node_modules', 'oxbow'), copy, { recursive: true });
  const program = `
    import pg from 'pg';
    import * as one from 'oxbow';
    import * as two from './copy/node_modules/oxbow/dist/doors/index.js';
    const options = { connectionString: process.env.DATABASE_URL, max: 2 };
    const pools = [new one.Pool(options), new two.Pool(options)];
    const found = await Promise.all(pools.map((pool) => pool.transaction(async (tx) => {
      const { rows } = await tx.query('SELECT 1 AS n');
      return { isPgPool: pool instanceof pg.Pool, name: pool.constructor.name, rows };
    })));
    const errors = await Promise.all(pools.map((pool) => pool.query('BEGIN').catch((error) => error)));
    await Promise.all(pools.map((pool) => pool.close()));
    console.log(JSON.stringify({
      separate: one.Pool !== two.Pool,
      found,
      instances: errors.map((error) => [error instanceof one.OxbowError, error instanceof two.OxbowError]),
      known: errors.map((error) => [one.isOxbowError(error), two.isOxbowError(error)]),
    }));`;
  writeFileSync(join(folder, 'two.mjs'), program);
  const pool = { isPgPool: true, name: 'Pool', rows: [{ n: 1 }] };
  assert.deepEqual(JSON.parse(run(process.execPath, ['two.mjs'], folder, { DATABASE_URL: server.url })), {
    separate: true,
    found: [pool, pool],
    instances: [
      [true, false],
      [false, true],
    ],
    known: [
      [true, true],
      [true, true],
    ],
  });
});

test('a class that extends the pool works when it is required from CommonJS', () => {
  const program = `
    const pg = require('pg');
    const { Pool } = require('oxbow');
    class Audited extends Pool {
      asked = [];
      query(...args) {
        this.asked.push(args[0]);
        return super.query(...args);
      }
    }
    const pool = new Audited({ connectionString: process.env.DATABASE_URL });
    pool.query('SELECT 1', (error, result) => {
      const facts = [error ?? null, result.rowCount, pool.asked, pool instanceof pg.Pool];
      pool.close().then(() => console.log(JSON.stringify(facts)));
    });`;
  writeFileSync(join(folder, 'audited.cjs'), program);
  const printed = run(process.execPath, ['--no-warnings', 'audited.cjs'], folder, { DATABASE_URL: server.url });
  assert.deepEqual(JSON.parse(printed), [null, 1, ['SELECT 1'], true]);
});
