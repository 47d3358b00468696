// The parts of node-postgres that the driver touches beyond its published types, restated as the small subset they are.
// Checked against pg 8.16 to 8.23; whatever else pg has inside is none of our business.

import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type pg from 'pg';

/** Messages of the wire protocol that pg's connection emits. */
export interface WireEvents {
  prependListener(event: 'readyForQuery', listener: (message: { status?: string }) => void): unknown;
  prependListener(event: 'errorMessage', listener: (message: ServerError) => void): unknown;
  prependListener(event: 'end' | 'error', listener: () => void): unknown;
  on(event: 'readyForQuery' | 'copyInResponse', listener: () => void): unknown;
  on(event: 'commandComplete', listener: (message: { text: string }) => void): unknown;
  on(event: 'errorMessage', listener: () => void): unknown;
  on(event: 'notification', listener: (message: { channel?: string; payload?: string }) => void): unknown;
  on(event: 'parameterStatus', listener: (message: { parameterName: string; parameterValue: string }) => void): unknown;
  listeners(event: 'notification'): (() => void)[];
  once(event: 'readyForQuery' | 'end', listener: () => void): unknown;
  removeListener(
    event: 'readyForQuery' | 'commandComplete' | 'errorMessage' | 'notification' | 'end' | 'error',
    listener: () => void,
  ): unknown;
  emit(event: 'errorMessage', error: Error & ServerError): unknown;
  emit(
    event: 'readyForQuery',
    message: { readonly name: string; readonly length: number; readonly status: string },
  ): unknown;
}

/** What the server says of an error; pg makes its `DatabaseError` of it. */
export interface ServerError {
  readonly severity?: string;
  readonly code?: string;
  readonly message?: string;
  /** The server's own function that said so. */
  readonly routine?: string;
}

/** pg's `Connection`: one socket and the statements that pg believes the server knows. */
export interface PgConnection extends WireEvents {
  stream: Socket;
  /** Whether the line is to be encrypted. */
  readonly ssl?: unknown;
  /** Somebody listens to each message. */
  readonly _emitMessage?: boolean;
  parsedStatements: Record<string, string>;
  submittedNamedStatements?: Record<string, string>;
  query(text: string): void;
  parse(query: { text: string; name?: string }, more?: boolean): void;
  bind(statement: { statement?: string }, more?: boolean): void;
  describe(what: { type: string; name?: string }, more?: boolean): void;
  execute(what: { portal?: string; rows?: number }, more?: boolean): void;
  close(what: { type: string; name?: string }, more?: boolean): void;
  flush(): void;
  sync(): void;
  sendCopyFail(reason: string): void;
  end(): void;
}

/** Makes a value of the text of a column. */
export type TypeParser = (text: string) => unknown;

/** pg's type parsers: those of a query, a client or all of pg. */
export interface Types {
  getTypeParser(oid: number, format: 'text'): TypeParser;
}

/** A column of a result, as pg-protocol makes it. */
export interface PgField {
  readonly name: string;
  readonly dataTypeID: number;
}

export type FieldClass = new (
  name: string,
  tableID: number,
  columnID: number,
  dataTypeID: number,
  dataTypeSize: number,
  dataTypeModifier: number,
  format: 'text',
) => PgField;

/** pg's `Result`, those parts of it included that nobody should look at. */
export interface PgResult {
  command: string | null;
  rowCount: number | null;
  oid: number | null;
  rows: unknown[];
  fields: PgField[];
  _parsers: TypeParser[] | undefined;
  _types: Types | undefined;
  _prebuiltEmptyResultObject: Record<string, null> | null;
  readonly rowAsArray: boolean;
  addCommandComplete(message: { text: string }): void;
}

export type ResultClass = new (rowMode: string | undefined, types: Types | undefined) => PgResult;

/** Whatever `client.query` takes into its queue. */
export interface PgQuery {
  handleError(error: Error, connection: PgConnection): void;
}

/** pg's `Client` from the inside. */
export interface PgInternals {
  readonly connection: PgConnection;
  readonly processID: number | null;
  readonly secretKey: number | Buffer | null;
  readonly connectionParameters?: { readonly query_timeout?: unknown };
  readonly host: string;
  readonly port: number;
  /** True, or options of `tls.connect`; false for none. */
  readonly ssl: ConnectionOptions | boolean;
  /** pg ≥ 8.17. */
  readonly sslNegotiation?: string;
  /** True between a ReadyForQuery and the next statement. */
  readyForQuery?: boolean;
  /** A statement was sent: pg tells when there is none left. */
  hasExecuted?: boolean;
  readonly query: unknown;
  readonly pipeline?: boolean;
  readonly binary?: boolean;
  readonly _types?: Types;
  /** pg ≥ 8.17; earlier the names had no underscore. */
  _activeQuery?: unknown;
  readonly _queryQueue?: unknown[];
  readonly _sentQueryQueue?: unknown[];
  readonly activeQuery?: unknown;
  readonly queryQueue?: unknown[];
  /** Begins what is queued, if it can. */
  _pulseQueryQueue: () => void;
  readonly _queryable?: boolean;
  readonly _ending?: boolean;
  readonly _ended?: boolean;
}

/** How pg makes a client. */
export type ClientClass = new (config: pg.ClientConfig) => pg.Client;

export function internals(client: pg.Client): PgInternals {
  return client as unknown as PgInternals;
}

/** Whether it is pg's at heart: whatever a class calls itself, these parts are needed. */
export function isPgClient(client: pg.Client): boolean {
  const { connection } = client as unknown as Partial<PgInternals>;
  return typeof connection?.on === 'function' && typeof connection.stream === 'object';
}
