// Whether the codec gives what pg gives: every builtin type, and columns with odd names. How it is compared is in codec-doors.ts.

import test from 'node:test';
import { withClient, withServer } from '../postgres/harness.ts';
import { BUILTIN_TYPES, TYPES_SETUP } from './codec-corpus/builtin-types.ts';
import { conforms } from './codec-doors.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);
await admin.query(TYPES_SETUP);

await conforms(BUILTIN_TYPES, { config: server.config });
