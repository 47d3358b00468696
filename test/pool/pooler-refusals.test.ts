// What a pooler's refusal of a connect means: PgBouncer has one SQLSTATE for all of them, so its words decide. A table; knows no
// server.

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Fault } from '../../src/contracts/driver.ts';
import { classify, legible } from '../../src/pg/classify.ts';

function refusal(message: string): Error {
  return Object.assign(new Error(message), { code: '08P01', severity: 'FATAL' });
}

/** As PgBouncer 1.18 words them, or a later version. */
const REFUSALS: readonly (readonly [text: string, fault: Fault])[] = [
  ['no more connections allowed (max_client_conn)', 'full'],
  ['client connections exceeded (max_db_client_connections)', 'full'],
  ['client connections exceeded (max_user_client_connections)', 'full'],
  ['unsupported startup parameter: statement_timeout', 'permanent'],
  ['unsupported startup parameter in options: statement_timeout', 'permanent'],
  ['no such database: shop', 'permanent'],
  ['no such user: someone', 'permanent'],
  ['"trust" authentication failed', 'permanent'],
  ['server login has been failing, try again later (server_login_retry)', 'transient'],
  ['pgbouncer cannot connect to server', 'transient'],
  ['query_wait_timeout', 'transient'],
  ['invalid message format', 'transient'],
];

test('a full pooler is a full server, what it will never accept is permanent, and all else may be tried again', () => {
  for (const [text, fault] of REFUSALS) assert.equal(classify(refusal(text)), fault, text);
});

test('only a refused start-up parameter is told what to do about it, after the words of the pooler', () => {
  for (const [text] of REFUSALS) {
    const { message } = legible(refusal(text));
    if (text.startsWith('unsupported'))
      assert.match(message, /^unsupported .* \(.*ALTER ROLE .*ignore_startup_parameters\)$/);
    else assert.equal(message, text);
  }
});
