// Under which conditions a run was made: machine, runtime, versions. Owns the reading of them; a figure without these means nothing.

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, loadavg } from 'node:os';

export interface Conditions {
  readonly date: string;
  readonly node: string;
  readonly v8: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cores: number;
  /** The one-minute load when the run began: the run itself excluded, so whatever else was going on. */
  readonly loadBefore: number;
  readonly versions: Readonly<Record<string, string>>;
}

const require = createRequire(import.meta.url);

function versionIn(path: string): string {
  const parsed: unknown = JSON.parse(readFileSync(path, 'utf8'));
  const version: unknown = typeof parsed === 'object' && parsed !== null ? Reflect.get(parsed, 'version') : undefined;
  return typeof version === 'string' ? version : 'unknown';
}

/** Looked for on disk: not every package exports its package.json. */
function packageFile(name: string): string {
  const folders = require.resolve.paths(name) ?? [];
  const file = folders.map((folder) => `${folder}/${name}/package.json`).find((path) => existsSync(path));
  if (file === undefined) throw new Error(`${name} is not installed`);
  return file;
}

/** `peers` are packages whose installed versions are read from their own package.json. */
export function conditions(peers: readonly string[]): Conditions {
  const versions: Record<string, string> = {
    oxbow: versionIn(new URL('../../../package.json', import.meta.url).pathname),
  };
  for (const peer of peers) versions[peer] = versionIn(packageFile(peer));
  return {
    date: new Date().toISOString().slice(0, 10),
    node: process.versions.node,
    v8: process.versions.v8,
    platform: `${process.platform} ${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    loadBefore: loadavg()[0] ?? 0,
    versions,
  };
}

export function conditionsText(c: Conditions): string {
  const versions = Object.entries(c.versions).map(([name, version]) => `${name} ${version}`);
  return [
    `- ${c.date}, Node ${c.node} (V8 ${c.v8}), ${c.platform}`,
    `- ${c.cpu}, ${c.cores} core${c.cores === 1 ? '' : 's'}, shared with other work: load ${c.loadBefore.toFixed(1)} when the run began`,
    `- ${versions.join(', ')}`,
  ].join('\n');
}
