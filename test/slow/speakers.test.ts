// The suites on a real server with the speaker that they do not have by default: pg where the codec speaks otherwise, and the codec at the
// door `oxbow/pg`, where pg does. Within a minute or so: what else the switch can run (OXBOW_TEST_SPEAKER, scripts/test.mjs) is a matter of
// time, and what is left out of test/postgres is named below, with the reason.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { root } from '../laws/tree.ts';
import { run } from './tarball.ts';

/** With pg: how each query goes over the wire, and what becomes of its connection. */
const WITH_PG = [
  'test/postgres/',
  // Nobody speaks in it, or through a program with a pool of its own that says what it wants.
  '!embedded',
  '!demo',
  '!debug-log',
  '!secrets',
  // Text read by itself, asked of the server through pg's client.
  '!postgres/traces',
  // They are about waiting, stopping and opening, and are long.
  '!wrong-caller',
  '!on-signal',
  '!life-cycle',
  '!blocked-loop',
  '!frozen-process',
  '!full-server',
  '!hung-lines',
  '!bad-input',
  '!rotated-credentials',
  '!restarted-server',
  // What depends on the pooler and not on who speaks: test/postgres/pgbouncer-option is run.
  '!pgbouncer-faults',
  '!postgres/pgbouncer.test',
  // About the codec, or about telling who speaks: they say themselves who is to.
  '!tracer-',
  '!patched-pg',
  '!postgres/codec-',
  '!postgres/channels',
  '!postgres/otel',
  // Of what says why they are long, and none of it asks who speaks.
  '!postgres/leaks',
  '!postgres/verdicts',
  '!postgres/deadlock',
  '!nested-forbid',
  '!async-context',
  '!prepared-by-itself',
  '!bench-',
];

/** With the codec: these ask `oxbow/pg` for most of what they do, the libraries among them. */
const WITH_CODEC = ['test/peers/pg-pool/pg-pool', 'test/ecosystem/callbacks'];

for (const [speaker, suites] of Object.entries({ pg: WITH_PG, auto: WITH_CODEC })) {
  test(`every test passes with the speaker "${speaker}" where another is the default`, (t) => {
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const ended = spawnSync(process.execPath, [join(root, 'scripts', 'test.mjs'), 'quick', ...suites], {
      cwd: root,
      env: { ...env, OXBOW_TEST_SPEAKER: speaker },
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
      timeout: 280_000,
    });
    const lines = ended.stdout.trimEnd().split('\n');
    t.diagnostic(`${speaker}: ${lines.at(-1)}`);
    assert.equal(ended.status, 0, lines.filter((line) => line.startsWith('✖')).join('\n'));
  });

  test(`OXBOW_TEST_SPEAKER=${speaker} is the default at both doors, of what was compiled and of what is shipped`, () => {
    const preload = pathToFileURL(join(root, 'build', 'test', 'kit', 'speaker.js')).href;
    const tables = ['build/src', 'dist'].map(
      (folder) => pathToFileURL(join(root, folder, 'core', 'option-table.js')).href,
    );
    const program = `
      const tables = await Promise.all(${JSON.stringify(tables)}.map((table) => import(table)));
      console.log(JSON.stringify(tables.map(({ OPTIONS }) => OPTIONS.speaker.default)));`;
    const said = run(process.execPath, ['--input-type=module', '--eval', program], root, {
      OXBOW_TEST_SPEAKER: speaker,
      NODE_OPTIONS: `--import=${preload}`,
    });
    const both = { oxbow: speaker, pg: speaker };
    assert.deepEqual(JSON.parse(said), [both, both]);
  });
}
