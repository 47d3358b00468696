// Each version of pg that the codec knows, as npm installs it, under the same short set of tests: test/pg-versions. With those that it does not
// know pg speaks, everything works all the same, and it is said why. Owns the list of versions; a law compares it with the table of the code.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import test from 'node:test';
import { read, root } from '../laws/tree.ts';
import { withServer } from '../postgres/harness.ts';
import { run } from './tarball.ts';

/** Each with the version whose classes have the same text, as the table has them. */
const KNOWN = {
  '8.17.0': '8.17.0',
  '8.17.1': '8.17.0',
  '8.17.2': '8.17.2',
  '8.18.0': '8.18.0',
  '8.19.0': '8.19.0',
  '8.20.0': '8.19.0',
  '8.21.0': '8.21.0',
  '8.22.0': '8.22.0',
  '8.23.0': '8.23.0',
  '8.23.1': '8.23.1',
} as const;
const UNKNOWN = ['8.16.0', '8.16.3'] as const;
/** The oldest that the oldest of them asks for; npm installs the newest that fits with the others. */
const OLDEST_PROTOCOL = 'pg-protocol@1.11.0';

const folder = mkdtempSync(join(tmpdir(), 'oxbow-pg-versions-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));
const versions = [...UNKNOWN, ...Object.keys(KNOWN)];

/** All of them in one go, each under a name of its own; Node takes what such a package needs from where it really lies. */
function install(name: string, packages: readonly string[]): string {
  const place = join(folder, name);
  mkdirSync(place);
  writeFileSync(join(place, 'package.json'), '{"private":true,"type":"module"}');
  run('npm', ['install', '--no-audit', '--no-fund', '--no-save', '--ignore-scripts', ...packages], place);
  return join(place, 'node_modules');
}

const modules = install(
  'all',
  versions.map((version) => `pg-${version}@npm:pg@${version}`),
);
const oldest = install('oldest', ['pg@8.17.0', OLDEST_PROTOCOL]);

/** A folder with the compiled tests where `pg` is that one, and all else what this repository has. */
function furnish(name: string, pg: string): string {
  const place = join(folder, name);
  const own = join(root, 'node_modules');
  mkdirSync(join(place, 'node_modules'), { recursive: true });
  writeFileSync(join(place, 'package.json'), '{"private":true,"type":"module"}');
  for (const other of readdirSync(own)) {
    if (other !== 'pg') symlinkSync(join(own, other), join(place, 'node_modules', other));
  }
  symlinkSync(pg, join(place, 'node_modules', 'pg'));
  cpSync(join(root, 'build', 'src'), join(place, 'build', 'src'), { recursive: true });
  for (const part of ['pg-versions', 'postgres']) {
    cpSync(join(root, 'build', 'test', part), join(place, 'build', 'test', part), { recursive: true });
  }
  return place;
}

const server = await withServer(test, { url: false });

interface Ran {
  /** What failed, or how it ended. */
  readonly failed: readonly string[];
  readonly stderr: string;
  /** What the program says that it found. */
  readonly recognised: unknown;
  readonly speaker: unknown;
}

/** Runs test/pg-versions there. */
async function ran(place: string, who: 'codec' | 'pg'): Promise<Ran> {
  const { NODE_TEST_CONTEXT: _, OXBOW_TEST_SPEAKER: __, NODE_OPTIONS: ___, ...env } = process.env;
  const argv = ['--test-reporter=tap', join(place, 'build', 'test', 'pg-versions', 'main.js'), who];
  const child = spawn(process.execPath, argv, {
    cwd: place,
    env: { ...env, NODE_DEBUG: 'oxbow', DATABASE_URL: server.url },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  });
  const [stdout, stderr, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise((resolve, reject) => child.once('error', reject).once('close', resolve)),
  ]);
  const said = (about: string): unknown => {
    const line = new RegExp(`^# ${about} (.*)$`, 'm').exec(stdout)?.[1];
    return line === undefined ? undefined : JSON.parse(line);
  };
  const failed = stdout.split('\n').filter((line) => /^\s*not ok/.test(line));
  if (failed.length > 0) process.stdout.write(stdout);
  if (code !== 0) failed.push(`it ended with ${code}: ${stderr.slice(-2000)}`);
  if (!/^# pass 7$/m.test(stdout)) failed.push('not all tests were run');
  return { failed, stderr, recognised: said('recognised'), speaker: said('speaker') };
}

/** The first digits of the SHA-256 of the text of its classes. */
function fingerprint(pg: string): string {
  const take = createRequire(join(pg, 'package.json'));
  const classes = ['client', 'query', 'result', 'connection'].map((name): unknown => take(`./lib/${name}.js`));
  return createHash('sha256').update(classes.map(String).join('\n')).digest('hex').slice(0, 16);
}

/** As the source has it: nobody else needs it. */
const table = Object.fromEntries(
  [...read('src/pg/known-pg.ts').matchAll(/^ {2}'(8\.\d+\.\d+)': '([0-9a-f]{16})',$/gm)].map(([, version, digits]) => [
    version,
    digits,
  ]),
);

test('the table has the fingerprint of each version that is known, and no other', () => {
  const found = Object.entries(KNOWN).map(([version, same]) => [same, fingerprint(join(modules, `pg-${version}`))]);
  assert.deepEqual(table, Object.fromEntries(found));
  for (const version of UNKNOWN) {
    assert.ok(!Object.values(table).includes(fingerprint(join(modules, `pg-${version}`))));
  }
});

for (const [version, same] of Object.entries(KNOWN)) {
  test(`with pg ${version} the codec speaks, and what comes of it is what pg makes of it`, async () => {
    const pg = join(modules, `pg-${version}`);
    assert.equal(JSON.parse(readFileSync(join(pg, 'package.json'), 'utf8')).version, version);
    const { failed, recognised, speaker, stderr } = await ran(furnish(version, pg), 'codec');
    assert.deepEqual(failed, []);
    assert.deepEqual({ recognised, speaker }, { recognised: { version: same }, speaker: { who: 'codec' } });
    assert.match(stderr, /^OXBOW \d+: probe: opened /m);
    assert.ok(!stderr.includes('speaks for queries'), 'nothing is said where all is as it should be');
  });
}

test('so it does with the oldest pg that is known on the oldest pg-protocol that it takes', async () => {
  const { failed, speaker } = await ran(furnish('protocol', join(oldest, 'pg')), 'codec');
  assert.deepEqual({ failed, speaker }, { failed: [], speaker: { who: 'codec' } });
});

/** Runs there; pg has to speak, and this has to be said of it wherever somebody looks. */
async function isLeftToPg(place: string, digits: string): Promise<void> {
  const { failed, recognised, speaker, stderr } = await ran(place, 'pg');
  assert.deepEqual(failed, []);
  const why = `this version of pg is none of those that the codec was tested with (its fingerprint is ${digits})`;
  assert.deepEqual({ recognised, speaker }, { recognised: { why }, speaker: { who: 'pg', why } });
  const lines = stderr.split('\n').filter((line) => line.includes('speaks for queries'));
  assert.deepEqual(
    lines.map((line) => line.replace(/^OXBOW \d+: /, '')),
    [`probe: pg speaks for queries, not the codec: ${why}`],
  );
}

for (const version of UNKNOWN) {
  test(`with pg ${version}, which is not known, pg speaks, everything works, and it is said why`, async () => {
    const pg = join(modules, `pg-${version}`);
    await isLeftToPg(furnish(version, pg), fingerprint(pg));
  });
}

test('one other character in a class of pg, and pg speaks', async () => {
  const changed = join(modules, 'pg-changed');
  cpSync(join(modules, 'pg-8.23.1'), changed, { recursive: true });
  const file = join(changed, 'lib', 'result.js');
  const before = readFileSync(file, 'utf8');
  const after = before.replace('addRow(row) {', 'addRow(row)  {');
  assert.notEqual(after, before);
  writeFileSync(file, after);
  await isLeftToPg(furnish('changed', changed), fingerprint(changed));
});
