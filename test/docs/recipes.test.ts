// The programs in README, docs/guides and docs/recipes: extracted, compiled strictly against the built package, and run. How a block says what is
// to be done with it stands in docs/recipes/README.md.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { withClient, withServer } from '../postgres/harness.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
/** Below the package's root, so that `oxbow` is found as a user's program finds it: through `exports`. */
const work = join(root, '.tmp', 'docs');

interface Program {
  readonly document: string;
  readonly line: number;
  readonly file: string;
  readonly how: 'run' | 'serve' | undefined;
  readonly text: string;
}

/** The fenced `ts` blocks of a document. An unknown word after `ts` is a mistake. */
function programsOf(path: string): Program[] {
  const document = basename(path, '.md');
  const found: Program[] = [];
  const text = readFileSync(join(root, path), 'utf8');
  for (const match of text.matchAll(/^```ts\b(.*)\n([\s\S]*?)^```$/gm)) {
    const line = text.slice(0, match.index).split('\n').length;
    let file = `line-${line}.ts`;
    let how: Program['how'];
    for (const word of (match[1] ?? '').split(' ').filter((word) => word !== '')) {
      if (word.startsWith('file=')) file = word.slice('file='.length);
      else if (word === 'run' || word === 'serve') how = word;
      else assert.fail(`${path}:${line}: unknown word ${word}`);
    }
    found.push({ document, line, file, how, text: match[2] ?? '' });
  }
  return found;
}

const documents = ['docs/guides', 'docs/recipes'].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md') && name !== 'README.md')
    .map((name) => `${folder}/${name}`),
);
const programs = ['README.md', ...documents].flatMap(programsOf);

const server = await withServer(test, { url: false });
const admin = await withClient(test, server.config);

rmSync(work, { recursive: true, force: true });
for (const { document, file, text } of programs) {
  mkdirSync(join(work, 'src', document), { recursive: true });
  // Each is a module, also where it imports nothing.
  writeFileSync(join(work, 'src', document, file), `${text}export {};\n`, { flag: 'wx' });
}
writeFileSync(
  join(work, 'tsconfig.json'),
  JSON.stringify({
    extends: '../../tsconfig.json',
    compilerOptions: {
      noEmit: false,
      allowImportingTsExtensions: false,
      rootDir: 'src',
      outDir: 'out',
      noUnusedLocals: false,
    },
    include: ['src'],
  }),
);

const tsc = join(root, 'node_modules/typescript/bin/tsc');
const compiled = spawnSync(process.execPath, [tsc, '-p', work], { encoding: 'utf8' });

test('every program in README, guides and recipes compiles as strictly as the project, against the built package', () => {
  assert.ok(programs.length > 5, `only ${programs.length} were found`);
  assert.equal(compiled.stdout + compiled.stderr, '');
  assert.equal(compiled.status, 0);
});

for (const { document, line, file, how } of programs) {
  if (how === undefined) continue;
  test(`${document}.md:${line} (${file}) ${how === 'run' ? 'runs' : 'serves, and ends by SIGTERM'}`, async (t) => {
    const database = `doc_${document}_${line}`.toLowerCase().replaceAll('-', '_');
    await admin.query(`CREATE DATABASE ${database}`);
    t.after(async () => {
      await admin.query(`DROP DATABASE ${database} WITH (FORCE)`);
    });
    const url = new URL(server.url);
    url.pathname = `/${database}`;
    const ended = await run(join(work, 'out', document, file.replace(/\.ts$/, '.js')), url.href, how);
    if (how === 'run') assert.deepEqual([ended.end, ended.errors], [0, ''], ended.output);
    else assert.deepEqual([ended.end, ended.errors], ['SIGTERM', ''], ended.output);
  });
}

interface Ended {
  readonly end: number | string | null;
  readonly output: string;
  readonly errors: string;
}

function run(path: string, databaseUrl: string, how: 'run' | 'serve', withinMs = 30_000): Promise<Ended> {
  // A program with tests in it must not take itself for a file of this run.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child = spawn(process.execPath, [path], {
    env: { ...env, DATABASE_URL: databaseUrl, PORT: '0' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const late = setTimeout(() => child.kill('SIGKILL'), withinMs);
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk) => {
    output += String(chunk);
    if (how === 'serve' && output.includes('listening')) child.kill('SIGTERM');
  });
  child.stderr.on('data', (chunk) => {
    errors += String(chunk);
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(late);
      resolve({ end: signal ?? code, output, errors });
    });
  });
}
