// The table of options in docs/api.md says what the table in the code says: names, other names, defaults and ranges.

import assert from 'node:assert/strict';
import test from 'node:test';
import { MAX_INT, OPTIONS, type OptionSpec } from '../../src/core/option-table.ts';
import { rows, section } from './document.ts';
import { read } from './tree.ts';

function grouped(number: number): string {
  return String(number).replaceAll(/\B(?=(\d{3})+$)/g, ' ');
}

function defaultOf(spec: OptionSpec): string {
  const value = spec.default.oxbow;
  if (value === undefined) return '–';
  if (value === Number.POSITIVE_INFINITY) return '`false`';
  if (typeof value === 'number') return grouped(value);
  return typeof value === 'string' ? `\`'${value}'\`` : `\`${String(value)}\``;
}

function legalOf(spec: OptionSpec): string {
  switch (spec.kind) {
    case 'ms':
    case 'count': {
      const range = spec.max === MAX_INT ? `from ${grouped(spec.min)}` : `${grouped(spec.min)} to ${grouped(spec.max)}`;
      return spec.infinite ? `${range}, \`false\`` : range;
    }
    case 'text':
      return spec.max === MAX_INT ? 'text' : `${spec.min} to ${grouped(spec.max)} characters`;
    case 'flag':
      return '`true`, `false`';
    case 'switch':
      return ['`true`', '`false`', ...spec.words.map((word) => `\`'${word}'\``)].join(', ');
    case 'word':
      return [...spec.words.map((word) => `\`'${word}'\``), ...(spec.orFalse === true ? ['`false`'] : [])].join(', ');
    case 'record':
      return 'object';
    case 'choice':
      return [...spec.words.map((word) => `\`'${word}'\``), 'function'].join(', ');
    case 'function':
      return 'function';
    case 'port':
      return 'object';
  }
}

/** The first cells of an option's row; what it means is for people to write. */
function expectedRows(options: Readonly<Record<string, OptionSpec>>): string[] {
  return Object.entries(options).map(([name, spec]) => {
    const also = spec.aliases.map((alias) => `\`${alias.name}\``).join(', ') || '–';
    return [`\`${name}\``, also, defaultOf(spec), legalOf(spec)].join(' | ');
  });
}

function documentedRows(document: string): string[] {
  return rows(section(document, 'Options')).map((cells) => cells.slice(0, 4).join(' | '));
}

test('docs/api.md has a row for each option, with its other names, default and legal range', () => {
  assert.deepEqual(documentedRows(read('docs/api.md')), expectedRows(OPTIONS));
});

test('the law of options sees a default that differs, and a row too many', () => {
  const { max, check } = OPTIONS;
  const document = (rest: string): string =>
    `# API\n\n## Options\n\n| option | also | default | legal | meaning |\n|---|---|---|---|---|\n${rest}\n## Next\n`;
  const right = [
    '| `max` | `poolSize` | 10 | 1 to 10 000 | open sockets |',
    "| `check` | – | `'stale'` | `'stale'`, `'always'`, `'never'`, function | liveness |",
  ].join('\n');
  assert.deepEqual(documentedRows(document(right)), expectedRows({ max, check }));
  assert.notDeepEqual(documentedRows(document(right.replace('| 10 |', '| 11 |'))), expectedRows({ max, check }));
  assert.notDeepEqual(documentedRows(document(right)), expectedRows({ max }));
});
