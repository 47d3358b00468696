// What loaders of CommonJS can take: Jest's, and bundles in that format, know no `import.meta`, and stop or find it empty.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { child, program, text, walk } from './code.ts';
import { root, type SourceFile, shipped } from './tree.ts';

/** `oxbow/testing` alone looks for files beside itself. */
const MAY = 'testing';

function askForMeta(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    let asks = false;
    walk(program(file), (node) => {
      if (node.type === 'MetaProperty' && text(child(node, 'meta'), 'name') === 'import') asks = true;
    });
    return asks ? [file.path] : [];
  });
}

test('nothing that is shipped, but for the testing door, asks for import.meta', () => {
  const layers = readdirSync(join(root, 'src')).filter((layer) => layer !== MAY);
  assert.deepEqual(
    layers.flatMap((layer) => askForMeta(shipped(layer))),
    [],
  );
});

test('the law of loaders sees import.meta, and not a comment about it', () => {
  const tree = [
    { path: 'dist/a.js', text: 'export const here = import.meta.url;' },
    { path: 'dist/b.js', text: '// no import.meta here\nexport function f() { return new.target; }' },
    { path: 'dist/c.js', text: '// no import.meta here\nexport const a = 1;' },
  ];
  assert.deepEqual(askForMeta(tree), ['dist/a.js']);
});
