// The packed package: what is in it, what the linters of packages say, and that it can be used in a project of its own, in
// JavaScript and in strict TypeScript, by import and by require.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
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
  assert.deepEqual(others.sort(), [
    'package/CHANGELOG.md',
    'package/LICENSE',
    'package/README.md',
    'package/package.json',
  ]);
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
