// The package as others see it: no dependency, exports that are there, one class for `import` and `require`.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import test from 'node:test';
import { read, root } from './tree.ts';

/** Every file that an exports map can lead to. */
function targetsOf(exported: unknown): string[] {
  if (typeof exported === 'string') return [exported];
  return typeof exported === 'object' && exported !== null ? Object.values(exported).flatMap(targetsOf) : [];
}

/** What is wrong with a manifest; `exists` tells whether a file is there. */
function faultsOf(manifest: unknown, exists: (path: string) => boolean): string[] {
  if (typeof manifest !== 'object' || manifest === null) return ['not an object'];
  const field = (name: string): unknown => Reflect.get(manifest, name);
  const faults = ['dependencies', 'optionalDependencies', 'bundledDependencies']
    .filter((name) => field(name) !== undefined)
    .map((name) => `has ${name}`);
  const meta = field('peerDependenciesMeta') ?? {};
  const required = Object.keys(field('peerDependencies') ?? {}).filter((name) => {
    const about: unknown = Reflect.get(meta, name);
    return typeof about !== 'object' || about === null || Reflect.get(about, 'optional') !== true;
  });
  if (required.join() !== 'pg') faults.push(`its required peers are ${required.join(', ')}, not pg alone`);
  const targets = targetsOf(field('exports'));
  if (targets.length === 0) faults.push('exports nothing');
  return [...faults, ...targets.filter((path) => !exists(path)).map((path) => `exports ${path}, which is not there`)];
}

test('the package has no dependency but its peer pg (others are optional), and exports only files that are there', () => {
  assert.deepEqual(
    faultsOf(JSON.parse(read('package.json')), (path) => existsSync(join(root, path))),
    [],
  );
});

test('the law of the package sees a dependency, a second peer and an export that is not there', () => {
  const manifest = {
    dependencies: {},
    peerDependencies: { pg: '8', ws: '8', fastify: '5' },
    peerDependenciesMeta: { fastify: { optional: true } },
    exports: { '.': { types: './a.d.ts', default: './a.js' } },
  };
  assert.deepEqual(
    faultsOf(manifest, (path) => path === './a.js'),
    ['has dependencies', 'its required peers are pg, ws, not pg alone', 'exports ./a.d.ts, which is not there'],
  );
});

/** A member of a module, whatever the module is. */
function member(module: unknown, name: string): unknown {
  return typeof module === 'object' && module !== null ? Reflect.get(module, name) : undefined;
}

test('import and require of the package by its name give the same class', async () => {
  // Not a literal, so that types can be checked before there is a build.
  const name: string = 'oxbow';
  const imported: unknown = await import(name);
  const required: unknown = createRequire(import.meta.url)(name);
  assert.equal(typeof member(imported, 'Pool'), 'function');
  assert.equal(member(imported, 'Pool'), member(required, 'Pool'));
});
