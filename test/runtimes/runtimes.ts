// Which runtimes are tried, how npm has them, and how one is started. Knows neither probes nor tests.

import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../laws/tree.ts';
import { run } from '../slow/tarball.ts';

export interface Runtime {
  /** With the major version, by which it is known on the page. */
  readonly label: string;
  /** Where it is always the same one. */
  readonly version?: string;
  /** As npm is asked for it. */
  readonly wanted: string;
  /** In npm's package. */
  readonly binary: readonly string[];
  /** Ahead of the path of a program. */
  readonly launch: readonly string[];
}

const { platform, arch } = process;

export const NODES: readonly Runtime[] = ['20.19.0', '22.23.3', '24.9.0'].map((version) => ({
  label: `Node ${Number.parseInt(version, 10)}`,
  version,
  wanted: `node-${platform}-${arch}@${version}`,
  binary: ['bin', 'node'],
  launch: [],
}));

export const BUN: Runtime = {
  label: 'Bun 1',
  wanted: `@oven/bun-${platform}-${arch === 'arm64' ? 'aarch64' : arch}@1`,
  binary: ['bin', 'bun'],
  launch: [],
};

export const DENO: Runtime = {
  label: 'Deno 2',
  wanted: `@deno/${platform}-${arch}${platform === 'linux' ? '-glibc' : ''}@2`,
  binary: ['deno'],
  launch: ['run', '-A'],
};

/** The version that a binary says it has, and only that. */
export function versionOf(binary: string): string {
  return /\d+\.\d+\.\d+/.exec(run(binary, ['--version'], root))?.[0] ?? '';
}

/** Installs them into `folder`, beside each other; resolves with the path of each one's binary. Throws with what npm said. */
export function install(runtimes: readonly Runtime[], folder: string): string[] {
  writeFileSync(join(folder, 'package.json'), '{"private":true}');
  const named = runtimes.map(({ wanted }, n) => `runtime-${n}@npm:${wanted}`);
  run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', ...named], folder);
  return runtimes.map(({ label, binary }, n) => {
    const path = join(folder, 'node_modules', `runtime-${n}`, ...binary);
    const [name = '', major = ''] = label.split(' ');
    const version = versionOf(path);
    if (!version.startsWith(`${major}.`)) throw new Error(`${name} from npm is ${version}, and not ${major}`);
    return path;
  });
}

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one to its end, in the root of the repository. */
export function runIn(binary: string, argv: readonly string[], more: NodeJS.ProcessEnv, boundMs: number): Promise<Ran> {
  // What is meant for Node's test runner, or for tests of Node, is not for them.
  const { NODE_TEST_CONTEXT: _, NODE_OPTIONS: __, ...own } = process.env;
  const env = { ...own, DENO_NO_UPDATE_CHECK: '1', NO_COLOR: '1', ...more };
  return new Promise((resolve, reject) => {
    const child = spawn(binary, argv, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const bound = setTimeout(() => child.kill('SIGKILL'), boundMs);
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => {
      stdout += String(chunk);
    });
    child.stderr.on('data', (chunk) => {
      stderr += String(chunk);
    });
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(bound);
      resolve({ code, stdout, stderr });
    });
  });
}
