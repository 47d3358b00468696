// Second copies of the built package in this process, as duplicated dependencies make them: same text, other classes.

import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as oxbow from '../../src/doors/index.ts';
import { root } from '../laws/tree.ts';

export type Oxbow = typeof oxbow;

/** Below the package's root, so that the copy finds the same pg; gone with the scope. */
export async function anotherCopy(scope: { after(fn: () => void): void }): Promise<Oxbow> {
  mkdirSync(join(root, '.tmp'), { recursive: true });
  const folder = mkdtempSync(join(root, '.tmp', 'copy-'));
  scope.after(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(join(root, 'dist'), folder, { recursive: true });
  const module: Oxbow = await import(pathToFileURL(join(folder, 'doors', 'index.js')).href);
  return module;
}
