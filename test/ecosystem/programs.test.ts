// The libraries that run on the oldest supported Node, each on both pools, from this repository's node_modules. The newest versions
// of all, Prisma included, run in test/slow/libraries.test.ts.

import test from 'node:test';
import { withClient, withServer } from '../postgres/harness.ts';
import { PROGRAMS, type Program, runLibrary } from './programs.ts';

const HERE: readonly Program[] = ['drizzle', 'kysely', 'knex', 'connect-pg-simple', 'graphile-worker'];

const server = await withServer(test, { url: false });
const admin = await withClient(test, server.config);

for (const program of HERE) {
  for (const from of ['oxbow', 'oxbow/pg']) {
    test(`${PROGRAMS[program]} on the pool of ${from}, and gives everything back`, async () => {
      await runLibrary(program, { admin, url: server.url, from });
    });
  }
}
