// The quick suites, but for the long ones and those that Node has no part in, on the other supported versions of Node, and the probes of
// docs/runtimes.md. Each comes from npm, into a folder of its own.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { read, root } from '../laws/tree.ts';
import { withServer } from '../postgres/harness.ts';
import { measure } from '../runtimes/measure.ts';
import { cellsOf, probesIn } from '../runtimes/page.ts';
import { install, NODES } from '../runtimes/runtimes.ts';
import { run } from './tarball.ts';

const OWN = process.versions.node;
const LAWS_AND_CORE = ['test/laws/package', 'test/laws/runner', 'test/laws/surface', 'test/core/'];
const POSTGRES = [
  'test/postgres/',
  // What depends on the server, on PgBouncer or on a terminal and not on this version of Node.
  '!embedded',
  '!demo',
  '!pgbouncer',
  '!traces',
  '!on-signal',
];

/** An older release of the Node at hand is asked what a release can change; `npm test` has run the rest on this line. */
function suitesFor(version: string): string[] {
  const [major] = OWN.split('.');
  return version.startsWith(`${major}.`) ? LAWS_AND_CORE : [...LAWS_AND_CORE, ...POSTGRES];
}

for (const runtime of NODES.filter(({ version }) => version !== OWN)) {
  const { version = '', label } = runtime;
  const suites = suitesFor(version);
  const what = suites.length > LAWS_AND_CORE.length ? 'laws, core and postgres' : 'laws and core';
  test(`${what} pass on Node ${version}, and its probes come to what docs/runtimes.md says`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'oxbow-node-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const [node = ''] = install([runtime], folder);
    assert.equal(run(node, ['--version'], folder).trim(), `v${version}`);
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const ended = spawnSync(node, [join(root, 'scripts', 'test.mjs'), 'quick', ...suites], {
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
    const server = await withServer(t);
    const cells = cellsOf({ outcomes: await measure(node, [], server.url) });
    assert.deepEqual(cells, probesIn(read('docs/runtimes.md'), label), 'run `node scripts/runtimes-reference.mjs`');
  });
}
