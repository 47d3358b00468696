// Passwords in texts that come from elsewhere, and that reading such a text takes no longer than it is long.

import assert from 'node:assert/strict';
import test from 'node:test';
import { Secrets } from '../../src/pg/secrets.ts';

const CASES: readonly (readonly [text: string, clean: string])[] = [
  ['at postgres://u:pw@h/db?x', 'at postgres://u:[secret]@h/db?x'],
  ['at postgres://u:p@w@h/db, again postgres://u:pw@h', 'at postgres://u:[secret]@h/db, again postgres://u:[secret]@h'],
  ['://:pw@h', '://:[secret]@h'],
  ['postgres://u@h/db', 'postgres://u@h/db'],
  ['http://host:80/path a@b', 'http://host:80/path a@b'],
  ['postgres://u:@h', 'postgres://u:@h'],
  ['nothing://', 'nothing://'],
  ["password='a b' user=u", 'password=[secret] user=u'],
];

for (const [text, clean] of CASES) {
  test(`of ${JSON.stringify(text)} is shown: ${JSON.stringify(clean)}`, () =>
    assert.equal(new Secrets().text(text), clean));
}

test('a text of a stranger that is made to be read for long is read once', { timeout: 20_000 }, () => {
  const secrets = new Secrets();
  // By a reader that goes back, each of these takes minutes.
  for (const long of [
    `://${'a'.repeat(400_000)}`,
    `a://b:${'c'.repeat(400_000)}`,
    'a://b:'.repeat(80_000),
    '://'.repeat(200_000),
    `a://b:${'@'.repeat(400_000)}`,
    "password='".repeat(50_000),
  ])
    assert.ok(secrets.text(long).length > 0);
});
