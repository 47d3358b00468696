// The shape of a source file: short, opened by a comment that says what it owns, and typed without a way out.

import assert from 'node:assert/strict';
import test from 'node:test';
import { withoutProse } from './code.ts';
import { filesBelow, type SourceFile } from './tree.ts';

const CAP = 350;

function tooLong(files: readonly SourceFile[]): string[] {
  return files
    .map(({ path, text }) => ({ path, lines: text.trimEnd().split('\n').length }))
    .filter(({ lines }) => lines > CAP)
    .map(({ path, lines }) => `${path}: ${lines} lines`);
}

function withoutOpening(files: readonly SourceFile[]): string[] {
  return files.filter(({ text }) => !/^(?:#!.*\n)?\/\/ \S/.test(text)).map(({ path }) => path);
}

function escapes(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, text }) => {
    const found = [...text.matchAll(/@ts-(?:ignore|expect-error|nocheck)/g)].map(([what]) => `${path}: ${what}`);
    for (const [what] of withoutProse(text).matchAll(/(?:[:<|&,(=]|\bas|\bextends)\s*any\b/g)) {
      found.push(`${path}: ${what.replaceAll(/\s+/g, ' ')}`);
    }
    return found;
  });
}

const sources = filesBelow('src', '.ts');

test(`no source file is longer than ${CAP} lines`, () => {
  assert.deepEqual(tooLong(sources), []);
});

test('the law of length sees one line too many', () => {
  const tree = [
    { path: 'src/core/a.ts', text: '// a\n'.repeat(CAP) },
    { path: 'src/core/b.ts', text: '// b\n'.repeat(CAP + 1) },
  ];
  assert.deepEqual(tooLong(tree), [`src/core/b.ts: ${CAP + 1} lines`]);
});

test('each file of source, benchmark, demo and scripts opens with a comment', () => {
  const all = ['src', 'bench', 'demo', 'test/laws', 'test/slow'].flatMap((folder) => filesBelow(folder, '.ts'));
  assert.deepEqual(withoutOpening([...all, ...filesBelow('scripts', '.mjs')]), []);
});

test('the law of openings sees a file that begins with code', () => {
  const tree = [
    { path: 'src/core/a.ts', text: "import './b.ts';\n// late\n" },
    { path: 'src/core/b.ts', text: '// b\n' },
  ];
  assert.deepEqual(withoutOpening(tree), ['src/core/a.ts']);
});

test('nothing in src is typed any, and no complaint of the compiler is silenced', () => {
  assert.deepEqual(escapes(sources), []);
});

test('the law of types sees any in each place where a type can stand', () => {
  const tree = [
    { path: 'src/a.ts', text: '// any in prose\nconst a: any = 1;\nconst b = "x: any";\nf(a as any);\n' },
    { path: 'src/b.ts', text: 'type M = Map<string, any>;\n// @ts-ignore\ntype N = Set<any>;\n' },
  ];
  assert.deepEqual(escapes(tree), [
    'src/a.ts: : any',
    'src/a.ts: as any',
    'src/b.ts: @ts-ignore',
    'src/b.ts: , any',
    'src/b.ts: <any',
  ]);
});
