// Errors and pools are known by brands, not by classes: across copies of the package and across realms.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import test from 'node:test';
import { createContext, runInContext } from 'node:vm';
import { build } from 'esbuild';
import { globalPool, isOxbowError, OptionError, OxbowError, Pool } from '../../src/doors/index.ts';
import { anotherCopy, type Oxbow } from '../kit/copies.ts';
import { root } from '../laws/tree.ts';

function thrownBy(fn: () => unknown): unknown {
  try {
    fn();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** The package evaluated in a realm of its own, where `Error`, `Object` and `globalThis` are others. */
async function inAnotherRealm(): Promise<{ oxbow: Oxbow; realm: object }> {
  const { outputFiles } = await build({
    entryPoints: [join(root, 'dist', 'doors', 'index.js')],
    bundle: true,
    format: 'iife',
    globalName: 'oxbow',
    platform: 'node',
    external: ['pg', 'pg/*'],
    write: false,
  });
  const realm = createContext({ require: createRequire(import.meta.url), process, Buffer });
  const oxbow: Oxbow = runInContext(`${outputFiles[0]?.text}; oxbow`, realm);
  return { oxbow, realm };
}

test('an error of another copy of the package is known by isOxbowError, and no instance of this copy’s classes', async (t) => {
  const other = await anotherCopy(t);
  const theirs = thrownBy(() => new other.Pool({ max: 0 }));
  const ours = thrownBy(() => new Pool({ max: 0 }));
  assert.ok(!(theirs instanceof OxbowError) && theirs instanceof other.OptionError);
  for (const known of [isOxbowError, other.isOxbowError]) {
    assert.deepEqual([theirs, ours, new Error('x'), { kind: 'POOL_TIMEOUT' }, null, 5].map(known), [
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
  }
  assert.equal(isOxbowError(theirs) && theirs.kind, 'INVALID_OPTION');
});

test('an error of another realm is known by isOxbowError, in both directions', async () => {
  const { oxbow, realm } = await inAnotherRealm();
  const theirs = thrownBy(() => new oxbow.Pool({ max: 0 }));
  const ours = thrownBy(() => new Pool({ max: 0 }));
  assert.ok(!(theirs instanceof Error), 'it is of another realm');
  assert.ok(isOxbowError(theirs) && oxbow.isOxbowError(ours));
  assert.equal(theirs.kind, 'INVALID_OPTION');
  const foreign: unknown = runInContext('new Error("x")', realm);
  assert.ok(!isOxbowError(foreign) && !oxbow.isOxbowError(foreign));
  assert.ok(ours instanceof OptionError);
});

test('a realm has keys of globalPool of its own, and a pool of another realm is known as one', async () => {
  const { oxbow } = await inAnotherRealm();
  const ours = globalPool('brands', () => new Pool({ max: 2, ssl: { servername: 'db' } }));
  const theirs = oxbow.globalPool('brands', () => new oxbow.Pool({ max: 2, ssl: { servername: 'db' } }));
  assert.notEqual(theirs, ours);
  assert.equal(
    globalPool('brands', () => new oxbow.Pool({ max: 2, ssl: { servername: 'db' } })),
    ours,
  );
});
