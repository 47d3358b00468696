// The newest versions of the libraries that take a pool, on the packed package, on a Node that all of them support: the programs of
// test/ecosystem. Each also runs on pg's own pool, so that what fails there is not taken for a fault of ours.

import assert from 'node:assert/strict';
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { assertLimits, assertNamed, assertUnnamed, type Jam, nested, runNested, TABLES } from '../ecosystem/nested.ts';
import { PROGRAMS, type Program, programs, runLibrary, TAKE_A_MODULE } from '../ecosystem/programs.ts';
import { withClient, withServer } from '../postgres/harness.ts';
import { project, run } from './tarball.ts';

const NODE = `node-${process.platform}-${process.arch}`;
const PACKAGES = [
  `${NODE}@24.9.0`,
  'drizzle-orm@0.45.4',
  'kysely@0.29.9',
  'pg-cursor@2.22.1',
  'knex@3.3.0',
  'connect-pg-simple@10.0.0',
  'express-session@1.19.0',
  'graphile-worker@0.18.0',
  'prisma@7.10.1',
  '@prisma/client@7.10.0',
  '@prisma/adapter-pg@7.10.1',
  'typeorm@1.1.1',
  'reflect-metadata@0.2.2',
  'pg-query-stream@4.17.0',
  'fastify@5.12.8',
  '@fastify/postgres@6.1.0',
];

const SCHEMA = `
generator client {
  provider = "prisma-client-js"
}
datasource db {
  provider = "postgresql"
}
model Account {
  id      Int @id @default(autoincrement())
  balance Int
  @@map("accounts")
}
model Order {
  id   Int    @id @default(autoincrement())
  item String
  @@map("orders")
}
model Stock {
  id   Int    @id @default(autoincrement())
  item String
  left Int
  @@map("stock")
}
`;

const folder = project(PACKAGES);
cpSync(programs, join(folder, 'programs'), { recursive: true });
cpSync(nested, join(folder, 'nested'), { recursive: true });

/** Prisma's client is generated; its queries are compiled by what is in its packages. */
function generatePrisma(): void {
  writeFileSync(join(folder, 'schema.prisma'), SCHEMA);
  // The engine for migrations is a download, and not used here: named, it is not looked for.
  const env = { PRISMA_SCHEMA_ENGINE_BINARY: process.execPath };
  run(process.execPath, ['node_modules/prisma/build/index.js', 'generate'], folder, env);
}

generatePrisma();
const server = await withServer(test, { url: false });
const admin = await withClient(test, server.config);
await admin.query(TABLES);
const node = join(folder, 'node_modules', NODE, 'bin', 'node');

for (const program of Object.keys(PROGRAMS) as Program[]) {
  const pools = TAKE_A_MODULE.includes(program) ? ['oxbow/pg', 'pg'] : ['oxbow', 'oxbow/pg', 'pg'];
  for (const from of pools) {
    test(`${PROGRAMS[program]} on the pool of ${from}, in its newest version`, async () => {
      await runLibrary(program, { admin, url: server.url, from, node, folder: join(folder, 'programs') });
    });
  }
}

const inside = { url: server.url, node, folder: join(folder, 'nested') };

for (const from of ['oxbow', 'oxbow/pg']) {
  test(`who times out in a nested transaction of Prisma, on the pool of ${from}, is told the lines that hold the connections`, () =>
    assertNamed('prisma', { ...inside, from }));
}

test(`who times out in a nested transaction of Prisma on pg's own pool is told "timeout exceeded when trying to connect"`, () =>
  assertUnnamed('prisma', inside));

test('a transaction that is returned and not awaited is named where it is awaited, with Prisma', () =>
  assertLimits('prisma', { ...inside, from: 'oxbow' }));

test("Prisma's own maxWait, two seconds, ends before a longer acquireTimeoutMs, and names nobody", async () => {
  const environment = { WITHIN_MS: '4000' };
  const { audit } = await runNested<{ audit: Jam }>('main.mjs', 'prisma', ['audit=2'], {
    ...inside,
    from: 'oxbow',
    environment,
  });
  assert.ok(audit.told.length > 0);
  for (const { texts } of audit.told) assert.match(texts[0] ?? '', /Unable to start a transaction in the given time/);
  assert.ok(audit.explained.includes('held-idle'), 'explain() knew it meanwhile');
});
