// Loaded ahead of every test with `--import` where OXBOW_TEST_SPEAKER is set: makes that the default of the option "speaker", at both doors, of
// the code that tests import and of the built package that the programs of test/ecosystem take. Knows no test.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { OPTIONS } from '../../src/core/option-table.ts';

const wanted = process.env.OXBOW_TEST_SPEAKER;
assert.ok(wanted === 'auto' || wanted === 'pg', `OXBOW_TEST_SPEAKER is auto or pg, not ${wanted}`);

function prefer(table: unknown): void {
  const defaults: unknown = Reflect.get(Object(Reflect.get(Object(table), 'speaker')), 'default');
  for (const door of ['oxbow', 'pg']) {
    assert.ok(Object.hasOwn(Object(defaults), door), `the option "speaker" has no default at the door of ${door}`);
    assert.ok(Reflect.set(Object(defaults), door, wanted), 'the table of options was frozen');
  }
}

prefer(OPTIONS);
const shipped = new URL('../../../dist/core/option-table.js', import.meta.url);
if (existsSync(shipped)) {
  const module: unknown = await import(shipped.href);
  prefer(Reflect.get(Object(module), 'OPTIONS'));
}
