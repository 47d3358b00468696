// Whether the codec gives what pg gives: values of every kind, those included that pg refuses.

import test from 'node:test';
import pg from 'pg';
import { withServer } from '../postgres/harness.ts';
import { DATES, PARAMETERS } from './codec-corpus/parameters.ts';
import { conforms } from './codec-doors.ts';

const server = await withServer(test);

await conforms(PARAMETERS, { config: server.config });

test('dates as UTC', async (t) => {
  const { parseInputDatesAsUTC } = pg.defaults;
  pg.defaults.parseInputDatesAsUTC = true;
  t.after(() => {
    pg.defaults.parseInputDatesAsUTC = parseInputDatesAsUTC;
  });
  await conforms(DATES, { config: server.config, within: t });
});
