// Where an error points to: `docs/reference/errors.md` has one section for each kind, under the heading that `error.docs` names.

import assert from 'node:assert/strict';
import test from 'node:test';
import { ERROR_KINDS, OxbowError } from '../../src/contracts/errors.ts';
import { read } from './tree.ts';

const POINTER = /^oxbow\/(docs\/[\w/]+\.md)#(\w+)$/;

/** The anchors that a Markdown viewer makes of second-level headings of one word. */
function anchorsOf(document: string): string[] {
  return [...document.matchAll(/^## (\w+)$/gm)].map(([, heading = '']) => heading.toLowerCase());
}

function targetOf(docs: string): { path: string; anchor: string } {
  const [, path, anchor] = POINTER.exec(docs) ?? assert.fail(`${docs} is no pointer to a document`);
  return { path: path ?? '', anchor: anchor ?? '' };
}

test('every kind of error points to a section of its own in a document, and the document has no other section', () => {
  const targets = ERROR_KINDS.map((kind) => targetOf(new OxbowError(kind, 'text').docs));
  assert.deepEqual([...new Set(targets.map(({ path }) => path))], ['docs/reference/errors.md']);
  const anchors = anchorsOf(read('docs/reference/errors.md'));
  assert.deepEqual(targets.map(({ anchor }) => anchor).sort(), anchors.sort());
});

test('the law of pointers sees a section that is missing, and what is no pointer', () => {
  assert.deepEqual(anchorsOf('# Errors\n\n## POOL_TIMEOUT\ntext\n## Two words\n### DEEPER\n'), ['pool_timeout']);
  assert.throws(() => targetOf('docs/api.md#errors (POOL_TIMEOUT)'));
});
