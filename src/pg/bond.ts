// What a budget does with one session: has its abandoned statements end, speaks over it, hears what the other members say. Owns what has to
// be done again after a reset; which permits there are and who gets them is the budget's.

import type pg from 'pg';
import type { Bond, Condemnation } from '../contracts/driver.ts';
import { AS_TEXT } from './as-text.ts';
import { internals } from './shapes.ts';
import { step } from './steps.ts';

/**
 * How often a busy backend looks whether its client is still there. Without it a dead thread's backend was seen to run on for more than 4 s,
 * with it for 380 ms (research on event loops, section 2).
 */
const CHECK_MS = 500;

/** Since PostgreSQL 14; what somebody has set already is left alone. */
const FENCE = `SELECT CASE WHEN pg_catalog.current_setting('client_connection_check_interval', true) = '0'
  THEN pg_catalog.set_config('client_connection_check_interval', '${CHECK_MS}', false) END`;

/** A SQLSTATE, and not one that speaks of the connection itself. Told by no severity: that is in the server's language. */
const REFUSED = /^(?!08|57P)(?=.*\d)[0-9A-Z]{5}$/;

/** What takes a permit away, or has the session hear nothing more. A function that does so inside is out of sight. */
const LOSES = /\bpg_advisory_unlock_all\b|\bdiscard\s+all\b|\bunlisten\s*\*/i;

const UNDONE =
  'a borrower unlocked all advisory locks, or ended all that it listens to: with them goes the permit of the budget';

export class PgBond implements Bond {
  farewell: (() => string | undefined) | undefined = undefined;
  renew: (() => Promise<void>) | undefined = undefined;
  readonly pid: number | undefined;
  readonly #client: pg.Client;
  #fenced = false;
  #undone = false;

  /** `pid` is the server process's own, as far as it is known. */
  constructor(client: pg.Client, pid: number | undefined) {
    this.#client = client;
    this.pid = pid;
  }

  /** The process that the session's key names: another one than `pid` behind a pooler. */
  get keyPid(): number | undefined {
    return internals(this.#client).processID ?? undefined;
  }

  /** A statement is sent. */
  sending(text: string): void {
    // Nobody but its borrower, or a reset, sends anything between these.
    if (this.renew !== undefined && !this.#undone) this.#undone = LOSES.test(text);
  }

  /** Its borrower took away what the budget has on the server: to be replaced, since another may have that by now. */
  get condemnation(): Condemnation | undefined {
    return this.#undone ? { why: UNDONE, others: 'keep' } : undefined;
  }

  async fence(): Promise<void> {
    try {
      await step('query', this.ask(FENCE));
      this.#fenced = true;
    } catch (error) {
      // Some platforms cannot look, others are like PostgreSQL only in part, and refuse: then it is as it was before.
      const code: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : undefined;
      if (typeof code !== 'string' || !REFUSED.test(code)) throw error;
    }
  }

  async ask(text: string): Promise<readonly (string | null)[][]> {
    const asked = await step('query', this.#client.query({ text, rowMode: 'array', types: AS_TEXT }));
    const results: readonly pg.QueryArrayResult[] = Array.isArray(asked) ? asked : [asked];
    return (results.at(-1)?.rows ?? []) as (string | null)[][];
  }

  hear(channel: string, listener: (payload: string) => void): void {
    const { connection } = internals(this.#client);
    const told = connection.listeners('notification');
    for (const tell of told) connection.removeListener('notification', tell);
    connection.on('notification', (message) => {
      if (message.channel === channel) listener(message.payload ?? '');
      else for (const tell of told) Reflect.apply(tell, connection, [message]);
    });
  }

  /** Before goodbye. */
  async parting(): Promise<void> {
    const text = this.farewell?.();
    if (text === undefined) return;
    try {
      await step('query', this.ask(text));
    } catch {
      // The others find out by themselves, only later.
    }
  }

  /** After a reset: what the server forgot with everything else. */
  async renewed(): Promise<void> {
    if (this.#fenced) await step('query', this.fence());
    if (this.renew !== undefined) await step('query', this.renew());
    this.#undone = false;
  }
}
