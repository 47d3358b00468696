// Which columns are read off the bytes, without pg's parser and mostly without a string in between: whole numbers, dates, and arrays of numbers
// and texts, which cost pg more than all the rest of a row. Owns the recognition of pg's own parsers for them, by their text: whoever has set
// another one gets what that makes of the string.

import { createHash } from 'node:crypto';
import { dateOf } from './dates.ts';
import { numbersOf, textsOf } from './plain-arrays.ts';
import type { TypeParser } from './shapes.ts';
import { wholeNumber } from './whole-numbers.ts';

/** Makes the value of a column, as `parser` would of the same text. */
export type Reader = (bytes: Buffer, start: number, end: number, parser: TypeParser) => unknown;

interface Kind {
  /** OIDs (PostgreSQL's pg_type.dat). */
  readonly types: readonly number[];
  /** pg's own parser for them, by its text. */
  readonly isOwn: (text: string) => boolean;
  readonly reader: Reader;
}

/** The first sixteen digits of the SHA-256 of a function's text. */
function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

const KINDS: readonly Kind[] = [
  {
    // int2, int4, oid: an optional minus and at most ten digits. pg-types has had this in all its versions.
    types: [21, 23, 26],
    isOwn: (text) => /^function\s*\w*\s*\((\w+)\)\s*\{\s*return parseInt\(\1, 10\);?\s*\}$/.test(text),
    reader: wholeNumber,
  },
  {
    // date, timestamp, timestamptz: postgres-date 1.0.7.
    types: [1082, 1114, 1184],
    isOwn: (text) => digest(text) === '320e64a6a5c1ffbc',
    reader: dateOf,
  },
  {
    // int2[], int4[]: pg-types 2.2.0.
    types: [1005, 1007],
    isOwn: (text) => digest(text) === '11464835341bdaa2',
    reader: numbersOf,
  },
  {
    // text[], varchar[]: pg-types 2.2.0.
    types: [1009, 1015],
    isOwn: (text) => digest(text) === '1f7d81417a3164cb',
    reader: textsOf,
  },
];

const BY_TYPE: ReadonlyMap<number, Kind> = new Map(KINDS.flatMap((kind) => kind.types.map((type) => [type, kind])));

/** What was found out of a parser, for a kind it was asked of. */
const looked = new WeakMap<TypeParser, Map<Kind, boolean>>();

/** What reads a column of this type with this parser off the bytes; undefined where the parser has to be asked. */
export function readerOf(dataTypeID: number, parser: TypeParser): Reader | undefined {
  const kind = BY_TYPE.get(dataTypeID);
  if (kind === undefined || typeof parser !== 'function') return undefined;
  const known = looked.get(parser) ?? new Map<Kind, boolean>();
  looked.set(parser, known);
  let own = known.get(kind);
  if (own === undefined) {
    // What it shows is not always what it says of itself.
    own = kind.isOwn(Function.prototype.toString.call(parser));
    known.set(kind, own);
  }
  return own ? kind.reader : undefined;
}
