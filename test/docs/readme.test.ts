// The README in both languages: its truth table proves what it says, its links lead somewhere, and the translation is equal in all that
// is not prose.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import test from 'node:test';
import { rows, section } from '../laws/document.ts';
import { filesBelow, read, root } from '../laws/tree.ts';
import { lines } from '../peers/probes/lines.ts';
import { anchors, definitions, type Link, links } from './links.ts';
import { unproven } from './proofs.ts';

const PEERS = ['`pg.Pool`', 'postgres.js', 'psycopg_pool'];
const NOT_YET = { 'README.md': 'not yet', 'README.zh-CN.md': '尚未' };
const TABLE = { 'README.md': 'The truth table', 'README.zh-CN.md': '真相表' };
type Readme = keyof typeof TABLE;
const readmes = ['README.md', 'README.zh-CN.md'] as const;

function truth(path: Readme): readonly (readonly string[])[] {
  return rows(section(read(path), TABLE[path]));
}

/** The names of the probes that run on a peer, without its version, by the file in which they are. */
function probesOn(file: string): readonly string[] {
  const text = read(file);
  return lines
    .filter(({ number }) => text.includes(`\nprobe(${number}, {`))
    .flatMap(({ number, probe, theirs }) =>
      Object.entries(theirs).map(([peer, fault]) => `${number}. ${peer}: ${probe}: ${fault}`),
    );
}

/** What is said of a peer has its own source, or a probe of that very name. */
function unsourced({ target, title }: Omit<Link, 'text'>): string | undefined {
  if (/^https:\/\/\S+$/.test(target)) return undefined;
  const isProbe = /^test\/peers\/probes\/[\w-]+\.ts$/.test(target) && existsSync(join(root, target));
  if (!isProbe) return `${target} is no source`;
  return title !== undefined && probesOn(target).includes(title)
    ? undefined
    : `no probe in ${target} is called "${title}"`;
}

function faults(path: Readme, row: readonly string[]): string[] {
  const defined = definitions(read(path));
  const [what = '', ours = '', ...peers] = row;
  const found: string[] = [];
  if (row.length !== 2 + PEERS.length || row.some((cell) => cell === '')) found.push(`${what}: a cell is empty`);
  const proofs = links(ours, defined);
  if (proofs.length === 0 && !ours.startsWith(NOT_YET[path])) found.push(`${what}: nothing shows what is said of us`);
  for (const proof of proofs) {
    const fault = unproven(proof);
    if (fault !== undefined) found.push(`${what}: ${fault}`);
  }
  for (const [n, peer] of peers.entries()) {
    const sources = links(peer, defined);
    if (sources.length === 0) found.push(`${what}: nothing shows what is said of ${PEERS[n]}`);
    for (const source of sources) {
      const fault = unsourced(source);
      if (fault !== undefined) found.push(`${what}: ${fault}`);
    }
  }
  return found;
}

for (const path of readmes) {
  test(`each row of the truth table of ${path} has all cells, ours with a test of that name, the others with a source`, () => {
    const table = truth(path);
    assert.ok(table.length > 20, `only ${table.length} rows`);
    assert.deepEqual(
      table.flatMap((row) => faults(path, row)),
      [],
    );
  });
}

test('a row of the truth table without proof, source or cell is seen', () => {
  const peer = '[a][pg-idle]';
  const ours = '[b][t-idle]';
  const faultsOf = (...row: string[]): number => faults('README.md', row).length;
  assert.equal(faultsOf('x', ours, peer, peer, peer), 0);
  assert.equal(faultsOf('x', 'not yet', peer, peer, peer), 0);
  assert.equal(faultsOf('x', 'never lost', peer, peer, peer), 1);
  assert.equal(faultsOf('x', ours, peer, 'hangs', peer), 1);
  assert.equal(faultsOf('x', ours, peer, peer), 1);
  assert.equal(faultsOf('x', peer, peer, ours, peer), 2);
  const probed = { target: 'test/peers/probes/statements.ts', title: '13. pg: no such probe' };
  assert.match(String(unsourced(probed)), /no probe in/);
  assert.match(String(unsourced({ ...probed, target: 'test/peers/probes/gone.ts' })), /is no source/);
  assert.match(String(unproven({ target: 'test/core/smoke.test.ts', title: 'no such name' })), /no test in/);
});

test('each definition of a link is used', () => {
  for (const path of readmes) {
    const text = read(path);
    const unused = [...definitions(text).keys()].filter((key) => !text.includes(`][${key}]`));
    assert.deepEqual(unused, [], path);
  }
});

test('both say what is missing today, and where peers do better', () => {
  for (const path of readmes) {
    const notYet = truth(path).filter(([, ours = '']) => ours.startsWith(NOT_YET[path]));
    assert.equal(notYet.length, 3, path);
  }
});

/** The links of a document that lead into this repository, as paths from its root, and the anchor. */
function inside(path: string): { readonly file: string; readonly anchor: string | undefined }[] {
  const text = read(path);
  const defined = definitions(text);
  return [...links(text, defined), ...[...defined.values()].map((one) => ({ text: '', ...one }))]
    .filter(({ target }) => !/^[a-z]+:/.test(target))
    .map(({ target }) => {
      const [file = '', anchor] = target.split('#');
      return { file: file === '' ? path : posix.join(dirname(path), file), anchor };
    });
}

test('each link of the README and of docs/ leads to a file, and to a heading of it', () => {
  const documents = [
    ...readmes,
    'CONTRIBUTING.md',
    'SECURITY.md',
    ...filesBelow('docs', '.md').map(({ path }) => path),
  ];
  const dead = documents.flatMap((path) =>
    inside(path)
      .filter(({ file, anchor }) => {
        if (!existsSync(join(root, file))) return true;
        return anchor !== undefined && file.endsWith('.md') && !anchors(read(file)).includes(anchor);
      })
      .map(({ file, anchor }) => `${path}: ${file}${anchor === undefined ? '' : `#${anchor}`}`),
  );
  assert.deepEqual(dead, []);
});

test('the README leads to guides, recipes and reference', () => {
  const reached = inside('README.md').map(({ file }) => file);
  for (const folder of ['docs/guides', 'docs/recipes', 'docs/reference']) {
    const wanted = filesBelow(folder, '.md')
      .map(({ path }) => path)
      .filter((path) => !path.endsWith('/README.md'));
    assert.deepEqual(
      wanted.filter((path) => !reached.includes(path)),
      [],
    );
  }
});

/** A translation leads to translations, where there are any. */
const inEnglish = (target: string): string =>
  target === 'README.md' ? 'README.zh-CN.md' : target.replace('.zh-CN.md', '.md');

function skeleton(path: Readme): unknown {
  const text = read(path);
  const own = path === 'README.md' ? (target: string): string => target : inEnglish;
  return {
    code: text.match(/^```[\s\S]*?^```$/gm),
    links: links(text, definitions(text)).map(({ target, title }) => [own(target), title]),
    definitions: [...definitions(text)],
    headings: text.match(/^#+ /gm),
    tables: text
      .split('\n')
      .filter((line) => line.startsWith('|'))
      .map((line) => line.split(/(?<!\\)\|/).length),
    bullets: text.match(/^- /gm)?.length,
    names: text.match(/`[^`\n]+`/g)?.sort(),
  };
}

test('the Chinese README has the code, links, tables, headings and names of the English one', () => {
  assert.deepEqual(skeleton('README.zh-CN.md'), skeleton('README.md'));
  assert.match(read('README.md').split('\n').slice(0, 4).join('\n'), /\]\(README\.zh-CN\.md\)/);
  assert.match(read('README.zh-CN.md').split('\n').slice(0, 4).join('\n'), /\]\(README\.md\)/);
});

test('both say that the text of statements shows, and that the error of an exhausted pool ends with the text of pg', () => {
  for (const path of readmes) {
    const text = read(path);
    assert.match(text, /"timeout exceeded when trying to connect"|“timeout exceeded when trying to connect”/);
    assert.match(text, /Never put a secret into SQL text|永远不要把机密写进 SQL 文本/);
  }
});
