// Breaks the engine on purpose, one committed mutation at a time, and runs the fast suites against it: a mutation that no
// test notices means a promise that no test keeps. Works on copies of the sources; the tree itself is never touched.
//
//   npm run mutants [-- word …]     only the mutations whose name or file contains one of the words

import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transform } from 'esbuild';
import { budgetMutants } from '../test/mutants/budget.mjs';
import { mutants as engineMutants } from '../test/mutants/mutants.mjs';
import { returnPathMutants } from '../test/mutants/return-path.mjs';
import { whyMutants } from '../test/mutants/why.mjs';
import { pgPoolMutants } from '../test/peers/pg-pool/mutants.mjs';
import { psycopgMutants } from '../test/peers/psycopg/mutants.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const WORK = join(ROOT, '.tmp', 'mutants');
const SHARED = [
  'src',
  'bench',
  'test/core',
  'test/kit',
  'test/laws/tree.ts',
  'test/model',
  'test/peers/pg-pool',
  'test/pool/leaks.test.ts',
  'test/pool/talking-driver.ts',
  'test/peers/psycopg',
  'test/postgres/harness.ts',
  'test/postgres/late-cancel.test.ts',
  'test/postgres/returning.test.ts',
  'test/runtimes/runtimes.ts',
  'test/slow/tarball.ts',
  'package.json',
  'tsconfig.json',
  'tsconfig.all.json',
];
/** What tsconfig.json says about what is emitted. */
const COMPILER_OPTIONS = { compilerOptions: { verbatimModuleSyntax: true, useDefineForClassFields: true } };
const MODEL_RUNS = '1500';
/** A mutation may make a suite run for ever: that is noticed too. */
const PATIENCE_MS = 120_000;

/** Its own copy of the tree for each of those that work side by side. */
function bench(name) {
  const folder = join(WORK, name);
  mkdirSync(join(folder, 'test'), { recursive: true });
  for (const part of SHARED) cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  // One process for all files of the core: starting twenty costs more than running them.
  const core = readdirSync(join(folder, 'test/core')).filter(
    // What only the budgets themselves are about, or the reasons why, has nothing to say of the engine, and takes long.
    (file) =>
      file.endsWith('.test.ts') &&
      !/^(bench|fair|fleet|isolate|thread)-|^(confusion|deadlock|leak|tasks|verdicts)/.test(file),
  );
  const imports = core.map((file) => `import './build/test/core/${file.replace(/\.ts$/, '.js')}';`);
  writeFileSync(join(folder, 'core.mjs'), imports.join('\n'));
  writeFileSync(join(folder, 'model.mjs'), "import './build/test/model/first-half.test.js';\n");
  return folder;
}

/** Runs a program; resolves with what ended it: its exit code, the first line that matches `stopAt`, or that it hung. */
function run(folder, args, stopAt) {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, MODEL_RUNS, MODEL_QUICK: '1', NODE_TEST_CONTEXT: '' };
    const child = spawn(process.execPath, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let first;
    let hung = false;
    const patience = setTimeout(() => {
      hung = true;
      child.kill('SIGKILL');
    }, PATIENCE_MS);
    const read = (chunk) => {
      output += chunk;
      first ??= stopAt?.exec(output)?.[1];
      if (first !== undefined) child.kill('SIGKILL');
    };
    child.stdout.setEncoding('utf8').on('data', read);
    child.stderr.setEncoding('utf8').on('data', read);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(patience);
      resolve({ code, first, hung, output });
    });
  });
}

/** The name of the first test that fails, or undefined; with a `line`, only of a test of that name. */
async function firstFailure(folder, suite, line) {
  const program = suite.includes('/') ? `build/test/${suite}.test.js` : `${suite}.mjs`;
  // The model is one test: which rule was broken is said in its message.
  const failure = suite === 'model' ? /error: \|?-?\s+(.+)\n/ : /^ *not ok \d+ - (.+)\n/m;
  const ofLine =
    line === undefined ? failure : new RegExp(`^not ok \\d+ - (${line.replaceAll('.', '\\.')} .+)\\n`, 'm');
  const done = await run(folder, [program], ofLine);
  if (done.first !== undefined) return done.first.slice(0, 160);
  if (line !== undefined) return undefined;
  if (done.hung) return `it does not end within ${PATIENCE_MS / 1_000} s`;
  return done.code === 0
    ? undefined
    : `it crashes: ${/\w*Error.*: .+/.exec(done.output)?.[0] ?? `exit code ${done.code}`}`;
}

function compile(folder) {
  return run(folder, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.all.json']);
}

/** One file as it runs; that types may complain of a mutation does not matter, and the compiler takes thirty times as long. */
async function emitted(source) {
  const { code } = await transform(source, { loader: 'ts', target: 'es2023', tsconfigRaw: COMPILER_OPTIONS });
  return code.replaceAll(/(from\s*|import\()(["'])(\.[^"']*)\.ts\2/g, '$1$2$3.js$2');
}

/** What became of one mutation: `killed by …`, or why it counts as a failure. */
async function examine(folder, mutant) {
  const file = join(folder, mutant.file);
  const source = readFileSync(file, 'utf8');
  const found = source.split(mutant.find).length - 1;
  if (found !== 1) return { passed: false, text: `NOT APPLIED: its text occurs ${found} times in ${mutant.file}` };
  const compiled = join(folder, 'build', mutant.file.replace(/\.ts$/, '.js'));
  const before = readFileSync(compiled, 'utf8');
  const mutated = await emitted(source.replace(mutant.find, () => mutant.replace));
  if (mutated === (await emitted(source))) return { passed: false, text: 'NOT APPLIED: the program is the same' };
  try {
    writeFileSync(compiled, mutated);
    for (const suite of mutant.suites) {
      const by = await firstFailure(folder, suite, mutant.line);
      if (by !== undefined) return { passed: true, text: `killed by ${suite}: ${by}` };
    }
    return { passed: false, text: 'SURVIVED' };
  } finally {
    writeFileSync(compiled, before);
  }
}

const words = process.argv.slice(2);
const chosen = [
  ...engineMutants,
  ...returnPathMutants,
  ...budgetMutants,
  ...whyMutants,
  ...pgPoolMutants,
  ...psycopgMutants,
].filter(({ name, file }) => words.length === 0 || words.some((word) => name.includes(word) || file.includes(word)));
rmSync(WORK, { recursive: true, force: true });
const folders = Array.from({ length: Math.max(1, Math.min(2, availableParallelism())) }, (_, n) =>
  bench(`bench-${n + 1}`),
);

for (const done of await Promise.all(folders.map(compile))) {
  if (done.code === 0) continue;
  console.log(`the unmutated tree does not compile:\n${done.output}`);
  process.exit(1);
}
const wanted = [...new Set(chosen.flatMap(({ suites }) => suites))];
await Promise.all(
  folders.map(async (folder) => {
    for (let suite = wanted.shift(); suite !== undefined; suite = wanted.shift()) {
      const by = await firstFailure(folder, suite);
      if (by === undefined) continue;
      console.log(`the unmutated tree is not green: ${by}`);
      process.exit(1);
    }
  }),
);
console.log(`the unmutated tree is green; ${chosen.length} mutations`);

let passed = 0;
const left = [...chosen];
await Promise.all(
  folders.map(async (folder) => {
    for (let mutant = left.shift(); mutant !== undefined; mutant = left.shift()) {
      const verdict = await examine(folder, mutant);
      if (verdict.passed) passed += 1;
      console.log(`${verdict.passed ? 'ok  ' : 'FAIL'} ${mutant.name}\n     ${verdict.text}`);
    }
  }),
);
rmSync(WORK, { recursive: true, force: true });
console.log(`${passed} passed, ${chosen.length - passed} failed`);
process.exit(passed === chosen.length && chosen.length > 0 ? 0 : 1);
