// node scripts/test.mjs laws|quick|all [part of a path, or !part of an unwanted one ...] [--concurrency N]
// Runs the compiled tests under build/test, suite after suite, and ends with one line: `N passed, N failed, N skipped`.
// Owns which suite belongs to which mode. How one file is run and counted: run-file.mjs.
// OXBOW_TEST_SPEAKER=pg (or auto) makes that the default of the option "speaker" in all of it: test/kit/speaker.ts. OXBOW_TEST_WHY=1 has every
// pool detect deadlocks, and everything listen that can: test/kit/why.ts.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, delimiter, join, relative, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { runFile, runStep } from './run-file.mjs';
import { add, judge, noTests } from './tally.mjs';

/**
 * Every suite, in the order they run. `boundS` is how long one file may take, in seconds. A step is a command of its own that
 * counts as one test.
 */
const SUITES = [
  { folder: 'test/laws', modes: ['laws', 'quick'], concurrency: 2, boundS: 60 },
  { folder: 'test/core', modes: ['quick'], concurrency: 2, boundS: 60 },
  { folder: 'test/matrix', modes: ['quick'], concurrency: 2, boundS: 300 },
  { folder: 'test/model', modes: ['quick'], concurrency: 2, boundS: 300 },
  { folder: 'test/pool', modes: ['quick'], concurrency: 2, boundS: 60 },
  { folder: 'test/testing', modes: ['quick'], concurrency: 2, boundS: 120 },
  // They wait more than they work.
  { folder: 'test/postgres', modes: ['quick'], concurrency: 4, boundS: 180 },
  { folder: 'test/peers', modes: ['quick'], concurrency: 3, boundS: 180 },
  { folder: 'test/ecosystem', modes: ['quick'], concurrency: 3, boundS: 180 },
  { folder: 'test/docs', modes: ['quick'], concurrency: 3, boundS: 180 },
  // Threads, processes and requests under load: they measure time.
  { folder: 'test/loops', modes: ['all'], concurrency: 2, boundS: 180 },
  { folder: 'test/conformance', modes: ['all'], concurrency: 3, boundS: 180 },
  { folder: 'test/types', modes: ['all'], concurrency: 1, boundS: 600 },
  { folder: 'test/slow', modes: ['all'], concurrency: 1, boundS: 600 },
  { step: 'scripts/mutants.mjs', modes: ['all'], boundS: 900 },
];

const root = fileURLToPath(new URL('..', import.meta.url));

/** Two tests are about running PostgreSQL as root, one needs the right to make a PID namespace. */
const rootOnly = process.getuid?.() === 0 ? 0 : 2;
const namespace = spawnSync('unshare', ['--pid', '--fork', 'true']).status === 0 ? 0 : 1;
/** Without PgBouncer each file about it is one skipped test: test/postgres/pgbouncer.ts, which looks in the same places. */
const PATH = [process.env.PATH, '/usr/sbin'].join(delimiter);
const hasPgBouncer = spawnSync('pgbouncer', ['--version'], { env: { PATH } }).status === 0;
const pgbouncer = hasPgBouncer ? 0 : sourcesBelow('test/postgres').filter(isAboutPgBouncer).length;
/** The same for Cloudflare's runtime, a binary that npm installs where there is one: test/kit/workerd.ts, which skips nothing in CI. */
const hasWorkerd = spawnSync(join(root, 'node_modules/.bin/workerd'), ['--version']).status === 0;
function withoutWorkerd(folder) {
  if (hasWorkerd || process.env.CI === 'true') return 0;
  return sourcesBelow(folder).filter((path) => basename(path).startsWith('workerd')).length;
}

/** How many tests may be skipped, exactly. */
const SKIPS = {
  laws: 0,
  quick: rootOnly + namespace + pgbouncer + withoutWorkerd('test/ecosystem'),
  all: withoutWorkerd('test/loops'),
};

let total = noTests;

/** Something is wrong with the tests as a whole: counts as one failed. */
function complain(message) {
  total = add(total, { ...noTests, failed: 1, failures: [message] });
}

function misuse(message) {
  console.error(message);
  process.exit(1);
}

function isAboutPgBouncer(path) {
  return basename(path).startsWith('pgbouncer');
}

/** Paths of the test sources below a folder, relative to the root. */
function sourcesBelow(folder) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return sourcesBelow(path);
      return entry.name.endsWith('.test.ts') ? [path] : [];
    })
    .sort();
}

/** The compiled files of these sources: what is left in build/ from a source that is gone is not run. */
function compiled(sources) {
  return sources.flatMap((source) => {
    const path = join(root, 'build', source.replace(/\.ts$/, '.js'));
    if (existsSync(path) && statSync(path).mtimeMs >= statSync(join(root, source)).mtimeMs) return [path];
    complain(`${source} is not compiled, or newer than its compiled file: run \`npm run build:all\` first`);
    return [];
  });
}

function refuseStrays() {
  const known = SUITES.flatMap((suite) =>
    suite.folder === undefined ? [] : [suite.folder.split('/').join(sep) + sep],
  );
  const strays = sourcesBelow('test').filter((path) => !known.some((folder) => path.startsWith(folder)));
  if (strays.length > 0) complain(`in no suite of scripts/test.mjs: ${strays.join(', ')}`);
}

/** `work` for each of `items`, at most `atOnce` at a time. */
async function each(items, atOnce, work) {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: Math.max(1, Math.min(atOnce, queue.length)) }, worker));
}

function readArguments() {
  const [mode, ...rest] = process.argv.slice(2);
  if (mode === undefined || !Object.hasOwn(SKIPS, mode))
    misuse('usage: test.mjs laws|quick|all [part of a file name ...]');
  const at = rest.indexOf('--concurrency');
  const concurrency = at === -1 ? undefined : Number(rest.splice(at, 2)[1]);
  if (concurrency !== undefined && !(Number.isInteger(concurrency) && concurrency > 0)) {
    misuse('--concurrency takes a number of files');
  }
  const unknown = rest.find((word) => word.startsWith('-'));
  if (unknown !== undefined) misuse(`unknown argument ${unknown}`);
  return { mode, concurrency, parts: rest };
}

/** In the environment, so that programs which tests start get it too. */
function preload(kit) {
  const { href } = pathToFileURL(join(root, 'build', 'test', 'kit', kit));
  process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} --import=${href}`.trim();
}

const { mode, concurrency, parts } = readArguments();
if (process.env.OXBOW_TEST_SPEAKER) preload('speaker.js');
if (process.env.OXBOW_TEST_WHY) preload('why.js');
refuseStrays();

const unwanted = parts.filter((part) => part.startsWith('!')).map((part) => part.slice(1));
const named = parts.filter((part) => !part.startsWith('!'));
const wanted = (path) =>
  (named.length === 0 || named.some((part) => path.includes(part))) && !unwanted.some((part) => path.includes(part));

function count(name, result) {
  total = add(total, result);
  process.stdout.write(`${result.output.trimEnd()}\n`);
  console.log(
    `  ${name}: ${result.passed} passed, ${result.failed} failed, ${result.skipped} skipped, ${result.ms} ms\n`,
  );
}

for (const suite of SUITES.filter((candidate) => candidate.modes.includes(mode))) {
  const place = suite.folder ?? suite.step;
  if (!existsSync(join(root, place))) {
    complain(`${place} does not exist`);
    continue;
  }
  const boundMs = suite.boundS * 1000;
  if (suite.step !== undefined) {
    if (!wanted(suite.step)) continue;
    console.log(`▷ ${suite.step}`);
    count(suite.step, await runStep([join(root, suite.step)], { boundMs, cwd: root }));
    continue;
  }
  const sources = sourcesBelow(suite.folder);
  if (sources.length === 0) complain(`no test file in ${suite.folder}`);
  const files = compiled(sources.filter(wanted));
  if (files.length === 0) continue;
  console.log(`▷ ${suite.folder} (${files.length} files)\n`);
  await each(files, concurrency ?? suite.concurrency, async (file) => {
    count(relative(join(root, 'build'), file), await runFile(file, { boundMs, cwd: root }));
  });
}

for (const failure of total.failures) console.log(`✖ ${failure}`);
// With parts of names given, what is skipped depends on them.
const complaint = judge(total, parts.length === 0 ? SKIPS[mode] : undefined);
if (complaint !== undefined) console.log(complaint);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = complaint === undefined ? 0 : 1;
