// docs/reference/options.md is what the code says: made anew it is the same, and the docstrings that it quotes name the defaults and
// bounds that are in the table.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'node:test';
import { OPTIONS, type OptionSpec } from '../../src/core/option-table.ts';
import { rows, section, ticked } from './document.ts';
import { read, root } from './tree.ts';

/** What the chapter of one option says, without the sentence about errors, which comes from the reader itself. */
function chapter(document: string, name: string): string {
  return section(document, name).split('Anything else:')[0] ?? '';
}

const figure = (text: string): number => Number(text.replaceAll(' ', ''));
const isOff = (word: string): boolean => ['none', 'off', 'never', 'false'].includes(word);

/** What is said of a number is so: `default 30 000`, ``in `oxbow/pg` none``, `legal from 0`, `Legal 1 to 10 000`. */
function slipsOfNumber(name: string, spec: OptionSpec & { kind: 'ms' | 'count' }, text: string): string[] {
  const slips: string[] = [];
  const same = (what: string, said: string | undefined, value: unknown): void => {
    const meant = value === Number.POSITIVE_INFINITY ? said !== undefined && isOff(said) : figure(said ?? '') === value;
    if (!meant) slips.push(`${name}: ${what} is ${value}, and not ${said}`);
  };
  const number = String.raw`(\d{1,3}(?: \d{3})*|none|off|never|false)`;
  same('default', new RegExp(`[Dd]efault ${number}`).exec(text)?.[1], spec.default.oxbow);
  const forPg = new RegExp(`in \`oxbow/pg\` ${number}`).exec(text)?.[1];
  if (forPg !== undefined || spec.default.pg !== spec.default.oxbow) same('default of pg', forPg, spec.default.pg);
  const [, least, most] = /[Ll]egal:? (?:from )?(\d+)(?: to (\d{1,3}(?: \d{3})*))?/.exec(text) ?? [];
  same('least', least, spec.min);
  if (most !== undefined) same('most', most, spec.max);
  return slips;
}

function slips(name: string, spec: OptionSpec, text: string): string[] {
  const { oxbow } = spec.default;
  switch (spec.kind) {
    case 'ms':
    case 'count':
      return [
        ...slipsOfNumber(name, spec, text),
        ...(spec.kind === 'ms' && !text.includes('illiseconds') ? [`${name}: no unit`] : []),
      ];
    case 'flag':
      if (oxbow === undefined) return [];
      return [
        ...(text.includes(`Default ${oxbow}`) ? [] : [`${name}: default is ${oxbow}`]),
        ...(spec.default.pg === oxbow || text.includes(`in \`oxbow/pg\` ${spec.default.pg}`)
          ? []
          : [`${name}: default of pg is ${spec.default.pg}`]),
      ];
    case 'choice':
    case 'switch':
      return [
        ...(text.includes(`\`'${oxbow}'\` (default)`) ? [] : [`${name}: default is ${oxbow}`]),
        ...spec.words.filter((word) => !text.includes(`\`'${word}'\``)).map((word) => `${name}: nothing about ${word}`),
      ];
    default:
      return [];
  }
}

const document = read('docs/reference/options.md');

test('docs/reference/options.md is what its script makes of the code', () => {
  const script = join(root, 'scripts/options-reference.mjs');
  const made = spawnSync(process.execPath, [script, '--stdout'], { encoding: 'utf8' });
  assert.equal(made.stderr, '');
  assert.equal(document, made.stdout, 'run `npm run build && node scripts/options-reference.mjs`');
});

test('the reference has a row and a chapter for each option of the table', () => {
  const overview = rows(document.split('\n## ')[0] ?? '').map(([name = '']) => /`(\w+)`/.exec(name)?.[1]);
  assert.deepEqual(overview.sort(), Object.keys(OPTIONS).sort());
  for (const name of Object.keys(OPTIONS)) assert.ok(chapter(document, name).length > 20, name);
});

test('what docstrings say of defaults and bounds is what the table has', () => {
  const found = Object.entries(OPTIONS).flatMap(([name, spec]) => slips(name, spec, chapter(document, name)));
  assert.deepEqual(found, []);
});

test('the law of docstrings sees a default, a bound or a unit that is not so', () => {
  const { acquireTimeoutMs, max, reset, allowExitOnIdle } = OPTIONS;
  const say = (text: string): string[] => slips('acquireTimeoutMs', acquireTimeoutMs, text);
  assert.deepEqual(say('Milliseconds; default 30 000 (as HikariCP), in `oxbow/pg` none. Legal from 0.'), []);
  assert.equal(say('Milliseconds; default 20 000, in `oxbow/pg` none. Legal from 0.').length, 1);
  assert.equal(say('Milliseconds; default 30 000, in `oxbow/pg` 30 000. Legal from 0.').length, 1);
  assert.equal(say('Milliseconds; default 30 000. Legal from 0.').length, 1);
  assert.equal(say('Default 30 000, in `oxbow/pg` none. Legal from 1.').length, 2);
  assert.equal(slips('max', max, 'Default 10, legal 1 to 1 000.').length, 1);
  assert.equal(slips('reset', reset, "`'none'` (default), `'discard'`").length, 3);
  assert.equal(slips('allowExitOnIdle', allowExitOnIdle, 'Default true.').length, 1);
});

test('what is said of the defaults of close() is what the code has', () => {
  const table = rows(section(document, 'CloseOptions'));
  for (const [option, constant] of [
    ['drainMs', 'DRAIN_MS'],
    ['cancelMs', 'CANCEL_MS'],
  ] as const) {
    const said = table.find(([name = '']) => ticked(name).includes(option))?.[2] ?? '';
    const value = new RegExp(`^const ${constant} = ([\\d_]+);`, 'm').exec(read('src/pool/pool.ts'))?.[1] ?? '';
    assert.equal(figure(/Default ([\d ]*\d)/.exec(said)?.[1] ?? ''), Number(value.replaceAll('_', '')), option);
  }
});

test('what is said of the defaults of NullPool is what the code has', () => {
  const said = section(document, 'NullPool').replaceAll(/\s+/g, ' ');
  const code = read('src/pool/null-pool.ts');
  const { connectConcurrency } = OPTIONS;
  assert.ok(connectConcurrency.kind === 'count');
  assert.ok(code.includes(`connectConcurrency: ${grouped(connectConcurrency.max, '_')}, ...rest, idleTimeoutMs: 0`));
  assert.match(said, /`min` must be 0/);
  assert.match(said, /`idleTimeoutMs` is always 0/);
  assert.match(said, /`connectConcurrency` is by default as large as it may be/);
});

function grouped(number: number, by: string): string {
  return String(number).replaceAll(/\B(?=(\d{3})+$)/g, by);
}
