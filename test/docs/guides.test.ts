// The guides for those who come from another pool: nothing stands in the column "here" that does not exist here, and nothing of the
// other pool is left out.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import test from 'node:test';
import { OPTIONS } from '../../src/core/option-table.ts';
import { Pool } from '../../src/doors/index.ts';
import { rows, section, ticked } from '../laws/document.ts';
import { read, root } from '../laws/tree.ts';

const VERDICTS = ['same', 'better', 'different', 'not yet', 'not needed'];

function withoutComments(source: string): string {
  return source.replaceAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, '');
}

const words = (text: string): string[] => text.match(/[A-Za-z_$][\w$]*/g) ?? [];

/** What users meet: of the doors, of a pool, of what it takes and gives. */
const PUBLIC = [
  ...['index', 'null', 'pg', 'fastify'].map((door) => `dist/doors/${door}`),
  ...['lease', 'on-signal', 'options', 'pool', 'query', 'requests', 'transaction'].map((file) => `dist/pool/${file}`),
  ...['errors', 'events', 'figures', 'options', 'phase', 'snapshot'].map((file) => `dist/contracts/${file}`),
  'node_modules/@types/pg/index',
];
/** Every name in their declarations, without what comments say. */
const declared: ReadonlySet<string> = new Set(PUBLIC.flatMap((path) => words(withoutComments(read(`${path}.d.ts`)))));
/** What is not a name of anybody's: words of the language, names that stand for what a user writes. */
const PLAIN = new Set(['await', 'using', 'new', 'fn', 'options', 'false', 'true', 'null', 'pool', 'lease', 'tx']);
const REPORTS = new Set(ticked(section(read('docs/api.md'), 'Reports')));
const doors: ReadonlySet<string> = new Set(
  Object.keys((JSON.parse(read('package.json')) as { exports: object }).exports).map((door) =>
    door.replace('.', 'oxbow'),
  ),
);

/** The names in a piece of code that nobody declares; a method of the pool has to be one. */
function unknownNames(code: string): string[] {
  if (/^oxbow\b/.test(code)) return doors.has(code) ? [] : [code];
  if (REPORTS.has(code)) return [];
  const verb = /^pool\.(\w+)/.exec(code)?.[1];
  const isOurs = (name: string): boolean => name in Pool.prototype || name === 'name' || name === 'options';
  if (verb !== undefined && !isOurs(verb)) return [code];
  return words(code).filter((word) => word !== verb && !declared.has(word) && !PLAIN.has(word));
}

const guides = ['docs/guides/from-pg.md', 'docs/guides/from-psycopg.md'];

for (const path of guides) {
  test(`what ${path} names in its column "here" exists, and each row has a verdict and a reason`, () => {
    const table = rows(read(path));
    assert.ok(table.length > 40, `only ${table.length} rows`);
    for (const [there = '', here = '', verdict = '', why = '', ...more] of table) {
      assert.deepEqual(ticked(here).flatMap(unknownNames), [], there);
      assert.ok(VERDICTS.includes(verdict), `${there}: ${verdict}`);
      assert.equal(more.length, 0, there);
      assert.ok(there !== '' && (why !== '' || verdict === 'same'), `${there}: no reason`);
    }
  });
}

test('a name that does not exist is seen', () => {
  assert.deepEqual(unknownNames('pool.drain()'), ['pool.drain()']);
  assert.deepEqual(unknownNames('pool.close({ drainMs, graceMs })'), ['graceMs']);
  assert.deepEqual(unknownNames('PoolTimeout'), ['PoolTimeout']);
  assert.deepEqual(unknownNames('oxbow/express'), ['oxbow/express']);
  assert.deepEqual(unknownNames("reset: 'sieved'"), ['sieved']);
  assert.deepEqual(unknownNames('pool.acquire({ acquireTimeoutMs, signal, label })'), []);
});

function firstColumn(path: string, heading?: string): string {
  const text = read(path);
  return rows(heading === undefined ? text : section(text, heading))
    .map(([there = '']) => there)
    .join('\n');
}

const missing = (names: readonly string[], text: string): string[] =>
  names.filter((name) => !new RegExp(`\\b${name}\\b`).test(text));

test('from-pg has a row for each option, member and event of the installed pg.Pool', () => {
  const file = createRequire(join(root, 'package.json')).resolve('pg-pool');
  const source = readFileSync(file, 'utf8');
  const found = (pattern: RegExp): string[] => [...new Set([...source.matchAll(pattern)].map(([, name = '']) => name))];
  const options = found(/this\.options\.(\w+)/g).filter((name) => !['ssl'].includes(name));
  const members = found(/^ {2}(?:get )?([a-z]\w+)\(.*\) \{$/gm).filter(
    (name) => !['constructor', 'newClient'].includes(name),
  );
  const events = found(/\.emit\('(\w+)'/g);
  assert.deepEqual([options.length > 10, members.length > 5, events.length], [true, true, 5]);
  assert.deepEqual(missing(options, firstColumn(guides[0] ?? '', 'Options')), []);
  assert.deepEqual(
    missing(members, firstColumn(guides[0] ?? '', 'Methods') + firstColumn(guides[0] ?? '', 'Properties')),
    [],
  );
  assert.deepEqual(missing(events, firstColumn(guides[0] ?? '', 'Events')), []);
});

test('from-psycopg has a row for each option, method, figure and exception of AsyncConnectionPool 3.3', () => {
  const options =
    'conninfo connection_class kwargs min_size max_size open configure check reset name close_returns timeout max_waiting max_lifetime max_idle reconnect_timeout reconnect_failed num_workers';
  const methods =
    'open wait close connection getconn putconn check check_connection drain resize get_stats pop_stats name min_size max_size closed';
  const figures =
    'pool_min pool_max pool_size pool_available requests_waiting requests_num requests_queued requests_wait_ms requests_errors usage_ms returns_bad connections_num connections_ms connections_errors connections_lost';
  const exceptions = 'PoolTimeout PoolClosed TooManyRequests ValueError TypeError OperationalError';
  const path = guides[1] ?? '';
  for (const [heading, names] of Object.entries({
    Options: options,
    Methods: methods,
    Statistics: figures,
    Exceptions: exceptions,
  })) {
    assert.deepEqual(missing(names.split(' '), firstColumn(path, heading)), [], heading);
  }
});

test('what both guides say of defaults is what the table of options has', () => {
  const differing = Object.entries(OPTIONS)
    .filter(([, { default: value }]) => value.oxbow !== value.pg)
    .map(([name]) => name);
  const said = /differ in the defaults of ([^(]*)/.exec(read(guides[0] ?? ''))?.[1] ?? '';
  assert.deepEqual([...ticked(said)].sort(), differing.sort());

  // psycopg's, from its manual: "as long", "as many" and the figures are held against them.
  const seconds = { timeout: 30, max_lifetime: 3_600, reconnect_timeout: 300 };
  const table = rows(section(read(guides[1] ?? ''), 'Options'));
  const row = (name: string): readonly string[] => table.find(([there]) => there === `\`${name}\``) ?? [];
  for (const [name, value] of Object.entries(seconds)) {
    const [, here = '', , why = ''] = row(name);
    const [option] = Object.entries(OPTIONS).find(([key]) => key === ticked(here)[0]) ?? [];
    assert.match(why, /^as long by default/, name);
    assert.equal(OPTIONS[option as keyof typeof OPTIONS].default.oxbow, value * 1_000, name);
  }
  assert.match(row('num_workers')[3] ?? '', /^as many by default/);
  assert.equal(OPTIONS.connectConcurrency.default.oxbow, 3);
  assert.match(row('min_size')[3] ?? '', new RegExp(`^${OPTIONS.min.default.oxbow} by default`));
  assert.match(row('max_size')[3] ?? '', new RegExp(`^${OPTIONS.max.default.oxbow} by default`));
  assert.match(row('check')[3] ?? '', /lay idle for a second/);
  assert.equal(OPTIONS.checkAfterIdleMs.default.oxbow, 1_000);
});
