// A type parser that is wrapped around pg's own and shows that one's text, as spies and some instrumentation do: it is not pg's, and is asked.
// No server.

import assert from 'node:assert/strict';
import test from 'node:test';
import pg from 'pg';
import { readerOf } from '../../src/pg/column-readers.ts';
import type { TypeParser } from '../../src/pg/shapes.ts';

for (const type of [21, 23, 26, 1082, 1114, 1184, 1005, 1007, 1009, 1015]) {
  test(`a wrapper that says of itself what pg's parser of type ${type} says is not taken for that`, () => {
    const own = pg.types.getTypeParser(type, 'text') as TypeParser;
    assert.ok(readerOf(type, own) !== undefined, "pg's own is");
    const wrapper: TypeParser = (text) => [own(text)];
    wrapper.toString = () => Function.prototype.toString.call(own);
    assert.equal(readerOf(type, wrapper), undefined);
  });
}
