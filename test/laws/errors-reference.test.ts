// Where an error points to: `docs/reference/errors.md` has one section for each kind, under the heading that `error.docs` names, and a chapter with
// one section for each verdict.

import assert from 'node:assert/strict';
import test from 'node:test';
import { ERROR_KINDS, OxbowError } from '../../src/contracts/errors.ts';
import { VERDICTS } from '../../src/contracts/explain.ts';
import { section } from './document.ts';
import { read } from './tree.ts';

const DOCUMENT = 'docs/reference/errors.md';
const POINTER = /^oxbow\/(docs\/[\w/]+\.md)#(\w+)$/;
const CHAPTER = 'Verdicts';

/** The anchors that a Markdown viewer makes of second-level headings of one word. */
function anchorsOf(document: string): string[] {
  return [...document.matchAll(/^## (\w+)$/gm)].map(([, heading = '']) => heading.toLowerCase());
}

/** What is written under each third-level heading of the chapter. */
function verdictsOf(document: string): Map<string, string> {
  const [, ...parts] = section(document, CHAPTER).split(/^### /m);
  const found = new Map<string, string>();
  for (const part of parts) {
    const [heading = '', ...text] = part.split('\n');
    if (found.has(heading)) throw new Error(`${heading} has two sections`);
    found.set(heading, text.join('\n'));
  }
  return found;
}

/** A verdict's section says what it means, quotes one sentence, and says what to do. */
function faultsOf(name: string, text: string): string[] {
  const paragraphs = text.split(/\n{2,}/).filter((paragraph) => paragraph.trim() !== '');
  const quotes = paragraphs.filter((paragraph) => /^> orders: \S/.test(paragraph));
  if (quotes.length !== 1 || paragraphs.indexOf(quotes[0] ?? '') !== 1)
    return [`${name}: no sentence between meaning and advice`];
  return paragraphs.length === 3 ? [] : [`${name}: ${paragraphs.length} paragraphs`];
}

function targetOf(docs: string): { path: string; anchor: string } {
  const [, path, anchor] = POINTER.exec(docs) ?? assert.fail(`${docs} is no pointer to a document`);
  return { path: path ?? '', anchor: anchor ?? '' };
}

test('every kind of error points to a section of its own in a document, which has no other section but the one on verdicts', () => {
  const targets = ERROR_KINDS.map((kind) => targetOf(new OxbowError(kind, 'text').docs));
  assert.deepEqual([...new Set(targets.map(({ path }) => path))], [DOCUMENT]);
  const anchors = anchorsOf(read(DOCUMENT));
  const wanted = [...targets.map(({ anchor }) => anchor), CHAPTER.toLowerCase()];
  assert.deepEqual(wanted.sort(), anchors.sort());
});

test('the chapter on verdicts has a section for each verdict, in their order, and no other', () => {
  const verdicts = verdictsOf(read(DOCUMENT));
  assert.deepEqual([...verdicts.keys()], [...VERDICTS]);
  assert.deepEqual(
    [...verdicts].flatMap(([name, text]) => faultsOf(name, text)),
    [],
  );
});

test('the law of pointers sees a section that is missing, and what is no pointer', () => {
  assert.deepEqual(anchorsOf('# Errors\n\n## POOL_TIMEOUT\ntext\n## Two words\n### DEEPER\n'), ['pool_timeout']);
  assert.throws(() => targetOf('docs/api.md#errors (POOL_TIMEOUT)'));
});

test('the law of verdicts sees one that is missing, one that is there twice, and one without a sentence or advice', () => {
  const whole = 'What it means.\n\n> orders: nobody waits\n\nNothing to do.\n';
  assert.deepEqual(
    [...verdictsOf(`## Verdicts\n\n### ok\n${whole}### leak\n${whole}## More\n### no\n`).keys()],
    ['ok', 'leak'],
  );
  assert.throws(() => verdictsOf('## Verdicts\n### ok\na\n### ok\nb\n'));
  assert.throws(() => verdictsOf('## POOL_TIMEOUT\n'));
  assert.deepEqual(faultsOf('ok', whole), []);
  assert.equal(faultsOf('ok', 'What it means.\n\nNothing to do.\n').length, 1);
  assert.equal(faultsOf('ok', 'What it means.\n\n> orders: nobody waits\n').length, 1);
});
