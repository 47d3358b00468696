// The first half of the model's sequences; two files, so that they run side by side.

import { test } from 'node:test';
import { explore } from './run.ts';

const verdict = await explore('first-half', 20_241);

test('whatever is done to a pool, in whatever order, it loses nothing, lends nothing twice and leaves nobody waiting (first half)', () => {
  verdict();
});
