// Runtimes that are not Node, as npm has them today: the probes, the tests of the core, and that docs/runtimes.md says what came of it. The
// other versions of Node play the probes in node-versions.test.ts, where they are installed anyway.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { read } from '../laws/tree.ts';
import { withServer } from '../postgres/harness.ts';
import { coreOnBun, coreOnDeno, type Declared, declared, type Suite } from '../runtimes/core-suite.ts';
import { measure } from '../runtimes/measure.ts';
import { cellsOf, probesIn } from '../runtimes/page.ts';
import { BUN, DENO, install, type Runtime } from '../runtimes/runtimes.ts';

const page = read('docs/runtimes.md');
const server = await withServer(test);
const folder = mkdtempSync(join(tmpdir(), 'oxbow-runtimes-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

/** Both at once, and one after the other what is asked of each. */
interface Measured {
  readonly cells: Readonly<Record<string, string>>;
  readonly suite: Suite;
}

async function measured({ launch }: Runtime, binary: string, core: () => Promise<Suite>): Promise<Measured> {
  const outcomes = await measure(binary, launch, server.url);
  return { cells: cellsOf({ outcomes }), suite: await core() };
}

/** Plays while npm installs the others. */
const own = measure(process.execPath, [], server.url);

type All = readonly [Declared, Measured, Measured];

/** Begun by the first test that asks: what cannot be installed fails each of them, with what npm said. */
let all: Promise<All> | undefined;

function everything(): Promise<All> {
  all ??= (async () => {
    const [bun = '', deno = ''] = install([BUN, DENO], folder);
    const tests = declared();
    return Promise.all([
      tests,
      measured(BUN, bun, () => coreOnBun(bun, folder)),
      measured(DENO, deno, async () => coreOnDeno(deno, folder, await tests)),
    ]);
  })();
  return all;
}

for (const [runtime, at] of [
  [BUN, 1],
  [DENO, 2],
] as const) {
  test(`on ${runtime.label} each probe comes to what docs/runtimes.md says`, async () => {
    const { cells } = (await everything())[at];
    assert.deepEqual(cells, probesIn(page, runtime.label), 'run `node scripts/runtimes-reference.mjs`');
  });

  test(`${runtime.label} runs the tests of the core that Node has, all of them and no others, and all pass`, async (t) => {
    const [{ names }, ...others] = await everything();
    const { suite } = others[at - 1] ?? {};
    assert.ok(suite);
    t.diagnostic(`${runtime.label}: ${suite.passed.length} of ${names.length}`);
    assert.deepEqual(suite.others, [], suite.printed);
    assert.deepEqual([...suite.passed].sort(), [...names].sort(), suite.printed);
    assert.equal(suite.code, 0, suite.printed);
  });
}

test('on the Node that runs this every probe passes', async (t) => {
  const outcomes = await own;
  t.diagnostic(`Node ${process.versions.node}: ${outcomes.length} probes`);
  assert.deepEqual(
    outcomes.filter(({ ok }) => !ok),
    [],
  );
});
