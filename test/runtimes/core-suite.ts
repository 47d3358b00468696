// The core's suite on another runtime, by that one's own `node:test`: which tests it ran, by name, and which of them failed. Owns how each
// runtime is asked, and how it reports; and which tests Node has.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from '../laws/tree.ts';
import { runIn } from './runtimes.ts';

const FOLDER = join(root, 'build', 'test', 'core');
const BOUND_MS = 180_000;

/** Of sources that are there: what is left in build/ of others is not run by Node either. */
function files(): string[] {
  return readdirSync(join(root, 'test', 'core'))
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(FOLDER, name.replace(/\.ts$/, '.js')))
    .sort();
}

export interface Declared {
  readonly names: readonly string[];
  /** Each is a test too for Deno. */
  readonly suites: readonly string[];
}

/** The tests as Node comes to know them, without running any. */
export async function declared(): Promise<Declared> {
  const lister = pathToFileURL(join(root, 'build', 'test', 'runtimes', 'lister.js')).href;
  const hook = `export const resolve = async (name, context, next) =>
    name === 'node:test' ? { url: ${JSON.stringify(lister)}, shortCircuit: true } : next(name, context);`;
  const program = `
    import { register } from 'node:module';
    register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hook)}`)});
    for (const file of ${JSON.stringify(files().map((file) => pathToFileURL(file).href))}) await import(file);
    const { names, suites } = await import(${JSON.stringify(lister)});
    console.log(JSON.stringify({ names, suites }));`;
  const ran = await runIn(process.execPath, ['--input-type=module', '--eval', program], {}, BOUND_MS);
  if (ran.code !== 0) throw new Error(ran.stderr);
  return JSON.parse(ran.stdout.trimEnd().split('\n').at(-1) ?? '');
}

export interface Suite {
  readonly passed: readonly string[];
  /** Or skipped. */
  readonly others: readonly string[];
  readonly code: number | null;
  /** The end of what was printed. */
  readonly printed: string;
}

const NAMED: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };

function plain(text: string): string {
  return text.replaceAll(
    /&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi,
    (whole, hex?: string, decimal?: string, name?: string) => {
      if (name !== undefined) return NAMED[name] ?? whole;
      return String.fromCodePoint(hex === undefined ? Number(decimal) : Number.parseInt(hex, 16));
    },
  );
}

/** The test cases of a report in JUnit's form. Bun has a test's suite as its class, Deno ahead of its name. */
function* cases(xml: string): Generator<{ name: string; passed: boolean }> {
  for (const [, head = '', body = ''] of xml.matchAll(/<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)) {
    const attribute = (name: string): string => plain(new RegExp(`(?:^| )${name}="([^"]*)"`).exec(head)?.[1] ?? '');
    const suite =
      head.includes('classname="ext:') || attribute('classname').includes('/') ? '' : attribute('classname');
    yield {
      name: suite === '' ? attribute('name') : `${suite} > ${attribute('name')}`,
      passed: !/<(?:failure|error|skipped)\b/.test(body),
    };
  }
}

async function suite(binary: string, argv: readonly string[], report: string, folder: string): Promise<Suite> {
  const ran = await runIn(binary, argv, { DENO_DIR: join(folder, 'deno'), DENO_JOBS: '2' }, BOUND_MS);
  const all = [...cases(readFileSync(report, 'utf8'))];
  const namesOf = (passed: boolean): string[] => all.filter((one) => one.passed === passed).map(({ name }) => name);
  const printed = `${ran.stdout}\n${ran.stderr}`.slice(-3_000);
  return { passed: namesOf(true), others: namesOf(false), code: ran.code, printed };
}

/** `folder` is for the report. */
export function coreOnBun(binary: string, folder: string): Promise<Suite> {
  const report = join(folder, 'bun.xml');
  const asked = ['--reporter=junit', `--reporter-outfile=${report}`, '--timeout=60000'];
  return suite(binary, ['test', ...asked, ...files()], report, folder);
}

export async function coreOnDeno(binary: string, folder: string, { suites }: Declared): Promise<Suite> {
  const report = join(folder, 'deno.xml');
  const asked = ['-A', '--no-check', '--parallel', `--junit-path=${report}`];
  const ran = await suite(binary, ['test', ...asked, ...files()], report, folder);
  return { ...ran, passed: ran.passed.filter((name) => !suites.includes(name)) };
}
