// The repository as the laws see it: a list of files with their text. Knows no law.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A file, by its path from the repository's root with forward slashes. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

function findRoot(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : findRoot(dirname(folder));
}

/** The repository's root, seen from the compiled file in build/. */
export const root: string = findRoot(dirname(fileURLToPath(import.meta.url)));

export function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** Every file below `folder` whose name ends with `ending`; none if there is no such folder. */
export function filesBelow(folder: string, ending: string): readonly SourceFile[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => {
      const path = relative(root, join(root, folder, name))
        .split(sep)
        .join('/');
      return { path, text: read(path) };
    });
}

/** The compiled files of the sources below `folder`, from `output`; leftovers of sources that are gone are passed over. */
function compiledBelow(folder: string, output: (path: string) => string): readonly SourceFile[] {
  return filesBelow(folder, '.ts').map((source) => {
    const path = output(source.path).replace(/\.ts$/, '.js');
    return { path, text: read(path) };
  });
}

/** A layer of src as it is shipped. */
export function shipped(layer: string): readonly SourceFile[] {
  return compiledBelow(`src/${layer}`, (path) => path.replace(/^src/, 'dist'));
}

/** A folder of tests as it is run. */
export function compiledTests(folder: string): readonly SourceFile[] {
  return compiledBelow(`test/${folder}`, (path) => `build/${path}`);
}
