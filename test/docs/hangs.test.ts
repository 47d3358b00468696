// docs/guides/fastify-drizzle-hangs.md is true: its service hangs on pg's pool and says nothing, says what the page prints on ours, and is
// mended by the page's diff. The programs are the page's own blocks; figures of time are not compared, lines are.

import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { read, root } from '../laws/tree.ts';
import { withClient, withServer } from '../postgres/harness.ts';

const page = read('docs/guides/fastify-drizzle-hangs.md');
const work = join(root, '.tmp', 'hangs');

function blocks(kind: string, file: string): string[] {
  const found = [...page.matchAll(/^```(\w+) file=(\S+)\n([\s\S]*?)^```$/gm)];
  return found.filter(([, word, name]) => word === kind && name === file).map(([, , , text = '']) => text);
}

function block(kind: string, file: string): string {
  const [text, ...more] = blocks(kind, file);
  assert.ok(text !== undefined && more.length === 0, `${file} is one block`);
  return text;
}

/** Puts the lines with `+` where those with `-` before them stand. */
function patched(source: string, diff: string): string {
  let text = source;
  for (const [, old = '', young = ''] of diff.matchAll(/((?:^-.*\n)+)((?:^\+.*\n)+)/gm)) {
    const plain = (lines: string): string => lines.replaceAll(/^[-+]/gm, '');
    assert.equal(text.split(plain(old)).length, 2, `the diff finds its lines once:\n${old}`);
    text = text.replace(plain(old), () => plain(young));
  }
  return text;
}

const [found = '', fix = ''] = blocks('diff', 'service.ts');
const service = block('typescript', 'service.ts');
const night = block('typescript', 'night.ts');
const ours = patched(service, found);
const asking = patched(night, block('diff', 'night.ts'));
const PROGRAMS = {
  pg: [service, night],
  oxbow: [ours, asking],
  fixed: [patched(ours, fix), asking],
  'fixed-on-pg': [patched(service, fix), night],
} as const;

rmSync(work, { recursive: true, force: true });
for (const [name, [first, second]] of Object.entries(PROGRAMS)) {
  mkdirSync(join(work, 'src', name), { recursive: true });
  writeFileSync(join(work, 'src', name, 'service.ts'), first);
  writeFileSync(join(work, 'src', name, 'night.ts'), second);
}
const options = {
  noEmit: false,
  allowImportingTsExtensions: false,
  rootDir: 'src',
  outDir: 'out',
  sourceMap: true,
  skipLibCheck: true, // Drizzle's own declarations do not compile without
};
writeFileSync(
  join(work, 'tsconfig.json'),
  JSON.stringify({ extends: '../../tsconfig.json', compilerOptions: options, include: ['src'] }),
);
const tsc = join(root, 'node_modules/typescript/bin/tsc');
const compiled = spawnSync(process.execPath, [tsc, '-p', work], { encoding: 'utf8' });

const server = await withServer(test, { url: false });
const admin = await withClient(test, server.config);
await admin.query(`
  CREATE TABLE orders (item text NOT NULL);
  CREATE TABLE stock (item text PRIMARY KEY, "left" int NOT NULL);
  INSERT INTO stock VALUES ('tea', 1000);
  CREATE FUNCTION night() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.4); RETURN new; END';
  CREATE TRIGGER night BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION night()`);

/** What a night prints, with its source maps, as Node prints it that runs TypeScript by itself. */
function nightOf(name: keyof typeof PROGRAMS): Promise<string> {
  const { NODE_TEST_CONTEXT: _, NODE_OPTIONS: __, ...env } = process.env;
  const file = join(work, 'out', name, 'night.js');
  const settings = {
    cwd: join(work, 'src', name),
    env: { ...env, DATABASE_URL: server.url, NODE_ENV: 'production' },
    timeout: 60_000,
    killSignal: 'SIGKILL',
  } as const;
  return new Promise((resolve, reject) => {
    execFile(process.execPath, ['--enable-source-maps', file], settings, (error, stdout, stderr) => {
      if (error === null && stderr === '') resolve(stdout);
      else reject(new Error(`${error?.message}\n${stdout}${stderr}`));
    });
  });
}

/** Times differ, and so does how many still wait when the first of them gives up: two may do so in the same turn. */
function withoutTimes(text: string): string {
  return text
    .replaceAll(/\b\d+(?:\.\d+)? (?:ms|s)\b/g, '… s')
    .replaceAll(/(?<=no connection within .*)\d+ more waiting/g, '… more waiting');
}

test('the programs of the guide compile', () => {
  assert.equal(compiled.stdout + compiled.stderr, '');
});

test("the guide's service hangs on pg's pool, idle and without a word", async () => {
  assert.equal(withoutTimes(await nightOf('pg')), withoutTimes(block('text', 'pg.txt')));
});

test("on ours the guide's service says in the same minute what the guide prints, and goes on", async () => {
  const printed = await nightOf('oxbow');
  const expected = withoutTimes(block('text', 'oxbow.txt')).split('\n');
  const said = withoutTimes(printed).split('\n');
  // How many of those who wait are turned away before the first connection is back is chance; the first of them, and the end, are not.
  const turnedAway = said.filter((line) => line.startsWith('POST '));
  assert.equal(
    turnedAway[0],
    expected.find((line) => line.startsWith('POST ')),
    printed,
  );
  const rest = (lines: string[]): string[] =>
    lines.filter((line) => !/^(?:POST|GET|four at once, in the end) ?/.test(line));
  assert.deepEqual(rest(said), rest(expected), printed);
  assert.match(printed, /four at once, in the end: \[ (?:200|500)(?:, (?:200|500)){3} \]/);
  const line = ours.split('\n').findIndex((text) => text.includes('db.transaction(')) + 1;
  assert.ok(page.includes(`\`service.ts:${line}\``) && turnedAway[0]?.includes(`service.ts:${line}`), printed);
});

test("with the guide's fix nobody waits, on either pool", async () => {
  for (const name of ['fixed', 'fixed-on-pg'] as const) {
    assert.ok((await nightOf(name)).startsWith(block('text', 'fixed.txt')), name);
  }
});
