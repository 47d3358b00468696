// The npm package's programs made usable where they are not: the links between its libraries, which its install script would
// have made, and a copy of all of them in a folder that every user may read. Knows nothing of what the programs do.

import { chmodSync, cpSync, lstatSync, mkdtempSync, readdirSync, readFileSync, renameSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { removeFolder } from './embedded-processes.ts';

interface Link {
  readonly source: string;
  readonly target: string;
}

function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}

/** Makes the links that the package lists and that are missing; false if the folder cannot be written to. */
export function makeLinks(native: string): boolean {
  let list: Link[];
  try {
    list = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8'));
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false; // a platform without links
    throw error;
  }
  const inside = (path: string): string => {
    const full = resolve(dirname(native), path);
    if (!full.startsWith(native + sep)) throw new Error(`${native}: its list of links leaves the folder: ${path}`);
    return full;
  };
  for (const { source, target } of list) {
    const link = inside(target);
    try {
      symlinkSync(relative(dirname(link), inside(source)), link);
    } catch (error) {
      if (hasCode(error, 'EACCES', 'EPERM', 'EROFS')) return false;
      if (!hasCode(error, 'EEXIST')) throw error;
    }
  }
  return true;
}

interface Entry {
  readonly path: string;
  readonly folder: boolean;
  readonly size: number;
  readonly mode: number;
}

/** Every file and folder below `top`, links left out. */
function entriesOf(top: string): Entry[] {
  return readdirSync(top, { recursive: true, encoding: 'utf8' })
    .map((path) => ({ path, stat: lstatSync(join(top, path)) }))
    .filter(({ stat }) => !stat.isSymbolicLink())
    .map(({ path, stat }) => {
      const folder = stat.isDirectory();
      return { path, folder, size: folder ? 0 : stat.size, mode: stat.mode };
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

function copyTo(folder: string, native: string): void {
  cpSync(native, folder, { recursive: true, verbatimSymlinks: true });
  makeLinks(folder);
  for (const { path, folder: isFolder, mode } of entriesOf(folder)) {
    chmodSync(join(folder, path), isFolder || (mode & 0o100) !== 0 ? 0o755 : 0o644);
  }
  chmodSync(folder, 0o755);
}

/** Whether the folder is ours, and nobody else may change it: names in a temporary folder may be taken by anybody. */
function isOurs(folder: string): boolean {
  const stat = lstatSync(folder, { throwIfNoEntry: false });
  return stat?.isDirectory() === true && stat.uid === process.getuid?.() && (stat.mode & 0o777) === 0o755;
}

/** Whether the copy is whole: systems sweep old files out of temporary folders one by one. */
function isGood(copy: string, native: string): boolean {
  if (!isOurs(copy)) return false;
  const [have, want] = [entriesOf(copy), entriesOf(native)];
  return (
    have.length === want.length &&
    have.every((entry, i) => entry.path === want[i]?.path && entry.size === want[i]?.size)
  );
}

/**
 * A copy of the package's `native` folder that every user may read; made once per version and reused. While it is half made,
 * and for ever where the shared name is taken by somebody else, it is named to `temporary`, to be removed with the server.
 */
export function readableCopy(packageDir: string, temporary: (folder: string) => void): string {
  const native = resolve(packageDir, 'native');
  const { version = 'unknown' } = JSON.parse(readFileSync(join(packageDir, 'package.json'), 'utf8'));
  const owner = process.getuid?.() ?? 0;
  const name = `oxbow-postgres-${process.platform}-${process.arch}-${version}-${owner}`.replace(/[^\w.-]/g, '_');
  // One folder deeper than the name: the package's own list of links speaks of `native/…`.
  const shared = join(tmpdir(), name);
  if (isOurs(shared) && isGood(join(shared, 'native'), native)) return join(shared, 'native');

  const own = mkdtempSync(join(tmpdir(), 'oxbow-postgres-'));
  temporary(own);
  copyTo(join(own, 'native'), native);
  chmodSync(own, 0o755);
  try {
    if (isOurs(shared)) {
      const aside = `${own}-old`; // half swept away, or not what the package holds now
      renameSync(shared, aside);
      removeFolder(aside);
    }
    renameSync(own, shared);
  } catch (error) {
    if (!hasCode(error, 'ENOTEMPTY', 'EEXIST', 'ENOTDIR', 'EPERM', 'EACCES')) throw error;
    if (!isOurs(shared) || !isGood(join(shared, 'native'), native)) return join(own, 'native');
    removeFolder(own); // somebody was faster
  }
  return join(shared, 'native');
}
