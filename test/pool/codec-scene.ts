// A pool whose connections are scripted sockets. Owns how the two are put together, and that nothing is thrown at the process meanwhile.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { Pool, type PoolOptions } from '../../src/doors/index.ts';
import { freshName, reports } from '../postgres/harness.ts';
import { type Script, ScriptedSocket } from './codec-socket.ts';

export interface Scene {
  readonly pool: Pool;
  /** Of each connection, in the order in which they were opened. */
  readonly sockets: readonly ScriptedSocket[];
  /** What was thrown at the process; a test that expects nothing leaves it, and fails at its end if there is something. */
  readonly thrown: unknown[];
}

export function scene(t: TestContext, script: Script, options: PoolOptions = {}): Scene {
  const sockets: ScriptedSocket[] = [];
  const stream = (): ScriptedSocket => {
    const socket = new ScriptedSocket(script);
    sockets.push(socket);
    return socket;
  };
  const who = { user: 'scripted', database: 'scripted', password: 'scripted', host: '127.0.0.1', ssl: false };
  const pool = new Pool({
    name: freshName(),
    logger: reports().logger,
    max: 2,
    speaker: 'auto',
    pooler: 'none',
    ...who,
    stream,
    ...options,
  });
  const thrown: unknown[] = [];
  const uncaught = (error: unknown): void => void thrown.push(error);
  // The runner would take what a test expects for its own.
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException').on('uncaughtException', uncaught);
  t.after(async () => {
    await pool.close({ drainMs: 0, cancelMs: 100 });
    process.off('uncaughtException', uncaught);
    for (const other of others) process.on('uncaughtException', other);
    assert.deepEqual(thrown, [], 'thrown at the process');
  });
  return { pool, sockets, thrown };
}
