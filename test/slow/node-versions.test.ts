// The quick suites, but for the long ones and those that Node has no part in, on the other supported versions of Node. Each comes from npm, into a folder of its own.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { root } from '../laws/tree.ts';
import { run } from './tarball.ts';

const VERSIONS = ['20.19.0', '22.23.3', '24.9.0'];
const OWN = process.versions.node;
const SUITES = [
  'test/laws/package',
  'test/laws/runner',
  'test/laws/surface',
  'test/core/',
  'test/postgres/',
  // What depends on the server, on PgBouncer or on a terminal and not on this version of Node.
  '!embedded',
  '!demo',
  '!pgbouncer',
  '!traces',
  '!on-signal',
];

/** Where npm's package of this version has its binary. */
function installed(version: string, folder: string): string {
  const name = `node-${process.platform}-${process.arch}`;
  writeFileSync(join(folder, 'package.json'), '{"private":true}');
  run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', `${name}@${version}`], folder);
  return join(folder, 'node_modules', name, 'bin', 'node');
}

for (const version of VERSIONS.filter((candidate) => candidate !== OWN)) {
  test(`laws, core and postgres pass on Node ${version}`, (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'oxbow-node-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const node = installed(version, folder);
    assert.equal(run(node, ['--version'], folder).trim(), `v${version}`);
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const ended = spawnSync(node, [join(root, 'scripts', 'test.mjs'), 'quick', ...SUITES], {
      cwd: root,
      env,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    });
    const lines = ended.stdout.trimEnd().split('\n');
    t.diagnostic(`Node ${version}: ${lines.at(-1)}`);
    // What failed, and how, as far as it can be read in one piece.
    const failing = lines.findIndex((line) => line.startsWith('✖ failing'));
    assert.equal(
      ended.status,
      0,
      lines
        .slice(failing === -1 ? -80 : failing)
        .slice(0, 80)
        .join('\n'),
    );
  });
}
