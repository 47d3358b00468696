// The package as npm packs it: unpacked in a fresh folder beside the pg and the types that this repository has installed, without
// asking a registry; or installed by npm, with whatever else a project needs, as a user does it.

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after } from 'node:test';
import { root } from '../laws/tree.ts';

export interface Tarball {
  /** A project folder with a node_modules of its own. */
  readonly folder: string;
  readonly path: string;
}

/** Runs a program to its end; throws with what it printed if it fails. */
export function run(program: string, argv: readonly string[], cwd: string, environment: object = {}): string {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  try {
    return execFileSync(program, argv, {
      cwd,
      env: { ...env, ...environment },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  } catch (error) {
    const printed = ['stdout', 'stderr'].map((stream) => String(Reflect.get(Object(error), stream) ?? ''));
    throw new Error(`${program} ${argv.join(' ')} failed:\n${printed.join('\n')}`);
  }
}

/** A command of a development dependency. */
export function tool(path: string, argv: readonly string[], cwd: string): string {
  return run(process.execPath, [join(root, 'node_modules', path), ...argv], cwd);
}

function dependenciesOf(folder: string): string[] {
  const manifest: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const found: unknown = Reflect.get(Object(manifest), 'dependencies');
  return typeof found === 'object' && found !== null ? Object.keys(found) : [];
}

/** Copies packages and all that they depend on out of this repository's node_modules. */
function copyPackages(names: readonly string[], modules: string): void {
  const waiting = [...names];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    const from = join(root, 'node_modules', name);
    const to = join(modules, name);
    if (existsSync(to)) continue;
    mkdirSync(dirname(to), { recursive: true });
    cpSync(from, to, { recursive: true });
    waiting.push(...dependenciesOf(from));
  }
}

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';

/** For the tests of one file, and removed after them. */
function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'oxbow-packed-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Packs what was built, without building again: other tests may be reading it. */
function packInto(folder: string): string {
  const name = run(npm, ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder], root).trim();
  return join(folder, name.split('\n').at(-1) ?? '');
}

/** The version of a package that this repository has installed. */
export function versionOf(name: string): string {
  const manifest: unknown = JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8'));
  return String(Reflect.get(Object(manifest), 'version'));
}

/** A fresh project where npm has installed the tarball, this repository's pg, and these packages (`name@version`). */
export function project(packages: readonly string[]): string {
  const folder = freshFolder();
  const tarball = packInto(folder);
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  const wanted = [tarball, `pg@${versionOf('pg')}`, ...packages];
  run(npm, ['install', '--no-audit', '--no-fund', '--ignore-scripts', ...wanted], folder);
  return folder;
}

/** The tarball unpacked beside the pg of this repository; the same for all tests of a file. */
export function packed(): Tarball {
  const folder = freshFolder();
  const path = packInto(folder);
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, 'oxbow'), { recursive: true });
  run('tar', ['-xzf', path, '-C', join(modules, 'oxbow'), '--strip-components', '1'], folder);
  copyPackages(['pg', '@types/pg', '@types/node'], modules);
  return { folder, path };
}
