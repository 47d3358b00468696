// Whether the codec gives what pg gives: queries in every form that query() takes or refuses.

import test from 'node:test';
import { withClient, withServer } from '../postgres/harness.ts';
import { FORMS, FORMS_SETUP } from './codec-corpus/forms.ts';
import { conforms } from './codec-doors.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);
await admin.query(FORMS_SETUP);

await conforms(FORMS, { config: server.config });
