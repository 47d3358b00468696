// Whether the codec gives what pg gives: queries in every form that query() takes or refuses.

import test from 'node:test';
import { FORMS, FORMS_SETUP } from '../conformance/codec-corpus/forms.ts';
import { conforms } from '../conformance/codec-doors.ts';
import { withClient, withServer } from './harness.ts';

const server = await withServer(test);
const admin = await withClient(test, server.config);
await admin.query(FORMS_SETUP);

await conforms(FORMS, { config: server.config });
