// The end of a socket that is not Node's: Cloudflare's, as pg wraps it. That it is so in workerd, test/loops/workerd.test.ts shows.

import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { Socket } from 'node:net';
import test from 'node:test';
import type { PgConnection } from '../../src/pg/shapes.ts';
import { destroyed, endWithServer } from '../../src/pg/socket-end.ts';

/** As pg-cloudflare's: closed at once when it is ended, and cut by being ended. */
class Wrapped extends EventEmitter {
  _cfSocket: object | null = {};
  readonly calls: string[] = [];

  end(): this {
    this.calls.push('end');
    this._cfSocket = null;
    this.emit('close');
    return this;
  }

  destroy(): this {
    this.calls.push('destroy');
    return this.end();
  }
}

function connectionOf(stream: object): PgConnection {
  return { stream } as PgConnection;
}

test('a socket that would be closed before the server has ended the session is left to the server', () => {
  const stream = new Wrapped();
  let closed = false;
  stream.once('close', () => {
    closed = true;
  });
  endWithServer(connectionOf(stream));
  stream.end();
  assert.deepEqual([stream.calls, closed], [[], false]);
});

test('and is cut all the same', async () => {
  const stream = new Wrapped();
  endWithServer(connectionOf(stream));
  stream.end();
  await destroyed(connectionOf(stream));
  assert.deepEqual(stream.calls, ['destroy', 'end']);
});

test("a socket of Node's is ended as it always was", () => {
  const stream = new Socket();
  const { end, destroy } = stream;
  endWithServer(connectionOf(stream));
  assert.deepEqual([stream.end, stream.destroy], [end, destroy]);
  stream.destroy();
});
