// A query that the codec speaks, in the place where pg has its own: pg tells it of errors, of the end of the reply and of a lost connection as
// it tells its own queries. Owns the result, which is of pg's own class and complete down to what nobody should look at. Reads no bytes but
// those of a row.

import type pg from 'pg';
import type { PgParts } from './known-pg.ts';
import type { Opening } from './opening.ts';
import { isRow, type RowMaker, type Shape } from './row-shape.ts';
import type { PgConnection, PgResult, ServerError, TypeParser, Types } from './shapes.ts';
import type { Text } from './texts.ts';

/** Who asked, and is told once. */
export interface Answer {
  answered(result: pg.QueryResult): void;
  failed(error: unknown): void;
}

export class CodecQuery {
  readonly text: Text;
  /** Its name on the server; pg forgets it after an error. */
  readonly name: string | undefined;
  /** Replies to what was sent ahead of it, each with its own word that it is complete: those of a transaction's beginning. */
  ahead = 0;
  opening: Opening | undefined;
  /** It was told what became of it. */
  answered = false;
  /** The server has taken the parameters: from here on it may have run. */
  bound = false;
  /** Asked of an error that came before the server had taken the parameters; true: it is dealt with at the end of the reply. */
  refused: ((error: ServerError) => boolean) | undefined;
  /** Told of an error that came later. */
  failed: ((error: ServerError) => void) | undefined;
  /** What to do at the end of the reply, when nobody has been answered yet. */
  instead: (() => void) | undefined;
  /** What was sent in its place. */
  #next: CodecQuery | undefined;
  readonly #parts: PgParts;
  readonly #types: Types;
  readonly #rowMode: string | undefined;
  readonly #answer: Answer;
  #result: PgResult;
  /** The earlier ones of several. */
  #results: PgResult[] | undefined;
  #rows: unknown[];
  #parsers: TypeParser[] = [];
  #maker: RowMaker | undefined;
  #columns = 0;
  #refusal: { readonly error: unknown } | undefined;
  /** What a type parser threw. */
  #thrown: { readonly error: unknown } | undefined;

  constructor(
    parts: PgParts,
    text: Text,
    name: string | undefined,
    rowMode: string | undefined,
    types: Types,
    answer: Answer,
  ) {
    this.#parts = parts;
    this.text = text;
    this.name = name;
    this.#rowMode = rowMode;
    this.#types = types;
    this.#answer = answer;
    this.#result = new parts.Result(rowMode, types);
    this.#rows = this.#result.rows;
  }

  /** One of those that were sent ahead is complete. */
  passed(): void {
    this.ahead -= 1;
    if (this.ahead === 0) this.opening?.begun();
  }

  /** The rows that follow look like this. */
  described(shape: Shape): void {
    this.#nextResult();
    const result = this.#result;
    result.fields = shape.fields(this.#parts.Field);
    this.#columns = shape.columns;
    this.#maker = undefined;
    try {
      this.#parsers = shape.parsers(this.#types);
    } catch (error) {
      this.#thrown ??= { error };
      return;
    }
    if (shape.columns > 0) result._parsers = this.#parsers;
    result._prebuiltEmptyResultObject = shape.empty();
    this.#maker = shape.maker(this.#parsers, result.rowAsArray);
  }

  /** From the number of its columns on; throws if it is no row of those that were described. */
  row(bytes: Buffer, start: number, end: number): void {
    const parsers = this.#parsers;
    const columns = end - start < 2 ? 0 : bytes.readUInt16BE(start);
    if (this.#maker === undefined) {
      if (this.#thrown === undefined) throw new Error('a row in it comes before its columns are described');
      return;
    }
    if (columns !== this.#columns)
      throw new Error(`a row of ${columns} columns is in it, where ${this.#columns} were described`);
    if (this.#thrown !== undefined) return;
    try {
      this.#rows.push(this.#maker(bytes, start + 2, end, parsers));
    } catch (error) {
      if (!isRow(bytes, start + 2, end, columns)) throw new Error('a row in it does not end where it says');
      // As in pg, which takes anything falsy for no error, and leaves the row out.
      if (error) this.#thrown = { error };
    }
  }

  /** The server's word of what it did, as it stands in the bytes. */
  completed(bytes: Buffer, start: number, end: number): void {
    this.answered = true;
    this.#nextResult();
    const { command } = this.text;
    const result = this.#result;
    if (command !== undefined) {
      // What was inserted has a number in front, which was an OID once.
      const inserted = command === 'INSERT';
      const count = start + command.length + (inserted ? 3 : 1);
      if (isCount(bytes, count, end - 1)) {
        result.command = command;
        if (inserted) result.oid = 0;
        result.rowCount = numberAt(bytes, count, end - 1);
        return;
      }
    }
    result.addCommandComplete({ text: bytes.toString('utf8', start, end - 1) });
    // One text has one command.
    if (result.rowCount !== null && result.oid === (result.command === 'INSERT' ? 0 : null))
      this.text.command = result.command ?? undefined;
  }

  /** Called by pg at the end of the reply, unless there was an error. */
  handleReadyForQuery(): void {
    const thrown = this.#thrown;
    if (thrown !== undefined) this.#answer.failed(thrown.error);
    else this.#answer.answered((this.#results ?? this.#result) as unknown as pg.QueryResult);
  }

  /** Called by pg with an error of the server, or when the connection is lost. */
  handleError(error: unknown): void {
    this.answered = true;
    const thrown = this.#thrown;
    this.#thrown = undefined;
    if (this.ahead > 0) this.opening?.failed(error);
    if (!this.bound && this.refused?.(error as ServerError) === true) {
      this.#refusal = { error };
      return;
    }
    this.failed?.(error as ServerError);
    this.#answer.failed(thrown === undefined ? error : thrown.error);
  }

  /** It goes on as another. */
  become(next: CodecQuery): void {
    this.#next = next;
  }

  /** What is, or was, answered last for whoever asked. */
  get last(): CodecQuery {
    return this.#next?.last ?? this;
  }

  /** Nobody waits for the end of the reply: whoever asked is told now what is known. */
  forgo(): void {
    this.instead = undefined;
    if (this.#refusal !== undefined) this.#answer.failed(this.#refusal.error);
  }

  /** No text that the codec speaks asks for rows; a server that does so all the same must not wait for them. */
  handleCopyInResponse(connection: PgConnection): void {
    connection.sendCopyFail('No source stream defined');
  }

  handleCopyData(): void {}

  /** A second answer in one reply, as a rule of a table may give. */
  #nextResult(): void {
    if (this.#result.command === null) return;
    this.#results ??= [this.#result];
    this.#result = new this.#parts.Result(this.#rowMode, this.#types);
    this.#rows = this.#result.rows;
    this.#results.push(this.#result);
  }
}

const ZERO = 0x30;

/** Whether the bytes are a number of at most nine digits. */
function isCount(bytes: Buffer, start: number, end: number): boolean {
  if (end - start < 1 || end - start > 9) return false;
  for (let at = start; at < end; at += 1) {
    const digit = (bytes[at] as number) - ZERO;
    if (digit < 0 || digit > 9) return false;
  }
  return true;
}

function numberAt(bytes: Buffer, start: number, end: number): number {
  let number = 0;
  for (let at = start; at < end; at += 1) number = number * 10 + (bytes[at] as number) - ZERO;
  return number;
}
