// What the rows of one statement look like: their columns, and how an object or an array is made of the bytes of a row. Owns that the
// result is what pg would make of it: the same keys in the same order, each value through the type parser that is asked for anew at each
// execution. Reads no other message.

import { type Reader, readerOf } from './column-readers.ts';
import type { FieldClass, PgField, TypeParser, Types } from './shapes.ts';

/** Makes one row of the bytes behind the number of its columns; throws what a parser throws, and if its values do not end at `end`. */
export type RowMaker = (bytes: Buffer, at: number, end: number, parsers: readonly TypeParser[]) => unknown;

/** A row maker is compiled for what comes again; below that, and beyond so many columns, a loop is cheaper. */
const USES_BEFORE_COMPILING = 3;
const COMPILED_COLUMNS_MAX = 200;
/** With which columns read off the bytes, and as objects or arrays. */
const VARIANTS_MAX = 8;

/** Text as the wire has it: a kind of byte, four for a length, two for the number of columns. */
const FIRST_COLUMN = 7;
/** What follows a column's name: table, column number, type, size, modifier, format. */
const AFTER_NAME = 18;

const NOT_ITS_END = 'the values of a row do not end where it ends';

interface Column {
  readonly name: string;
  readonly tableID: number;
  readonly columnID: number;
  readonly dataTypeID: number;
  readonly dataTypeSize: number;
  readonly dataTypeModifier: number;
}

export class Shape {
  readonly #columns: readonly Column[];
  readonly #names: readonly string[];
  /** The message that told of it. */
  readonly #described: Buffer;
  /** As pg has it: every column null, to begin a row with. */
  readonly #empty: Readonly<Record<string, null>>;
  #uses = 0;
  readonly #made = new Map<string, RowMaker | undefined>();
  /** Made for these parsers, which hardly ever change. */
  #parsers: readonly TypeParser[] = [];
  #objects: RowMaker | undefined;
  #arrays: RowMaker | undefined;

  /** Reads a RowDescription that begins at `at` and ends before `end`. */
  constructor(bytes: Buffer, at: number, end: number) {
    this.#described = Buffer.from(bytes.subarray(at, end));
    this.#columns = columnsIn(bytes, at);
    this.#names = this.#columns.map(({ name }) => name);
    // Without a prototype a column called __proto__ is one like any other; so it stays in the copy.
    const empty: Record<string, null> = Object.create(null);
    for (const name of this.#names) empty[name] = null;
    this.#empty = { ...empty };
  }

  /** Whether that message says the same. */
  is(bytes: Buffer, at: number, end: number): boolean {
    const described = this.#described;
    if (end - at !== described.length) return false;
    return bytes.compare(described, 0, described.length, at, end) === 0;
  }

  get columns(): number {
    return this.#columns.length;
  }

  /** As pg gives them to the result: new ones each time, for it may be anybody's to change. */
  fields(Field: FieldClass): PgField[] {
    const columns = this.#columns;
    const fields: PgField[] = new Array(columns.length);
    for (let n = 0; n < columns.length; n += 1) {
      const { name, tableID, columnID, dataTypeID, dataTypeSize, dataTypeModifier } = columns[n] as Column;
      fields[n] = new Field(name, tableID, columnID, dataTypeID, dataTypeSize, dataTypeModifier, 'text');
    }
    return fields;
  }

  /** Never cached: a parser that is set later counts from then on, and some bring new ones for each query. */
  parsers(types: Types): TypeParser[] {
    const columns = this.#columns;
    const parsers: TypeParser[] = new Array(columns.length);
    for (let n = 0; n < columns.length; n += 1)
      parsers[n] = types.getTypeParser((columns[n] as Column).dataTypeID, 'text');
    return parsers;
  }

  /** What pg begins each row with. */
  empty(): Record<string, null> {
    return { ...this.#empty };
  }

  /** What makes rows with these parsers. */
  maker(parsers: readonly TypeParser[], asArrays: boolean): RowMaker {
    this.#uses += 1;
    const names = this.#names;
    if (this.#uses <= USES_BEFORE_COMPILING || names.length > COMPILED_COLUMNS_MAX)
      return asArrays ? intoArray(names.length) : intoObject(names, this.#empty);
    if (!isSame(parsers, this.#parsers)) {
      this.#parsers = parsers.slice();
      this.#objects = undefined;
      this.#arrays = undefined;
    }
    if (asArrays) {
      this.#arrays ??= this.#compiled(parsers, true) ?? intoArray(names.length);
      return this.#arrays;
    }
    this.#objects ??= this.#compiled(parsers, false) ?? intoObject(names, this.#empty);
    return this.#objects;
  }

  /**
   * Code is made once for each set of columns that are read off the bytes, and found again: some bring new parsers with each query (Drizzle), and making
   * code costs as much as a hundred rows.
   */
  #compiled(parsers: readonly TypeParser[], asArrays: boolean): RowMaker | undefined {
    const readers = this.#columns.map(({ dataTypeID }, n) => readerOf(dataTypeID, parsers[n] as TypeParser));
    // A type has one reader or none.
    const key = `${asArrays} ${readers.map((reader) => reader !== undefined).join()}`;
    let maker = this.#made.get(key);
    if (maker === undefined && !this.#made.has(key)) {
      maker = compiled(this.#names, readers, asArrays);
      if (this.#made.size < VARIANTS_MAX) this.#made.set(key, maker);
    }
    return maker;
  }
}

function isSame(some: readonly TypeParser[], others: readonly TypeParser[]): boolean {
  if (some.length !== others.length) return false;
  for (let n = 0; n < some.length; n += 1) if (some[n] !== others[n]) return false;
  return true;
}

/** Whether the bytes are a row's, so that what was thrown over them is a parser's. */
export function isRow(bytes: Buffer, start: number, end: number, columns: number): boolean {
  let at = start;
  for (let n = 0; n < columns; n += 1) {
    if (end - at < 4) return false;
    at += 4 + Math.max(0, bytes.readInt32BE(at));
  }
  return at === end;
}

function columnsIn(bytes: Buffer, start: number): Column[] {
  const columns: Column[] = [];
  const count = bytes.readUInt16BE(start + FIRST_COLUMN - 2);
  let at = start + FIRST_COLUMN;
  for (let n = 0; n < count; n += 1) {
    const end = bytes.indexOf(0, at);
    const name = bytes.toString('utf8', at, end);
    at = end + 1;
    columns.push({
      name,
      tableID: bytes.readUInt32BE(at),
      columnID: bytes.readInt16BE(at + 4),
      dataTypeID: bytes.readUInt32BE(at + 6),
      dataTypeSize: bytes.readInt16BE(at + 10),
      dataTypeModifier: bytes.readInt32BE(at + 12),
    });
    at += AFTER_NAME;
  }
  return columns;
}

function intoObject(names: readonly string[], empty: Readonly<Record<string, null>>): RowMaker {
  return (bytes, start, end, parsers) => {
    const row: Record<string, unknown> = { ...empty };
    let at = start;
    for (let n = 0; n < names.length; n += 1) {
      const length = bytes.readInt32BE(at);
      at += 4;
      if (length < 0) row[names[n] as string] = null;
      else {
        row[names[n] as string] = (parsers[n] as TypeParser)(bytes.toString('utf8', at, at + length));
        at += length;
      }
    }
    if (at !== end) throw new RangeError(NOT_ITS_END);
    return row;
  };
}

function intoArray(columns: number): RowMaker {
  return (bytes, start, end, parsers) => {
    const row: unknown[] = new Array(columns);
    let at = start;
    for (let n = 0; n < columns; n += 1) {
      const length = bytes.readInt32BE(at);
      at += 4;
      if (length < 0) row[n] = null;
      else {
        row[n] = (parsers[n] as TypeParser)(bytes.toString('utf8', at, at + length));
        at += length;
      }
    }
    if (at !== end) throw new RangeError(NOT_ITS_END);
    return row;
  };
}

/** One literal with the columns in their order. Undefined where the process forbids code from strings. */
function compiled(
  names: readonly string[],
  readers: readonly (Reader | undefined)[],
  asArrays: boolean,
): RowMaker | undefined {
  const own = [...new Set(readers)].filter((reader) => reader !== undefined);
  const value = (n: number): string => {
    const reader = readers[n];
    return reader === undefined ? `q[${n}](b.utf8Slice(p, p + l))` : `r${own.indexOf(reader)}(b, p, p + l, q[${n}])`;
  };
  const reads = names.map(
    (_, n) =>
      `l = b[p] << 24 | b[p + 1] << 16 | b[p + 2] << 8 | b[p + 3]; p += 4; let v${n} = null; ` +
      `if (l >= 0) { v${n} = ${value(n)}; p += l; }`,
  );
  // In brackets __proto__ is a key like any other. A name that comes twice keeps its first place and its last value, as in pg.
  const keys = names.map((name) => (name === '__proto__' ? '["__proto__"]' : JSON.stringify(name)));
  const row = asArrays
    ? `[${names.map((_, n) => `v${n}`).join(', ')}]`
    : `{ ${keys.map((key, n) => `${key}: v${n}`).join(', ')} }`;
  const check = `if (p !== e) throw new RangeError(${JSON.stringify(NOT_ITS_END)});\n`;
  try {
    const make = new Function(
      ...own.map((_, k) => `r${k}`),
      `'use strict'; return (b, p, e, q) => { let l = 0;\n${reads.join('\n')}\n${check}return ${row}; };`,
    );
    return make(...own) as RowMaker;
  } catch {
    return undefined;
  }
}
