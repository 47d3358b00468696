// What pg still owes an answer to on one connection: the statement that is being answered, and those behind it, whatever pg's version calls
// them. Owns that a statement can be taken out of the queue, and the queue be held, without pg losing one.

import type { PgConnection, PgInternals, PgQuery } from './shapes.ts';

export class Outstanding {
  readonly #inside: PgInternals;
  readonly #connection: PgConnection;
  /** What would be queued if that were not held. */
  #held: unknown[] | undefined;

  constructor(inside: PgInternals) {
    this.#inside = inside;
    this.#connection = inside.connection;
  }

  /** A statement is being answered. */
  get active(): boolean {
    return Boolean(this.current);
  }

  /** Statements that pg has accepted and not yet begun. */
  get queued(): number {
    return this.#queue.length + (this.#inside._sentQueryQueue?.length ?? 0);
  }

  /** What is begun now is kept until the hold ends. */
  get holding(): boolean {
    return this.#held !== undefined;
  }

  /** What was given to pg last: it is being answered, or the last in the queue. */
  get latest(): unknown {
    return this.#held?.at(-1) ?? this.#queue.at(-1) ?? this.#inside._sentQueryQueue?.at(-1) ?? this.current;
  }

  /** What is being answered. */
  get current(): unknown {
    const inside = this.#inside;
    // By its old name pg warns of it where it has the new one.
    return '_activeQuery' in inside ? inside._activeQuery : inside.activeQuery;
  }

  /** It was sent behind others whose answers come first (pg's option `pipeline`). */
  isSent(statement: unknown): boolean {
    return this.#inside._sentQueryQueue?.includes(statement) ?? false;
  }

  /** Takes a statement that was not begun out of the queue, and tells pg's object for it, which may hold a timer; false if it is not there. */
  withdraw(statement: unknown): boolean {
    for (const waiting of [this.#queue, this.#held ?? []]) {
      const at = waiting.indexOf(statement);
      if (at === -1) continue;
      waiting.splice(at, 1);
      (statement as PgQuery).handleError(new Error('it was given up before it was sent'), this.#connection);
      return true;
    }
    return false;
  }

  /**
   * Keeps what is queued, or comes to be, from being begun, until the returned function is called; it is called by itself when the
   * connection ends, ahead of pg, which tells all that it has.
   */
  hold(): () => void {
    const connection = this.#connection;
    const inside = this.#inside;
    const pulse = inside._pulseQueryQueue;
    const held = this.#queue.splice(0);
    this.#held = held;
    inside._pulseQueryQueue = () => void held.push(...this.#queue.splice(0));
    const putBack = (): void => {
      if (this.#held === undefined) return;
      this.#held = undefined;
      connection.removeListener('end', putBack);
      connection.removeListener('error', putBack);
      inside._pulseQueryQueue = pulse;
      this.#queue.unshift(...held);
    };
    connection.prependListener('end', putBack);
    connection.prependListener('error', putBack);
    return () => {
      putBack();
      inside._pulseQueryQueue();
    };
  }

  get #queue(): unknown[] {
    return this.#inside._queryQueue ?? this.#inside.queryQueue ?? [];
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
