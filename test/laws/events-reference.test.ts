// One catalogue of all that a pool tells: it has what the code tells and no more, and docs/reference/events.md is made of it.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'node:test';
import { noEvents } from '../../src/contracts/events.ts';
import * as observers from '../../src/pool/observers.ts';
import { CHANNELS, EVENTS, LOG, PLACE, REPORTS } from '../../src/telemetry/events.ts';
import { channels } from '../kit/channels.ts';
import { rows, section, ticked } from './document.ts';
import { filesBelow, read, root } from './tree.ts';

/** What the engine tells and no observer hears of: pg's own `release`, and what goes to a channel alone. */
const ENGINE_ONLY = ['released', 'examined'];

/** The names in the first column of a section's last table. */
function named(document: string, heading: string): string[] {
  return rows(section(document, heading))
    .flatMap(([name = '']) => ticked(name))
    .sort();
}

const document = read('docs/reference/events.md');
const sorted = (things: object): string[] => Object.keys(things).sort();

test('docs/reference/events.md is what its script makes of the catalogue', () => {
  const script = join(root, 'scripts/events-reference.mjs');
  const made = spawnSync(process.execPath, [script, '--stdout'], { encoding: 'utf8' });
  assert.equal(made.stderr, '');
  assert.equal(document, made.stdout, 'run `npm run build && node scripts/events-reference.mjs`');
});

test('the document names each event, report and channel of the catalogue, and no other', () => {
  assert.deepEqual(named(document, 'Observer'), sorted(EVENTS));
  assert.deepEqual(named(document, 'Report codes'), sorted(REPORTS));
  assert.deepEqual(named(document, 'Channels'), [...sorted(PLACE), ...sorted(CHANNELS)].sort());
  assert.deepEqual(named(document, 'The log'), sorted(LOG));
});

test('the catalogue has each event that the engine tells and an observer may hear of, and no other', () => {
  const told = [...sorted(noEvents).filter((name) => !ENGINE_ONLY.includes(name)), 'report'].sort();
  assert.deepEqual(sorted(EVENTS), told);
  assert.deepEqual([...observers.EVENTS].sort(), told);
});

test('the catalogue has each channel there is, of its kind, and no other', () => {
  const inCode = channels.map(({ name, kind }) => `${name} ${kind}`).sort();
  const inCatalogue = Object.entries(CHANNELS).map(([name, { kind }]) => `${name} ${kind}`);
  assert.deepEqual(inCatalogue.sort(), inCode);
});

/** Where channels are made, and where one that is told on is not asked first whether anybody listens. */
function strayChannels(files: readonly { readonly path: string; readonly text: string }[]): string[] {
  return files
    .filter(({ path, text }) => path !== 'src/telemetry/channels.ts' && /\b(?:channel|tracingChannel)\(/.test(text))
    .map(({ path }) => path);
}

test('channels are made in one file alone', () => {
  assert.deepEqual(strayChannels(filesBelow('src', '.ts')), []);
  const stray = [{ path: 'src/pool/a.ts', text: "const one = channel('x');" }];
  assert.deepEqual(strayChannels(stray), ['src/pool/a.ts']);
});

test('no channel is one of those that pg will publish on itself', () => {
  for (const { name } of channels) assert.ok(name.startsWith('oxbow:') || name.startsWith('pg:pool:'), name);
});

test('the law of names sees one too many on either side', () => {
  const page = '## Observer\n| event | what |\n|---|---|\n| `a` | x |\n| `b` | `y` |\n';
  assert.deepEqual(named(page, 'Observer'), ['a', 'b']);
  assert.notDeepEqual(named(page, 'Observer'), sorted({ a: 1 }));
  assert.notDeepEqual(named(page, 'Observer'), sorted({ a: 1, b: 2, c: 3 }));
});
