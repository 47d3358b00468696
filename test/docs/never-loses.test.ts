// The law of docs/essays/never-loses.md: each sentence ends with a link to a test that exists by that name, or is in italics, which
// promise nothing. Knows how the essay is written, not what it says.

import assert from 'node:assert/strict';
import { dirname, posix } from 'node:path';
import test from 'node:test';
import { read } from '../laws/tree.ts';
import { definitions, links } from './links.ts';
import { unproven } from './proofs.ts';

const ESSAY = 'docs/essays/never-loses.md';
/** Its links start at its own folder. */
const fromRoot = (target: string): string => posix.join(dirname(ESSAY), target);
/** More than this part of it in italics, and it would be an essay about something else. */
const MOST_PLAIN = 0.2;

/** The sentences of a document: without headings, definitions and the bold words that open a paragraph. */
function sentences(document: string): readonly string[] {
  return document
    .split(/\n{2,}/)
    .filter((block) => !/^(#+ |\[[\w-]+\]: )/.test(block))
    .flatMap((block) =>
      block
        .replace(/^\*\*[^*]+\*\* /, '')
        .replaceAll(/\s+/g, ' ')
        .trim()
        .split(/(?<=[.?!]_?) /),
    )
    .filter((sentence) => sentence !== '');
}

const plain = (sentence: string): boolean =>
  /^_.+_$/.test(sentence) && !sentence.includes('](') && !sentence.includes('][');

/** What is wrong with a document of this kind, sentence by sentence and definition by definition. */
function faults(document: string): readonly string[] {
  const defined = definitions(document);
  const claims = sentences(document).filter((sentence) => !plain(sentence));
  const unshown = claims.filter((claim) => !/\]\[[\w-]+\]\.$/.test(claim)).map((claim) => `nothing shows: ${claim}`);
  const inline = claims.flatMap((claim) => links(claim, defined).filter(({ title }) => title === undefined));
  const wrong = [...defined.values()].flatMap(
    ({ target, title }) => unproven({ target: fromRoot(target), title }) ?? [],
  );
  const unused = [...defined.keys()]
    .filter((key) => !document.includes(`][${key}]`))
    .map((key) => `[${key}] is not used`);
  return [...unshown, ...inline.map(({ text }) => `"${text}" names no test`), ...wrong, ...unused];
}

test('each sentence of the essay on what is never lost leads to a test of that name, or is in italics', () => {
  const essay = read(ESSAY);
  assert.deepEqual(faults(essay), []);
  const all = sentences(essay);
  const italics = all.filter(plain);
  assert.ok(all.length > 100, `only ${all.length} sentences`);
  assert.ok(italics.length <= MOST_PLAIN * all.length, `${italics.length} of ${all.length} sentences promise nothing`);
});

test('no two definitions of the essay are of the same test', () => {
  const named = [...definitions(read(ESSAY)).values()].map(({ target, title }) => `${target} ${title}`);
  assert.deepEqual(
    named.filter((name, at) => named.indexOf(name) !== at),
    [],
  );
});

test('the law of the essay sees a sentence without a test, a name that is wrong, a file that is none, and a test without a sentence', () => {
  const good = '../../test/core/lending.test.ts "waiters are a queue: the one who came first is served first"';
  const said = 'They are served [in order][order].';
  assert.deepEqual(faults(`# Title\n\n**Order.** ${said} _A word._\n${said}\n\n[order]: ${good}\n`), []);
  const faultsOf = (text: string, definition = good): string =>
    faults(`${text}\n\n[order]: ${definition}\n`).join('\n');
  assert.match(faultsOf(`${said} They never wait.`), /^nothing shows: They never wait\.$/);
  assert.match(faultsOf('They are served [in order][order], always.'), /^nothing shows: /);
  assert.match(faultsOf(`${said} _See_ what is said.`), /^nothing shows: _See_ what is said\.$/);
  assert.match(faultsOf(said, good.replace('first is', 'last is')), /^no test in .* is called "/);
  assert.match(faultsOf(said, good.replace('lending', 'lent')), /^test\/core\/lent\.test\.ts is no test$/);
  assert.match(faultsOf(said, '../../test/core/lending.test.ts'), /names no test/);
  assert.match(faultsOf('_Nothing._'), /^\[order\] is not used$/);
  assert.throws(() => faultsOf(`${said} They are [kept][elsewhere].`), /\[kept\]\[elsewhere\] leads nowhere/);
});
