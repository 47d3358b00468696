// node scripts/runtimes-reference.mjs
// Writes docs/runtimes.md: installs each runtime from npm into a temporary folder, plays the probes on it against a real server, and the core's
// suite on those that are not Node. Writes nothing if that suite fails anywhere. Run `npm run build:all` first.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { embeddedPostgres } from '../build/src/doors/testing.js';
import { coreOnBun, coreOnDeno, declared } from '../build/test/runtimes/core-suite.js';
import { measure } from '../build/test/runtimes/measure.js';
import { pageOf } from '../build/test/runtimes/page.js';
import { BUN, DENO, install, NODES, versionOf } from '../build/test/runtimes/runtimes.js';

const RUNTIMES = [...NODES, BUN, DENO];

const folder = mkdtempSync(join(tmpdir(), 'oxbow-runtimes-'));
try {
  const binaries = install(RUNTIMES, folder);
  const tests = await declared();
  const suites = {
    [BUN.label]: await coreOnBun(binaries[RUNTIMES.indexOf(BUN)], folder),
    [DENO.label]: await coreOnDeno(binaries[RUNTIMES.indexOf(DENO)], folder, tests),
  };
  for (const [label, { passed, others, printed }] of Object.entries(suites)) {
    if (others.length > 0 || passed.length !== tests.names.length) {
      throw new Error(`${label}: ${passed.length} of ${tests.names.length} passed; ${others.join('; ')}\n${printed}`);
    }
  }
  const server = await embeddedPostgres();
  const columns = [];
  for (const [n, { label, launch }] of RUNTIMES.entries()) {
    const outcomes = await measure(binaries[n], launch, server.url);
    columns.push({ label, version: versionOf(binaries[n]), outcomes });
    const failed = outcomes.filter(({ ok }) => !ok);
    console.log(`${label}: ${outcomes.length - failed.length} of ${outcomes.length} probes`);
    for (const { name, detail } of failed) console.log(`  ${name}: ${detail}`);
  }
  await server.stop();
  writeFileSync(new URL('../docs/runtimes.md', import.meta.url), pageOf(columns, tests.names.length));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
