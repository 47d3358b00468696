// Whose turn it is on one connection: the server's, which was asked for the end of its reply, or ours, since a portal or a COPY is open that
// nobody continues. Owns how the latter is ended: a cancel finds nothing running there. Knows nothing of who gave it up.

import type { Outstanding } from './outstanding.ts';
import type { PgConnection, ServerError } from './shapes.ts';

/** Each of pg's methods that sends a part of a statement. */
const PARTS = ['query', 'parse', 'bind', 'describe', 'execute', 'close', 'flush', 'sync'] as const;

const GIVEN_UP = 'the statement was given up before its end';

export class Exchange {
  readonly #connection: PgConnection;
  readonly #outstanding: Outstanding;
  /** Ends of replies that were asked for and have not come. */
  #owed = 0;
  /** The server waits for rows. */
  #copying = false;
  /** Hands pg's methods back to the statements to come; there while the end that was asked for here has not come. */
  #unmute: (() => void) | undefined;
  /** How it ended was told by the server. */
  #told = false;

  constructor(connection: PgConnection, outstanding: Outstanding) {
    this.#connection = connection;
    this.#outstanding = outstanding;
    const { query, sync } = connection;
    connection.query = (text) => {
      this.#owed += 1;
      query.call(connection, text);
    };
    connection.sync = () => {
      this.#owed += 1;
      sync.call(connection);
    };
    connection.on('copyInResponse', () => {
      this.#copying = true;
    });
  }

  /** A reply has ended; to be told ahead of pg, which begins the next statement. */
  replied(): void {
    this.answered();
    this.#copying = false;
    if (this.#unmute === undefined) return;
    // To its owner the rows that are there must not look like all of them. A query that pg refused unsent is no longer there, and an
    // error that is nobody's pg takes for the end of the connection.
    if (!this.#told && this.#outstanding.active) this.#connection.emit('errorMessage', givenUp());
    this.#unmute();
    this.#unmute = undefined;
  }

  /** No end of a reply was asked for: what is open goes on when whoever began it says so, and no sooner. */
  get open(): boolean {
    return this.#owed === 0;
  }

  /** A statement went out, by others than pg, with the end of its reply asked for. */
  asked(): void {
    this.#owed += 1;
  }

  /** Its end came, and pg is not told. */
  answered(): void {
    if (this.#owed > 0) this.#owed -= 1;
  }

  /** Asks for the end of the reply that is open; false if that was done before, and is up to the server. */
  finish(): boolean {
    const copying = this.#copying;
    this.#copying = false;
    if (copying) this.#connection.sendCopyFail(GIVEN_UP);
    if (this.#owed > 0) return copying;
    this.#connection.sync();
    this.#mute();
    // Of what has failed pg has told already.
    this.#told = !this.#outstanding.active;
    return true;
  }

  /**
   * What the owner of the statement sends from now on would come after its end, and be taken for a part of the next one: a cursor that is
   * read, or that answers an error with a Sync of its own.
   */
  #mute(): void {
    const connection = this.#connection;
    const { query, parse, bind, describe, execute, close, flush, sync } = connection;
    const parts = { query, parse, bind, describe, execute, close, flush, sync };
    for (const part of PARTS) connection[part] = () => {};
    const told = (): void => {
      this.#told = true;
    };
    connection.on('commandComplete', told);
    connection.on('errorMessage', told);
    this.#unmute = () => {
      connection.removeListener('commandComplete', told);
      connection.removeListener('errorMessage', told);
      Object.assign(connection, parts);
    };
  }
}

function givenUp(): Error & ServerError {
  return Object.assign(new Error(GIVEN_UP), { severity: 'ERROR', code: '57014' });
}
