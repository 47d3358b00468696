// The smallest real program of each library that takes a pool (programs/*.mjs), and how one is run: in a process of its own, as a
// user runs it, which must end by itself, quietly, and leave no session on the server.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type pg from 'pg';
import { root } from '../laws/tree.ts';
import { backends, eventually, freshName } from '../postgres/harness.ts';

/** What each program shows, by its file's name. */
export const PROGRAMS = {
  drizzle: 'Drizzle runs its transactions, savepoints and prepared queries',
  kysely: 'Kysely streams through cursors, abandons some, and runs its transactions',
  knex: 'Knex runs its transactions',
  'connect-pg-simple': 'connect-pg-simple keeps sessions',
  'graphile-worker': 'graphile-worker adds jobs, runs them and stops',
  prisma: 'Prisma runs its transactions',
  typeorm: 'TypeORM streams and runs its transactions',
  'fastify-postgres': '@fastify/postgres runs its transactions, in callbacks too',
} as const;

/** Those that are given a module of pg's shape, and make the pool themselves. */
export const TAKE_A_MODULE: readonly Program[] = ['typeorm', 'fastify-postgres'];

export type Program = keyof typeof PROGRAMS;

/** Where the programs lie in this repository. */
export const programs: string = join(root, 'test', 'ecosystem', 'programs');

export interface Surroundings {
  /** A connected client of the test's own, and the server that it is connected to. */
  readonly admin: pg.Client;
  readonly url: string;
  /** Where `Pool` comes from: `oxbow`, `oxbow/pg`, or `pg` for comparison. */
  readonly from: string;
  /** The folder with the programs; default: this repository's. */
  readonly folder?: string;
  /** Default: the running Node. */
  readonly node?: string;
}

const WITHIN_MS = 60_000;

/** Runs a program to its end; fails with what it wrote if that is anything but `done`. */
export async function runLibrary(
  program: Program,
  { admin, url, from, folder = programs, node = process.execPath }: Surroundings,
): Promise<void> {
  const applicationName = freshName();
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const file = join(folder, `${program}.mjs`);
  const ended = await new Promise<{ failed: string | undefined; stdout: string; stderr: string }>((resolve) => {
    execFile(
      node,
      [file],
      {
        env: { ...env, NODE_ENV: 'production', DATABASE_URL: url, APPLICATION_NAME: applicationName, POOL_FROM: from },
        timeout: WITHIN_MS,
        killSignal: 'SIGKILL',
      },
      (error, stdout, stderr) => resolve({ failed: error?.message.split('\n')[0], stdout, stderr }),
    );
  });
  // Whatever the pool had to report would stand in stderr. A library may have something to say about pg's own pool.
  const stderr = from === 'pg' ? '' : ended.stderr;
  assert.deepEqual({ ...ended, stderr }, { failed: undefined, stdout: 'done\n', stderr: '' }, ended.stderr);
  await eventually('no session is left', async () => (await backends(admin, applicationName)) === 0);
}
