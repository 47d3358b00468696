// Lines 29 to 34: the pool's events.

import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type pg from 'pg';
import { eventually, unusedPort } from '../../postgres/harness.ts';
import { connected, failure, same } from './contestants.ts';

same(29, async (b) => {
  const pool = b.pool();
  let emitted: unknown;
  pool.on('connect', (client) => {
    emitted = client;
  });
  const first = await new Promise<unknown[]>((resolve) => {
    pool.connect((error, client, done) => {
      resolve([error, client, emitted]);
      done();
    });
  });
  assert.equal(first[0], undefined);
  assert.ok(first[1] !== undefined && first[1] === first[2]);
});

same(30, async (b) => {
  class Mock extends EventEmitter {
    connect(done?: (error: Error) => void): void {
      if (done !== undefined) process.nextTick(done, new Error('mocked'));
    }
  }
  for (const options of [{ Client: Mock as unknown as typeof pg.Client }, { port: await unusedPort() }]) {
    const pool = b.pool(options);
    const emitted: unknown[] = [];
    pool.on('connect', (client) => emitted.push(client));
    assert.ok((await connected(pool)).error instanceof Error);
    assert.ok((await failure(pool.connect())) instanceof Error);
    assert.deepEqual(emitted, []);
  }
});

same(31, async (b) => {
  const pool = b.pool();
  let acquired = 0;
  pool.on('acquire', (client) => {
    assert.ok(client);
    acquired += 1;
  });
  for (let n = 0; n < 10; n += 1) {
    pool.connect((error, _client, done) => done(error));
    pool.query('SELECT now()');
  }
  await eventually('twenty lends', () => acquired === 20);
  await pool.end();
  assert.equal(acquired, 20);
});

same(32, async (b) => {
  const pool = b.pool();
  const released: unknown[][] = [];
  pool.on('release', (error, client) => released.push([error, client]));
  for (let n = 0; n < 10; n += 1) {
    pool.connect((_error, _client, done) => done());
    pool.query('SELECT now()');
  }
  await eventually('twenty returns', () => released.length === 20);
  await pool.end();
  assert.equal(released.length, 20);
  for (const [error, client] of released) {
    assert.ok(!(error instanceof Error));
    assert.ok(client);
  }
});

same(33, async (b) => {
  const pool = b.pool();
  const released: unknown[][] = [];
  pool.on('release', (error, client) => released.push([error, client]));
  const client = await pool.connect();
  const why = new Error('line 33');
  client.release(why);
  // … and so is whatever else was passed.
  for (const other of [false, null, undefined]) {
    const { release } = await pool.connect();
    Reflect.apply(release, undefined, [other]);
  }
  assert.deepEqual(released[0], [why, client]);
  assert.deepEqual(
    released.slice(1).map(([reason]) => reason),
    [false, null, undefined],
  );
});

same(34, async (b) => {
  const pool = b.pool();
  const heard: unknown[][] = [];
  pool.on('error', (error, client) => heard.push([error, client]));
  const client = await pool.connect();
  client.release();
  const why = new Error('line 34');
  client.emit('error', why);
  assert.equal(heard.length, 1);
  assert.equal(heard[0]?.[0], why);
  assert.equal(heard[0]?.[1], client);
});
