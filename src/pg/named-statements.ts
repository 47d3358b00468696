// pg's memory of the named statements of one session. Owns that it follows the server's: pg notes a name when it was parsed and never
// strikes it out, so that after a DISCARD, a DEALLOCATE, a change of a table or a value that cannot be serialised the name would fail on
// this connection for ever.

import type { Outstanding } from './outstanding.ts';
import type { PgConnection } from './shapes.ts';

/** The server does not know the name; it knows it by another text; its plan no longer fits the tables. */
const NAME_IS_STALE: ReadonlySet<string> = new Set(['26000', '42P05', '0A000']);

/** Commands after which names are gone, by the tag with which the server reports them done. */
const FORGETFUL: ReadonlySet<string> = new Set(['DISCARD ALL', 'DEALLOCATE ALL', 'DEALLOCATE']);

export class NamedStatements {
  readonly #outstanding: Outstanding;
  readonly #connection: PgConnection;
  readonly #closeOnServer: (name: string) => void;
  /** Forgotten here, and perhaps known to the server: closed there before they are parsed anew, which does no harm if it is not. */
  readonly #doubtful = new Set<string>();
  /** Closed, but the answer to a parse before that is still to come, and pg would note the name then. */
  readonly #closing = new Set<string>();
  /** What was given up half-way and not closed yet. */
  #unbound: { readonly name: string } | undefined;

  constructor(connection: PgConnection, outstanding: Outstanding) {
    this.#outstanding = outstanding;
    this.#connection = connection;
    // Ahead of pg's own listener, after which it is forgotten what ran.
    connection.prependListener('errorMessage', ({ code }) => {
      const name = this.#active;
      if (name !== undefined && code !== undefined && NAME_IS_STALE.has(code)) this.doubt(name);
    });
    connection.on('commandComplete', ({ text }) => {
      if (FORGETFUL.has(text)) this.#doubtAll();
    });
    const { close } = connection;
    this.#closeOnServer = (name) => close.call(connection, { type: 'S', name });
    // pg closes a statement whose values it could not serialise, and goes on believing that it is there.
    connection.close = (what) => {
      this.#unbound = undefined;
      if (what.type === 'S' && what.name) {
        this.#forget(what.name);
        this.#closing.add(what.name);
      }
      close.call(connection, what);
    };
  }

  /** A reply has ended; to be told ahead of pg, which begins the next statement. */
  replied(): void {
    if (this.#closing.size === 0) return;
    for (const name of this.#closing) this.#forget(name);
    this.#closing.clear();
  }

  /** What a name stands for. */
  textOf(name: string | undefined): string | undefined {
    const { parsedStatements, submittedNamedStatements } = this.#connection;
    return name ? (parsedStatements[name] ?? submittedNamedStatements?.[name]) : undefined;
  }

  /** What the server has under this name is not to be used any more. */
  doubt(name: string): void {
    this.#forget(name);
    this.#doubtful.add(name);
  }

  /** What is to be sent ahead of parsing a statement under this name. */
  parsing(name: string | undefined): void {
    if (name !== undefined && this.doubted(name)) this.#closeOnServer(name);
  }

  /** Whether the name has to be closed on the server before it is parsed; asked once, by whoever does that. */
  doubted(name: string): boolean {
    return this.#doubtful.delete(name);
  }

  /**
   * Values could not be serialised: pg closes the statement and asks for the end of the reply, from 8.17 on. Before that it does neither, and
   * the connection would wait for ever.
   */
  unbound(name: string | undefined): void {
    const failed = { name: name ?? '' };
    this.#unbound = failed;
    queueMicrotask(() => {
      if (this.#unbound !== failed) return;
      this.#connection.close({ type: 'S', name: failed.name });
      this.#connection.sync();
    });
  }

  /** The name of what is being answered, if it has one. */
  get #active(): string | undefined {
    const name: unknown = Reflect.get(Object(this.#outstanding.current), 'name');
    return typeof name === 'string' && name !== '' ? name : undefined;
  }

  #doubtAll(): void {
    const { parsedStatements, submittedNamedStatements = {} } = this.#connection;
    for (const name of [...Object.keys(parsedStatements), ...Object.keys(submittedNamedStatements)]) this.doubt(name);
  }

  #forget(name: string): void {
    const { parsedStatements, submittedNamedStatements } = this.#connection;
    delete parsedStatements[name];
    if (submittedNamedStatements !== undefined) delete submittedNamedStatements[name];
  }
}
