// The search for secrets finds what it is to find: a helper that finds nothing would prove nothing.

import assert from 'node:assert/strict';
import test from 'node:test';
import { inspect } from 'node:util';
import { findSecret } from '../kit/secrets.ts';

const MARK = 's3cr3t/MARK@"x\'';
const hidden = (value: unknown): object => Object.defineProperty({}, 'hidden', { value });

const SHOWN: Record<string, unknown> = {
  'a text': `it is ${MARK}.`,
  'a text in a URL': `postgres://u:${encodeURIComponent(MARK)}@h/db`,
  'a text in base64': Buffer.from(`user:${MARK}:`).toString('base64'),
  'a text in base64, further on': Buffer.from(`users:${MARK}:`).toString('base64'),
  'quoted JSON': JSON.stringify({ deep: MARK }),
  'an SQL literal': `'${MARK.replaceAll("'", "''")}'`,
  bytes: Buffer.from(`x${MARK}`),
  'a message': new Error(MARK),
  'a cause': new Error('no', { cause: new Error('no', { cause: MARK }) }),
  'one of several errors': new AggregateError([new Error(MARK)], ''),
  'a stack': Object.assign(new Error('no'), { stack: MARK }),
  'a hidden property': hidden(MARK),
  'a hidden property of a cause': new Error('no', { cause: hidden({ a: [MARK] }) }),
  'a symbol': { [Symbol('s')]: MARK },
  'a name of a symbol': { [Symbol(MARK)]: 1 },
  'a key': { [MARK]: 1 },
  'a map': new Map([['a', MARK]]),
  'a key of a map': new Map([[MARK, 1]]),
  'a set': new Set([MARK]),
  'a function’s property': Object.assign(() => 1, { a: MARK }),
  'what toJSON gives': { toJSON: () => MARK },
  'what toString gives': { toString: () => MARK },
  'what inspect gives': { [inspect.custom]: () => MARK },
};

for (const [what, value] of Object.entries(SHOWN)) {
  test(`a secret is found in ${what}`, () => {
    assert.notEqual(findSecret(value, [MARK]), undefined);
    assert.equal(findSecret(value, ['another-MARK']), undefined);
  });
}

test('a circle ends, and what is excepted is not looked into', () => {
  const circle: Record<string, unknown> = { a: 1 };
  circle.self = circle;
  assert.equal(findSecret(circle, [MARK]), undefined);
  const kept = hidden(MARK);
  assert.equal(findSecret({ kept }, [MARK]), '.kept.hidden');
  assert.equal(findSecret({ kept }, [MARK], { except: (value) => value === kept }), undefined);
});
