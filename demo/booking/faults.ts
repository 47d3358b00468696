// What is done to the service on the way: lent backends are killed and the server is restarted, at set points of the run. Owns the
// plan and its counts; a kill counts only if the pool had that connection lent when it died.

import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Pool } from '../../src/doors/index.ts';
import type { PostgresServer } from '../../src/testing/embedded-postgres.ts';
import type { Faults } from '../books/balance.ts';
import type { ConnectionBook } from '../books/connection-book.ts';

/** As parts of the whole run. */
const KILLS_AT = [0.12, 0.2, 0.28, 0.36, 0.44, 0.72, 0.8];
const RESTART_AT = 0.54;
/** After the restart a while may pass in which nothing is lent. */
const KILL_WITHIN_MS = 10_000;

export class FaultPlan {
  killed = 0;
  killedWhileLent = 0;
  restarts = 0;
  readonly #server: PostgresServer;
  readonly #pool: Pool;
  readonly #book: ConnectionBook;
  readonly #say: (what: string) => void;

  constructor(server: PostgresServer, pool: Pool, book: ConnectionBook, say: (what: string) => void) {
    this.#server = server;
    this.#pool = pool;
    this.#book = book;
    this.#say = say;
  }

  figures(): Faults {
    return {
      killedWhileLent: this.killedWhileLent,
      killsAskedFor: KILLS_AT.length,
      restarts: this.restarts,
      restartsAskedFor: this.#server.ownsServer ? 1 : 0,
    };
  }

  /** Resolves when the last fault is over. */
  async run(seconds: number, signal: AbortSignal): Promise<void> {
    const began = performance.now();
    const until = (part: number): Promise<void> =>
      sleep(Math.max(0, part * seconds * 1_000 - (performance.now() - began)), undefined, { signal });
    for (const at of KILLS_AT.filter((part) => part < RESTART_AT)) await until(at).then(() => this.#kill(signal));
    await until(RESTART_AT);
    if (this.#server.ownsServer) await this.#restart();
    else this.#say('no restart: the server was given by URL, only our own backends are killed');
    for (const at of KILLS_AT.filter((part) => part >= RESTART_AT)) await until(at).then(() => this.#kill(signal));
  }

  /** A connection of its own each time: the one of before may have gone down with the server. */
  async #kill(signal: AbortSignal): Promise<void> {
    const client = new pg.Client({ ...this.#server.config, application_name: 'oxbow-demo-faults' });
    client.on('error', () => {});
    await client.connect();
    try {
      const deadline = performance.now() + KILL_WITHIN_MS;
      while (performance.now() < deadline) {
        signal.throwIfAborted();
        const holders = this.#pool.holders().filter(({ pid }) => pid !== undefined);
        const holder = holders[Math.floor(Math.random() * holders.length)];
        if (holder?.pid !== undefined && (await this.#hit(client, holder.pid, holder.label ?? 'read'))) return;
        await sleep(10);
      }
    } finally {
      await client.end();
    }
  }

  /** True if the connection was still lent when its backend died, and not just come back. */
  async #hit(client: pg.Client, pid: number, label: string): Promise<boolean> {
    const { rows } = await client.query<{ done: boolean }>('select pg_terminate_backend($1) as done', [pid]);
    if (rows[0]?.done !== true) return false;
    this.killed += 1;
    for (let waited = 0; waited < 400 && this.#book.endOf(pid) === undefined; waited += 1) await sleep(5);
    const how = this.#book.endOf(pid);
    if (how?.lostWhile !== 'lent') return false;
    this.killedWhileLent += 1;
    this.#say(`backend ${pid} killed while lent to "${label}"`);
    return true;
  }

  async #restart(): Promise<void> {
    this.#say(`restarting the server; ${this.#pool.snapshot().lent} connections are lent`);
    const began = performance.now();
    await this.#server.restart('fast');
    this.restarts += 1;
    this.#say(`the server accepts connections again after ${((performance.now() - began) / 1_000).toFixed(1)} s`);
  }
}
