// The programs that a run uses where the machine has them: bun and pgbench. Owns where they are looked for, and what to do if they are not there.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface Program {
  readonly path: string;
  readonly version: string;
}

export type Found = Program | { readonly missing: string };

function versionOf(path: string): string | undefined {
  const { status, stdout } = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: 20_000 });
  return status === 0 ? (/\d+\.[\d.]+/.exec(stdout)?.[0] ?? 'unknown') : undefined;
}

function find(places: readonly (string | undefined)[], advice: string): Found {
  for (const path of places) {
    const version = path === undefined || path === '' ? undefined : versionOf(path);
    if (path !== undefined && version !== undefined) return { path, version };
  }
  return { missing: advice };
}

/** Not a dependency: a hundred megabytes that nothing but one row of one benchmark needs. */
export function findBun(): Found {
  const own = fileURLToPath(new URL('../../../node_modules/.bin/bun', import.meta.url));
  const advice = 'no bun: `npm install --no-save bun`, or name one in the environment as BUN';
  return find([process.env.BUN, own, 'bun'], advice);
}

export function findPgbench(): Found {
  const advice = "no pgbench: install PostgreSQL's own, or name one in the environment as PGBENCH";
  return find([process.env.PGBENCH, 'pgbench'], advice);
}
