// Whether the codec gives what pg gives: columns with odd names, odd numbers of columns, rows of odd sizes.

import test from 'node:test';
import { withServer } from '../postgres/harness.ts';
import { COLUMN_NAMES } from './codec-corpus/column-names.ts';
import { conforms } from './codec-doors.ts';

const server = await withServer(test);

await conforms(COLUMN_NAMES, { config: server.config });
