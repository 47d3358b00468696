// Each known difference between pg's pool and ours: that pg does what the table says, and that our doors do the other thing. The rows
// are data (src/pool/deviations.ts); one test each, by its title.

import assert from 'node:assert/strict';
import test from 'node:test';
import { deviations } from '../../../src/doors/pg.ts';
import { shown } from './contestants.ts';
import './deviating-connects.ts';
import './deviating-connections.ts';
import './deviating-uses.ts';
import './deviating-manners.ts';

test('each deviation has its one test, and each test its deviation', () => {
  assert.deepEqual([...shown].sort(), deviations.map((row) => row.test).sort());
  assert.equal(new Set(deviations.map((row) => row.id)).size, deviations.length);
});
