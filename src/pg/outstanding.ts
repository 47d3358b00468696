// What pg still owes an answer to on one connection: the statement that is being answered, and those behind it. Reads it off pg, whatever
// its version calls it; changes nothing.

import type { PgConnection, PgInternals } from './shapes.ts';

export class Outstanding {
  readonly #inside: PgInternals;
  readonly #connection: PgConnection;

  constructor(inside: PgInternals) {
    this.#inside = inside;
    this.#connection = inside.connection;
  }

  /** A statement is being answered. */
  get active(): boolean {
    const inside = this.#inside;
    // By its old name pg warns of it where it has the new one.
    return '_activeQuery' in inside ? Boolean(inside._activeQuery) : Boolean(inside.activeQuery);
  }

  /** Statements that pg has accepted and not yet begun. */
  get queued(): number {
    const inside = this.#inside;
    if (inside._queryQueue === undefined) return inside.queryQueue?.length ?? 0;
    return inside._queryQueue.length + (inside._sentQueryQueue?.length ?? 0);
  }

  /** Resolves when nothing is left to read; rejects if the session ends before. */
  none(): Promise<void> {
    return this.#until(() => !this.active && this.queued === 0);
  }

  /** Resolves at the end of the next reply; rejects if the session ends before. */
  next(): Promise<void> {
    return this.#until(() => true);
  }

  /** Looks at the end of each reply. */
  #until(enough: () => boolean): Promise<void> {
    const connection = this.#connection;
    return new Promise((resolve, reject) => {
      const done = (): void => {
        if (!enough()) return;
        connection.removeListener('readyForQuery', done);
        connection.removeListener('end', ended);
        resolve();
      };
      const ended = (): void => {
        connection.removeListener('readyForQuery', done);
        reject(new Error('the connection ended before its reply was read'));
      };
      // pg's own listener came first: by now it has begun the next statement, if there is one.
      connection.on('readyForQuery', done);
      connection.once('end', ended);
    });
  }
}
