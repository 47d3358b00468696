// What becomes of a connection whose server does not know, or will not have, the setting by which abandoned statements end.

import assert from 'node:assert/strict';
import test from 'node:test';
import pg from 'pg';
import { PgBond } from '../../src/pg/bond.ts';

/** A client whose server answers every statement with this error. */
function refusing(error: unknown): { bond: PgBond; asked: () => number } {
  const client = new pg.Client();
  let asked = 0;
  Object.assign(client, {
    query: async () => {
      asked += 1;
      throw error;
    },
  });
  return { bond: new PgBond(client, 1), asked: () => asked };
}

for (const [code, why] of [
  ['22023', 'the platform cannot look'],
  ['42883', 'there is no such function'],
  ['0A000', 'it is not supported'],
] as const)
  test(`a server that refuses the setting (${why}) is used without it, whatever its language`, async () => {
    const { bond, asked } = refusing(Object.assign(new Error('nein'), { code, severity: 'FEHLER' }));
    await bond.fence();
    await bond.renewed();
    assert.equal(asked(), 1, 'and is not asked again');
  });

for (const error of [
  Object.assign(new Error('terminating connection'), { code: '57P01', severity: 'FATAL' }),
  Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }),
  new Error('Connection terminated'),
])
  test(`a connection that is lost meanwhile is no refusal: ${error.message}`, async () => {
    await assert.rejects(refusing(error).bond.fence(), error);
  });
