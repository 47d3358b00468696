// Nested transactions on an exhausted pool, through real libraries (nested/*/orders.mjs): each program runs as a user runs it, in a process
// of its own in the folder of its file, and what it was told is held against the lines of that file.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../laws/tree.ts';

export type Library = 'drizzle' | 'kysely' | 'knex' | 'prisma';

/** Where the programs lie in this repository. */
export const nested: string = join(root, 'test', 'ecosystem', 'nested');

/** What each program does: how many at once on as many connections, and what its holders ran last. */
const SITUATIONS = {
  quote: { max: 2, last: /^begin;?$/i },
  order: { max: 5, last: /^insert into .*orders/i },
  audit: { max: 3, last: /^insert into .*orders/i },
} as const;

export interface Surroundings {
  readonly url: string;
  /** Where `Pool` comes from: `oxbow`, `oxbow/pg`, or `pg` for comparison. */
  readonly from: string;
  /** The folder with the programs; default: this repository's. */
  readonly folder?: string;
  /** Default: the running Node. */
  readonly node?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** What came of one situation. */
export interface Jam {
  /** The verdicts of `pool.explain()` meanwhile. */
  readonly explained: readonly string[];
  /** Of each that failed: the texts down its chain of causes, and the verdicts where an error of ours is in it. */
  readonly told: readonly { readonly texts: readonly string[]; readonly verdicts: readonly string[] }[];
  readonly left: { readonly lent: number; readonly waiting: number };
}

/** The number of the line after the comment `mark`. */
export function lineAfter(mark: string, ...path: string[]): number {
  const lines = readFileSync(join(...path), 'utf8').split('\n');
  const at = lines.findIndex((line) => line.trim() === `// ${mark}`);
  assert.notEqual(at, -1, `no line says ${mark}`);
  return at + 2;
}

/** What a program of `folder` printed; it must end by itself. */
export async function runNested<T>(
  program: string,
  library: Library,
  argv: readonly string[],
  given: Surroundings,
): Promise<T> {
  const { url, from, folder = nested, node = process.execPath, environment } = given;
  const { NODE_TEST_CONTEXT: _, NODE_OPTIONS: __, ...env } = process.env;
  const ours = { NODE_ENV: 'production', DATABASE_URL: url, POOL_FROM: from, ...environment };
  const options = {
    cwd: join(folder, library),
    env: { ...env, ...ours },
    timeout: 60_000,
    killSignal: 'SIGKILL',
  } as const;
  const ended = await new Promise<{ failed: string | undefined; stdout: string; stderr: string }>((resolve) => {
    execFile(node, [join(folder, program), library, ...argv], options, (error, stdout, stderr) =>
      resolve({ failed: error?.message, stdout, stderr }),
    );
  });
  assert.equal(ended.failed, undefined, ended.stdout + ended.stderr);
  // What the pool has to report would stand in stderr; Knex writes there what it also throws.
  if (from !== 'pg' && library !== 'knex') assert.equal(ended.stderr, '');
  return JSON.parse(ended.stdout.split('\n').at(-2) ?? '') as T;
}

/** Runs all situations of a library, each on a pool of its own. */
export function runJams(library: Library, given: Surroundings): Promise<Record<keyof typeof SITUATIONS, Jam>> {
  const argv = Object.entries(SITUATIONS).map(([situation, { max }]) => `${situation}=${max}`);
  return runNested('main.mjs', library, argv, given);
}

/** Everybody who failed was told where the holders are, and somebody was told that they do nothing: it takes a second of that to be said. */
export async function assertNamed(library: Library, given: Surroundings): Promise<void> {
  try {
    await assertNamedWithin('1200', library, given);
  } catch {
    // On a machine that is busy with something else it takes longer until all of them have sat there for a second.
    await assertNamedWithin('1700', library, given);
  }
}

async function assertNamedWithin(WITHIN_MS: string, library: Library, given: Surroundings): Promise<void> {
  const jams = await runJams(library, { ...given, environment: { ...given.environment, WITHIN_MS } });
  for (const [situation, { max, last }] of Object.entries(SITUATIONS)) {
    const jam = jams[situation as keyof typeof SITUATIONS];
    const about = `${library}, ${situation}: ${JSON.stringify(jam, undefined, 1)}`;
    const site = `orders.mjs:${lineAfter(`holds: ${situation}`, given.folder ?? nested, library, 'orders.mjs')}`;
    assert.ok(jam.told.length > 0, about);
    // In production, where there are call sites for those from the middle of `max` on.
    const noted = given.environment?.OXBOW_DEV === '1' ? max : Math.ceil(max / 2);
    let named = 0;
    for (const { texts } of jam.told) {
      const text = texts.find((one) => one.includes('no connection within')) ?? assert.fail(about);
      assert.ok(text.includes(`by ${site}, `), about);
      assert.ok(text.includes('timeout exceeded when trying to connect'), about);
      const holding = new RegExp(
        `(?:(\\d+) held|held \\S+ m?s) by ${site.replaceAll('.', '\\.')}, .*?idle in transaction for \\S+ m?s after \`(.*?)\``,
      );
      const [found, count = '1', statement = ''] = holding.exec(text) ?? [];
      // The first to fail has them all before him; the next may see its rollback.
      const whole = text.includes(`${max}/${max} lent, none running a query`);
      if (found !== undefined && whole && Number(count) >= noted && last.test(statement)) named += 1;
    }
    assert.ok(named > 0, about);
    assert.ok(jam.explained.includes('held-idle'), about);
    for (const { verdicts } of jam.told)
      for (const verdict of verdicts) assert.match(verdict, /^(held-idle|exhausted)$/, about);
    assert.ok(
      jam.told.some(
        ({ texts, verdicts }) =>
          verdicts.includes('held-idle') || (verdicts.length === 0 && !texts.join().includes('no connection is free')),
      ),
      about,
    );
    assert.deepEqual(jam.left, { lent: 0, waiting: 0 }, about);
  }
}

/** For comparison: pg's own pool names nobody. */
export async function assertUnnamed(library: Library, given: Omit<Surroundings, 'from'>): Promise<void> {
  const jams = await runJams(library, { ...given, from: 'pg' });
  for (const [situation, jam] of Object.entries(jams)) {
    const about = `${library}, ${situation}: ${JSON.stringify(jam, undefined, 1)}`;
    assert.ok(jam.told.length > 0, about);
    for (const { texts } of jam.told) {
      assert.ok(texts.at(-1)?.endsWith('timeout exceeded when trying to connect'), about);
      assert.ok(!/orders|begin|insert|held|lent/i.test(texts.at(-1) ?? ''), about);
    }
    assert.deepEqual(jam.left, { lent: 0, waiting: 0 }, about);
  }
}

/** Who began a transaction and did not await it there: what is said then. `drizzle` asks for the connection in the turn of the call. */
export async function assertLimits(library: Library, given: Surroundings): Promise<void> {
  const folder = given.folder ?? nested;
  const { returned, left } = await runNested<{ returned: string; left: string }>('limits.mjs', library, [], given);
  const begins = `orders.mjs:${lineAfter('begins', folder, library, 'orders.mjs')}`;
  const awaits = `${join(folder, 'limits.mjs')}:${lineAfter('awaits', folder, 'limits.mjs')}`;
  assert.equal(returned, library === 'drizzle' ? begins : awaits);
  if (library === 'drizzle') assert.equal(left, begins);
  else assert.match(left, /[\\/]node_modules[\\/].*:\d+$/);
}

/** What the programs work on. */
export const TABLES = `
  CREATE TABLE orders (id serial PRIMARY KEY, item text);
  CREATE TABLE stock (id serial PRIMARY KEY, item text, "left" int);
  INSERT INTO stock (item, "left") VALUES ('tea', 1000)`;
