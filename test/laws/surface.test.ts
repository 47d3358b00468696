// What the package exports, what docs/api.md says that it exports, and the errors, are one list.

import assert from 'node:assert/strict';
import test from 'node:test';
import * as errors from '../../src/contracts/errors.ts';
import * as door from '../../src/doors/index.ts';
import { rows, section, ticked } from './document.ts';
import { read, shipped } from './tree.ts';

interface Exports {
  readonly values: readonly string[];
  readonly types: readonly string[];
}

/** The names that a hand-listed door exports, from its declarations. */
function exportsOf(declarations: string): Exports {
  const values: string[] = [];
  const types: string[] = [];
  for (const [, allTypes, names = ''] of declarations.matchAll(/^export (type )?\{([^}]*)\}/gm)) {
    for (const entry of names
      .split(',')
      .map((name) => name.trim())
      .filter(Boolean)) {
      const name = entry.replace(/^type /, '').replace(/^.* as /, '');
      (allTypes !== undefined || entry.startsWith('type ') ? types : values).push(name);
    }
  }
  return { values: values.sort(), types: types.sort() };
}

function documentedExports(document: string): Exports {
  const table = rows(section(document, 'Exports'));
  const named = (kinds: readonly string[]): string[] =>
    table
      .filter(([, kind = '']) => kinds.includes(kind))
      .flatMap(([name = '']) => ticked(name))
      .sort();
  return { values: named(['class', 'function']), types: named(['type']) };
}

/** The documented errors, as `class: kind, kind`. */
function documentedErrors(document: string): string[] {
  return rows(section(document, 'Errors'))
    .map(([name = '', kinds = '']) => `${ticked(name).join()}: ${[...ticked(kinds)].sort().join(', ')}`)
    .sort();
}

/** The same from the text of the code: which kinds each class passes to its base, or may be given. */
function errorsOf(source: string): string[] {
  return source
    .split(/^(?=export class )/m)
    .flatMap((part) => {
      const name = /^export class (\w+) extends OxbowError/.exec(part)?.[1];
      if (name === undefined) return [];
      const kinds = [...part.matchAll(/super\(\s*'([A-Z_]+)'|kind: ((?:'[A-Z_]+'(?: \| )?)+)/g)].flatMap(
        ([, fixed, choice]) => fixed ?? [...(choice ?? '').matchAll(/[A-Z_]+/g)].map(([kind]) => kind),
      );
      return [`${name}: ${[...new Set(kinds)].sort().join(', ')}`];
    })
    .sort();
}

/** The members that a class of the pool has of its own, but for pg's bookkeeping. */
function membersOf(prototype: object): string[] {
  return Object.getOwnPropertyNames(prototype)
    .filter((name) => name !== 'constructor')
    .sort();
}

/** The members named in the code block of a section: `name(`, `name<`, `name:` or `name?:` at a line's beginning, or between. */
function documentedMembers(text: string): string[] {
  const block = /```ts\n([\s\S]*?)```/.exec(text)?.[1] ?? '';
  const names = [...block.matchAll(/^ {2}(?:readonly )?(\w+)\??[(<:]/gm)].map(([, name = '']) => name);
  return [...new Set(names)].sort();
}

const api = read('docs/api.md');

test('the declarations of the built door export what docs/api.md lists', () => {
  assert.deepEqual(exportsOf(read('dist/doors/index.d.ts')), documentedExports(api));
});

test('the built door exports at run time what its declarations say', () => {
  assert.deepEqual(Object.keys(door).sort(), exportsOf(read('dist/doors/index.d.ts')).values);
});

test('the law of exports sees a name too many on either side', () => {
  const declarations = "export { A, type B } from './a.js';\nexport type { C } from './c.js';\n";
  const document = '## Exports\n| name | kind | what |\n|---|---|---|\n| `A` | class | a |\n| `B`, `C` | type | b |\n';
  assert.deepEqual(exportsOf(declarations), documentedExports(document));
  assert.notDeepEqual(exportsOf(`${declarations}export { D } from './d.js';`), documentedExports(document));
  assert.notDeepEqual(exportsOf(declarations), documentedExports(`${document}| \`E\` | function | e |\n`));
});

test('every kind of error has a class, every class is exported, and docs/api.md lists them', () => {
  const inCode = errorsOf(read('src/contracts/errors.ts'));
  const kinds = inCode.flatMap((line) => line.split(': ')[1]?.split(', ') ?? []);
  assert.deepEqual(kinds.sort(), [...errors.ERROR_KINDS].sort());
  assert.deepEqual(documentedErrors(api), inCode);
  const classes = inCode.map((line) => line.split(':')[0] ?? '');
  assert.deepEqual(
    classes.filter((name) => !Object.hasOwn(door, name)),
    [],
  );
});

test('the law of errors sees a kind that is not documented', () => {
  const source =
    "export class AError extends OxbowError {\n  constructor() {\n    super('A', 'x');\n}\nexport class BError extends OxbowError {\n  constructor(kind: 'B' | 'C') {\n    super(kind, 'x');\n}\n";
  const document =
    '## Errors\n| class | `kind` | carries |\n|---|---|---|\n| `AError` | `A` | |\n| `BError` | `B`, `C` | |\n';
  assert.deepEqual(documentedErrors(document), errorsOf(source));
  assert.notDeepEqual(documentedErrors(document), errorsOf(source.replace("'A'", "'Z'")));
});

test('docs/api.md shows each member that Pool has, and no other', () => {
  // `name` is a field, the constructor is every class's.
  const shown = documentedMembers(section(api, 'Pool')).filter((name) => name !== 'name' && name !== 'constructor');
  assert.deepEqual(shown, membersOf(door.Pool.prototype));
});

test('the law of members reads methods, generics, fields and getters', () => {
  const text = '```ts\nclass A {\n  readonly a: string;\n  b(): void;\n  c<T>(): T;\n  query: x;\n}\n```\n';
  assert.deepEqual(documentedMembers(text), ['a', 'b', 'c', 'query']);
});

/** The codes of reports that stand in compiled files. */
function reportsOf(texts: readonly string[]): string[] {
  return [
    ...new Set(texts.flatMap((text) => [...text.matchAll(/'(OXBOW_[A-Z_]+)'/g)].map(([, code = '']) => code))),
  ].sort();
}

function documentedReports(document: string): string[] {
  return rows(section(document, 'Reports'))
    .flatMap(([code = '']) => ticked(code))
    .sort();
}

test('docs/api.md lists each report that the pool can make, and no other', () => {
  const texts = ['core', 'pg', 'pool'].flatMap((layer) => shipped(layer)).map(({ text }) => text);
  assert.deepEqual(documentedReports(api), reportsOf(texts));
});

test('the law of reports sees one that is not documented', () => {
  const document = '## Reports\n| code | when |\n|---|---|\n| `OXBOW_A` | a |\n';
  assert.deepEqual(documentedReports(document), reportsOf(["report('OXBOW_A')"]));
  assert.notDeepEqual(documentedReports(document), reportsOf(["report('OXBOW_A')", "code: 'OXBOW_B'"]));
});
