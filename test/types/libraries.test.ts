// The packed package and the libraries that take a pool, in a fresh project, to a strict compiler: no cast, no `any`, and every
// declaration file is checked. What a library's own declarations lack is told apart by the same program on pg's own pool.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { root } from '../laws/tree.ts';
import { project, versionOf } from '../slow/tarball.ts';

interface Library {
  /** A module's body that has `Pool`. */
  readonly program: string;
  readonly packages: readonly string[];
  /** The package whose declarations do not compile by themselves, if there is one. */
  readonly ails?: string;
}

const LIBRARIES: Record<string, Library> = {
  Kysely: {
    packages: ['kysely@0.29.9', 'pg-cursor@2.22.1', '@types/pg-cursor@2.7.2'],
    program: `
      import { Kysely, PostgresDialect } from 'kysely';
      import Cursor from 'pg-cursor';
      interface Tables { accounts: { id: number } }
      const dialect = new PostgresDialect({ pool: new Pool(), cursor: Cursor });
      export const db: Kysely<Tables> = new Kysely<Tables>({ dialect });
      export const late: PostgresDialect = new PostgresDialect({ pool: async () => new Pool() });`,
  },
  Drizzle: {
    packages: ['drizzle-orm@0.45.4'],
    ails: 'drizzle-orm',
    program: `
      import { drizzle } from 'drizzle-orm/node-postgres';
      const pool = new Pool();
      export const db = drizzle({ client: pool });
      export const same: typeof pool = db.$client;
      export const short = drizzle(pool);`,
  },
  "Prisma's adapter": {
    packages: ['@prisma/adapter-pg@7.10.1'],
    program: `
      import { PrismaPg } from '@prisma/adapter-pg';
      export const adapter: PrismaPg = new PrismaPg(new Pool(), { disposeExternalPool: true });`,
  },
  Knex: {
    packages: ['knex@3.3.0'],
    program: `
      import knex from 'knex';
      export const db = knex({ client: 'pg', connectionPool: new Pool() });`,
  },
  'connect-pg-simple': {
    packages: [
      'connect-pg-simple@10.0.0',
      '@types/connect-pg-simple@7.0.3',
      'express-session@1.19.0',
      '@types/express-session@1.19.0',
    ],
    program: `
      import connect from 'connect-pg-simple';
      import session from 'express-session';
      const Store = connect(session);
      export const store: session.Store = new Store({ pool: new Pool() });`,
  },
  'graphile-worker': {
    packages: ['graphile-worker@0.18.0'],
    program: `
      import { makeWorkerUtils, run } from 'graphile-worker';
      export const worker = run({ pgPool: new Pool(), taskList: {} });
      export const utils = makeWorkerUtils({ pgPool: new Pool() });`,
  },
};

const OPTIONS = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noImplicitOverride: true,
  skipLibCheck: false,
  noEmit: true,
  target: 'es2023',
  lib: ['es2023', 'esnext.disposable'],
  module: 'nodenext',
  types: ['node'],
};

/** Each way to come by a `Pool`. */
const OURS = {
  'oxbow.mts': "import { Pool } from 'oxbow';",
  'oxbow-pg.mts': "import { Pool } from 'oxbow/pg';",
  'oxbow-pg-namespace.mts': "import pg from 'oxbow/pg';\nconst { Pool } = pg;",
  'oxbow-null.mts': "import { NullPool as Pool } from 'oxbow/null';",
  'subclass.mts': "import { Pool as Base } from 'oxbow';\nclass Pool extends Base { readonly region = 'eu'; }",
};

const folder = project([
  `@types/pg@${versionOf('@types/pg')}`,
  `@types/node@${versionOf('@types/node')}`,
  ...Object.values(LIBRARIES).flatMap(({ packages }) => packages),
]);

/** What the compiler has against these files, one complaint an entry. */
function complaints(files: Record<string, string>): string[] {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const config = { compilerOptions: OPTIONS, files: Object.keys(files) };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const ended = spawnSync(process.execPath, [compiler, '-p', '.', '--pretty', 'false'], {
    cwd: folder,
    encoding: 'utf8',
  });
  assert.equal(ended.stderr, '');
  const found = ended.stdout.split(/\n(?!\s)/).filter((complaint) => complaint.trim() !== '');
  assert.equal(ended.status === 0, found.length === 0, ended.stdout);
  return found.sort();
}

for (const [name, { program, ails }] of Object.entries(LIBRARIES)) {
  test(`${name} takes each of the pools as it takes pg's own`, () => {
    const onPg = complaints({ 'pg.mts': `import { Pool } from 'pg';${program}` });
    const ofOthers = onPg.filter((complaint) => !complaint.startsWith(`node_modules/${ails}/`));
    assert.deepEqual(ofOthers, [], "nothing but the library's own declarations is at fault");
    if (ails !== undefined) {
      assert.notDeepEqual(onPg, [], `${ails} compiles by itself now: the exception can go`);
      const kinds = [...new Set(onPg.map((complaint) => /TS\d+/.exec(complaint)?.[0]))].sort();
      console.log(`${ails}'s own declarations, also with pg's pool: ${onPg.length} complaints (${kinds.join(', ')})`);
      console.log(`the first: ${onPg[0]?.split('\n')[0]}`);
    }
    const ours = Object.entries(OURS).map(([file, source]) => [file, source + program]);
    assert.deepEqual(complaints(Object.fromEntries(ours)), onPg);
  });

  test(`${name} would not take just anything: the compiler looks at what it is given`, () => {
    const wrong = complaints({ 'wrong.mts': `class Pool { readonly options: number = 1; }${program}` });
    assert.ok(
      wrong.some((complaint) => complaint.startsWith('wrong.mts')),
      wrong.join('\n'),
    );
  });
}
