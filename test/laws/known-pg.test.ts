// The codec stands in for versions of pg that it was tested with: that the tests here run with one of those, so that they test the codec at all,
// and that the suite `pg-versions` runs with each of them.

import assert from 'node:assert/strict';
import test from 'node:test';
import pg from 'pg';
import { recognise } from '../../src/pg/known-pg.ts';
import { read } from './tree.ts';

/** The versions that stand at the beginning of a line, as in a table. */
function versionsIn(text: string): string[] {
  return [...text.matchAll(/^ {2}'(\d+\.\d+\.\d+)': '/gm)].flatMap(([, version]) => version ?? []);
}

test('the pg that the tests run with is one that the codec knows', () => {
  const found = recognise(new pg.Client());
  assert.ok('parts' in found, JSON.stringify(found));
});

test('each version in the table of the codec is run in the suite pg-versions', () => {
  const table = versionsIn(read('src/pg/known-pg.ts'));
  const run = versionsIn(read('test/slow/pg-versions.test.ts'));
  assert.ok(table.length > 0);
  assert.deepEqual(
    table.filter((version) => !run.includes(version)),
    [],
  );
});
