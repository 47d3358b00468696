// Whether the codec gives what pg gives: statements of every kind, and transactions that a borrower makes by hand.

import test from 'node:test';
import { withClient, withServer } from '../postgres/harness.ts';
import { FORMS_SETUP, STATEMENTS } from './codec-corpus/forms.ts';
import { conforms } from './codec-doors.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);
await admin.query(FORMS_SETUP);

await conforms(STATEMENTS, { config: server.config });
